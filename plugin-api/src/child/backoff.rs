//! Backoff: how long a child that ended is left alone before it is started again.

use std::time::Duration;

/// Doubles with each child that ended soon, up to a ceiling; begins anew after one that lived
/// for long enough to count as well.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    well: Duration,
    failures: u32,
}

impl Backoff {
    /// `first` wait and the `max`imum; a child that lived for `well` ends the row of failures.
    pub const fn new(first: Duration, max: Duration, well: Duration) -> Self {
        Self {
            first,
            max,
            well,
            failures: 0,
        }
    }

    /// The wait after a child that lived for so long.
    pub fn after(&mut self, lived: Duration) -> Duration {
        if lived >= self.well {
            self.failures = 0;
        }
        let wait = self.first.saturating_mul(1 << self.failures.min(30));
        self.failures = self.failures.saturating_add(1);
        wait.min(self.max)
    }

    /// Children that ended one after the other without having been well.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

impl Default for Backoff {
    /// From 200 ms to a minute; a minute is well.
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self::new(Duration::from_millis(200), minute, minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_to_its_ceiling_and_begins_anew_after_a_child_that_was_well() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..12)
            .map(|_| backoff.after(Duration::ZERO).as_millis())
            .collect();
        assert_eq!(
            waits,
            [
                200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000, 60_000
            ]
        );
        assert_eq!(backoff.failures(), 12);
        assert_eq!(backoff.after(Duration::from_secs(61)).as_millis(), 200);
        assert_eq!(backoff.failures(), 1);
    }
}
