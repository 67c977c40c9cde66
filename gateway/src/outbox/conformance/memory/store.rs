//! The store: the traits, most of which ask the committer.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

use super::body::{LeadBody, QuarantineBody};
use super::committer::{self, Job};
use super::journal::{self, Kept};
use super::{FORMAT, lock};
use crate::clock::{Clock, Millis, SystemClock};
use crate::outbox::conformance::engine::{Setup, Writer};
use crate::outbox::state::memory::{Hands, Memory};
use crate::outbox::state::{Change, Done, KnownSink, Sinks, View};
use crate::outbox::{
    Accepted, Arrival, BackedUp, Claim, DeliveryId, Due, EXPORT_VERSION, Expiring, ExportHeader,
    Exported, Finish, Imported, Intake, LeadId, Maintenance, Pause, Quarantined, QuarantinedPush,
    Queue, Refusal, Resealed, Retention, Swept, Timekeeping, Totals, Unavailable, UpkeepError,
    Wanted,
};
use crate::seal::IndexKey;
use crate::telemetry::metrics::OutboxMetrics;

/// What is stored, as it is read.
pub(super) struct Stored {
    pub(super) memory: Memory,
    pub(super) totals: Totals,
}

/// What the store and its committer share.
pub(super) struct Inner {
    pub(super) kept: Arc<Mutex<Kept>>,
    stored: RwLock<Stored>,
    pub(super) sinks: Sinks,
    pub(super) hands: Hands,
    pub(super) lanes: HashMap<Arc<str>, Arc<Notify>>,
    /// The source that was served last, by sink and kind.
    pub(super) turns: Mutex<HashMap<(String, bool), String>>,
    pub(super) metrics: OutboxMetrics,
    fault: OnceLock<String>,
}

impl Inner {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Stored> {
        self.stored.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Stored> {
        self.stored.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn index_key(&self) -> IndexKey {
        lock(&self.kept).index_key.clone()
    }

    /// A sink that there must be.
    pub(super) fn named(&self, sink: &str) -> Result<&KnownSink, Unavailable> {
        let known = self.sinks.get(sink);
        let unknown = || Unavailable(format!("sink `{sink}` is not registered"));
        known.map(Arc::as_ref).ok_or_else(unknown)
    }
}

/// A store in memory.
pub(super) struct MemoryOutbox {
    pub(super) inner: Arc<Inner>,
    jobs: Sender<Job>,
    room: Arc<Semaphore>,
    min_free: u64,
    time: Mutex<Timekeeping>,
    closed: Arc<AtomicBool>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

impl MemoryOutbox {
    pub(super) fn open(place: Arc<Mutex<Kept>>, setup: &Setup) -> Result<Self, String> {
        let mut kept = lock(&place);
        if kept.format > FORMAT {
            let found = kept.format;
            return Err(format!("format {found} is of a newer leadgate; use that"));
        }
        if kept.in_use {
            return Err("the store is in use".to_owned());
        }
        kept.unlock(setup)?;
        kept.in_use = true;
        let (mut memory, mut totals) = (Memory::default(), Totals::default());
        for frame in &kept.frames {
            let (records, after) = journal::decode(frame)?;
            memory.apply(&records);
            totals = after;
        }
        drop(kept);
        let mut names: BTreeSet<String> = totals.sinks.keys().cloned().collect();
        names.extend(memory.pauses.keys().cloned());
        names.extend(memory.sink_state.keys().map(|(sink, _)| sink.clone()));
        names.extend(setup.sinks.iter().map(|sink| sink.name.clone()));
        let known = |name: String| {
            let policy = setup.sinks.iter().find(|sink| sink.name == name).cloned();
            let name: Arc<str> = name.into();
            (Arc::clone(&name), Arc::new(KnownSink { name, policy }))
        };
        let sinks: Sinks = names.into_iter().map(known).collect();
        let lane = |name: &Arc<str>| (Arc::clone(name), Arc::new(Notify::new()));
        let time = totals.time;
        let inner = Arc::new(Inner {
            kept: place,
            lanes: sinks.keys().map(lane).collect(),
            sinks,
            stored: RwLock::new(Stored { memory, totals }),
            hands: Hands::default(),
            turns: Mutex::default(),
            metrics: setup.metrics.clone(),
            fault: OnceLock::new(),
        });
        let (jobs, queue) = channel();
        let committer = std::thread::spawn({
            let inner = Arc::clone(&inner);
            move || {
                let run = std::panic::AssertUnwindSafe(|| committer::run(&inner, &queue));
                if std::panic::catch_unwind(run).is_err() {
                    let why = "an error inside leadgate ended the store; restart leadgate";
                    let _ = inner.fault.set(why.to_owned());
                }
            }
        });
        Ok(Self {
            inner,
            jobs,
            room: Arc::new(Semaphore::new(setup.queue)),
            min_free: setup.min_free,
            time: Mutex::new(time),
            closed: Arc::default(),
            committer: Mutex::new(Some(committer)),
        })
    }

    pub(super) fn let_panic(&self, writer: Writer) {
        let _ = self.jobs.send(Job::Panic(writer));
    }

    fn send(
        &self,
        changes: Vec<Change>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> (oneshot::Receiver<Result<Vec<Done>, Unavailable>>, GivenUp) {
        let (tell, answer) = oneshot::channel();
        // If nobody takes it, the answer says so.
        let _ = self.jobs.send(Job::Make {
            changes,
            permit,
            tell,
        });
        let given_up = GivenUp(Arc::clone(&self.inner), Arc::clone(&self.closed));
        (answer, given_up)
    }

    /// Asks for a change.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        change: Change,
        done: impl FnOnce(Done) -> T + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Unavailable>> {
        self.ask_with(None, change, done)
    }

    fn ask_with<T: Send + 'static>(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        change: Change,
        done: impl FnOnce(Done) -> T + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Unavailable>> {
        let (answer, given_up) = self.send(vec![change], permit);
        async move {
            let answer = answer.await.unwrap_or_else(|_| Err(given_up.said()));
            Ok(done(answer?.remove(0)))
        }
        .boxed()
    }

    /// Asks for changes. Blocks.
    pub(super) fn make(&self, changes: Vec<Change>) -> Result<Vec<Done>, Unavailable> {
        let (answer, given_up) = self.send(changes, None);
        let answer = answer.blocking_recv();
        answer.unwrap_or_else(|_| Err(given_up.said()))
    }

    /// Asks for what an arrival brings, if there is room.
    pub(super) fn arrive<T: Send + 'static>(
        &self,
        change: Change,
        done: impl FnOnce(Done) -> T + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Refusal>> {
        if self.short_of_space() {
            return ready(Err(Refusal::NoSpace)).boxed();
        }
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            return ready(Err(Refusal::Full)).boxed();
        };
        let asked = self.ask_with(Some(permit), change, done);
        async move { Ok(asked.await?) }.boxed()
    }
}

/// Why there is no answer.
struct GivenUp(Arc<Inner>, Arc<AtomicBool>);

impl GivenUp {
    fn said(&self) -> Unavailable {
        if self.1.load(Ordering::Acquire) {
            return Unavailable("leadgate is stopping".to_owned());
        }
        let fault = self.0.fault.get().cloned();
        Unavailable(fault.unwrap_or_else(|| "it ended; restart leadgate".to_owned()))
    }
}

impl Drop for MemoryOutbox {
    fn drop(&mut self) {
        self.close();
    }
}

/// What became of a change that can only become that.
macro_rules! became {
    ($done:ident) => {
        |done| match done {
            $crate::outbox::state::Done::$done(what) => what,
            other => panic!("not the answer: {other:?}"),
        }
    };
}
pub(super) use became;

impl Intake for MemoryOutbox {
    fn accept(&self, arrival: Arrival) -> BoxFuture<'static, Result<Accepted, Refusal>> {
        let now = arrival.received_at;
        let unwanted = arrival.routes.is_empty();
        let lead = LeadBody::arrived(&self.inner.index_key(), arrival, now);
        let inner = Arc::clone(&self.inner);
        self.arrive(Change::Accept(lead), move |done| {
            let accepted = became!(Accepted)(done);
            if unwanted && matches!(accepted, Accepted::New { .. }) {
                inner.metrics.unrouted.inc();
            }
            accepted
        })
    }

    fn quarantine(
        &self,
        push: QuarantinedPush,
    ) -> BoxFuture<'static, Result<Quarantined, Refusal>> {
        let push = QuarantineBody::pushed(&self.inner.index_key(), push);
        self.arrive(Change::Quarantine(push), became!(Quarantined))
    }
}

impl Queue for MemoryOutbox {
    fn claim_some(&self, sink: &str, now: Millis, wanted: Wanted) -> Result<Due, Unavailable> {
        self.inner.claim(sink, now, wanted)
    }

    fn claim_one(&self, sink: &str, id: DeliveryId) -> Result<Option<Claim>, Unavailable> {
        self.inner.claim_one(sink, id)
    }

    fn unclaim(&self, _: &str, ids: &[DeliveryId]) {
        self.inner.hands.unclaim(ids);
    }

    fn keep(
        &self,
        sink: &str,
        id: DeliveryId,
        journal: String,
    ) -> BoxFuture<'static, Result<(), Unavailable>> {
        let sink = sink.into();
        self.ask(Change::Keep { sink, id, journal }, drop)
    }

    fn finish(&self, finish: Finish) -> BoxFuture<'static, Result<(), Unavailable>> {
        self.ask(Change::Finish(finish), drop)
    }

    fn arrivals(&self, sink: &str) -> Arc<Notify> {
        let lane = self.inner.lanes.get(sink);
        lane.cloned().unwrap_or_default()
    }

    fn latest(&self) -> Millis {
        self.inner.read().totals.latest
    }

    fn believed(&self, now: Millis) -> Millis {
        self.time().belief.bound(now)
    }

    fn paused(&self, sink: &str) -> bool {
        self.pause_of(sink).is_some()
    }

    fn pause_of(&self, sink: &str) -> Option<Pause> {
        self.inner.read().memory.pause(sink)
    }
}

impl Maintenance for MemoryOutbox {
    fn rekey(&self, _: Option<&str>, _: usize) -> Result<Resealed, Unavailable> {
        Ok(Resealed {
            resealed: 0,
            next: None,
        })
    }

    fn export_header(&self) -> ExportHeader {
        ExportHeader {
            leadgate_export: EXPORT_VERSION,
            index_key: leadgate_plugin::hex(self.inner.index_key().as_bytes()),
        }
    }

    fn dump(
        &self,
        each: &mut dyn FnMut(Exported) -> std::io::Result<()>,
    ) -> Result<(), UpkeepError> {
        Ok(self.inner.exported().into_iter().try_for_each(each)?)
    }

    fn load(&self, some: Vec<Exported>) -> Result<Imported, UpkeepError> {
        self.import(some)
    }

    fn backup(&self, to: &mut dyn Write) -> Result<BackedUp, UpkeepError> {
        journal::write_backup(&self.inner.kept, to)
    }

    fn time(&self) -> Timekeeping {
        *lock(&self.time)
    }

    fn keep_time(&self, time: Timekeeping) -> BoxFuture<'static, Result<(), Unavailable>> {
        *lock(&self.time) = time;
        self.ask(Change::Time(time), drop)
    }

    fn expiring(&self, keep: Retention, until: Millis) -> Result<Expiring, Unavailable> {
        Ok(self.inner.expiring(keep, until))
    }

    fn sink_state(&self, sink: &str, key: &str) -> Result<Option<Vec<u8>>, Unavailable> {
        self.inner.named(sink)?;
        let at = (sink.to_owned(), key.to_owned());
        Ok(self.inner.read().memory.sink_state.get(&at).cloned())
    }

    fn keep_sink_state(
        &self,
        sink: &str,
        key: &str,
        value: Option<Vec<u8>>,
    ) -> BoxFuture<'static, Result<bool, Unavailable>> {
        let (sink, key) = (sink.into(), key.to_owned());
        self.ask(Change::SinkState { sink, key, value }, became!(Did))
    }

    fn sweep(
        &self,
        keep: Retention,
        now: Millis,
        from: Option<LeadId>,
        limit: usize,
    ) -> Result<Swept, Unavailable> {
        let mut swept = Swept::default();
        if self.time().belief.ahead().is_some() {
            return Ok(swept);
        }
        if from.is_none() {
            let old = self.inner.old_quarantined(keep, now);
            let done = self.make(old.into_iter().map(Change::Discard).collect())?;
            swept.quarantined = done.iter().filter(|one| **one == Done::Did(true)).count() as u64;
        }
        let (leads, next) = self.inner.page_of_leads(from, limit);
        let expire = |lead| Change::Expire { lead, keep, now };
        for done in self.make(leads.into_iter().map(expire).collect())? {
            if let Done::Expired(Some(dead)) = done {
                swept.leads += 1;
                swept.dead_letters += dead;
            }
        }
        swept.next = next;
        Ok(swept)
    }

    fn fault(&self) -> Option<String> {
        self.inner.fault.get().cloned()
    }

    fn short_of_space(&self) -> bool {
        self.free() < self.min_free
    }

    fn size(&self) -> u64 {
        let kept = lock(&self.inner.kept);
        kept.frames.iter().map(|frame| frame.len() as u64).sum()
    }

    fn free(&self) -> u64 {
        1 << 40
    }

    fn close(&self) {
        let Some(committer) = lock(&self.committer).take() else {
            return;
        };
        self.closed.store(true, Ordering::Release);
        let _ = self.jobs.send(Job::Close);
        // Its panics are caught.
        let _ = committer.join();
        lock(&self.inner.kept).in_use = false;
    }
}

/// The time it is, for what is stored with it.
pub(super) fn now() -> Millis {
    SystemClock.now()
}
