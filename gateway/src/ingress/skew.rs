//! Skew: whether pushes are stale one by one, or all by the same step because a clock is
//! wrong.

use crate::clock::Millis;
use crate::lead::time::format_gmt8;

/// Stale pushes in a row that are a wrong clock.
const ROW: u32 = 3;
/// How far their steps may differ: pushes travel for some seconds.
const SAME: u64 = 60_000;

/// The stale pushes of a source since the last that was in time.
#[derive(Default)]
pub(super) struct Skew {
    step: Millis,
    row: u32,
}

impl Skew {
    /// Notes a push that is stale by `apart`. Whether it is one of many by the same step.
    pub(super) fn is_step(&mut self, apart: Millis) -> bool {
        if self.row > 0 && apart.abs_diff(self.step) <= SAME {
            self.row = self.row.saturating_add(1);
        } else {
            *self = Self {
                step: apart,
                row: 1,
            };
        }
        self.row >= ROW
    }
}

/// Both times and their difference, as a person says it.
pub(super) fn clocks(pushed_at: Millis, now: Millis) -> String {
    let apart = now.abs_diff(pushed_at) / 1000;
    let apart = match apart {
        0..120 => format!("{apart} s"),
        120..7_200 => format!("{} min", apart / 60),
        7_200..172_800 => format!("{} h", apart / 3_600),
        _ => format!("{} days", apart / 86_400),
    };
    format!(
        "the push says {}, this machine {} (GMT+8): {apart} apart",
        format_gmt8(pushed_at),
        format_gmt8(now)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_equal_steps_is_a_wrong_clock_and_single_late_pushes_are_not() {
        let minutes = |count: i64| count * 60_000;
        let mut skew = Skew::default();
        for (apart, clock) in [
            (minutes(15), false),
            (minutes(15) + 2_000, false),
            (minutes(15) - 5_000, true),
            (minutes(15), true),
            (minutes(-40), false),
            (minutes(15), false),
            (minutes(90), false),
            (minutes(300), false),
        ] {
            assert_eq!(skew.is_step(apart), clock, "{apart}");
        }
    }

    #[test]
    fn both_clocks_and_their_difference_are_said() {
        let now = 1_795_460_115_370;
        assert_eq!(
            clocks(now + 15 * 60_000, now),
            "the push says 2026-11-24 03:10:15, this machine 2026-11-24 02:55:15 (GMT+8): \
             15 min apart"
        );
        assert!(clocks(now - 119_000, now).ends_with(": 119 s apart"));
        assert!(clocks(now - 3 * 3_600_000, now).ends_with(": 3 h apart"));
        assert!(clocks(now - 365 * 86_400_000, now).ends_with(": 365 days apart"));
    }
}
