//! Ends of attempts and decisions of a person, and what follows from them.

use super::*;

#[test]
fn a_delivery_moves_from_waiting_to_retry_to_done_and_counts_follow() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    let first = store.head(lead, "crm", 1);
    store.end(lead, "crm", 1, LATER);
    let retrying = store.head(lead, "crm", 1);
    assert_eq!((retrying.id, retrying.class()), (first.id, Class::Retrying));
    assert!(retrying.failure.is_some());
    assert_eq!(
        (store.sink("crm").waiting, store.sink("crm").retrying),
        (1, 1)
    );
    assert_eq!(
        (store.wake.as_slice(), store.totals.latest),
        (["crm".to_owned()].as_slice(), 5_000)
    );
    store.end(lead, "crm", 1, DELIVERED);
    let counts = store.sink("crm");
    assert_eq!(
        (counts.waiting, counts.retrying, counts.delivered),
        (0, 0, 1)
    );
    assert_eq!(store.memory.details[&first.id].history.len(), 2);
}

#[test]
fn failures_that_differ_by_a_number_are_one_group_and_others_are_not() {
    let mut store = Store::new();
    let mut keys = Vec::new();
    for (record, status) in [(1, 500), (2, 500), (3, 502)] {
        let lead = store.new_lead(push(record, 1, &["crm"]));
        let head = store.claim(lead, "crm", 1);
        let mut finish = store.attempt(lead, &head, LATER, 5_000);
        let last = finish.delivery.history.last_mut().expect("an attempt");
        last.reason = format!("answered {status}: request 77{record}4413a failed");
        store.one(Change::Finish(finish));
        keys.push(store.head(lead, "crm", 1).failure.expect("a group"));
    }
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[0], keys[2]);
}

#[test]
fn finishing_twice_changes_nothing_and_still_ends_the_claim() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    let head = store.claim(lead, "crm", 1);
    let dead = store.attempt(lead, &head, DEAD, 5);
    let late = store.attempt(lead, &head, DELIVERED, 6);
    store.commit(&[Change::Finish(dead), Change::Finish(late.clone())]);
    assert_eq!(store.state(lead, "crm", 1), DEAD);
    assert!(store.hands.claim(head.id));
    store.one(Change::Finish(late));
    assert!(!store.hands.is_claimed(head.id));
    let counts = store.sink("crm");
    assert_eq!(
        (counts.waiting, counts.delivered, counts.dead_letters()),
        (0, 0, 1)
    );
}

#[test]
fn an_end_that_is_refused_leaves_the_claim() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    let head = store.claim(lead, "crm", 1);
    store.memory.damaged.insert(lead);
    let finish = store.attempt(lead, &head, DELIVERED, 9_000);
    let done = store.commit(&[Change::Finish(finish)]);
    assert!(matches!(done[0], Err(Fault::Record(_))));
    assert!(store.hands.is_claimed(head.id));
    assert_eq!(store.totals.latest, 1_000);
}

#[test]
fn a_step_record_is_kept_for_the_next_attempt_and_ended_deliveries_take_none() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    let head = store.claim(lead, "crm", 1);
    let keep = |journal: &str| Change::Keep {
        sink: "crm".into(),
        id: head.id,
        journal: journal.to_owned(),
    };
    store.commit(&[keep("one"), keep("two")]);
    assert_eq!(store.memory.details[&head.id].journal, "two");
    assert_eq!((store.wake.len(), store.sink("crm").waiting), (0, 1));
    assert!(store.hands.is_claimed(head.id), "the attempt goes on");
    let mut finish = store.attempt(lead, &head, DELIVERED, 5_000);
    finish.delivery.journal = "three".to_owned();
    store.commit(&[Change::Finish(finish), keep("late")]);
    assert_eq!(store.memory.details[&head.id].journal, "three");
    let other = store.commit(&[Change::Keep {
        sink: "nobody".into(),
        id: head.id,
        journal: String::new(),
    }]);
    assert!(matches!(other[0], Err(Fault::Sink(_))));
}

#[test]
fn the_next_revision_goes_when_the_one_before_it_has_ended() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    store.accept(push(1, 2, &["crm"]));
    store.accept(push(1, 3, &["crm"]));
    store.end(lead, "crm", 1, LATER);
    assert_eq!(store.state(lead, "crm", 2), Stands::Behind, "each in order");
    store.end(lead, "crm", 1, DEAD);
    assert_eq!(
        store.state(lead, "crm", 2),
        Stands::Waiting { due_at: 5_000 }
    );
    assert_eq!(store.state(lead, "crm", 3), Stands::Behind);
    let second = store.head(lead, "crm", 2).id;
    assert_eq!(store.repair(second, Repair::Cancel, 7_000), Repaired::Done);
    assert_eq!(
        store.state(lead, "crm", 3),
        Stands::Waiting { due_at: 7_000 }
    );
    store.end(lead, "crm", 3, DELIVERED);
    assert_eq!(
        store.state(lead, "crm", 1),
        DEAD,
        "each revision is wanted: one is missing"
    );
}

#[test]
fn what_would_wait_for_a_retry_gives_way_to_a_newer_revision() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["mail"]));
    let head = store.claim(lead, "mail", 1);
    store.accept(push(1, 2, &["mail"]));
    let finish = store.attempt(lead, &head, LATER, 5_000);
    store.one(Change::Finish(finish));
    assert_eq!(
        store.state(lead, "mail", 1),
        Stands::Superseded { at: 5_000 }
    );
    assert_eq!(
        store.state(lead, "mail", 2),
        Stands::Waiting { due_at: 5_000 }
    );
    assert_eq!(store.sink("mail").superseded, 1);
}

#[test]
fn a_dead_letter_is_over_once_a_newer_revision_is_delivered() {
    for dies_first in [true, false] {
        let mut store = Store::new();
        let lead = store.new_lead(push(1, 1, &["mail"]));
        store.end(lead, "mail", 1, DEAD);
        store.accept(push(1, 2, &["mail"]));
        if dies_first {
            store.end(lead, "mail", 2, DELIVERED);
        } else {
            let first = store.head(lead, "mail", 1).id;
            assert_eq!(store.repair(first, RETRY, 6_000), Repaired::Newer);
            assert_eq!(store.repair(first, FORCE, 6_000), Repaired::Done);
            store.end(lead, "mail", 2, DELIVERED);
            assert_eq!(store.head(lead, "mail", 1).class(), Class::Retrying);
            store.end(lead, "mail", 1, DEAD);
        }
        assert_eq!(
            store.state(lead, "mail", 1),
            Stands::Superseded { at: 5_000 }
        );
        assert_eq!(store.sink("mail").dead_letters(), 0);
    }
}

#[test]
fn a_dead_letter_goes_to_the_fallback_once() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["once"]));
    store.end(lead, "once", 1, DEAD);
    let dead = store.head(lead, "once", 1);
    let fallback = store.head(lead, "mail", 1);
    assert_eq!(fallback.fallback_of, Some(dead.id));
    assert_eq!(fallback.state, Stands::Waiting { due_at: 5_000 });
    store.end(lead, "mail", 1, DELIVERED);
    assert_eq!(store.repair(dead.id, RETRY, 7_000), Repaired::Done);
    store.end(lead, "once", 1, DEAD);
    assert_eq!(store.memory.leads[&lead].deliveries.len(), 2);
}

#[test]
fn a_retried_dead_letter_starts_with_a_fresh_budget() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    let head = store.claim(lead, "crm", 1);
    assert_eq!(
        store.repair(head.id, Repair::Cancel, 2_000),
        Repaired::InFlight
    );
    let finish = store.attempt(lead, &head, DEAD, 5_000);
    store.one(Change::Finish(finish));
    assert_eq!(store.repair(head.id, RETRY, 7_000), Repaired::Done);
    let again = store.head(lead, "crm", 1);
    assert_eq!(
        (again.attempts, again.budget.spent, again.budget.since),
        (1, 1, 7_000)
    );
    assert_eq!(again.state, Stands::Waiting { due_at: 7_000 });
    assert_eq!(store.wake, ["crm"]);
    store.end(lead, "crm", 1, DELIVERED);
    assert_eq!(store.repair(head.id, RETRY, 8_000), Repaired::Over);
    assert_eq!(store.repair(head.id, FORCE, 8_000), Repaired::Done);
    assert_eq!(
        store.head(lead, "crm", 1).failure,
        None,
        "its last attempt did not fail"
    );
    let unknown = DeliveryId(uuid::Uuid::nil());
    assert_eq!(store.repair(unknown, RETRY, 8_000), Repaired::Unknown);
}

#[test]
fn a_cancelled_delivery_has_no_failure_and_gets_it_back_with_a_retry() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    store.end(lead, "crm", 1, LATER);
    let failed = store.head(lead, "crm", 1);
    assert_eq!(
        store.repair(failed.id, Repair::Cancel, 6_000),
        Repaired::Done
    );
    assert_eq!(store.head(lead, "crm", 1).failure, None);
    assert_eq!(
        store.repair(failed.id, Repair::Cancel, 6_000),
        Repaired::Over
    );
    assert_eq!(store.repair(failed.id, RETRY, 7_000), Repaired::Done);
    assert_eq!(store.head(lead, "crm", 1).failure, failed.failure);
}

#[test]
fn a_retry_waits_behind_an_earlier_revision_and_one_behind_is_left_there() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    store.end(lead, "crm", 1, DEAD);
    store.accept(push(1, 2, &["crm"]));
    store.end(lead, "crm", 2, DEAD);
    let (first, second) = (store.head(lead, "crm", 1).id, store.head(lead, "crm", 2).id);
    assert_eq!(store.repair(first, RETRY, 7_000), Repaired::Done);
    assert_eq!(store.repair(second, RETRY, 7_000), Repaired::Done);
    assert_eq!(store.state(lead, "crm", 2), Stands::Behind);
    assert_eq!(store.repair(second, RETRY, 7_000), Repaired::Done);
    assert_eq!(store.state(lead, "crm", 2), Stands::Behind);
    store.end(lead, "crm", 1, DELIVERED);
    let second = store.head(lead, "crm", 2);
    assert_eq!(second.class(), Class::Retrying);
    assert!(second.failure.is_some(), "read from its attempts");
}

#[test]
fn a_sink_that_is_not_configured_is_not_retried_but_may_be_cancelled() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["gone"]));
    let id = store.head(lead, "gone", 1).id;
    assert_eq!(store.repair(id, RETRY, 7_000), Repaired::NoSink);
    assert_eq!(store.repair(id, Repair::Cancel, 7_000), Repaired::Done);
    assert_eq!(store.sink("gone").cancelled, 1);
}
