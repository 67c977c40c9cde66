//! The watch: whether a write has been under way for too long.
//!
//! A disk may hang, and sled may wait for ever for a write of another thread that failed.
//! Nothing is acknowledged then, but somebody must be told.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A write that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Watches one thread's writes.
#[derive(Default)]
pub(super) struct Watch(Mutex<Option<Instant>>);

impl Watch {
    /// Does `work` under the watch.
    pub(super) fn over<T>(&self, work: impl FnOnce() -> T) -> T {
        self.set(Some(Instant::now()));
        let done = work();
        self.set(None);
        done
    }

    /// For how long a write hangs, if one does.
    pub(super) fn hangs(&self) -> Option<Duration> {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since
            .map(|since| since.elapsed())
            .filter(|taken| *taken > PATIENCE)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_hangs_when_it_takes_long_and_only_until_it_ends() {
        let watch = Watch::default();
        assert_eq!(watch.hangs(), None);
        watch.over(|| {
            assert_eq!(watch.hangs(), None, "it has just begun");
            watch.set(Instant::now().checked_sub(PATIENCE * 2));
            assert!(watch.hangs().is_some_and(|taken| taken > PATIENCE));
        });
        assert_eq!(watch.hangs(), None, "it is over");
    }
}
