//! Delivery: takes what is due from the outbox, hands it to the sinks, records how it ended.
//!
//! One [`lane`] for each sink, so that a slow or dead one delays nobody else. Never talks to
//! the ingress: they meet in the outbox.

mod admission;
mod attempt;
mod backoff;
mod breaker;
mod clock;
mod crashes;
mod health;
mod hold;
mod in_flight;
mod lane;
mod meters;
mod prefetch;
mod shares;
mod throttle;
mod trial;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::admission::Admission;
pub use self::admission::{Resumed, SinkStatus};
pub use self::breaker::BreakerState;
pub use self::crashes::{Crash, Crashes};
use self::health::Health;
pub use self::hold::{Hold, HoldReason};
pub use self::in_flight::{InFlight, Left, Notes};
use self::lane::Named;
use self::trial::Trial;
pub use self::trial::{LONGEST as LONGEST_TRIAL, Tried, Untried};

use crate::clock::{Clock, Millis};
use crate::config;
use crate::outbox::{DeliveryId, Queue};
use crate::plugin::{self, Call, Outcome};
use crate::telemetry::metrics::DeliveryMetrics;

/// What takes the attempts of a sink: an instance of a plugin, or a script in tests.
pub trait Destination: Send + Sync + 'static {
    /// Makes one attempt. Ends by itself, within the call's timeout.
    fn deliver(&self, call: Call) -> BoxFuture<'_, Outcome>;

    /// How it is by what its plugin says, at once or soon; `None` if that cannot tell.
    fn says(&self) -> BoxFuture<'_, Option<plugin::Health>> {
        std::future::ready(None).boxed()
    }
}

impl Destination for plugin::Sink {
    fn deliver(&self, call: Call) -> BoxFuture<'_, Outcome> {
        self.deliver(call).boxed()
    }

    fn says(&self) -> BoxFuture<'_, Option<plugin::Health>> {
        self.health().boxed()
    }
}

/// A sink with what is behind it.
pub struct Target {
    /// Its name.
    pub name: Arc<str>,
    /// Its configuration.
    pub config: config::Sink,
    /// What takes the attempts.
    pub sink: Box<dyn Destination>,
    /// Where its attempts are noted, if they run in this process.
    pub notes: Option<Notes>,
}

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// No new attempts; those in flight may end.
    Stopping,
    /// Those in flight are recorded as ambiguous now.
    Ending,
}

/// All lanes.
pub struct Dispatcher {
    lanes: JoinSet<()>,
    phase: watch::Sender<Phase>,
    sinks: Sinks,
}

impl Dispatcher {
    /// Starts a lane for each target. Must be called inside a tokio runtime.
    pub fn start(
        targets: Vec<Target>,
        outbox: &Arc<dyn Queue>,
        clock: &Arc<dyn Clock>,
        metrics: &DeliveryMetrics,
    ) -> Self {
        let (phase, follow) = watch::channel(Phase::Running);
        let mut lanes = JoinSet::new();
        let mut sinks = Vec::new();
        for target in targets {
            let lane = lane::Lane::new(
                target,
                Arc::clone(outbox),
                Arc::clone(clock),
                metrics.clone(),
            );
            sinks.push(OneSink {
                name: lane.name(),
                sink: lane.sink(),
                admission: lane.admission(),
                trial: lane.trial(),
                health: lane.health(),
                named: lane.named(),
            });
            lanes.spawn(lane.run(follow.clone()));
        }
        Self {
            lanes,
            phase,
            sinks: Sinks(sinks.into()),
        }
    }

    /// How the sinks do; cheap to clone and to ask, also after a stop.
    pub fn sinks(&self) -> Sinks {
        self.sinks.clone()
    }

    /// Stops: nothing new is tried; what is in flight may end within `patience` and is
    /// recorded as ambiguous after that.
    pub async fn stop(mut self, patience: Duration) {
        self.phase.send_replace(Phase::Stopping);
        let ended = tokio::time::timeout(patience, async {
            while self.lanes.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            self.phase.send_replace(Phase::Ending);
            while self.lanes.join_next().await.is_some() {}
        }
    }
}

/// Tells how the sinks do, and tries them out.
#[derive(Clone)]
pub struct Sinks(Arc<[OneSink]>);

struct OneSink {
    name: Arc<str>,
    sink: Arc<dyn Destination>,
    admission: Arc<Admission>,
    trial: Trial,
    health: Arc<Health>,
    named: Arc<Named>,
}

impl Sinks {
    /// Of one sink; all at rest for a sink that is not there.
    pub fn of(&self, sink: &str) -> SinkStatus {
        self.find(sink)
            .map_or_else(SinkStatus::default, |one| one.admission.status())
    }

    /// Ends what holds the sink, but for a pause; `None` for a sink that is not there.
    pub fn resume(&self, sink: &str) -> Option<Resumed> {
        let one = self.find(sink)?;
        let resumed = one.admission.resume();
        one.named.wake();
        Some(resumed)
    }

    /// Tries that delivery next, also as a probe; it has to be due already. A pause, the
    /// destination's wait and the rate still hold it.
    pub fn hurry(&self, sink: &str, id: DeliveryId) {
        if let Some(one) = self.find(sink) {
            one.named.ask(id);
        }
    }

    /// When the sink last took a delivery, since the start.
    pub fn delivered_at(&self, sink: &str) -> Option<Millis> {
        self.find(sink).and_then(|one| one.health.delivered_at())
    }

    /// How a sink is by what its plugin says; `None` if that cannot tell.
    pub async fn says(&self, sink: &str) -> Option<plugin::Health> {
        self.find(sink)?.sink.says().await
    }

    fn find(&self, sink: &str) -> Option<&OneSink> {
        self.0.iter().find(|one| &*one.name == sink)
    }
}

#[cfg(test)]
mod tests;
