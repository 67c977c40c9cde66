//! The dispatcher: one lane for each sink, started, replaced and retired while the others run.
//!
//! A lane that is replaced or retired claims nothing more at once and gives back what it has not
//! started; its attempts in flight end by themselves, within their timeout. The one in its place
//! starts at once: a destination that hangs does not hold up its own repair.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Target;
use super::lane::Lane;
use super::sinks::{OneSink, Sinks};
use crate::clock::Clock;
use crate::outbox::Queue;
use crate::swap::Swap;
use crate::telemetry::metrics::DeliveryMetrics;

/// How far a lane's stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// No new attempts; those in flight may end.
    Stopping,
    /// Those in flight are recorded as ambiguous now.
    Ending,
}

/// All lanes.
pub struct Dispatcher {
    outbox: Arc<dyn Queue>,
    clock: Arc<dyn Clock>,
    metrics: DeliveryMetrics,
    sinks: Sinks,
    lanes: Mutex<Lanes>,
}

#[derive(Default)]
struct Lanes {
    /// By sink.
    running: BTreeMap<Arc<str>, Running>,
    /// Of lanes that claim nothing more, and of which attempts may be under way.
    retired: Vec<watch::Sender<Phase>>,
    tasks: JoinSet<()>,
    /// No lane is started any more.
    stopped: bool,
}

/// A lane that is its sink's.
struct Running {
    phase: watch::Sender<Phase>,
    revision: Arc<Swap<Arc<str>>>,
}

impl Lanes {
    fn retire(&mut self, name: &str) {
        if let Some(Running { phase, .. }) = self.running.remove(name) {
            phase.send_replace(Phase::Stopping);
            self.retired.push(phase);
        }
    }

    /// Forgets lanes that have ended.
    fn tidy(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.retired.retain(|phase| !phase.is_closed());
    }
}

impl Dispatcher {
    /// Starts a lane for each target. Must be called inside a tokio runtime.
    pub fn start(
        targets: Vec<Target>,
        outbox: &Arc<dyn Queue>,
        clock: &Arc<dyn Clock>,
        metrics: &DeliveryMetrics,
    ) -> Self {
        let this = Self {
            outbox: Arc::clone(outbox),
            clock: Arc::clone(clock),
            metrics: metrics.clone(),
            sinks: Sinks::default(),
            lanes: Mutex::default(),
        };
        this.change(targets, &[]);
        this
    }

    /// How the sinks do; cheap to clone and to ask, also after a stop.
    pub fn sinks(&self) -> Sinks {
        self.sinks.clone()
    }

    /// Starts a lane for each target, in the place of the one that its sink has, and retires
    /// those of the sinks that are `gone`. Does not wait for attempts in flight. Must be called
    /// inside a tokio runtime; does nothing after a stop.
    pub fn change(&self, targets: Vec<Target>, gone: &[Arc<str>]) {
        let mut lanes = self.lanes();
        lanes.tidy();
        if lanes.stopped {
            return;
        }
        for name in gone {
            lanes.retire(name);
            if let Some(one) = self.sinks.find(name) {
                one.admission.retire();
            }
            self.sinks.set(name, None);
            self.metrics.end(name);
        }
        for target in targets {
            let name = Arc::clone(&target.name);
            let before = self.sinks.find(&name);
            lanes.retire(&name);
            let lane = Lane::new(
                target,
                Arc::clone(&self.outbox),
                Arc::clone(&self.clock),
                self.metrics.clone(),
                before.as_deref(),
            );
            let one = OneSink::of(&lane, before.as_deref());
            self.sinks.set(&name, Some(one));
            let (phase, follow) = watch::channel(Phase::Running);
            let revision = lane.revision();
            lanes.tasks.spawn(lane.run(follow));
            lanes.running.insert(name, Running { phase, revision });
        }
    }

    /// From now on a configuration of that revision runs, and every lane that is not replaced is
    /// what it says: their attempts are recorded with it.
    pub fn runs(&self, revision: &Arc<str>) {
        for lane in self.lanes().running.values() {
            lane.revision.set(Arc::clone(revision));
        }
    }

    /// Stops: nothing new is tried; what is in flight may end within `patience` and is
    /// recorded as ambiguous after that.
    pub async fn stop(&self, patience: Duration) {
        let (phases, mut tasks) = {
            let mut lanes = self.lanes();
            lanes.stopped = true;
            let mut phases = std::mem::take(&mut lanes.retired);
            let running = std::mem::take(&mut lanes.running).into_values();
            phases.extend(running.map(|lane| lane.phase));
            (phases, std::mem::take(&mut lanes.tasks))
        };
        let enter = |phase| {
            for lane in &phases {
                lane.send_replace(phase);
            }
        };
        enter(Phase::Stopping);
        let ended = tokio::time::timeout(patience, async {
            while tasks.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            enter(Phase::Ending);
            while tasks.join_next().await.is_some() {}
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Lanes are replaced one by one: a panic leaves whole ones.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
