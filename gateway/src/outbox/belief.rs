//! Belief: which time of the machine's clock the store takes for true, and what it has told
//! of what leaves. Pure: times are passed in.
//!
//! | the clock shows | then |
//! |---|---|
//! | what was believed and has passed since, give or take a leap | it is believed |
//! | at least a leap more | doubted: nothing is removed and nothing grows old |
//! | at least a leap less | doubted, which harms nobody: less is old by it |
//! | a doubted time that has gone on evenly for a [`DAY`] of running | it is believed |
//! | again what was believed | the doubt is over |
//!
//! Running is measured by the monotonic clock and counts over restarts, so that a machine that
//! is off at night believes its clock after some days, also after weeks without power.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// A doubted time is believed once it has gone on for this long while the process ran.
pub const DAY: Millis = 86_400_000;
/// A doubted time may be later by this after a restart, and still be the same one.
const STOPPED: Millis = 7 * DAY;
/// What leaves is told this long before.
const AHEAD: Millis = 7 * DAY;

/// What the store knows of the time. Kept with its counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timekeeping {
    /// Of the clock.
    pub belief: Belief,
    /// Of what leaves.
    pub announced: Announced,
}

/// The newest time that is believed, and the one that is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belief {
    /// While the clock is doubted: what was believed, and the time that has passed since while
    /// leadgate ran. 0 if the store never saw a time.
    pub newest: Millis,
    /// The time that is doubted, if it is.
    pub doubt: Option<Doubt>,
}

/// A time that is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// What the clock showed last.
    pub shown: Millis,
    /// For how long it has gone on evenly while the process ran.
    pub ran: Millis,
}

impl Belief {
    /// Nothing is doubted.
    pub const fn of(newest: Millis) -> Self {
        Self {
            newest,
            doubt: None,
        }
    }

    /// Looks at the clock, which `shows` something `ran` after the last look, by the monotonic
    /// clock; `None` at the first look of a process. Less than `leap` is no leap.
    #[must_use]
    pub fn look(self, shows: Millis, ran: Option<Millis>, leap: Millis) -> Self {
        let passed = ran.unwrap_or(0).max(0);
        let expected = self.newest.saturating_add(passed);
        let near = |shows: Millis, expected: Millis| {
            i128::from(shows).abs_diff(i128::from(expected)) < u128::from(leap.unsigned_abs())
        };
        if self.newest == 0 || near(shows, expected) {
            return Self::of(shows);
        }
        let even = self.doubt.and_then(|doubt| match ran {
            Some(_) => near(shows, doubt.shown.saturating_add(passed))
                .then(|| doubt.ran.saturating_add(passed)),
            None => {
                let later = shows.saturating_sub(doubt.shown);
                (later > -leap && later < STOPPED).then_some(doubt.ran)
            }
        });
        let ran = even.unwrap_or(0);
        if ran >= DAY {
            return Self::of(shows);
        }
        Self {
            newest: expected,
            doubt: Some(Doubt { shown: shows, ran }),
        }
    }

    /// How far a doubted clock is ahead of what is believed; `None` if it is not.
    pub fn ahead(&self) -> Option<Millis> {
        let ahead = self.doubt?.shown.saturating_sub(self.newest);
        (ahead > 0).then_some(ahead)
    }

    /// How much longer a doubted clock must go on evenly to be believed.
    pub fn believed_in(&self) -> Option<Millis> {
        Some(DAY.saturating_sub(self.doubt?.ran))
    }

    /// The time by which something may have grown old, where a clock shows `now`.
    pub fn bound(&self, now: Millis) -> Millis {
        match self.ahead() {
            Some(_) => now.min(self.newest),
            None => now,
        }
    }
}

/// Until when those dead letters and quarantined pushes whose time ends may leave: no sooner
/// than some time after it was said that they will.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// What ends until then may leave.
    pub until: Millis,
    /// When what ends until `next` was announced; 0 if nothing was.
    pub told_at: Millis,
    /// Takes the place of `until` once it has been known for long enough.
    pub next: Millis,
    /// For what retention, in milliseconds: with another one all is announced anew.
    pub keep: Millis,
}

impl Announced {
    /// How long before its end something of that retention is announced.
    pub fn ahead(keep: Millis) -> Millis {
        AHEAD.min(keep / 2)
    }

    /// What to announce at `now`, a believed time, and what may leave; the second is whether
    /// it is to be said (again) now.
    #[must_use]
    pub fn tell(mut self, now: Millis, keep: Millis) -> (Self, bool) {
        let ahead = Self::ahead(keep);
        let known_for = DAY.min(ahead / 2);
        if self.keep != keep || self.told_at == 0 || now < self.told_at {
            self = Self {
                until: if self.keep == keep { self.until } else { 0 },
                told_at: now,
                next: now.saturating_add(ahead),
                keep,
            };
            return (self, true);
        }
        if now.saturating_sub(self.told_at) < known_for {
            return (self, false);
        }
        self.until = self.next;
        self.told_at = now;
        self.next = now.saturating_add(ahead);
        (self, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: Millis = 365 * DAY;
    const MINUTE: Millis = 60_000;
    const HOUR: Millis = 60 * MINUTE;
    const NOW: Millis = 20_000 * DAY;

    fn look(belief: Belief, shows: Millis, ran: Option<Millis>) -> Belief {
        belief.look(shows, ran, DAY)
    }

    /// Runs for a while, looked at each minute.
    fn run(mut belief: Belief, mut shows: Millis, long: Millis) -> (Belief, Millis) {
        let mut left = long;
        while left > 0 {
            shows += MINUTE;
            left -= MINUTE;
            belief = look(belief, shows, Some(MINUTE));
        }
        (belief, shows)
    }

    #[test]
    fn a_new_store_believes_what_it_is_shown() {
        assert_eq!(look(Belief::default(), NOW, None), Belief::of(NOW));
    }

    #[test]
    fn a_start_a_year_ahead_is_doubted_and_a_right_one_after_it_believed_at_once() {
        let wrong = look(Belief::of(NOW), NOW + YEAR, None);
        assert_eq!(wrong.ahead(), Some(YEAR));
        assert_eq!(wrong.bound(NOW + YEAR), NOW);
        let (wrong, _) = run(wrong, NOW + YEAR, HOUR);
        assert_eq!(wrong.ahead(), Some(YEAR), "an hour is not a day");
        assert_eq!(wrong.bound(NOW + YEAR + HOUR), NOW + HOUR);
        let right = look(wrong, NOW + HOUR + MINUTE, None);
        assert_eq!(right, Belief::of(NOW + HOUR + MINUTE));
        // And the next wrong run is seen again, a little nearer than the first.
        assert!(look(right, NOW + YEAR - DAY, None).ahead().is_some());
    }

    #[test]
    fn a_step_of_a_running_process_is_doubted_and_a_step_back_ends_it() {
        let (belief, shows) = run(Belief::of(NOW), NOW, HOUR);
        let wrong = look(belief, shows + 40 * DAY, Some(MINUTE));
        assert!(wrong.ahead().is_some());
        let right = look(wrong, shows + 2 * MINUTE, Some(MINUTE));
        assert_eq!(right, Belief::of(shows + 2 * MINUTE));
    }

    #[test]
    fn after_a_long_stop_a_day_of_running_makes_the_clock_believed() {
        let start = NOW + 40 * DAY;
        let belief = look(Belief::of(NOW), start, None);
        let (belief, shows) = run(belief, start, DAY - HOUR);
        assert!(belief.ahead().is_some());
        assert_eq!(belief.believed_in(), Some(HOUR));
        let (belief, shows) = run(belief, shows, HOUR);
        assert_eq!(belief, Belief::of(shows));
    }

    #[test]
    fn a_machine_that_is_off_at_night_is_not_stuck_for_ever() {
        let mut shows = NOW + 40 * DAY;
        let mut belief = look(Belief::of(NOW), shows, None);
        for day in 0..5 {
            (belief, shows) = run(belief, shows, 5 * HOUR);
            // A weekend in between.
            shows += if day == 2 { 67 * HOUR } else { 19 * HOUR };
            belief = look(belief, shows, None);
        }
        assert_eq!(belief, Belief::of(shows));
    }

    #[test]
    fn a_clock_that_jumps_on_and_on_is_never_believed() {
        let mut shows = NOW + 40 * DAY;
        let mut belief = look(Belief::of(NOW), shows, None);
        for _ in 0..10 {
            (belief, shows) = run(belief, shows, 20 * HOUR);
            shows += 10 * DAY;
            belief = look(belief, shows, Some(MINUTE));
            assert!(belief.ahead().is_some());
        }
    }

    #[test]
    fn a_clock_that_is_behind_holds_nothing_and_is_believed_after_a_day() {
        let belief = look(Belief::of(NOW + YEAR), NOW, None);
        assert!(belief.doubt.is_some());
        assert_eq!((belief.ahead(), belief.bound(NOW)), (None, NOW));
        let (belief, shows) = run(belief, NOW, DAY);
        assert_eq!(belief, Belief::of(shows));
    }

    #[test]
    fn an_ordinary_night_and_drift_are_no_leap() {
        let belief = look(Belief::of(NOW), NOW + 14 * HOUR, None);
        assert_eq!(belief, Belief::of(NOW + 14 * HOUR));
        assert_eq!(
            look(belief, NOW + 13 * HOUR, Some(MINUTE)),
            Belief::of(NOW + 13 * HOUR)
        );
    }

    #[test]
    fn times_at_the_ends_of_the_scale_do_not_overflow() {
        for newest in [1, NOW, Millis::MAX] {
            for shows in [Millis::MIN, 0, Millis::MAX] {
                let belief = look(Belief::of(newest), shows, None);
                let _ = (belief.ahead(), belief.bound(shows));
                let _ = look(belief, shows, Some(Millis::MAX));
            }
        }
    }

    #[test]
    fn what_leaves_was_announced_a_day_before_and_week_by_week_nothing_waits() {
        let keep = 180 * DAY;
        let (mut told, said) = Announced::default().tell(NOW, keep);
        assert!(said);
        assert_eq!((told.until, told.next), (0, NOW + 7 * DAY));
        let (again, said) = told.tell(NOW + HOUR, keep);
        assert!(!said && again == told);
        for day in 1..30 {
            let now = NOW + day * DAY;
            let said;
            (told, said) = told.tell(now, keep);
            assert!(said, "once a day");
            assert!(told.until >= now, "what ends today was announced");
        }
    }

    #[test]
    fn after_a_stop_what_ended_meanwhile_stays_for_another_day() {
        let keep = 180 * DAY;
        let (told, _) = Announced::default().tell(NOW, keep);
        let start = NOW + 40 * DAY;
        let (told, said) = told.tell(start, keep);
        assert!(said);
        assert_eq!(
            told.until,
            NOW + 7 * DAY,
            "only what was told before the stop"
        );
        let (told, _) = told.tell(start + DAY, keep);
        assert!(told.until > start + DAY);
    }

    #[test]
    fn a_shorter_retention_is_announced_before_it_takes_anything() {
        let (told, _) = Announced::default().tell(NOW, 180 * DAY);
        let (told, _) = told.tell(NOW + DAY, 180 * DAY);
        let (told, said) = told.tell(NOW + DAY + HOUR, 30 * DAY);
        assert_eq!((told.until, said), (0, true));
    }

    #[test]
    fn a_clock_that_was_set_back_announces_anew() {
        let (told, _) = Announced::default().tell(NOW + YEAR, 180 * DAY);
        let (told, said) = told.tell(NOW, 180 * DAY);
        assert!(said);
        assert_eq!(told.next, NOW + 7 * DAY);
    }
}
