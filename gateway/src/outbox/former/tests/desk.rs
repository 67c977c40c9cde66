//! What operators do at their desk: list, repair, pause, release, erase, sweep.

use super::*;
use crate::outbox::{Filter, PauseCause, Repair, Repaired, Retention, StateName};

const DAY: Millis = 86_400_000;

/// A lead for `sinks` from `source`.
fn lead_for(record: u64, source: &str, sinks: &[&str]) -> Arrival {
    let route = |sink: &&str| Route {
        sink: (*sink).into(),
        failed: None,
    };
    Arrival {
        source: source.into(),
        routes: sinks.iter().map(route).collect(),
        ..arrival(record, 1)
    }
}

fn sweep(outbox: SledOutbox, keep: Retention, now: Millis) -> (SledOutbox, crate::outbox::Swept) {
    let swept = std::thread::spawn(move || {
        let mut all = outbox.sweep(keep, now, None, 2).expect("sweeps");
        while all.next.is_some() {
            let step = outbox.sweep(keep, now, all.next, 2).expect("sweeps");
            all.leads += step.leads;
            all.next = step.next;
        }
        (outbox, all)
    });
    swept.join().expect("no panic")
}

#[tokio::test]
async fn a_backlog_of_one_source_does_not_starve_the_fresh_leads_of_another() {
    let folder = folder();
    let outbox = open(&folder);
    for record in 0..50 {
        outbox
            .accept(lead_for(record, "old", &["crm"]))
            .await
            .expect("accepted");
    }
    for record in 50..53 {
        let mut fresh = lead_for(record, "fresh", &["crm"]);
        fresh.received_at = 2_000;
        outbox.accept(fresh).await.expect("accepted");
    }
    let due = outbox.claim("crm", 3_000, 6).expect("reads");
    let fresh = due
        .deliveries
        .iter()
        .filter(|claim| claim.lead.source == "fresh")
        .count();
    assert_eq!((due.deliveries.len(), fresh), (6, 3));
    assert_eq!(due.next, Some(1_000), "more of the backlog is due");
}

#[tokio::test]
async fn with_more_sources_than_a_page_holds_each_has_its_turn() {
    let folder = folder();
    let outbox = open(&folder);
    for record in 0..12 {
        let source = format!("shop{}", record % 6);
        let lead = lead_for(record, &source, &["crm"]);
        outbox.accept(lead).await.expect("accepted");
    }
    let mut served = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let due = outbox.claim("crm", 1_000, 2).expect("reads");
        served.extend(due.deliveries.into_iter().map(|claim| claim.lead.source));
    }
    assert_eq!(served.len(), 6, "{served:?}");
}

#[tokio::test]
async fn lists_page_through_all_and_filter_by_sink_state_and_age() {
    let folder = folder();
    let outbox = open(&folder);
    for record in 0..7 {
        let mut lead = lead_for(record, "shop", &["crm", "mail"]);
        lead.received_at = 1_000 + i64::try_from(record).expect("small");
        outbox.accept(lead).await.expect("accepted");
    }
    let first = outbox
        .claim("crm", 9_000, 1)
        .expect("reads")
        .deliveries
        .remove(0);
    finish(&outbox, &first, State::Waiting { due_at: 99_000 }).await;
    let mut cursor = None;
    let mut seen = Vec::new();
    loop {
        let filter = Filter::default();
        let page = outbox
            .deliveries(&filter, cursor.as_deref(), 3)
            .expect("reads");
        assert!(page.items.len() <= 3);
        seen.extend(page.items.iter().map(|one| one.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 14);
    let count = |filter: Filter| {
        outbox
            .deliveries(&filter, None, 100)
            .expect("reads")
            .items
            .len()
    };
    let sink = Some("crm".to_owned());
    assert_eq!(
        count(Filter {
            sink: sink.clone(),
            ..Filter::default()
        }),
        7
    );
    assert_eq!(
        count(Filter {
            state: Some(StateName::Retrying),
            ..Filter::default()
        }),
        1
    );
    assert_eq!(
        count(Filter {
            sink,
            before: Some(1_003),
            ..Filter::default()
        }),
        3
    );
    assert_eq!(
        count(Filter {
            since: Some(1_003),
            ..Filter::default()
        }),
        8
    );
    let newest = crate::outbox::LeadFilter {
        newest_first: true,
        ..Default::default()
    };
    let page = outbox.leads(&newest, None, 5).expect("reads");
    let rest = outbox
        .leads(&newest, page.next.as_deref(), 5)
        .expect("reads");
    assert_eq!(
        (page.items.len(), rest.items.len(), rest.next),
        (5, 2, None)
    );
    assert!(page.items[0] > page.items[1], "newest first");
}

#[tokio::test]
async fn a_retried_dead_letter_starts_with_a_fresh_budget() {
    let folder = folder();
    let outbox = open(&folder);
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let claim = claims(&outbox, 1_000).remove(0);
    let busy = outbox.repair(claim.id, Repair::Cancel, 2_000).await;
    assert_eq!(busy, Ok(Repaired::InFlight));
    let reason = DeathReason::MaxAttempts;
    finish(&outbox, &claim, State::Dead { at: 2_000, reason }).await;
    let retry = Repair::Retry { force: false };
    assert_eq!(
        outbox.repair(claim.id, retry, 7_000).await,
        Ok(Repaired::Done)
    );
    let again = claims(&outbox, 7_000).remove(0);
    assert_eq!((again.id, again.delivery.attempts), (claim.id, 1));
    assert_eq!(
        (again.delivery.budget.spent, again.delivery.budget.since),
        (1, 7_000)
    );
    finish(&outbox, &again, State::Delivered { at: 7_001 }).await;
    assert_eq!(
        outbox.repair(claim.id, retry, 8_000).await,
        Ok(Repaired::Over)
    );
    let unknown = DeliveryId(uuid::Uuid::nil());
    assert_eq!(
        outbox.repair(unknown, retry, 8_000).await,
        Ok(Repaired::Unknown)
    );
}

#[tokio::test]
async fn a_dead_letter_goes_to_the_fallback_once() {
    let folder = folder();
    let outbox = open(&folder);
    outbox
        .accept(lead_for(1, "shop", &["once"]))
        .await
        .expect("accepted");
    let claim = claims_of(&outbox, "once", 1_000).remove(0);
    let reason = DeathReason::Rejected;
    finish(&outbox, &claim, State::Dead { at: 2_000, reason }).await;
    let fallback = claims_of(&outbox, "mail", 9_000);
    assert_eq!(fallback.len(), 1);
    assert_eq!(fallback[0].delivery.fallback_of, Some(claim.id));
    assert_eq!(outbox.totals().sinks["once"].dead_letters(), 1);
}

#[tokio::test]
async fn a_newer_revision_is_an_update_only_if_the_sink_was_given_the_older() {
    let folder = folder();
    let outbox = open(&folder);
    let to = |content: u8, sinks: &[&str]| Arrival {
        content: [content; 32],
        ..lead_for(1, "shop", sinks)
    };
    outbox
        .accept(to(1, &["mail", "crm"]))
        .await
        .expect("accepted");
    let first = claims(&outbox, 1_000).remove(0);
    assert!(!first.update);
    finish(&outbox, &first, State::Delivered { at: 1_000 }).await;
    outbox
        .accept(to(2, &["mail", "crm"]))
        .await
        .expect("accepted");
    assert!(claims(&outbox, 1_000).remove(0).update);
    let only = claims_of(&outbox, "mail", 1_000);
    assert_eq!(
        (only.len(), only[0].delivery.revision),
        (1, 2),
        "the first was superseded"
    );
    assert!(!only[0].update, "this sink has not seen the lead yet");
}

#[tokio::test]
async fn a_pause_outlives_a_restart_and_a_resume_wakes_the_lane() {
    let folder = folder();
    let outbox = open(&folder);
    outbox
        .pause("crm", Some(PauseCause::Crashes(2)))
        .await
        .expect("taken");
    assert!(outbox.paused("crm") && !outbox.paused("mail"));
    close(outbox);
    let outbox = open(&folder);
    assert!(outbox.paused("crm"));
    let pause = outbox.pause_of("crm").expect("paused");
    assert_eq!(pause.cause, PauseCause::Crashes(2));
    assert!(pause.since > 0);
    let note = PauseCause::Person("the CRM moves".to_owned());
    outbox
        .pause("crm", Some(note.clone()))
        .await
        .expect("taken");
    let again = outbox.pause_of("crm").expect("paused");
    assert_eq!((again.since, again.cause), (pause.since, note));
    let arrivals = outbox.arrivals("crm");
    outbox.pause("crm", None).await.expect("taken");
    arrivals.notified().await;
    assert!(!outbox.paused("crm"));
    assert!(
        outbox
            .pause("nobody", Some(PauseCause::Crashes(2)))
            .await
            .is_err()
    );
    assert_eq!(
        outbox.fault(),
        None,
        "a wrong name is no fault of the store"
    );
}

#[tokio::test]
async fn a_quarantined_push_is_released_as_a_lead_or_discarded_and_may_come_again() {
    let folder = folder();
    let outbox = open(&folder);
    let quarantined = |body: &[u8]| QuarantinedPush {
        source: "shop".into(),
        reason: "stale",
        received_at: 1,
        request_id: None,
        signature: String::new(),
        query: String::new(),
        content_type: String::new(),
        body: body.to_vec(),
        ceiling: crate::config::Ceiling::default(),
    };
    for body in [b"one".as_slice(), &vec![b'2'; 20_000]] {
        outbox.quarantine(quarantined(body)).await.expect("kept");
    }
    let first = outbox.quarantined_pushes(None, 1).expect("reads");
    let second = outbox
        .quarantined_pushes(first.next.as_deref(), 1)
        .expect("reads");
    assert_eq!((second.items[0].body.len(), &second.next), (20_000, &None));
    let released = outbox
        .release(first.items[0].id, arrival(9, 9), 7_000)
        .await;
    assert!(matches!(released, Ok(Some(Accepted::New { .. }))));
    let released = claims(&outbox, 7_000).remove(0);
    assert_eq!(released.lead.received_at, 1_000, "when the push came");
    assert_eq!(
        released.delivery.budget.since, 7_000,
        "when it was released"
    );
    assert_eq!(
        outbox
            .release(first.items[0].id, arrival(8, 8), 7_000)
            .await,
        Ok(None)
    );
    assert_eq!(outbox.discard(second.items[0].id).await, Ok(true));
    assert_eq!(outbox.discard(second.items[0].id).await, Ok(false));
    assert_eq!(outbox.totals().in_quarantine, 0);
    let again = outbox.quarantine(quarantined(b"one")).await;
    assert!(
        matches!(again, Ok(Quarantined::New(_))),
        "what left is forgotten"
    );
}

#[tokio::test]
async fn what_is_over_leaves_after_its_time_and_nothing_else_does() {
    let folder = folder();
    let outbox = open(&folder);
    let keep = Retention {
        done_ms: 10 * DAY,
        dead_ms: 20 * DAY,
        dead_by: Millis::MAX,
    };
    for record in 0..5 {
        outbox
            .accept(lead_for(record, "shop", &["crm"]))
            .await
            .expect("accepted");
    }
    let claims = claims(&outbox, 1_000);
    for claim in &claims[..3] {
        finish(&outbox, claim, State::Delivered { at: 5 }).await;
    }
    let reason = DeathReason::Rejected;
    finish(&outbox, &claims[3], State::Dead { at: 5, reason }).await;
    outbox.unclaim("crm", &[claims[4].id]);

    let (outbox, early) = sweep(outbox, keep, 10 * DAY);
    assert_eq!(early.leads, 0);
    let (outbox, done) = sweep(outbox, keep, 10 * DAY + 2_000);
    assert_eq!(done.leads, 3);
    let (outbox, dead) = sweep(outbox, keep, 20 * DAY + 2_000);
    assert_eq!(dead.leads, 1);
    assert_eq!(outbox.totals().leads, 1, "what waits stays, however old");
    assert_eq!(outbox.totals().sinks["crm"].dead_letters(), 0);
    let left: Vec<_> = outbox
        .reader
        .tree
        .iter()
        .keys()
        .map(|key| key.expect("reads")[0])
        .collect();
    let of = |room: u8| left.iter().copied().filter(|one| *one == room).count();
    assert_eq!(
        (
            of(b'l'),
            of(b'i'),
            of(b'o'),
            of(b'd'),
            of(b'x'),
            of(b'w'),
            of(b'q')
        ),
        (1, 1, 1, 0, 0, 1, 1)
    );
    let again = outbox.accept(lead_for(0, "shop", &["crm"])).await;
    assert!(
        matches!(again, Ok(Accepted::New { revision: 1, .. })),
        "a forgotten lead is new"
    );
}

#[tokio::test]
async fn what_came_while_the_clock_was_far_behind_is_not_old_once_it_is_right() {
    let folder = folder();
    let outbox = open(&folder);
    let now = 1_000 * DAY;
    let keep = Retention {
        done_ms: 10 * DAY,
        dead_ms: 20 * DAY,
        dead_by: Millis::MAX,
    };
    let time = Timekeeping {
        belief: crate::outbox::Belief::of(now),
        ..Timekeeping::default()
    };
    outbox.keep_time(time).await.expect("noted");
    // Received in 1970, by that clock.
    for record in 0..2 {
        let lead = lead_for(record, "shop", &["crm"]);
        outbox.accept(lead).await.expect("accepted");
    }
    let quarantined = QuarantinedPush {
        source: "shop".into(),
        reason: "unparsable",
        received_at: 1_000,
        request_id: None,
        signature: String::new(),
        query: String::new(),
        content_type: String::new(),
        body: b"{".to_vec(),
        ceiling: crate::config::Ceiling::default(),
    };
    outbox.quarantine(quarantined).await.expect("kept");
    let due = claims(&outbox, 1_000);
    assert!(due.iter().all(|claim| claim.delivery.budget.since == now));
    finish(&outbox, &due[0], State::Delivered { at: 5 }).await;
    let reason = DeathReason::Rejected;
    finish(&outbox, &due[1], State::Dead { at: 5, reason }).await;
    let soon = outbox.expiring(keep, now + 7 * DAY).expect("reads");
    assert_eq!((soon.dead_letters, soon.quarantine), (0, 0), "{soon:?}");
    let (outbox, swept) = sweep(outbox, keep, now + 9 * DAY);
    assert_eq!((swept.leads, swept.quarantined), (0, 0));
    let soon = outbox.expiring(keep, now + 20 * DAY).expect("reads");
    assert_eq!((soon.dead_letters, soon.quarantine), (1, 1), "{soon:?}");
    assert_eq!(soon.first, Some(now + 20 * DAY));
    let (_, swept) = sweep(outbox, keep, now + 20 * DAY);
    assert_eq!((swept.leads, swept.quarantined), (2, 1));
}

#[tokio::test]
async fn a_disk_that_is_almost_full_refuses_arrivals_but_not_the_ends_of_attempts() {
    let folder = folder();
    let outbox = open(&folder);
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    close(outbox);
    let outbox = open_with(&folder, 64, &[], u64::MAX).expect("opens");
    assert!(outbox.short_of_space());
    assert_eq!(outbox.accept(arrival(2, 2)).await, Err(Refusal::NoSpace));
    let claim = claims(&outbox, 1_000).remove(0);
    finish(&outbox, &claim, State::Delivered { at: 5 }).await;
    assert_eq!(outbox.totals().sinks["crm"].delivered, 1);
}
