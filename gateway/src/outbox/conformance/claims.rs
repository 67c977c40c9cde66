//! Claims: what is due goes to one attempt at a time, sources in turn.

use std::collections::BTreeSet;
use std::time::Duration;

use super::engine::Engine;
use super::pushes::{arrival, claims, claims_of, finish, lead_for};
use super::subject::Subject;
use crate::outbox::{Arrival, DeliveryId, Freshness, Intake, Queue, State, Wanted};

pub(super) async fn what_is_claimed_is_not_given_again_until_it_is_given_back<E: Engine>() {
    let outbox = Subject::<E>::new();
    for record in 0..3 {
        outbox.accept(arrival(record, 1)).await.expect("accepted");
    }
    assert!(claims(&*outbox, 999).is_empty(), "nothing is due yet");
    let first = outbox.claim("crm", 1_000, 2).expect("reads");
    assert_eq!((first.deliveries.len(), first.next), (2, Some(1_000)));
    let second = claims(&*outbox, 1_000);
    assert_eq!(second.len(), 1);
    assert!(claims(&*outbox, 1_000).is_empty());
    outbox.unclaim("crm", &[second[0].id]);
    assert_eq!(claims(&*outbox, 1_000)[0].id, second[0].id);
    // A retry takes the claim back too, but it is not due.
    let ended = &first.deliveries[0];
    finish(&*outbox, ended, State::Waiting { due_at: 7_000 }).await;
    assert!(claims(&*outbox, 6_999).is_empty());
    assert_eq!(claims(&*outbox, 7_000)[0].id, ended.id);
    assert!(outbox.claim("nobody", 1_000, 1).is_err());
}

pub(super) async fn a_crash_gives_all_claims_back<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    for record in 0..3 {
        outbox.accept(arrival(record, 1)).await.expect("accepted");
    }
    let ids = |outbox: &Subject<E>| -> BTreeSet<DeliveryId> {
        let claims = claims(&**outbox, 1_000).into_iter();
        claims.map(|claim| claim.id).collect()
    };
    let before = ids(&outbox);
    outbox.crash();
    assert_eq!(ids(&outbox), before);
    assert_eq!(before.len(), 3);
}

pub(super) async fn a_backlog_of_one_source_does_not_starve_the_fresh_leads_of_another<
    E: Engine,
>() {
    let outbox = Subject::<E>::new();
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

pub(super) async fn with_more_sources_than_a_page_holds_each_has_its_turn<E: Engine>() {
    let outbox = Subject::<E>::new();
    for record in 0..12 {
        let source = format!("shop{}", record % 6);
        let lead = lead_for(record, &source, &["crm"]);
        outbox.accept(lead).await.expect("accepted");
    }
    let mut served = BTreeSet::new();
    for _ in 0..3 {
        let due = outbox.claim("crm", 1_000, 2).expect("reads");
        served.extend(due.deliveries.into_iter().map(|claim| claim.lead.source));
    }
    assert_eq!(served.len(), 6, "{served:?}");
}

pub(super) async fn the_newest_are_claimed_first_where_that_is_wanted<E: Engine>() {
    let outbox = Subject::<E>::new();
    for record in 0..8 {
        let lead = Arrival {
            received_at: 1_000 + i64::try_from(record).expect("small"),
            ..arrival(record, 1)
        };
        outbox.accept(lead).await.expect("accepted");
    }
    let wanted = |limit, newest| Wanted {
        freshness: Freshness::Fresh,
        limit,
        newest,
    };
    let at = |wanted| -> Vec<i64> {
        let due = outbox.claim_some("crm", 1_006, wanted).expect("reads");
        let claims = due.deliveries.into_iter();
        claims.map(|claim| claim.lead.received_at).collect()
    };
    assert_eq!(at(wanted(3, true)), [1_006, 1_005, 1_000], "but for one");
    assert_eq!(at(wanted(2, false)), [1_001, 1_002]);
    let again = Wanted {
        freshness: Freshness::Again,
        ..wanted(9, false)
    };
    assert!(at(again).is_empty(), "none was tried before");
}

pub(super) async fn one_delivery_is_claimed_by_its_id_due_or_not<E: Engine>() {
    let outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let claim = claims(&*outbox, 1_000).remove(0);
    let one = |sink: &str| outbox.claim_one(sink, claim.id).expect("reads");
    assert!(one("crm").is_none(), "someone has it");
    finish(&*outbox, &claim, State::Waiting { due_at: 99_000 }).await;
    let again = one("crm").expect("it waits");
    assert_eq!((again.id, again.delivery.attempts), (claim.id, 1));
    assert!(one("crm").is_none());
    finish(&*outbox, &again, State::Delivered { at: 5 }).await;
    assert!(one("crm").is_none(), "it does not wait");
    let unknown = DeliveryId(uuid::Uuid::nil());
    assert!(outbox.claim_one("crm", unknown).expect("reads").is_none());
}

pub(super) async fn a_newer_revision_is_an_update_only_if_the_sink_was_given_the_older<
    E: Engine,
>() {
    let outbox = Subject::<E>::new();
    let to = |content: u8, sinks: &[&str]| Arrival {
        content: [content; 32],
        ..lead_for(1, "shop", sinks)
    };
    outbox
        .accept(to(1, &["mail", "crm"]))
        .await
        .expect("accepted");
    let first = claims(&*outbox, 1_000).remove(0);
    assert!(!first.update);
    finish(&*outbox, &first, State::Delivered { at: 1_000 }).await;
    outbox
        .accept(to(2, &["mail", "crm"]))
        .await
        .expect("accepted");
    assert!(claims(&*outbox, 1_000).remove(0).update);
    let only = claims_of(&*outbox, "mail", 1_000);
    assert_eq!(
        (only.len(), only[0].delivery.revision),
        (1, 2),
        "the first was superseded"
    );
    assert!(!only[0].update, "this sink has not seen the lead yet");
}

pub(super) async fn a_lane_is_woken_when_something_becomes_due<E: Engine>() {
    let outbox = Subject::<E>::new();
    let (crm, mail) = (outbox.arrivals("crm"), outbox.arrivals("mail"));
    let woken = |lane: std::sync::Arc<tokio::sync::Notify>| async move {
        let wait = tokio::time::timeout(Duration::from_secs(60), lane.notified());
        wait.await.expect("woken");
    };
    outbox
        .accept(lead_for(1, "shop", &["crm", "once"]))
        .await
        .expect("accepted");
    woken(crm).await;
    // And by what follows from an attempt: its dead letter falls back.
    let claim = claims_of(&*outbox, "once", 1_000).remove(0);
    finish(&*outbox, &claim, super::pushes::dead(5)).await;
    woken(mail).await;
}
