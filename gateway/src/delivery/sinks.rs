//! Sinks: how the sinks do that are configured now, and what a person may ask of them.
//!
//! Follows the [`super::Dispatcher`], which replaces them while others look.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use super::Destination;
use super::admission::{Admission, Resumed, SinkStatus};
use super::health::Health;
use super::lane::{Lane, Named};
use super::trial::Trial;
use crate::clock::Millis;
use crate::outbox::DeliveryId;
use crate::plugin;

/// Tells how the sinks do, and tries them out. Clones show the same.
#[derive(Clone, Default)]
pub struct Sinks(Arc<RwLock<BTreeMap<Arc<str>, Arc<OneSink>>>>);

/// What others see of a lane.
pub(super) struct OneSink {
    pub(super) sink: Arc<dyn Destination>,
    pub(super) admission: Arc<Admission>,
    pub(super) trial: Trial,
    pub(super) health: Arc<Health>,
    named: Arc<Named>,
    /// Of lanes in whose place this one is, and whose attempts may not all have ended.
    before: Vec<Weak<Admission>>,
}

impl OneSink {
    pub(super) fn of(lane: &Lane, before: Option<&Self>) -> Self {
        let mut older = Vec::new();
        if let Some(before) = before {
            let alive = |one: &&Weak<Admission>| one.strong_count() > 0;
            older.extend(before.before.iter().filter(alive).cloned());
            older.push(Arc::downgrade(&before.admission));
        }
        Self {
            sink: lane.sink(),
            admission: lane.admission(),
            trial: lane.trial(),
            health: lane.health(),
            named: lane.named(),
            before: older,
        }
    }

    fn status(&self) -> SinkStatus {
        let mut status = self.admission.status();
        let before = self.before.iter().filter_map(Weak::upgrade);
        status.in_flight += before.map(|one| one.status().in_flight).sum::<usize>();
        status
    }
}

impl Sinks {
    /// Of one sink; all at rest for a sink that is not there.
    pub fn of(&self, sink: &str) -> SinkStatus {
        self.find(sink)
            .map_or_else(SinkStatus::default, |one| one.status())
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

    pub(super) fn find(&self, sink: &str) -> Option<Arc<OneSink>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(sink).map(Arc::clone)
    }

    /// From now on this is the sink of that name, or there is none.
    pub(super) fn set(&self, name: &Arc<str>, one: Option<OneSink>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = match one {
            Some(one) => all.insert(Arc::clone(name), Arc::new(one)),
            None => all.remove(name),
        };
        drop(all);
        // It may be the last of a plugin's sink, which ends in code of others.
        drop(before);
    }
}
