//! Throttle: when a sink may start its next attempt.
//!
//! Spaces attempts evenly by the sink's `rate`, and holds the whole sink back for as long
//! as a destination that throttles asked for, until a person ends that. Pure: time is passed
//! in, as the process's monotonic one, so that a clock that is set back holds nobody.

use std::time::Duration;

use crate::config::Rate;

/// The throttle of one sink.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Time between two starts; zero without a rate.
    gap: Duration,
    /// By the rate: no start before this.
    next: Duration,
    /// What the destination asked for.
    asked: Option<Asked>,
}

/// A wait that the destination asked of the whole sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) since: Duration,
    pub(super) until: Duration,
}

impl Throttle {
    pub(super) fn new(rate: Option<Rate>) -> Self {
        Self {
            gap: rate.map_or(Duration::ZERO, |rate| rate.per / rate.count.max(1)),
            next: Duration::ZERO,
            asked: None,
        }
    }

    /// Goes on where `before` is, as far as its own rate lets it wait; with what the destination
    /// asked for, if it is the `same` destination.
    pub(super) fn follow(&mut self, before: &Self, same: bool, now: Duration) {
        self.next = before.next.min(now.saturating_add(self.gap));
        self.asked = before.asked.filter(|_| same);
    }

    /// How long to wait before the next start.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        let asked = self.asked(now).map_or(Duration::ZERO, |asked| asked.until);
        self.next.max(asked).saturating_sub(now)
    }

    /// The destination's wait, if there is one now.
    pub(super) fn asked(&self, now: Duration) -> Option<Asked> {
        self.asked.filter(|asked| asked.until > now)
    }

    /// Since when, and until when, the rate allows no start, if it does not now.
    pub(super) fn paced(&self, now: Duration) -> Option<(Duration, Duration)> {
        (self.next > now).then(|| (self.next.saturating_sub(self.gap), self.next))
    }

    /// An attempt starts.
    pub(super) fn start(&mut self, now: Duration) {
        self.next = self.next.max(now).saturating_add(self.gap);
    }

    /// The destination asked for a wait until `until`. A shorter one does not end a longer.
    pub(super) fn hold(&mut self, now: Duration, until: Duration) {
        let before = self.asked(now);
        self.asked = Some(Asked {
            since: before.map_or(now, |before| before.since),
            until: before.map_or(until, |before| before.until.max(until)),
        });
    }

    /// A person ends the destination's wait; whether there was one.
    pub(super) fn release(&mut self, now: Duration) -> bool {
        let held = self.asked(now).is_some();
        self.asked = None;
        held
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
        assert_eq!(throttle.paced(ms(1_010)), Some((ms(1_000), ms(1_050))));
        assert_eq!(throttle.wait(ms(1_050)), ms(0));
        assert_eq!(throttle.paced(ms(1_050)), None);
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
        throttle.hold(ms(1_000), ms(3_000));
        throttle.hold(ms(1_500), ms(2_000));
        assert_eq!(throttle.wait(ms(1_000)), ms(2_000));
        let asked = throttle.asked(ms(2_999)).expect("held");
        assert_eq!((asked.since, asked.until), (ms(1_000), ms(3_000)));
        assert_eq!(throttle.asked(ms(3_000)), None);
    }

    #[test]
    fn another_rate_goes_on_from_the_last_start_and_the_wait_is_the_destinations() {
        let rate = |per| {
            let per = ms(per);
            Throttle::new(Some(Rate { count: 1, per }))
        };
        let mut slow = rate(60_000);
        slow.start(ms(0));
        slow.hold(ms(0), ms(90_000));
        let mut same = rate(1_000);
        same.follow(&slow, true, ms(10));
        assert_eq!(same.wait(ms(10)), ms(89_990));
        let mut other = rate(1_000);
        other.follow(&slow, false, ms(10));
        assert_eq!(other.wait(ms(10)), ms(1_000));
        other.start(ms(1_010));
        let mut slower = rate(60_000);
        slower.follow(&other, false, ms(1_020));
        assert_eq!(slower.wait(ms(1_020)), ms(990));
    }

    #[test]
    fn a_person_ends_what_the_destination_asked_for_and_not_the_rate() {
        let mut throttle = Throttle::new(Some(Rate {
            count: 1,
            per: ms(1_000),
        }));
        throttle.start(ms(0));
        throttle.hold(ms(0), ms(3_600_000));
        assert!(throttle.release(ms(10)));
        assert_eq!(throttle.wait(ms(10)), ms(990));
        assert!(!throttle.release(ms(10)));
    }
}
