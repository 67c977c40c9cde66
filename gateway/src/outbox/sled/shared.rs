//! What the committer and the readers of the store share.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Notify;

use super::claims::Claims;
use super::space::Space;
use super::watch::Watch;
use crate::clock::Millis;
use crate::outbox::state::Sinks;
use crate::outbox::{LeadId, Pause, Timekeeping, Totals, Unavailable};
use crate::telemetry::metrics::OutboxMetrics;

/// Why nothing is accepted once a thread that writes has ended by itself.
pub(super) const WRITER_ENDED: &str = "the outbox's writer stopped by an error inside leadgate; what was \
    acknowledged is safe; restart leadgate";

/// How far the making of an index is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes of the journal that were read.
    pub(super) read: u64,
    /// All of them.
    pub(super) of: u64,
}

/// The making of an index.
#[derive(Clone, Debug, Default)]
struct Making {
    progress: Progress,
    /// Why the last try failed.
    failed: Option<String>,
}

/// Counts, the fault if there is one, and who waits for what.
pub(super) struct Shared {
    totals: Mutex<Totals>,
    /// Of the totals; read often.
    latest: AtomicI64,
    /// What is known of the time; newer than that of the totals.
    time: Mutex<Timekeeping>,
    /// Whether it was said that no sink wants a lead.
    unrouted: AtomicBool,
    /// Set once, never cleared: a store that failed is not trusted again by this process.
    fault: OnceLock<String>,
    /// Whether the threads that write were told to end.
    closing: AtomicBool,
    /// All sinks that are known, as the committer knows them.
    sinks: RwLock<Arc<Sinks>>,
    /// Of each of them; none is ever taken out, for a lane may still look at it.
    lanes: RwLock<HashMap<Arc<str>, Arc<LaneSignals>>>,
    pub(super) claims: Claims,
    pub(super) space: Space,
    /// Over the committer's writes, and the syncer's barrier.
    pub(super) writing: Watch,
    pub(super) syncing: Watch,
    /// Whether it was said that a write hangs.
    hung: AtomicBool,
    /// What is made anew, if the index is.
    making: Mutex<Option<Making>>,
    metrics: OutboxMetrics,
}

/// What a sink's lane looks at.
struct LaneSignals {
    arrivals: Arc<Notify>,
    paused: AtomicBool,
    pause: Mutex<Option<Pause>>,
}

impl LaneSignals {
    fn new(pause: Option<Pause>) -> Arc<Self> {
        Arc::new(Self {
            arrivals: Arc::default(),
            paused: AtomicBool::new(pause.is_some()),
            pause: Mutex::new(pause),
        })
    }
}

impl Shared {
    pub(super) fn new(
        totals: Totals,
        sinks: Arc<Sinks>,
        pause: impl Fn(&str) -> Option<Pause>,
        space: Space,
        metrics: OutboxMetrics,
    ) -> Self {
        let signals = |name: &Arc<str>| (Arc::clone(name), LaneSignals::new(pause(name)));
        Self {
            lanes: RwLock::new(sinks.keys().map(signals).collect()),
            sinks: RwLock::new(sinks),
            latest: AtomicI64::new(totals.latest),
            time: Mutex::new(totals.time),
            unrouted: AtomicBool::new(false),
            totals: Mutex::new(totals),
            fault: OnceLock::new(),
            closing: AtomicBool::new(false),
            claims: Claims::default(),
            space,
            writing: Watch::default(),
            syncing: Watch::default(),
            hung: AtomicBool::new(false),
            making: Mutex::default(),
            metrics,
        }
    }

    pub(super) fn totals(&self) -> Totals {
        // The lock guards a plain value that is replaced whole: a poisoned one is still right.
        self.totals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn committed(&self, totals: Totals, took: Duration) {
        self.latest.store(totals.latest, Ordering::Relaxed);
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner) = totals;
        self.metrics.commit_duration.observe(took.as_secs_f64());
    }

    pub(super) fn latest(&self) -> Millis {
        self.latest.load(Ordering::Relaxed)
    }

    pub(super) fn time(&self) -> Timekeeping {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_time(&self, time: Timekeeping) {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// Counts a lead that no sink wants. The first one is told of by itself.
    pub(super) fn note_unrouted(&self, lead: LeadId) {
        self.metrics.unrouted.inc();
        if !self.unrouted.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %lead,
                "no sink wanted a lead; it is stored, and `leadgate leads list --unrouted` lists all such leads"
            );
        }
    }

    /// How far the index is made; `None` once it is.
    pub(super) fn set_making(&self, progress: Option<Progress>) {
        let mut making = self.making();
        // Why it failed the last time is said until it is made.
        let failed = making.take().and_then(|making| making.failed);
        *making = progress.map(|progress| Making { progress, failed });
    }

    /// The index was not made, for that reason, and is tried again. Whether that is news.
    pub(super) fn set_making_failed(&self, why: &str) -> bool {
        let mut making = self.making();
        let failed = making
            .get_or_insert_default()
            .failed
            .replace(why.to_owned());
        failed.is_none_or(|before| before != why)
    }

    /// That there is no index for now.
    pub(super) fn is_making(&self) -> Unavailable {
        let making = self.making().clone().unwrap_or_default();
        let Progress { read, of } = making.progress;
        let percent = (read * 100).checked_div(of).unwrap_or(0).min(100);
        Unavailable(match making.failed {
            Some(why) => format!(
                "the outbox's index was not made: {why}; nothing is delivered until it is; see to that: it is tried again every 10 s, and pushes are taken meanwhile"
            ),
            None if of == 0 => {
                "the outbox opens its index; pushes are taken meanwhile, ask again in a while"
                    .to_owned()
            }
            None => format!(
                "the outbox makes its index anew ({percent} %); pushes are taken meanwhile, ask again in a while"
            ),
        })
    }

    /// How far the index is made, if it is being made.
    pub(super) fn progress(&self) -> Option<Progress> {
        self.making().as_ref().map(|making| making.progress)
    }

    /// Why no index is made, if that fails.
    pub(super) fn making_failed(&self) -> Option<String> {
        let failed = self
            .making()
            .as_ref()
            .is_some_and(|making| making.failed.is_some());
        failed.then(|| self.is_making().0)
    }

    fn making(&self) -> MutexGuard<'_, Option<Making>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the threads were told to end.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Lets every lane look again.
    pub(super) fn wake_all(&self) {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        lanes.values().for_each(|lane| lane.arrivals.notify_one());
    }

    pub(super) fn fault(&self) -> Option<String> {
        self.fault.get().cloned()
    }

    pub(super) fn fail(&self, error: &Unavailable) {
        self.metrics.write_errors.inc();
        if self.fault.set(error.0.clone()).is_ok() {
            tracing::error!(
                error = error.0,
                "outbox write failed; nothing is accepted until the cause is removed and leadgate restarted"
            );
        }
    }

    /// From now on the threads that write may end.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Runs a thread that writes. However it ends before it was told to, a panic or not, the
    /// store can no longer be trusted.
    pub(super) fn watched(&self, thread: impl FnOnce()) {
        let ended = catch_unwind(AssertUnwindSafe(thread));
        if ended.is_err() || !self.closing.load(Ordering::Acquire) {
            self.fail(&Unavailable(WRITER_ENDED.to_owned()));
        }
    }

    /// Why a job was given up without an answer.
    pub(super) fn given_up(&self) -> Unavailable {
        Unavailable(match self.fault() {
            Some(fault) => fault,
            None if self.closing.load(Ordering::Acquire) => "leadgate is stopping".to_owned(),
            // The thread is ending and has not said so yet.
            None => WRITER_ENDED.to_owned(),
        })
    }

    /// That a write hangs, if one does; said in the log once for each time.
    pub(super) fn hangs(&self) -> Option<String> {
        let taken = self.writing.hangs().or_else(|| self.syncing.hangs());
        let known = self.hung.swap(taken.is_some(), Ordering::Relaxed);
        let seconds = taken?.as_secs();
        if !known {
            tracing::error!(
                seconds,
                "outbox write hangs; nothing is accepted until it ends, or leadgate is restarted"
            );
        }
        Some(format!(
            "a write has been under way for {seconds} s; if the disk is well again and this stays, restart leadgate"
        ))
    }

    pub(super) fn wake(&self, sink: &str) {
        if let Some(lane) = self.lane(sink) {
            lane.arrivals.notify_one();
        }
    }

    /// All sinks that are known.
    pub(super) fn sinks(&self) -> Arc<Sinks> {
        Arc::clone(&self.sinks.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on these are known, of which `pause` tells what is decided.
    pub(super) fn set_sinks(&self, sinks: Arc<Sinks>, pause: impl Fn(&str) -> Option<Pause>) {
        // Whoever sees a sink finds its signals.
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        for name in sinks.keys() {
            if !lanes.contains_key(name) {
                lanes.insert(Arc::clone(name), LaneSignals::new(pause(name)));
            }
        }
        drop(lanes);
        *self.sinks.write().unwrap_or_else(PoisonError::into_inner) = sinks;
    }

    fn lane(&self, sink: &str) -> Option<Arc<LaneSignals>> {
        let lanes = self.lanes.read().unwrap_or_else(PoisonError::into_inner);
        lanes.get(sink).map(Arc::clone)
    }

    pub(super) fn arrivals(&self, sink: &str) -> Arc<Notify> {
        let lane = self.lane(sink);
        lane.map(|lane| Arc::clone(&lane.arrivals))
            .unwrap_or_default()
    }

    pub(super) fn paused(&self, sink: &str) -> bool {
        let lane = self.lane(sink);
        lane.is_some_and(|lane| lane.paused.load(Ordering::Acquire))
    }

    pub(super) fn pause_of(&self, sink: &str) -> Option<Pause> {
        let lane = self.lane(sink)?;
        let pause = lane.pause.lock();
        pause.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// To be called once the decision is on disk.
    pub(super) fn set_pause(&self, sink: &str, pause: Option<Pause>) {
        if let Some(lane) = self.lane(sink) {
            lane.paused.store(pause.is_some(), Ordering::Release);
            *lane.pause.lock().unwrap_or_else(PoisonError::into_inner) = pause;
            lane.arrivals.notify_one();
        }
    }
}
