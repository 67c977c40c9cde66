//! Pace: when a sink may start its next attempt.
//!
//! Spaces attempts evenly by the sink's `rate`, and holds the whole sink back for as long
//! as a destination that throttles asked for.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::clock::Millis;
use crate::config::Rate;

/// The pace of one sink.
#[derive(Debug)]
pub(super) struct Pace {
    /// Time between two starts, in microseconds; 0 without a rate.
    gap_us: i64,
    /// No start before this, in microseconds since the epoch.
    next_us: AtomicI64,
}

impl Pace {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        let gap = rate.map_or(Duration::ZERO, |rate| rate.per / rate.count.max(1));
        Self {
            gap_us: i64::try_from(gap.as_micros()).unwrap_or(i64::MAX),
            next_us: AtomicI64::new(0),
        }
    }

    /// How long to wait before the next start. Does not take the turn.
    pub(super) fn wait(&self, now: Millis) -> Duration {
        let left = self
            .next_us
            .load(Ordering::Relaxed)
            .saturating_sub(now.saturating_mul(1000));
        Duration::from_micros(u64::try_from(left).unwrap_or(0))
    }

    /// Takes the turn.
    pub(super) fn start(&self, now: Millis) {
        let now = now.saturating_mul(1000);
        let next = self
            .next_us
            .load(Ordering::Relaxed)
            .max(now)
            .saturating_add(self.gap_us);
        self.next_us.fetch_max(next, Ordering::Relaxed);
    }

    /// Holds all starts back until `until`.
    pub(super) fn hold(&self, until: Millis) {
        self.next_us
            .fetch_max(until.saturating_mul(1000), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_spaced_by_the_rate() {
        let pace = Pace::new(Some(Rate {
            count: 20,
            per: Duration::from_secs(1),
        }));
        assert_eq!(pace.wait(1_000), Duration::ZERO);
        pace.start(1_000);
        assert_eq!(pace.wait(1_000), Duration::from_millis(50));
        assert_eq!(pace.wait(1_050), Duration::ZERO);
    }

    #[test]
    fn without_a_rate_nothing_waits_until_the_destination_asks() {
        let pace = Pace::new(None);
        pace.start(1_000);
        assert_eq!(pace.wait(1_000), Duration::ZERO);
        pace.hold(3_000);
        assert_eq!(pace.wait(1_000), Duration::from_secs(2));
    }
}
