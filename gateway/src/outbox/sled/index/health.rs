//! Health: the fault of an index if it has one, and whether a call into sled hangs.
//!
//! A fault is final for this [`super::Index`]. Whoever waits for something asks here, so no
//! thread is needed that only watches.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::fault::IndexFault;

/// A call into sled that takes longer will not end: a disk that stalls for some seconds is no
/// reason to make a large index anew.
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
    call: Mutex<Option<Call>>,
}

struct Call {
    since: Instant,
    given_up: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            stuck: &STUCK,
            fault: OnceLock::new(),
            call: Mutex::default(),
        }
    }
}

impl Health {
    /// Does `work` under the watch. One call at a time: only those of whoever holds the ledger
    /// are watched, and whoever waits for it learns of it here.
    pub(super) fn over<T>(&self, work: impl FnOnce() -> T) -> T {
        *self.call.lock() = Some(Call {
            since: Instant::now(),
            given_up: false,
        });
        let done = work();
        if self.call.lock().take().is_some_and(|call| call.given_up) {
            self.stuck.fetch_sub(1, Ordering::AcqRel);
            tracing::info!("index write ended after it was given up");
        }
        done
    }

    /// The fault, if one is known; costs nothing.
    pub(super) fn known(&self) -> Option<IndexFault> {
        self.fault.get().cloned()
    }

    /// The fault, if there is one.
    pub(super) fn fault(&self) -> Option<IndexFault> {
        if self.fault.get().is_none()
            && let Some(call) = &mut *self.call.lock()
            && !call.given_up
            && call.since.elapsed() > GIVEN_UP
        {
            call.given_up = true;
            self.stuck.fetch_add(1, Ordering::AcqRel);
            self.fail(IndexFault::Hangs);
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
        let since = |long| {
            let since = Instant::now().checked_sub(long).expect("not that long ago");
            health.call.lock().as_mut().expect("under way").since = since;
        };
        health.over(|| {
            assert_eq!(health.fault(), None, "it has just begun");
            since(GIVEN_UP / 2);
            assert_eq!(health.fault(), None, "it may still end");
            since(GIVEN_UP * 2);
            assert_eq!(health.fault(), Some(IndexFault::Hangs));
            assert_eq!(health.fault(), Some(IndexFault::Hangs), "counted once");
            assert_eq!(STUCK.load(Ordering::Acquire), 1);
        });
        assert_eq!(STUCK.load(Ordering::Acquire), 0, "sled is usable again");
        assert_eq!(health.fault(), Some(IndexFault::Hangs), "a fault is final");
    }
}
