//! Delivery: takes what is due from the outbox, hands it to the sinks, records how it ended.
//!
//! One [`lane`] for each sink, so that a slow or dead one delays nobody else. Never talks to
//! the ingress: they meet in the outbox.

mod attempt;
mod backoff;
mod lane;
mod pace;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config;
use crate::outbox::Outbox;
use crate::plugin;
use crate::telemetry::metrics::DeliveryMetrics;

/// A sink with the plugin instance behind it.
pub struct Target {
    /// Its name.
    pub name: Arc<str>,
    /// Its configuration.
    pub config: config::Sink,
    /// What takes the attempts.
    pub sink: plugin::Sink,
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
    gauges: Vec<(Arc<str>, Arc<lane::Gauge>)>,
}

impl Dispatcher {
    /// Starts a lane for each target. Must be called inside a tokio runtime.
    pub fn start(
        targets: Vec<Target>,
        outbox: &Arc<dyn Outbox>,
        clock: &Arc<dyn Clock>,
        metrics: &DeliveryMetrics,
    ) -> Self {
        let (phase, follow) = watch::channel(Phase::Running);
        let mut lanes = JoinSet::new();
        let mut gauges = Vec::new();
        for target in targets {
            let lane = lane::Lane::new(
                target,
                Arc::clone(outbox),
                Arc::clone(clock),
                metrics.clone(),
            );
            gauges.push((lane.name(), lane.gauge()));
            lanes.spawn(lane.run(follow.clone()));
        }
        Self {
            lanes,
            phase,
            gauges,
        }
    }

    /// Attempts in flight, by sink.
    pub fn in_flight(&self) -> InFlight {
        InFlight(self.gauges.clone())
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

/// Reads how many attempts are in flight.
#[derive(Clone)]
pub struct InFlight(Vec<(Arc<str>, Arc<lane::Gauge>)>);

impl InFlight {
    /// Of one sink.
    pub fn of(&self, sink: &str) -> usize {
        self.0
            .iter()
            .find(|(name, _)| &**name == sink)
            .map_or(0, |(_, gauge)| gauge.get())
    }
}

#[cfg(test)]
mod tests;
