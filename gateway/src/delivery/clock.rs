//! The steady clock: time as retries see it. A wall clock that is set does not stop them, and
//! does not use them up.
//!
//! | the wall clock is set | due | age |
//! |---|---|---|
//! | back | goes on as if it had not been | counted by the wall clock |
//! | forth | follows the wall clock | goes on as if it had not been, also where it was set back before |
//!
//! A clock that shows less than what the outbox has seen was set back before the start.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::{Clock, Millis};

/// Follows one clock from when it was made.
pub(super) struct SteadyClock {
    clock: Arc<dyn Clock>,
    /// How far the time of due deliveries has ever been ahead of the monotonic clock.
    ahead: AtomicI64,
    /// How little the wall clock has ever been ahead of it: what came then is not older now
    /// because the clock was set right.
    least: AtomicI64,
}

impl SteadyClock {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let this = Self {
            clock,
            ahead: AtomicI64::new(Millis::MIN),
            least: AtomicI64::new(Millis::MAX),
        };
        this.look();
        this
    }

    /// The wall clock, and time since some moment. That the clock is set back for a while is
    /// noticed at any look meanwhile.
    fn look(&self) -> (Millis, Millis) {
        let now = self.clock.now();
        let monotonic = super::verdict::millis(self.clock.monotonic());
        let ahead = now.saturating_sub(monotonic);
        self.least.fetch_min(ahead, Ordering::Relaxed);
        (now, monotonic)
    }

    /// The time by which deliveries are due; never goes back. `latest` is the latest time
    /// that the outbox has seen: something may be due since then.
    pub(super) fn due(&self, latest: Millis) -> Millis {
        let (now, monotonic) = self.look();
        let ahead = now.max(latest).saturating_sub(monotonic);
        let before = self.ahead.fetch_max(ahead, Ordering::Relaxed);
        before.max(ahead).saturating_add(monotonic)
    }

    /// The time by which deliveries grow old: no faster than time passes.
    pub(super) fn age(&self) -> Millis {
        let (_, monotonic) = self.look();
        let least = self.least.load(Ordering::Relaxed);
        least.saturating_add(monotonic)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    /// Wall and monotonic time, as set.
    struct Set(Mutex<(Millis, Duration)>);

    impl Clock for Set {
        fn now(&self) -> Millis {
            self.0.lock().expect("no panics").0
        }
        fn monotonic(&self) -> Duration {
            self.0.lock().expect("no panics").1
        }
    }

    const HOUR: Millis = 3_600_000;

    fn steady() -> (Arc<Set>, SteadyClock) {
        let clock = Arc::new(Set(Mutex::new((10 * HOUR, Duration::ZERO))));
        let steady = SteadyClock::new(Arc::clone(&clock) as Arc<dyn Clock>);
        (clock, steady)
    }

    fn set(clock: &Set, wall: Millis, monotonic_ms: u64) {
        *clock.0.lock().expect("no panics") = (wall, Duration::from_millis(monotonic_ms));
    }

    #[test]
    fn a_clock_set_back_stops_nothing_and_makes_nothing_old() {
        let (clock, steady) = steady();
        assert_eq!(steady.due(0), 10 * HOUR);
        set(&clock, 9 * HOUR, 5);
        assert_eq!(steady.due(0), 10 * HOUR + 5);
        assert_eq!(steady.age(), 9 * HOUR);
    }

    #[test]
    fn a_clock_set_forth_makes_nothing_old() {
        let (clock, steady) = steady();
        set(&clock, 99 * HOUR, 5);
        assert_eq!(steady.due(0), 99 * HOUR);
        assert_eq!(steady.age(), 10 * HOUR + 5);
        set(&clock, 10 * HOUR, 6);
        assert_eq!(
            steady.due(0),
            99 * HOUR + 1,
            "what became due then still is"
        );
    }

    #[test]
    fn what_came_while_a_clock_was_set_back_is_not_old_when_it_is_right_again() {
        let (clock, steady) = steady();
        set(&clock, 4 * HOUR, 5);
        steady.due(10 * HOUR);
        set(&clock, 10 * HOUR + 10, 10);
        assert_eq!(steady.age(), 4 * HOUR + 5);
        assert_eq!(steady.due(0), 10 * HOUR + 10);
    }

    #[test]
    fn a_clock_set_back_before_the_start_goes_on_from_what_was_known() {
        let (clock, steady) = steady();
        set(&clock, 10 * HOUR + 7, 7);
        assert_eq!(steady.due(12 * HOUR), 12 * HOUR);
        set(&clock, 10 * HOUR + 9, 9);
        assert_eq!(steady.due(12 * HOUR), 12 * HOUR + 2);
        assert_eq!(steady.age(), 10 * HOUR + 9);
    }
}
