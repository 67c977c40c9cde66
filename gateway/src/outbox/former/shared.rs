//! What the committer and the readers of the store share.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::claims::Claims;
use super::fault::WRITER_ENDED;
use super::mark::Mark;
use super::space::Space;
use super::tap::Tap;
use super::watch::Watch;
use crate::clock::Millis;
use crate::outbox::{LeadId, Pause, Timekeeping, Totals, Unavailable};
use crate::telemetry::metrics::OutboxMetrics;

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
    lanes: HashMap<Arc<str>, LaneSignals>,
    pub(super) claims: Claims,
    pub(super) space: Space,
    pub(super) tap: Tap,
    /// Over the committer's writes into the tree, and the syncer's barrier.
    pub(super) applying: Watch,
    pub(super) syncing: Watch,
    /// Whether it was said that a write hangs.
    hung: AtomicBool,
    mark: Option<Mark>,
    metrics: OutboxMetrics,
}

/// What a sink's lane looks at.
struct LaneSignals {
    arrivals: Arc<Notify>,
    paused: AtomicBool,
    pause: Mutex<Option<Pause>>,
}

impl Shared {
    pub(super) fn new(
        totals: Totals,
        sinks: impl Iterator<Item = (Arc<str>, Option<Pause>)>,
        space: Space,
        mark: Option<Mark>,
        metrics: OutboxMetrics,
    ) -> Self {
        let signals = |pause: Option<Pause>| LaneSignals {
            arrivals: Arc::default(),
            paused: AtomicBool::new(pause.is_some()),
            pause: Mutex::new(pause),
        };
        Self {
            latest: AtomicI64::new(totals.latest),
            time: Mutex::new(totals.time),
            unrouted: AtomicBool::new(false),
            totals: Mutex::new(totals),
            fault: OnceLock::new(),
            closing: AtomicBool::new(false),
            lanes: sinks.map(|(name, pause)| (name, signals(pause))).collect(),
            claims: Claims::default(),
            space,
            tap: Tap::default(),
            applying: Watch::default(),
            syncing: Watch::default(),
            hung: AtomicBool::new(false),
            mark,
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

    /// Notes a commit that is on disk.
    pub(super) fn mark(&self, totals: &Totals) -> std::io::Result<()> {
        self.mark.as_ref().map_or(Ok(()), |mark| mark.note(totals))
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
        let taken = self.applying.hangs().or_else(|| self.syncing.hangs());
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
        if let Some(lane) = self.lanes.get(sink) {
            lane.arrivals.notify_one();
        }
    }

    pub(super) fn arrivals(&self, sink: &str) -> Arc<Notify> {
        let lane = self.lanes.get(sink);
        lane.map(|lane| Arc::clone(&lane.arrivals))
            .unwrap_or_default()
    }

    pub(super) fn paused(&self, sink: &str) -> bool {
        let lane = self.lanes.get(sink);
        lane.is_some_and(|lane| lane.paused.load(Ordering::Acquire))
    }

    pub(super) fn pause_of(&self, sink: &str) -> Option<Pause> {
        let pause = self.lanes.get(sink)?.pause.lock();
        pause.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// To be called once the decision is on disk.
    pub(super) fn set_pause(&self, sink: &str, pause: Option<Pause>) {
        if let Some(lane) = self.lanes.get(sink) {
            lane.paused.store(pause.is_some(), Ordering::Release);
            *lane.pause.lock().unwrap_or_else(PoisonError::into_inner) = pause;
            lane.arrivals.notify_one();
        }
    }
}
