//! Promise 6: what is over leaves after its time and nothing else does; a disk that is almost
//! full refuses arrivals.

use super::engine::{Engine, Setup};
use super::pushes::{all, arrival, claims, dead, finish, lead_for, lead_of, newest, quarantined};
use super::subject::{Subject, blocking};
use crate::clock::Millis;
use crate::outbox::{
    Accepted, Belief, DAY, Doubt, Filter, Find, FindBy, Intake, Maintenance, Operations, Queue,
    Refusal, Retention, State, Swept, Timekeeping,
};

const KEEP: Retention = Retention {
    done_ms: 10 * DAY,
    dead_ms: 20 * DAY,
    dead_by: Millis::MAX,
};

/// Sweeps until nothing leaves any more, two at a time.
pub(super) fn sweep<E: Engine>(outbox: &Subject<E>, keep: Retention, now: Millis) -> Swept {
    blocking(|| {
        let mut all = Swept::default();
        loop {
            let before = (all.leads, all.quarantined);
            let mut from = None;
            loop {
                let step = outbox.sweep(keep, now, from, 2).expect("sweeps");
                all.leads += step.leads;
                all.dead_letters += step.dead_letters;
                all.quarantined += step.quarantined;
                from = step.next;
                if from.is_none() {
                    break;
                }
            }
            if before == (all.leads, all.quarantined) {
                return all;
            }
        }
    })
}

pub(super) async fn what_is_over_leaves_after_its_time_and_nothing_else_does<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let find = Find::new(FindBy::OrderNum, "7");
    let mut leads = Vec::new();
    for record in 0..5 {
        let mut lead = lead_for(record, "shop", &["crm"]);
        lead.finds = vec![find.clone()];
        leads.push(lead_of(outbox.accept(lead).await.expect("accepted")));
    }
    let claims = claims(&*outbox, 1_000);
    for claim in &claims[..3] {
        finish(&*outbox, claim, State::Delivered { at: 5 }).await;
    }
    finish(&*outbox, &claims[3], dead(5)).await;
    outbox.unclaim("crm", &[claims[4].id]);

    assert_eq!(sweep(&outbox, KEEP, 10 * DAY).leads, 0);
    assert_eq!(sweep(&outbox, KEEP, 10 * DAY + 2_000).leads, 3);
    let last = sweep(&outbox, KEEP, 20 * DAY + 2_000);
    assert_eq!((last.leads, last.dead_letters), (1, 1));
    outbox.crash();
    let totals = outbox.totals();
    assert_eq!(totals.leads, 1, "what waits stays, however old");
    assert_eq!(totals.sinks["crm"].dead_letters(), 0);
    assert_eq!(totals.sinks["crm"].delivered, 3, "since the store was made");
    let waits = claims[4].delivery.lead;
    assert_eq!(
        outbox.leads(&newest(), None, 9).expect("reads").items,
        [waits]
    );
    assert_eq!(outbox.find(&find, 9), Ok(vec![waits]));
    let listed = all(|after| {
        let filter = Filter::default();
        outbox.deliveries(&filter, after, 2).expect("reads")
    });
    assert_eq!(listed.len(), 1);
    for lead in leads.into_iter().filter(|lead| *lead != waits) {
        assert!(outbox.history(lead).expect("reads").is_none());
    }
    let again = outbox.accept(lead_for(0, "shop", &["crm"])).await;
    assert!(
        matches!(again, Ok(Accepted::New { revision: 1, .. })),
        "a forgotten lead is new"
    );
}

pub(super) async fn dead_letters_stay_until_they_were_announced<E: Engine>() {
    let outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    outbox.quarantine(quarantined(b"{")).await.expect("kept");
    let claim = claims(&*outbox, 1_000).remove(0);
    finish(&*outbox, &claim, dead(1_000)).await;
    let ends = 20 * DAY + 1_000;
    let soon = outbox.expiring(KEEP, ends).expect("reads");
    assert_eq!((soon.dead_letters, soon.quarantine), (1, 1));
    assert_eq!(soon.first, Some(ends));
    let sooner = outbox.expiring(KEEP, ends - 1).expect("reads");
    assert_eq!((sooner.dead_letters, sooner.quarantine), (0, 0));
    let unannounced = Retention {
        dead_by: ends - 1,
        ..KEEP
    };
    let swept = sweep(&outbox, unannounced, 90 * DAY);
    assert_eq!((swept.leads, swept.quarantined), (0, 0));
    let announced = Retention {
        dead_by: ends,
        ..KEEP
    };
    let swept = sweep(&outbox, announced, 90 * DAY);
    assert_eq!((swept.leads, swept.quarantined), (1, 1));
    assert_eq!(outbox.totals().in_quarantine, 0);
}

pub(super) async fn nothing_leaves_while_the_clock_is_not_believed<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    outbox.quarantine(quarantined(b"{")).await.expect("kept");
    let claim = claims(&*outbox, 1_000).remove(0);
    finish(&*outbox, &claim, State::Delivered { at: 5 }).await;
    let doubted = Timekeeping {
        belief: Belief {
            newest: 2_000,
            doubt: Some(Doubt {
                shown: 900 * DAY,
                ran: 0,
            }),
        },
        ..Timekeeping::default()
    };
    outbox.keep_time(doubted).await.expect("noted");
    outbox.crash();
    let swept = sweep(&outbox, KEEP, 900 * DAY);
    assert_eq!((swept.leads, swept.quarantined), (0, 0));
    assert_eq!(outbox.believed(900 * DAY), 2_000);
    let believed = Timekeeping {
        belief: Belief::of(900 * DAY),
        ..Timekeeping::default()
    };
    outbox.keep_time(believed).await.expect("noted");
    let swept = sweep(&outbox, KEEP, 900 * DAY);
    assert_eq!((swept.leads, swept.quarantined), (1, 1));
}

pub(super) async fn what_came_while_the_clock_was_far_behind_is_not_old_once_it_is_right<
    E: Engine,
>() {
    let outbox = Subject::<E>::new();
    let now = 1_000 * DAY;
    let time = Timekeeping {
        belief: Belief::of(now),
        ..Timekeeping::default()
    };
    outbox.keep_time(time).await.expect("noted");
    // Received in 1970, by that clock.
    for record in 0..2 {
        let lead = lead_for(record, "shop", &["crm"]);
        outbox.accept(lead).await.expect("accepted");
    }
    outbox.quarantine(quarantined(b"{")).await.expect("kept");
    let due = claims(&*outbox, 1_000);
    assert!(due.iter().all(|claim| claim.delivery.budget.since == now));
    finish(&*outbox, &due[0], State::Delivered { at: 5 }).await;
    finish(&*outbox, &due[1], dead(5)).await;
    let soon = outbox.expiring(KEEP, now + 7 * DAY).expect("reads");
    assert_eq!((soon.dead_letters, soon.quarantine), (0, 0), "{soon:?}");
    let swept = sweep(&outbox, KEEP, now + 9 * DAY);
    assert_eq!((swept.leads, swept.quarantined), (0, 0));
    let soon = outbox.expiring(KEEP, now + 20 * DAY).expect("reads");
    assert_eq!((soon.dead_letters, soon.quarantine), (1, 1), "{soon:?}");
    assert_eq!(soon.first, Some(now + 20 * DAY));
    let swept = sweep(&outbox, KEEP, now + 20 * DAY);
    assert_eq!((swept.leads, swept.quarantined), (2, 1));
}

pub(super) async fn a_disk_that_is_almost_full_refuses_arrivals_but_not_the_ends_of_attempts<
    E: Engine,
>() {
    let mut outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    assert!(!outbox.short_of_space());
    outbox.close();
    outbox.setup = Setup {
        min_free: u64::MAX,
        ..Setup::default()
    };
    outbox.open();
    assert!(outbox.short_of_space());
    assert_eq!(outbox.accept(arrival(2, 2)).await, Err(Refusal::NoSpace));
    let aside = outbox.quarantine(quarantined(b"{")).await;
    assert_eq!(aside, Err(Refusal::NoSpace));
    let claim = claims(&*outbox, 1_000).remove(0);
    finish(&*outbox, &claim, State::Delivered { at: 5 }).await;
    assert_eq!(outbox.totals().sinks["crm"].delivered, 1);
    assert_eq!(outbox.fault(), None);
    // What must be free may change while it runs.
    outbox.set_min_free(1);
    assert!(!outbox.short_of_space());
    outbox.accept(arrival(2, 2)).await.expect("accepted");
    outbox.set_min_free(u64::MAX);
    assert_eq!(outbox.min_free(), u64::MAX);
    assert_eq!(outbox.accept(arrival(3, 3)).await, Err(Refusal::NoSpace));
}
