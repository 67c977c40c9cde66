//! The store: each change is a commit, made by whoever asks for it.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use uuid::ContextV7;

use super::{FORMAT, Kept, body, lock};
use crate::clock::Millis;
use crate::outbox::conformance::engine::Setup;
use crate::outbox::state::memory::{Hands, Memory};
use crate::outbox::state::{Change, Done, Ground, Sinks, State, View, known};
use crate::outbox::{
    Accepted, Arrival, BackedUp, Claim, DeliveryId, Due, EXPORT_VERSION, Expiring, ExportHeader,
    Exported, Finish, Imported, Intake, LeadId, Maintenance, Operations, Pause, Quarantined,
    QuarantinedPush, Queue, Refusal, Resealed, Retention, SinkPolicy, State as Stands, Swept,
    Timekeeping, Unavailable, UpkeepError, Wanted, made_at,
};
use crate::seal::IndexKey;

/// What is stored, as it is read.
pub(super) struct Stored {
    pub(super) memory: Memory,
    ids: ContextV7,
}

/// What the store and those who wait for it share.
pub(super) struct Inner {
    /// Locked before what is kept.
    pub(super) stored: Mutex<Stored>,
    pub(super) kept: Arc<Mutex<Kept>>,
    sinks: Mutex<Arc<Sinks>>,
    pub(super) hands: Hands,
    lanes: Mutex<HashMap<Arc<str>, Arc<Notify>>>,
    /// The source that was served last, by sink and kind.
    pub(super) turns: Mutex<HashMap<(String, bool), String>>,
    time: Mutex<Timekeeping>,
    setup: Setup,
    min_free: AtomicU64,
    closed: AtomicBool,
}

/// A store in memory.
pub(super) struct MemoryOutbox(pub(super) Arc<Inner>);

/// What is there when a change is made.
pub(super) type Soon<T, E = Unavailable> = BoxFuture<'static, Result<T, E>>;

impl Inner {
    pub(super) fn key(&self) -> IndexKey {
        lock(&self.kept).key.clone()
    }

    /// All sinks.
    pub(super) fn sinks(&self) -> Arc<Sinks> {
        Arc::clone(&lock(&self.sinks))
    }

    /// A sink that there must be.
    pub(super) fn named(&self, sink: &str) -> Result<(), Unavailable> {
        let known = self.sinks().get(sink).map(drop);
        known.ok_or_else(|| Unavailable(format!("sink `{sink}` is not registered")))
    }

    fn lane(&self, sink: &str) -> Arc<Notify> {
        Arc::clone(lock(&self.lanes).entry(sink.into()).or_default())
    }

    /// Refuses where it is closed.
    pub(super) fn open(&self) -> Result<(), Unavailable> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Unavailable("leadgate is stopping".to_owned()));
        }
        Ok(())
    }

    fn make(&self, change: &Change) -> Result<Done, Unavailable> {
        self.open()?;
        let mut stored = lock(&self.stored);
        let sinks = self.sinks();
        let mut kept = lock(&self.kept);
        let ground = Ground {
            view: &stored.memory,
            sinks: &sinks,
            ids: &stored.ids,
            holds: &self.hands,
            hash: &|parts| kept.key.hash(5, parts),
        };
        let mut state = State::new(ground, kept.totals.clone());
        let done = state.apply(change);
        let effects = state.into_effects();
        stored.memory.apply(&effects.records);
        kept.records.extend(effects.records);
        kept.totals = effects.totals;
        if !matches!(change, Change::Finish(_)) {
            kept.durable = (kept.records.len(), kept.totals.clone());
        }
        self.hands.unclaim(&effects.ended);
        self.hands.unreserve(&effects.reserved);
        for sink in effects.wake {
            self.lane(&sink).notify_one();
        }
        done.map_err(|fault| Unavailable(fault.to_string()))
    }
}

impl MemoryOutbox {
    pub(super) fn open(place: Arc<Mutex<Kept>>, setup: &Setup) -> Result<Self, String> {
        let mut kept = lock(&place);
        if kept.format > FORMAT {
            let found = kept.format;
            return Err(format!("format {found} is of a newer leadgate; use that"));
        }
        if std::mem::replace(&mut kept.in_use, true) {
            return Err("the store is in use".to_owned());
        }
        let mut memory = Memory::default();
        memory.apply(&kept.records);
        let stored = kept.totals.sinks.keys().chain(memory.pauses.keys());
        let stored = stored.chain(memory.sink_state.keys().map(|(sink, _)| sink));
        let names = stored.map(|name| Arc::from(name.as_str()));
        let sinks = known(names, setup.sinks.clone());
        let time = Mutex::new(kept.totals.time);
        drop(kept);
        let ids = ContextV7::new();
        Ok(Self(Arc::new(Inner {
            stored: Mutex::new(Stored { memory, ids }),
            kept: place,
            sinks: Mutex::new(Arc::new(sinks)),
            hands: Hands::default(),
            lanes: Mutex::default(),
            turns: Mutex::default(),
            time,
            min_free: AtomicU64::new(setup.min_free),
            setup: setup.clone(),
            closed: AtomicBool::new(false),
        })))
    }

    /// Asks for a change.
    pub(super) fn ask<T: 'static>(&self, change: Change, done: fn(Done) -> T) -> Soon<T> {
        let inner = Arc::clone(&self.0);
        async move { inner.make(&change).map(done) }.boxed()
    }

    /// Asks for what an arrival brings, if there is room.
    pub(super) fn arrive<T: Send + 'static>(
        &self,
        change: Change,
        done: fn(Done) -> T,
    ) -> Soon<T, Refusal> {
        let full = self.short_of_space();
        let asked = self.ask(change, done);
        async move {
            if full {
                return Err(Refusal::NoSpace);
            }
            Ok(asked.await?)
        }
        .boxed()
    }
}

impl Drop for MemoryOutbox {
    fn drop(&mut self) {
        self.close();
    }
}

impl Intake for MemoryOutbox {
    fn accept(&self, arrival: Arrival) -> Soon<Accepted, Refusal> {
        let now = arrival.received_at;
        let unwanted = arrival.routes.is_empty();
        let lead = body::arrived(&self.0.key(), arrival, now);
        let metrics = self.0.setup.metrics.clone();
        let asked = self.arrive(Change::Accept(lead), Done::accepted);
        async move {
            let accepted = asked.await?;
            if unwanted && matches!(accepted, Accepted::New { .. }) {
                metrics.unrouted.inc();
            }
            Ok(accepted)
        }
        .boxed()
    }

    fn quarantine(&self, push: QuarantinedPush) -> Soon<Quarantined, Refusal> {
        let push = body::pushed(&self.0.key(), push);
        self.arrive(Change::Quarantine(push), Done::quarantined)
    }
}

impl Queue for MemoryOutbox {
    fn claim_some(&self, sink: &str, now: Millis, wanted: Wanted) -> Result<Due, Unavailable> {
        self.0.named(sink)?;
        let mut due = Due::default();
        if wanted.newest {
            let limit = wanted.limit.saturating_sub(1).max(1);
            self.0.take(sink, now, wanted, limit, &mut due);
        }
        let oldest = Wanted {
            newest: false,
            ..wanted
        };
        self.0.take(sink, now, oldest, wanted.limit, &mut due);
        Ok(due)
    }

    fn claim_one(&self, sink: &str, id: DeliveryId) -> Result<Option<Claim>, Unavailable> {
        self.0.named(sink)?;
        let stored = lock(&self.0.stored);
        let waits = stored.delivery(id).filter(|(_, _, head)| {
            head.sink == sink && matches!(head.state, Stands::Waiting { .. })
        });
        let free = waits.filter(|_| self.0.hands.claim(id));
        Ok(free.and_then(|(lead, _, _)| stored.claimed(lead, id)))
    }

    fn unclaim(&self, _: &str, ids: &[DeliveryId]) {
        self.0.hands.unclaim(ids);
    }

    fn keep(&self, sink: &str, id: DeliveryId, journal: String) -> Soon<()> {
        let sink = sink.into();
        self.ask(Change::Keep { sink, id, journal }, drop)
    }

    fn finish(&self, finish: Finish) -> Soon<()> {
        self.ask(Change::Finish(finish), drop)
    }

    fn arrivals(&self, sink: &str) -> Arc<Notify> {
        self.0.lane(sink)
    }

    fn latest(&self) -> Millis {
        self.totals().latest
    }

    fn believed(&self, now: Millis) -> Millis {
        self.time().belief.bound(now)
    }

    fn paused(&self, sink: &str) -> bool {
        self.pause_of(sink).is_some()
    }

    fn pause_of(&self, sink: &str) -> Option<Pause> {
        lock(&self.0.stored).memory.pause(sink)
    }
}

/// What this engine does not do.
fn no_copies<T>() -> Result<T, UpkeepError> {
    let why = "a store in memory makes no copies";
    Err(UpkeepError::Invalid(why.to_owned()))
}

impl Maintenance for MemoryOutbox {
    fn rekey(&self, _: Option<&str>, _: usize) -> Result<Resealed, Unavailable> {
        Ok(Resealed::default())
    }

    fn export_header(&self) -> ExportHeader {
        ExportHeader {
            leadgate_export: EXPORT_VERSION,
            index_key: String::new(),
        }
    }

    fn dump(&self, _: &mut dyn FnMut(Exported) -> std::io::Result<()>) -> Result<(), UpkeepError> {
        no_copies()
    }

    fn load(&self, _: Vec<Exported>) -> Result<Imported, UpkeepError> {
        no_copies()
    }

    fn backup(&self, _: &mut dyn Write) -> Result<BackedUp, UpkeepError> {
        no_copies()
    }

    fn time(&self) -> Timekeeping {
        *lock(&self.0.time)
    }

    fn keep_time(&self, time: Timekeeping) -> Soon<()> {
        *lock(&self.0.time) = time;
        self.ask(Change::Time(time), drop)
    }

    fn expiring(&self, keep: Retention, until: Millis) -> Result<Expiring, Unavailable> {
        let stored = lock(&self.0.stored);
        let over = |since: Millis| Some(since + keep.dead_ms).filter(|ends| *ends <= until);
        let aside = stored.memory.quarantine.keys();
        let aside: Vec<_> = aside.filter_map(|id| over(made_at(id.0))).collect();
        let dead = stored.heads().filter_map(|(_, _, head)| match head.state {
            Stands::Dead { at, .. } => over(made_at(head.id.0).max(at)),
            _ => None,
        });
        let dead: Vec<_> = dead.collect();
        Ok(Expiring {
            dead_letters: dead.len() as u64,
            quarantine: aside.len() as u64,
            first: dead.into_iter().chain(aside).min(),
        })
    }

    fn sink_state(&self, sink: &str, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        self.0.named(sink)?;
        let at = (sink.to_owned(), key.to_owned());
        Ok(lock(&self.0.stored).memory.sink_state.get(&at).cloned())
    }

    fn keep_sink_state(&self, sink: &str, key: &str, value: Option<Vec<u8>>) -> Soon<bool> {
        let (sink, key) = (sink.into(), key.to_owned());
        self.ask(Change::SinkState { sink, key, value }, Done::did)
    }

    fn sweep(
        &self,
        keep: Retention,
        now: Millis,
        _: Option<LeadId>,
        _: usize,
    ) -> Result<Swept, Unavailable> {
        let mut swept = Swept::default();
        if self.time().belief.ahead().is_some() {
            return Ok(swept);
        }
        let memory = lock(&self.0.stored).memory.clone();
        for push in memory.quarantine.into_keys() {
            if made_at(push.0) + keep.dead_ms <= now.min(keep.dead_by) {
                swept.quarantined += u64::from(self.0.make(&Change::Discard(push))?.did());
            }
        }
        for lead in memory.leads.into_keys() {
            let expired = self.0.make(&Change::Expire { lead, keep, now })?;
            if let Done::Expired(Some(dead)) = expired {
                swept.leads += 1;
                swept.dead_letters += dead;
            }
        }
        Ok(swept)
    }

    fn set_sinks(&self, configured: Vec<SinkPolicy>) -> Soon<()> {
        let inner = Arc::clone(&self.0);
        async move {
            inner.open()?;
            // No change is under way.
            let _stored = lock(&inner.stored);
            let before = inner.sinks();
            let sinks = known(before.keys().map(Arc::clone), configured);
            *lock(&inner.sinks) = Arc::new(sinks);
            Ok(())
        }
        .boxed()
    }

    fn fault(&self) -> Option<String> {
        None
    }

    fn short_of_space(&self) -> bool {
        self.free() < self.min_free()
    }

    fn min_free(&self) -> u64 {
        self.0.min_free.load(Ordering::Acquire)
    }

    fn set_min_free(&self, bytes: u64) {
        self.0.min_free.store(bytes, Ordering::Release);
    }

    fn size(&self) -> u64 {
        lock(&self.0.kept).records.len() as u64
    }

    fn free(&self) -> u64 {
        1 << 40
    }

    fn close(&self) {
        if !self.0.closed.swap(true, Ordering::AcqRel) {
            let mut kept = lock(&self.0.kept);
            kept.durable = (kept.records.len(), kept.totals.clone());
            kept.in_use = false;
        }
    }
}
