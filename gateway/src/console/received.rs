//! Received: how many leads came in each of the last hours and days, counted from the store: what is
//! over once, what is not yet over now and then.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::admin::{Admin, Problem};
use crate::clock::Millis;
use crate::outbox::{DAY, LeadFilter};

/// Days that are looked at, today among them.
const DAYS: Millis = 7;
/// Hours that are looked at, this one among them.
const HOURS: Millis = 24;
/// Leads of one hour, or of a day that is over, that are counted.
const MOST: u64 = 10_000;
/// Read at once.
const PAGE: usize = 1_000;
/// How long the count of what is not over is good for.
const FRESH: Duration = Duration::from_secs(30);
/// Where days begin.
const OFFSET: Millis = 8 * HOUR;
const HOUR: Millis = 3_600_000;

/// What was counted, by when it began and how long it is.
#[derive(Default)]
pub(super) struct Received(Mutex<BTreeMap<(Millis, Millis), Counted>>);

/// How many came, when it was counted, and whether it was over then.
#[derive(Clone, Copy)]
struct Counted {
    leads: u64,
    at: Duration,
    over: bool,
}

/// An hour or a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// When it began, at +08:00.
    pub(super) began: Millis,
    /// Leads whose first push came in it.
    pub(super) leads: u64,
    /// Whether there were more than that.
    pub(super) more: bool,
}

/// The last hours and days, the present ones last.
pub(super) struct Spans {
    pub(super) hours: Vec<Span>,
    pub(super) days: Vec<Span>,
}

impl Received {
    /// Counts. Reads the disk.
    pub(super) fn spans(&self, admin: &Admin) -> Result<Spans, Problem> {
        let now = admin.clock.now();
        let (hour, today) = (beginning(now, HOUR), beginning(now, DAY));
        let hours = (0..HOURS).rev().map(|ago| hour - ago * HOUR);
        let hours = hours.map(|began| self.span(admin, began, HOUR));
        let hours: Vec<Span> = hours.collect::<Result<_, _>>()?;
        let before = (1..DAYS).rev().map(|ago| today - ago * DAY);
        let before = before.map(|began| self.span(admin, began, DAY));
        let mut days: Vec<Span> = before.collect::<Result<_, _>>()?;
        let of_today = hours.iter().filter(|hour| hour.began >= today);
        days.push(Span {
            began: today,
            leads: of_today.clone().map(|hour| hour.leads).sum(),
            more: of_today.clone().any(|hour| hour.more),
        });
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(began, _), _| *began >= today - DAYS * DAY);
        drop(known);
        Ok(Spans { hours, days })
    }

    fn span(&self, admin: &Admin, began: Millis, long: Millis) -> Result<Span, Problem> {
        let now = admin.clock.monotonic();
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = known().get(&(began, long)).copied();
        let is_good = |one: &Counted| one.over || now.saturating_sub(one.at) < FRESH;
        let leads = match counted.filter(is_good) {
            Some(counted) => counted.leads,
            None => {
                let over = admin.clock.now() >= began + long;
                let leads = count(admin, began, long)?;
                let counted = Counted {
                    leads,
                    at: now,
                    over,
                };
                known().insert((began, long), counted);
                leads
            }
        };
        Ok(Span {
            began,
            leads: leads.min(MOST),
            more: leads > MOST,
        })
    }
}

/// When the hour or the day of `at` began.
fn beginning(at: Millis, long: Millis) -> Millis {
    at - (at + OFFSET).rem_euclid(long)
}

/// How many there are, or one more than [`MOST`].
fn count(admin: &Admin, began: Millis, long: Millis) -> Result<u64, Problem> {
    let filter = LeadFilter {
        since: Some(began),
        before: Some(began + long),
        ..LeadFilter::default()
    };
    let (mut after, mut count) = (None, 0);
    loop {
        let page = admin.outbox.leads(&filter, after.as_deref(), PAGE)?;
        count += page.items.len() as u64;
        after = page.next;
        if after.is_none() || count > MOST {
            return Ok(count.min(MOST + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::desk;

    #[test]
    fn a_day_begins_at_midnight_in_beijing() {
        // 2026-11-28 00:00 +08:00
        let day = 1_795_795_200_000;
        for at in [day, day + 1, day + DAY - 1] {
            assert_eq!(beginning(at, DAY), day);
        }
        assert_eq!(beginning(day - 1, DAY), day - DAY);
        assert_eq!(beginning(day + HOUR + 1, HOUR), day + HOUR);
    }

    #[actix_web::test]
    async fn what_came_today_is_counted_in_its_hour_and_its_day() {
        let desk = desk();
        for record in 0..3 {
            desk.accept(record).await;
        }
        let received = Received::default();
        let spans = received.spans(&desk.admin).expect("reads");
        assert_eq!((spans.hours.len(), spans.days.len()), (24, 7));
        let sum = |spans: &[Span]| spans.iter().map(|span| span.leads).sum::<u64>();
        assert_eq!((sum(&spans.hours), sum(&spans.days)), (3, 3));
        assert!(spans.days.iter().all(|day| !day.more));
        desk.accept(4).await;
        let again = received.spans(&desk.admin).expect("reads");
        assert_eq!(sum(&again.hours), 3, "not counted again at once");
        let known = received.0.lock().expect("not poisoned");
        assert_eq!(known.len(), 24 + 6);
    }
}
