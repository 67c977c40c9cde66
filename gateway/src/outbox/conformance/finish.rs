//! Promise 3: an end of an attempt is atomic; a crash repeats an attempt and never loses a
//! delivery, whose id is the same over all attempts.

use super::engine::Engine;
use super::pushes::{arrival, claims, claims_of, dead, finish, lead_for};
use super::subject::Subject;
use crate::clock::Millis;
use crate::outbox::{Intake, Operations, Queue, State};

pub(super) async fn a_delivery_moves_from_waiting_to_retry_to_done_and_counts_follow<E: Engine>() {
    let outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let first = claims(&*outbox, 1_000).remove(0);
    finish(&*outbox, &first, State::Waiting { due_at: 9_000 }).await;
    assert!(claims(&*outbox, 8_999).is_empty());
    let later = outbox.claim("crm", 8_999, 10).expect("readable");
    assert_eq!(later.next, Some(9_000));
    assert_eq!(outbox.totals().sinks["crm"].retrying, 1);

    let second = claims(&*outbox, 9_000).remove(0);
    assert_eq!(second.id, first.id, "the id is stable over attempts");
    finish(&*outbox, &second, State::Delivered { at: 9_001 }).await;
    assert!(claims(&*outbox, Millis::MAX).is_empty());
    let totals = outbox.totals().sinks["crm"].clone();
    assert_eq!(
        (totals.waiting, totals.retrying, totals.delivered),
        (0, 0, 1)
    );
    let stored = outbox.delivery(first.id).expect("readable").expect("kept");
    assert_eq!((stored.attempts, stored.history.len()), (2, 2));
}

pub(super) async fn finishing_twice_changes_nothing<E: Engine>() {
    let outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let claim = claims(&*outbox, 1_000).remove(0);
    finish(&*outbox, &claim, dead(1)).await;
    finish(&*outbox, &claim, State::Delivered { at: 2 }).await;
    let totals = outbox.totals().sinks["crm"].clone();
    assert_eq!(
        (totals.waiting, totals.delivered, totals.dead_letters()),
        (0, 0, 1)
    );
}

pub(super) async fn a_crash_repeats_attempts_and_loses_no_delivery<E: Engine>() {
    const LEADS: u64 = 60;
    let mut outbox = Subject::<E>::new();
    for record in 0..LEADS {
        outbox.accept(arrival(record, 1)).await.expect("accepted");
    }
    let claims = claims(&*outbox, 1_000);
    for claim in &claims[..40] {
        finish(&*outbox, claim, State::Delivered { at: 5 }).await;
    }
    outbox.crash();
    let totals = outbox.totals().sinks["crm"].clone();
    assert_eq!(totals.waiting + totals.delivered, LEADS);
    let again = claims_of(&*outbox, "crm", 1_000);
    assert_eq!(again.len() as u64, totals.waiting);
    for claim in &again {
        let known = claims.iter().find(|one| one.id == claim.id);
        assert_eq!(claim.delivery, known.expect("the same id").delivery);
        finish(&*outbox, claim, State::Delivered { at: 6 }).await;
    }
    assert_eq!(outbox.totals().sinks["crm"].delivered, LEADS);
    // What was told after them is durable, so they are as well.
    outbox.accept(arrival(LEADS, 1)).await.expect("accepted");
    outbox.crash();
    assert_eq!(outbox.totals().sinks["crm"].delivered, LEADS);
    assert_eq!(outbox.totals().sinks["crm"].waiting, 1);
}

pub(super) async fn a_dead_letter_goes_to_the_fallback_once<E: Engine>() {
    let outbox = Subject::<E>::new();
    outbox
        .accept(lead_for(1, "shop", &["once"]))
        .await
        .expect("accepted");
    let claim = claims_of(&*outbox, "once", 1_000).remove(0);
    finish(&*outbox, &claim, dead(2_000)).await;
    finish(&*outbox, &claim, dead(2_000)).await;
    let fallback = claims_of(&*outbox, "mail", 9_000);
    assert_eq!(fallback.len(), 1);
    assert_eq!(fallback[0].delivery.fallback_of, Some(claim.id));
    assert_eq!(outbox.totals().sinks["once"].dead_letters(), 1);
}

pub(super) async fn a_step_record_is_there_after_a_crash_and_ended_deliveries_take_none<
    E: Engine,
>() {
    let mut outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let claim = claims(&*outbox, 2_000).remove(0);
    let keep = outbox.keep("crm", claim.id, "{\"party\":7}".to_owned());
    keep.await.expect("kept");
    outbox.crash();
    let again = claims(&*outbox, 2_000).remove(0);
    assert_eq!((again.id, again.delivery.attempts), (claim.id, 0));
    assert_eq!(again.delivery.journal, "{\"party\":7}");
    finish(&*outbox, &claim, State::Delivered { at: 5 }).await;
    let late = outbox.keep("crm", claim.id, "late".to_owned());
    late.await.expect("nothing to do");
    let ended = outbox.delivery(claim.id).expect("reads").expect("is there");
    assert_eq!(
        (ended.state, ended.journal.as_str()),
        (State::Delivered { at: 5 }, "")
    );
    assert!(claims(&*outbox, 2_000).is_empty());
}
