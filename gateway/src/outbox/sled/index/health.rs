//! Health: the fault of an index if it has one, and whether a call into sled hangs.
//!
//! A fault is final for this [`super::Index`]. Whoever waits for something asks here, so no
//! thread is needed that only watches.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::fault::IndexFault;

/// A call into sled that takes longer is told of.
const PATIENCE: Duration = Duration::from_secs(10);

/// One that takes longer will not end: a disk that stalls for some seconds is no reason to make
/// a large index anew.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// Calls into sled, of this whole process, that were given up and have not ended.
static STUCK: AtomicUsize = AtomicUsize::new(0);

/// Whether sled may be called at all.
pub(super) fn usable() -> Result<(), IndexFault> {
    match STUCK.load(Ordering::Acquire) {
        0 => Ok(()),
        _ => Err(IndexFault::Hangs),
    }
}

/// The fault, and the call that is under way.
pub(super) struct Health {
    /// [`STUCK`].
    stuck: &'static AtomicUsize,
    fault: OnceLock<IndexFault>,
    call: Mutex<Call>,
    said: AtomicBool,
}

#[derive(Default)]
struct Call {
    since: Option<Instant>,
    given_up: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            stuck: &STUCK,
            fault: OnceLock::new(),
            call: Mutex::default(),
            said: AtomicBool::new(false),
        }
    }
}

impl Health {
    /// Does `work` under the watch. One call at a time: only the applier's are watched, and
    /// whoever waits for the applier learns of it here.
    pub(super) fn over<T>(&self, work: impl FnOnce() -> T) -> T {
        self.call().since = Some(Instant::now());
        let done = work();
        let ended = std::mem::take(&mut *self.call());
        if ended.given_up {
            self.stuck.fetch_sub(1, Ordering::AcqRel);
            tracing::info!("index write ended after it was given up");
        }
        self.said.store(false, Ordering::Relaxed);
        done
    }

    /// For how long a call hangs, if one does. Said in the log once for each time.
    pub(super) fn hangs(&self) -> Option<Duration> {
        let taken = self.taken().filter(|taken| *taken > PATIENCE)?;
        if !self.said.swap(true, Ordering::Relaxed) {
            tracing::error!(
                seconds = taken.as_secs(),
                "index write hangs; leads are taken and wait until it ends, or leadgate is restarted"
            );
        }
        Some(taken)
    }

    /// The fault, if there is one.
    pub(super) fn fault(&self) -> Option<IndexFault> {
        if self.fault.get().is_none() && self.hangs().is_some() {
            let mut call = self.call();
            let late = call.since.is_some_and(|since| since.elapsed() > GIVEN_UP);
            if late && !call.given_up {
                call.given_up = true;
                self.stuck.fetch_add(1, Ordering::AcqRel);
                drop(call);
                self.fail(IndexFault::Hangs);
            }
        }
        self.fault.get().cloned()
    }

    /// Notes a fault; only the first is said and kept.
    pub(super) fn fail(&self, fault: IndexFault) {
        let mut first = false;
        let kept = self.fault.get_or_init(|| {
            first = true;
            fault
        });
        if first {
            tracing::error!(
                error = %kept,
                "index broke; no lead is lost, and the index is made anew from the journal"
            );
        }
    }

    fn taken(&self) -> Option<Duration> {
        self.call().since.map(|since| since.elapsed())
    }

    fn call(&self) -> std::sync::MutexGuard<'_, Call> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_end_is_said_then_given_up_and_sled_is_usable_when_it_ends() {
        // Not that of the process: indexes of other tests are to open meanwhile.
        static STUCK: AtomicUsize = AtomicUsize::new(0);
        let health = Health {
            stuck: &STUCK,
            ..Health::default()
        };
        assert_eq!(health.hangs(), None);
        health.over(|| {
            assert_eq!(health.hangs(), None, "it has just begun");
            health.call().since = Instant::now().checked_sub(PATIENCE * 2);
            assert!(health.hangs().is_some_and(|taken| taken > PATIENCE));
            assert_eq!(health.fault(), None, "it may still end");
            health.call().since = Instant::now().checked_sub(GIVEN_UP * 2);
            assert_eq!(health.fault(), Some(IndexFault::Hangs));
            assert_eq!(health.fault(), Some(IndexFault::Hangs), "counted once");
            assert_eq!(STUCK.load(Ordering::Acquire), 1);
        });
        assert_eq!(health.hangs(), None, "it is over");
        assert_eq!(STUCK.load(Ordering::Acquire), 0, "sled is usable again");
        assert_eq!(health.fault(), Some(IndexFault::Hangs), "a fault is final");
    }
}
