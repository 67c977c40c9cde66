//! The course of time as retries see it: a wall clock that is set does not stop them, and does
//! not use them up.
//!
//! | the wall clock is set | due | age |
//! |---|---|---|
//! | back | goes on as if it had not been | counted by the wall clock |
//! | forth | follows the wall clock | goes on as if it had not been |
//!
//! A clock that shows less than what the outbox has seen was set back before the start.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, Millis};

/// Follows one clock from when it was made.
pub(super) struct Course {
    clock: Arc<dyn Clock>,
    wall: Millis,
    began: Duration,
}

impl Course {
    /// `latest` is the latest time known from before.
    pub(super) fn new(clock: Arc<dyn Clock>, latest: Millis) -> Self {
        Self {
            wall: clock.now().max(latest),
            began: clock.monotonic(),
            clock,
        }
    }

    /// What the wall clock would show had nobody set it since.
    fn steady(&self) -> Millis {
        let since = self.clock.monotonic().saturating_sub(self.began);
        self.wall.saturating_add(super::verdict::millis(since))
    }

    /// The time by which deliveries are due; never goes back.
    pub(super) fn due(&self) -> Millis {
        self.clock.now().max(self.steady())
    }

    /// The time by which deliveries grow old.
    pub(super) fn age(&self) -> Millis {
        self.clock.now().min(self.steady())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

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

    fn course(latest: Millis) -> (Arc<Set>, Course) {
        let clock = Arc::new(Set(Mutex::new((10 * HOUR, Duration::ZERO))));
        let course = Course::new(Arc::clone(&clock) as Arc<dyn Clock>, latest);
        (clock, course)
    }

    fn set(clock: &Set, wall: Millis, monotonic_ms: u64) {
        *clock.0.lock().expect("no panics") = (wall, Duration::from_millis(monotonic_ms));
    }

    #[test]
    fn a_clock_set_back_stops_nothing_and_makes_nothing_old() {
        let (clock, course) = course(0);
        set(&clock, 9 * HOUR, 5);
        assert_eq!(course.due(), 10 * HOUR + 5);
        assert_eq!(course.age(), 9 * HOUR);
    }

    #[test]
    fn a_clock_set_forth_makes_nothing_old() {
        let (clock, course) = course(0);
        set(&clock, 99 * HOUR, 5);
        assert_eq!(course.due(), 99 * HOUR);
        assert_eq!(course.age(), 10 * HOUR + 5);
    }

    #[test]
    fn a_clock_set_back_before_the_start_goes_on_from_what_was_known() {
        let (clock, course) = course(12 * HOUR);
        set(&clock, 10 * HOUR + 7, 7);
        assert_eq!(course.due(), 12 * HOUR + 7);
        assert_eq!(course.age(), 10 * HOUR + 7);
    }
}
