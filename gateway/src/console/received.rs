//! Received: how many leads came on each of the last days, counted from the store now and then.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::admin::{Admin, Problem};
use crate::clock::Millis;
use crate::outbox::{DAY, LeadFilter};

/// Days that are looked at, today among them.
pub(super) const DAYS: usize = 7;
/// Leads of a day that are counted.
pub(super) const MOST: u64 = 10_000;
/// Read at once.
const PAGE: usize = 1_000;
/// How long a count is good for.
const FRESH: Duration = Duration::from_secs(30);
/// Where days begin.
const OFFSET: Millis = 8 * 3_600_000;

/// What was counted last.
#[derive(Default)]
pub(super) struct Received(Mutex<Option<(Duration, Vec<Day>)>>);

/// One day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Day {
    /// When it began, at +08:00.
    pub(super) began: Millis,
    /// Leads whose first push came on it; [`MOST`] stands for as many or more.
    pub(super) leads: u64,
}

impl Received {
    /// The last days, today last. Reads the disk, at most every half minute.
    pub(super) fn days(&self, admin: &Admin) -> Result<Vec<Day>, Problem> {
        let now = admin.clock.monotonic();
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, days)) = &*known()
            && now.saturating_sub(*at) < FRESH
        {
            return Ok(days.clone());
        }
        let today = beginning(admin.clock.now());
        let days = (0..DAYS).rev().map(|ago| {
            let began = today - DAY * Millis::try_from(ago).unwrap_or(0);
            let leads = count(admin, began)?;
            Ok(Day { began, leads })
        });
        let days = days.collect::<Result<Vec<_>, Problem>>()?;
        *known() = Some((now, days.clone()));
        Ok(days)
    }
}

/// When the day of `at` began.
fn beginning(at: Millis) -> Millis {
    at - (at + OFFSET).rem_euclid(DAY)
}

fn count(admin: &Admin, began: Millis) -> Result<u64, Problem> {
    let filter = LeadFilter {
        since: Some(began),
        before: Some(began + DAY),
        ..LeadFilter::default()
    };
    let (mut after, mut count) = (None, 0);
    loop {
        let page = admin.outbox.leads(&filter, after.as_deref(), PAGE)?;
        count += page.items.len() as u64;
        after = page.next;
        if after.is_none() || count >= MOST {
            return Ok(count.min(MOST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_beijing() {
        // 2026-11-28 00:00 +08:00
        let day = 1_795_795_200_000;
        for at in [day, day + 1, day + DAY - 1] {
            assert_eq!(beginning(at), day);
        }
        assert_eq!(beginning(day - 1), day - DAY);
    }
}
