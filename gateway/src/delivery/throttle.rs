//! Throttle: when a sink may start its next attempt.
//!
//! Spaces attempts evenly by the sink's `rate`, and holds the whole sink back for as long
//! as a destination that throttles asked for. Pure: time is passed in, as the process's
//! monotonic one, so that a clock that is set back holds nobody.

use std::time::Duration;

use crate::config::Rate;

/// The throttle of one sink.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Time between two starts; zero without a rate.
    gap: Duration,
    /// No start before this.
    next: Duration,
}

impl Throttle {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self {
            gap: rate.map_or(Duration::ZERO, |rate| rate.per / rate.count.max(1)),
            next: Duration::ZERO,
        }
    }

    /// How long to wait before the next start.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        self.next.saturating_sub(now)
    }

    /// An attempt starts.
    pub(super) fn start(&mut self, now: Duration) {
        self.next = self.next.max(now).saturating_add(self.gap);
    }

    /// Holds all starts back until `until`.
    pub(super) fn hold(&mut self, until: Duration) {
        self.next = self.next.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn starts_are_spaced_by_the_rate() {
        let mut throttle = Throttle::new(Some(Rate {
            count: 20,
            per: ms(1_000),
        }));
        assert_eq!(throttle.wait(ms(1_000)), ms(0));
        throttle.start(ms(1_000));
        assert_eq!(throttle.wait(ms(1_000)), ms(50));
        assert_eq!(throttle.wait(ms(1_050)), ms(0));
    }

    #[test]
    fn a_pause_does_not_save_turns_for_a_burst() {
        let mut throttle = Throttle::new(Some(Rate {
            count: 20,
            per: ms(1_000),
        }));
        throttle.start(ms(0));
        throttle.start(ms(60_000));
        assert_eq!(throttle.wait(ms(60_000)), ms(50));
    }

    #[test]
    fn without_a_rate_nothing_waits_until_the_destination_asks() {
        let mut throttle = Throttle::new(None);
        throttle.start(ms(1_000));
        assert_eq!(throttle.wait(ms(1_000)), ms(0));
        throttle.hold(ms(3_000));
        throttle.hold(ms(2_000));
        assert_eq!(throttle.wait(ms(1_000)), ms(2_000));
    }
}
