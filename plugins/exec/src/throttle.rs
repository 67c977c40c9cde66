//! Throttle: how many lines of a program's own get into the log.
//!
//! A burst, then so many a second; what is left out is counted and said with the next line.

use std::time::Duration;

use tokio::time::Instant;

const BURST: u32 = 50;
/// Time that earns one line.
const EACH: Duration = Duration::from_millis(200);

/// A budget of lines.
#[derive(Debug)]
pub(crate) struct Throttle {
    left: u32,
    earned: Instant,
    left_out: u64,
}

impl Throttle {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            earned: now,
            left_out: 0,
        }
    }

    /// Whether a line may be written, and how many were left out since the last that was.
    pub(crate) fn take(&mut self, now: Instant) -> Option<u64> {
        while self.left < BURST && now.saturating_duration_since(self.earned) >= EACH {
            self.left += 1;
            self.earned += EACH;
        }
        if self.left == BURST {
            self.earned = now;
        }
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }

    /// Lines that were left out and not said yet.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_to_a_burst_and_a_few_a_second_and_counted() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start);
        let taken = (0..1000).filter(|_| throttle.take(start).is_some()).count();
        assert_eq!(taken, 50);
        assert_eq!(throttle.left_out(), 950);
        let later = start + Duration::from_secs(1);
        assert_eq!(throttle.take(later), Some(950));
        let taken = (0..1000).filter(|_| throttle.take(later).is_some()).count();
        assert_eq!(taken, 4, "five a second");
        let long_after = start + Duration::from_secs(3600);
        let taken = (0..1000)
            .filter(|_| throttle.take(long_after).is_some())
            .count();
        assert_eq!(taken, 50, "never more than a burst");
    }
}
