//! Shares: how many of a sink's slots each kind of work may take.
//!
//! | work | slots it may take | while attempts hang |
//! |---|---|---|
//! | tried before, or asked for again | all but a quarter | a quarter |
//! | waiting for long | all | all but a quarter |
//! | just arrived | all | all |
//!
//! A quarter is one slot at least. Where there is only one slot, time is shared instead: after
//! an attempt that hung, what waited for longer leaves the slot free for as long as that took.
//! So what is new finds a slot, whatever the rest does; and while attempts hang, old work goes
//! before new only once in three times as long as one of it hung. Pure: time is passed in.

use std::time::Duration;

/// A failed attempt that took so long has hung.
const HUNG: Duration = Duration::from_secs(1);
/// For so long after one hung, others are expected to.
const MEMORY: Duration = Duration::from_secs(60);

/// What has been due for no longer than this is new.
const NEW: Duration = Duration::from_secs(2);

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A delivery that has just become due for the first time.
    New,
    /// One that has waited for its first attempt.
    Waited,
    /// One that was tried before, or that a person asked for again.
    Again,
}

/// The slots of one sink.
#[derive(Debug)]
pub(super) struct Shares {
    slots: usize,
    taken: usize,
    waited: usize,
    again: usize,
    hangs_until: Duration,
    /// Where there is one slot: when what waited may take it again.
    free_until: Duration,
    /// Where there is one slot: when the last attempt of old work that hung began.
    hung_began: Duration,
    /// When old work may go before new although attempts hang.
    old_turn_at: Duration,
}

impl Shares {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots,
            taken: 0,
            waited: 0,
            again: 0,
            hangs_until: Duration::ZERO,
            free_until: Duration::ZERO,
            hung_began: Duration::ZERO,
            old_turn_at: Duration::ZERO,
        }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    pub(super) fn full(&self) -> bool {
        self.taken >= self.slots
    }

    /// Whether attempts hang these days.
    pub(super) fn hangs(&self, now: Duration) -> bool {
        now < self.hangs_until
    }

    /// Whether work of that kind may take a slot.
    pub(super) fn admits(&self, work: Work, now: Duration) -> bool {
        let quarter = (self.slots / 4).max(1);
        let rest = self.slots.saturating_sub(quarter).max(1);
        let hangs = self.hangs(now);
        let waited = if hangs { rest } else { self.slots };
        let again = if hangs { quarter } else { rest };
        let reserved = now < self.free_until;
        !self.full()
            && match work {
                Work::New => true,
                Work::Waited => !reserved && self.waited + self.again < waited,
                Work::Again => !reserved && self.again < again && self.waited + self.again < waited,
            }
    }

    /// How long the one slot is kept free for what is new.
    pub(super) fn reserved(&self, now: Duration) -> Option<Duration> {
        let left = self.free_until.saturating_sub(now);
        (!left.is_zero()).then_some(left)
    }

    /// Since when it is.
    pub(super) fn reserved_since(&self) -> Duration {
        // It is kept free for as long as the attempt before took.
        let half = self.free_until.saturating_sub(self.hung_began) / 2;
        self.free_until.saturating_sub(half)
    }

    /// What has been due for no longer than this is new. Nobody waited for long who came while
    /// the only slot was taken by an attempt that hung.
    pub(super) fn new_for(&self, now: Duration) -> Duration {
        if self.reserved(now).is_some() {
            now.saturating_sub(self.hung_began).max(NEW)
        } else {
            NEW
        }
    }

    /// Whether old work may go before new.
    pub(super) fn old_turn(&self, now: Duration) -> bool {
        !self.hangs(now) || now >= self.old_turn_at
    }

    pub(super) fn take(&mut self, work: Work) {
        self.taken += 1;
        match work {
            Work::New => {}
            Work::Waited => self.waited += 1,
            Work::Again => self.again += 1,
        }
    }

    /// An attempt ended that took so long; whether it failed.
    pub(super) fn free(&mut self, work: Work, took: Duration, failed: bool, now: Duration) {
        self.taken = self.taken.saturating_sub(1);
        match work {
            Work::New => {}
            Work::Waited => self.waited = self.waited.saturating_sub(1),
            Work::Again => self.again = self.again.saturating_sub(1),
        }
        if failed && took >= HUNG {
            let memory = MEMORY.saturating_add(took.saturating_mul(2));
            if work != Work::New || !self.hangs(now) {
                self.old_turn_at = now.saturating_add(took.saturating_mul(3));
            }
            self.hangs_until = self.hangs_until.max(now.saturating_add(memory));
            // What hung being new took nothing from what is new.
            if self.slots == 1 && work != Work::New {
                self.hung_began = now.saturating_sub(took);
                self.free_until = now.saturating_add(took);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// How many of each may start, one after the other, alone.
    fn most(shares: impl Fn() -> Shares, now: Duration) -> [usize; 3] {
        [Work::New, Work::Waited, Work::Again].map(|work| {
            let mut shares = shares();
            let mut count = 0;
            while shares.admits(work, now) {
                shares.take(work);
                count += 1;
            }
            count
        })
    }

    fn hanging(slots: usize) -> Shares {
        let mut shares = Shares::new(slots);
        shares.take(Work::New);
        shares.free(Work::New, seconds(10), true, seconds(10));
        shares
    }

    #[test]
    fn what_is_tried_again_never_takes_all_slots() {
        assert_eq!(most(|| Shares::new(4), seconds(1)), [4, 4, 3]);
        assert_eq!(most(|| Shares::new(8), seconds(1)), [8, 8, 6]);
        assert_eq!(most(|| Shares::new(2), seconds(1)), [2, 2, 1]);
    }

    #[test]
    fn while_attempts_hang_what_is_new_keeps_a_slot() {
        assert_eq!(most(|| hanging(4), seconds(11)), [4, 3, 1]);
        assert_eq!(most(|| hanging(2), seconds(11)), [2, 1, 1]);
        assert_eq!(most(|| hanging(4), seconds(10) + MEMORY * 2), [4, 4, 3]);
        let mut shares = hanging(4);
        for _ in 0..2 {
            shares.take(Work::Waited);
        }
        shares.take(Work::Again);
        assert!(!shares.admits(Work::Waited, seconds(11)));
        assert!(!shares.admits(Work::Again, seconds(11)));
        assert!(shares.admits(Work::New, seconds(11)));
    }

    #[test]
    fn one_slot_is_shared_by_time() {
        let mut shares = Shares::new(1);
        assert_eq!(most(|| Shares::new(1), seconds(1)), [1, 1, 1]);
        shares.take(Work::Again);
        shares.free(Work::Again, seconds(10), true, seconds(10));
        assert!(!shares.admits(Work::Again, seconds(19)));
        assert!(!shares.admits(Work::Waited, seconds(19)));
        assert!(shares.admits(Work::New, seconds(19)));
        assert_eq!(shares.reserved(seconds(19)), Some(seconds(1)));
        assert_eq!(shares.reserved_since(), seconds(10));
        assert_eq!(shares.new_for(seconds(19)), seconds(19), "since it hung");
        assert_eq!(shares.new_for(seconds(20)), NEW);
        assert!(shares.admits(Work::Again, seconds(20)));
    }

    #[test]
    fn while_attempts_hang_old_work_goes_first_only_now_and_then() {
        let mut shares = Shares::new(4);
        assert!(shares.old_turn(seconds(1)));
        shares.take(Work::Again);
        shares.free(Work::Again, seconds(10), true, seconds(10));
        assert!(!shares.old_turn(seconds(39)));
        assert!(shares.old_turn(seconds(40)));
    }

    #[test]
    fn a_slow_destination_that_takes_leads_is_not_one_that_hangs() {
        let mut shares = Shares::new(4);
        shares.take(Work::Waited);
        shares.free(Work::Waited, seconds(30), false, seconds(30));
        assert!(!shares.hangs(seconds(30)));
    }
}
