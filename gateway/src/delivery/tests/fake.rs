//! What lanes are tested with in virtual time: a clock, a destination that follows a script,
//! and an outbox in memory.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::ready;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::*;
use crate::clock::{Clock, Millis};
use crate::outbox::{
    Budget, Claim, Delivery, DeliveryId, Due, Finish, LeadId, Pause, PauseCause, Queue, State,
    StoredLead, Unavailable, Wanted,
};
use crate::plugin::OutcomeKind;

/// Follows tokio's paused time; the wall clock can be set.
pub(super) struct VirtualClock {
    start: Instant,
    wall: AtomicI64,
}

impl VirtualClock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            wall: AtomicI64::new(1_000_000_000_000),
        })
    }

    /// As a person sets the clock.
    pub(super) fn set_by(&self, by: Millis) {
        self.wall.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Millis {
        self.wall.load(Ordering::Relaxed) + verdict::millis(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// An attempt as the destination saw it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: Duration,
    pub(super) attempt: u32,
    pub(super) event: String,
    pub(super) step_record: String,
}

type Rule = dyn Fn(&Seen) -> Outcome + Send + Sync;

/// A destination that answers after `takes` as `rule` says.
pub(super) struct Script {
    pub(super) clock: Arc<VirtualClock>,
    pub(super) takes: Duration,
    pub(super) rule: Box<Rule>,
    pub(super) seen: Mutex<Vec<Seen>>,
}

impl Script {
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panics").clone()
    }
}

impl Destination for Arc<Script> {
    fn deliver(&self, call: Call) -> BoxFuture<'_, Outcome> {
        async move {
            let seen = Seen {
                at: self.clock.monotonic(),
                attempt: call.attempt,
                event: String::from_utf8(call.event).expect("JSON is text"),
                step_record: call.step_record,
            };
            if let Some(keep) = call.keep {
                keep(format!("{}{}", seen.step_record, call.attempt));
            }
            self.seen.lock().expect("no panics").push(seen.clone());
            if !self.takes.is_zero() {
                tokio::time::sleep(self.takes).await;
            }
            (self.rule)(&seen)
        }
        .boxed()
    }
}

/// Answers with `kind`.
pub(super) fn outcome(kind: OutcomeKind) -> Outcome {
    Outcome::new(kind, "").rule("script")
}

/// Deliveries of one sink in memory.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) deliveries: Mutex<BTreeMap<DeliveryId, (Delivery, bool)>>,
    pub(super) claimed: Mutex<HashSet<DeliveryId>>,
    /// Nothing can be claimed.
    pub(super) broken: AtomicBool,
    paused: AtomicBool,
    arrivals: Arc<Notify>,
    /// The latest time that was written.
    latest: AtomicI64,
}

impl Memory {
    /// Adds a delivery that is due at `now`.
    pub(super) fn add(&self, now: Millis, spent: u32, update: bool) -> DeliveryId {
        let id = DeliveryId(Uuid::from_u128(
            self.deliveries.lock().expect("no panics").len() as u128,
        ));
        let delivery = Delivery {
            sink: "crm".to_owned(),
            source: "shop".to_owned(),
            lead: LeadId(id.0),
            revision: 2,
            created_at: now,
            state: State::Waiting { due_at: now },
            attempts: spent,
            budget: Budget { spent, since: now },
            fallback_of: None,
            history: Vec::new(),
            journal: String::new(),
        };
        self.deliveries
            .lock()
            .expect("no panics")
            .insert(id, (delivery, update));
        self.latest.fetch_max(now, Ordering::Relaxed);
        self.arrivals.notify_one();
        id
    }

    pub(super) fn state(&self, id: DeliveryId) -> Delivery {
        self.deliveries.lock().expect("no panics")[&id].0.clone()
    }

    pub(super) fn delivered(&self) -> usize {
        let deliveries = self.deliveries.lock().expect("no panics");
        let done = |(one, _): &&(Delivery, bool)| matches!(one.state, State::Delivered { .. });
        deliveries.values().filter(done).count()
    }

    pub(super) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
        self.arrivals.notify_one();
    }

    pub(super) fn claims(&self) -> usize {
        self.claimed.lock().expect("no panics").len()
    }
}

impl Memory {
    fn claim_of(&self, id: DeliveryId, delivery: &Delivery, update: bool) -> Claim {
        self.claimed.lock().expect("no panics").insert(id);
        Claim {
            id,
            delivery: delivery.clone(),
            lead: StoredLead {
                id: delivery.lead,
                revision: delivery.revision,
                source: delivery.source.clone(),
                received_at: 0,
                lead: "{}".to_owned(),
                labels: "{}".to_owned(),
                raw: String::new(),
                original: None,
            },
            update,
        }
    }
}

impl Queue for Memory {
    fn claim_some(&self, _: &str, now: Millis, wanted: Wanted) -> Result<Due, Unavailable> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(Unavailable("broken".to_owned()));
        }
        let deliveries = self.deliveries.lock().expect("no panics");
        let claimed = self.claimed.lock().expect("no panics").clone();
        let mut waiting: Vec<_> = deliveries
            .iter()
            .filter(|(id, _)| !claimed.contains(id))
            .filter(|(_, (delivery, _))| delivery.freshness() == wanted.freshness)
            .filter_map(|(id, (delivery, update))| match delivery.state {
                State::Waiting { due_at } => Some((due_at, *id, delivery, *update)),
                _ => None,
            })
            .collect();
        waiting.sort_by_key(|(due_at, id, ..)| (*due_at, *id));
        let later = waiting.partition_point(|(due_at, ..)| *due_at <= now);
        let next = waiting.get(later).map(|(due_at, ..)| *due_at);
        waiting.truncate(later);
        if wanted.newest && !waiting.is_empty() {
            waiting.reverse();
        }
        let rest = waiting.split_off(wanted.limit.min(waiting.len()));
        let rest = rest.iter().map(|(due_at, ..)| *due_at);
        let next = rest.chain(next).min();
        let claims = waiting.into_iter();
        let claims = claims.map(|(_, id, delivery, update)| self.claim_of(id, delivery, update));
        Ok(Due {
            deliveries: claims.collect(),
            next,
            damaged: Vec::new(),
        })
    }

    fn claim_one(&self, _: &str, id: DeliveryId) -> Result<Option<Claim>, Unavailable> {
        let deliveries = self.deliveries.lock().expect("no panics");
        let claimed = self.claimed.lock().expect("no panics").contains(&id);
        Ok(deliveries
            .get(&id)
            .filter(|(delivery, _)| !claimed && matches!(delivery.state, State::Waiting { .. }))
            .map(|(delivery, update)| self.claim_of(id, delivery, *update)))
    }

    fn unclaim(&self, _: &str, ids: &[DeliveryId]) {
        let mut claimed = self.claimed.lock().expect("no panics");
        for id in ids {
            assert!(claimed.remove(id), "given back without a claim");
        }
    }

    fn keep(
        &self,
        _: &str,
        id: DeliveryId,
        journal: String,
    ) -> BoxFuture<'static, Result<(), Unavailable>> {
        let mut deliveries = self.deliveries.lock().expect("no panics");
        deliveries.get_mut(&id).expect("was claimed").0.journal = journal;
        ready(Ok(())).boxed()
    }

    fn finish(&self, finish: Finish) -> BoxFuture<'static, Result<(), Unavailable>> {
        let mut deliveries = self.deliveries.lock().expect("no panics");
        let (delivery, _) = deliveries.get_mut(&finish.id).expect("it was added");
        self.latest.fetch_max(finish.now, Ordering::Relaxed);
        assert_eq!(
            delivery.state,
            State::Waiting {
                due_at: finish.was_due
            }
        );
        *delivery = finish.delivery;
        let claimed = self.claimed.lock().expect("no panics").remove(&finish.id);
        assert!(claimed, "finished without a claim");
        ready(Ok(())).boxed()
    }

    fn arrivals(&self, _: &str) -> Arc<Notify> {
        Arc::clone(&self.arrivals)
    }

    fn latest(&self) -> Millis {
        self.latest.load(Ordering::Relaxed)
    }

    fn paused(&self, _: &str) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    fn pause_of(&self, sink: &str) -> Option<Pause> {
        self.paused(sink).then(|| Pause {
            since: 0,
            cause: PauseCause::Person(String::new()),
        })
    }
}
