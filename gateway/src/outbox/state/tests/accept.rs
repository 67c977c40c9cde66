//! Pushes: new, repeated, older, unwanted; and in which order their deliveries go.

use super::super::accept::REVISIONS_KEPT;
use super::*;
use crate::outbox::{Belief, Timekeeping};

const MINUTE: Millis = 60_000;

fn duplicate(accepted: Accepted) -> Option<u32> {
    match accepted {
        Accepted::Duplicate { revision, .. } => Some(revision),
        _ => None,
    }
}

#[test]
fn a_lead_is_due_at_once_and_wakes_its_sinks() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm", "mail"]));
    assert_eq!(
        store.state(lead, "crm", 1),
        Stands::Waiting { due_at: 1_000 }
    );
    assert_eq!(store.wake, ["crm", "mail"]);
    assert_eq!((store.totals.accepted, store.totals.latest), (1, 1_000));
    assert_eq!(store.memory.found[&tag(0, 1)], [lead]);
    assert_eq!(store.memory.bodies[&(lead, 1)], Bytes::from_static(&[1]));
}

#[test]
fn equal_content_is_a_duplicate_also_inside_one_commit_and_against_old_revisions() {
    let mut store = Store::new();
    let again: Vec<Change> = (0..8)
        .map(|_| Change::Accept(push(1, 1, &["crm"])))
        .collect();
    let done = store.commit(&again);
    let new = done
        .iter()
        .filter(|one| matches!(one, Ok(Done::Accepted(Accepted::New { .. }))));
    assert_eq!(new.count(), 1);
    store.accept(push(1, 2, &["crm"]));
    assert_eq!(duplicate(store.accept(push(1, 1, &["crm"]))), Some(1));
    assert_eq!((store.sink("crm").waiting, store.totals.duplicate), (2, 8));
    assert_eq!(
        store
            .log
            .iter()
            .filter(|one| matches!(one, Record::Pushed { .. }))
            .count(),
        0
    );
}

#[test]
fn a_sender_may_go_back_to_what_it_said_before_but_for_a_late_repeat() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    store.accept(push(1, 2, &["crm"]));
    let soon = store.accept(at(1_000 + 15 * MINUTE, push(1, 1, &["crm"])));
    assert_eq!(duplicate(soon), Some(1));
    // Pushed again just now, so the next one is soon too.
    let soon = store.accept(at(1_000 + 30 * MINUTE, push(1, 1, &["crm"])));
    assert_eq!(duplicate(soon), Some(1));
    let back = store.accept(at(1_001 + 45 * MINUTE, push(1, 1, &["crm"])));
    assert_eq!(
        back,
        Accepted::New {
            lead,
            revision: 3,
            history: false
        }
    );
    let current = store.accept(at(900 * MINUTE, push(1, 1, &["crm"])));
    assert_eq!(
        duplicate(current),
        Some(3),
        "what holds now is repeated for ever"
    );
    let told = store.accept(modified(7, at(1_900 * MINUTE, push(1, 2, &["crm"]))));
    assert_eq!(
        duplicate(told),
        Some(2),
        "a sender that gives times does not go back"
    );
}

#[test]
fn only_the_newest_revisions_are_compared_with() {
    let mut store = Store::new();
    for content in 0..65 {
        store.accept(modified(i64::from(content), push(1, content, &[])));
    }
    let forgotten = store.accept(modified(64, push(1, 0, &[])));
    assert!(
        matches!(forgotten, Accepted::New { revision: 66, .. }),
        "{forgotten:?}"
    );
    assert_eq!(
        duplicate(store.accept(modified(64, push(1, 2, &[])))),
        Some(3)
    );
}

#[test]
fn an_older_modification_is_kept_as_history_and_not_delivered() {
    let mut store = Store::new();
    let lead = store.new_lead(modified(2_000, push(1, 1, &["crm"])));
    let older = store.accept(modified(1_000, push(1, 2, &["crm"])));
    assert_eq!(
        older,
        Accepted::New {
            lead,
            revision: 2,
            history: true
        }
    );
    assert_eq!(store.memory.leads[&lead].deliveries.len(), 1);
    assert_eq!(store.memory.leads[&lead].modified_at, Some(2_000));
    // It never held, so what is in force is still the first.
    let current = store.accept(at(900 * MINUTE, push(1, 1, &["crm"])));
    assert_eq!(duplicate(current), Some(1));
}

#[test]
fn a_newer_revision_supersedes_waits_or_is_not_made_as_its_sink_says() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm", "mail", "once"]));
    store.accept(push(1, 2, &["crm", "mail", "once"]));
    assert_eq!(store.state(lead, "crm", 2), Stands::Behind);
    assert_eq!(
        store.state(lead, "mail", 1),
        Stands::Superseded { at: 1_000 }
    );
    assert_eq!(
        store.state(lead, "mail", 2),
        Stands::Waiting { due_at: 1_000 }
    );
    let heads = &store.memory.leads[&lead].deliveries;
    assert_eq!(heads.iter().filter(|head| head.sink == "once").count(), 1);
    assert_eq!(store.wake, ["mail"]);
    // One that is attempted is not superseded: the next waits behind it.
    store.claim(lead, "mail", 2);
    store.accept(push(1, 3, &["mail"]));
    assert_eq!(
        store.state(lead, "mail", 2),
        Stands::Waiting { due_at: 1_000 }
    );
    assert_eq!(store.state(lead, "mail", 3), Stands::Behind);
    store.accept(push(1, 4, &["mail"]));
    assert_eq!(
        store.state(lead, "mail", 3),
        Stands::Superseded { at: 1_000 }
    );
    assert_eq!(store.state(lead, "mail", 4), Stands::Behind);
}

#[test]
fn what_is_superseded_cannot_be_claimed_before_the_commit_is_over() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["mail"]));
    let first = store.head(lead, "mail", 1).id;
    let mut state = State::new(
        Ground {
            view: &store.memory,
            sinks: &store.sinks,
            ids: &store.ids,
            holds: &store.hands,
            hash: &hash,
        },
        store.totals.clone(),
    );
    state
        .apply(&Change::Accept(push(1, 2, &["mail"])))
        .expect("made");
    assert!(store.hands.is_reserved(first) && !store.hands.claim(first));
    assert_eq!(state.into_effects().reserved, [first]);
}

#[test]
fn a_sink_that_is_named_twice_gets_one_delivery() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm", "crm"]));
    assert_eq!(store.memory.leads[&lead].deliveries.len(), 1);
}

#[test]
fn a_condition_that_failed_makes_a_dead_letter_and_the_fallback_gets_the_lead() {
    let mut store = Store::new();
    let mut lead = push(1, 1, &["once", "mail"]);
    lead.routes[0].failed = Some("bad value 7".to_owned());
    let lead = store.new_lead(lead);
    let dead = store.head(lead, "once", 1);
    assert_eq!(dead.class(), Class::Dead(DeathReason::Route));
    assert!(dead.failure.is_some());
    let said = &store.memory.details[&dead.id].history[0];
    assert_eq!(
        (said.rule.as_str(), said.reason.as_str()),
        ("when", "bad value 7")
    );
    assert_eq!(
        store.head(lead, "mail", 1).fallback_of,
        Some(dead.id),
        "once, not twice"
    );
    assert_eq!(store.sink("once").dead[&DeathReason::Route], 1);
}

#[test]
fn a_re_push_of_a_lead_without_any_delivery_is_routed_again_once() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &[]));
    assert_eq!(store.totals.unrouted, 1);
    assert_eq!(duplicate(store.accept(push(1, 1, &[]))), Some(1));
    let routed = store.accept(at(2_000, push(1, 1, &["crm"])));
    assert_eq!(routed, Accepted::Routed { lead, revision: 1 });
    assert_eq!(
        (
            store.totals.unrouted,
            store.totals.accepted,
            store.totals.latest
        ),
        (0, 2, 2_000)
    );
    assert_eq!(store.memory.leads[&lead].revisions[0].pushed_at, 2_000);
    store.end(lead, "crm", 1, DELIVERED);
    assert_eq!(duplicate(store.accept(push(1, 1, &["crm"]))), Some(1));
    assert_eq!(store.totals.leads, 1);
}

#[test]
fn a_newer_revision_that_a_sink_wants_takes_the_lead_off_the_list() {
    let mut store = Store::new();
    store.accept(push(1, 1, &[]));
    store.accept(push(1, 2, &[]));
    assert_eq!(store.totals.unrouted, 1, "a lead, not its revisions");
    store.accept(push(1, 3, &["crm"]));
    assert_eq!(store.totals.unrouted, 0);
    assert_eq!(duplicate(store.accept(push(1, 1, &["crm"]))), Some(1));
}

#[test]
fn content_older_than_what_is_known_is_not_routed_again() {
    let mut store = Store::new();
    let lead = store.new_lead(modified(10, push(1, 1, &[])));
    store.accept(modified(20, push(1, 2, &[])));
    assert_eq!(
        duplicate(store.accept(modified(10, push(1, 1, &["crm"])))),
        Some(1)
    );
    let newest = store.accept(modified(20, push(1, 2, &["crm"])));
    assert_eq!(newest, Accepted::Routed { lead, revision: 2 });
}

#[test]
fn of_several_leads_with_one_identity_the_last_that_is_left_goes_on() {
    let mut store = Store::new();
    let gone = store.new_lead(push(1, 1, &[]));
    store.one(Change::Erase(gone.into()));
    let lead = store.new_lead(at(5, push(1, 1, &[])));
    // As files name them that were written anew: in no order, and one that is gone.
    store.memory.found.insert(tag(0xf0, 1), vec![lead, gone]);
    let again = store.accept(push(1, 1, &[]));
    assert_eq!(again, Accepted::Duplicate { lead, revision: 1 });
    // Two that are left, as after an import into a store of before.
    let later = store.new_lead(at(6, push(2, 1, &[])));
    store.memory.found.insert(tag(0xf0, 1), vec![later, lead]);
    let again = store.accept(push(1, 1, &[]));
    assert_eq!(
        again,
        Accepted::Duplicate {
            lead: later,
            revision: 1
        }
    );
}

#[test]
fn what_came_while_the_clock_was_far_behind_does_not_age_from_then() {
    let mut store = Store::new();
    let now = 1_000 * crate::outbox::DAY;
    let time = Timekeeping {
        belief: Belief::of(now),
        ..Timekeeping::default()
    };
    assert_eq!(store.one(Change::Time(time)), Done::Noted);
    assert_eq!((store.totals.time, store.log.len()), (time, 0));
    // Received in 1970, by that clock.
    let lead = store.new_lead(push(1, 1, &["crm"]));
    let head = store.head(lead, "crm", 1);
    assert_eq!((head.created_at, head.budget.since), (1_000, now));
    let made = lead.0.get_timestamp().expect("it has one").to_unix().0;
    assert_eq!(made, u64::try_from(now / 1_000).expect("late enough"));
    // A clock that is right, or ahead.
    let right = store.new_lead(at(now + 7, push(2, 1, &["crm"])));
    assert_eq!(store.head(right, "crm", 1).budget.since, now + 7);
}

/// A push of lead 1 that says something new.
fn change(number: u32, sinks: &[&str]) -> NewLead {
    let mut push = push(1, 0, sinks);
    push.content[..4].copy_from_slice(&number.to_be_bytes());
    push
}

fn changes(numbers: std::ops::RangeInclusive<u32>, sinks: &[&str]) -> Vec<Change> {
    let all = numbers.map(|number| Change::Accept(change(number, sinks)));
    all.collect()
}

#[test]
fn of_a_lead_that_changes_for_ever_the_newest_revisions_are_kept_and_delivered_in_order() {
    let mut store = Store::new();
    let sinks = ["crm", "mail"];
    let lead = store.new_lead(change(1, &sinks));
    let head = store.claim(lead, "crm", 1);
    store.commit(&changes(2..=REVISIONS_KEPT + 40, &sinks));
    let kept = |store: &Store| {
        let lead = &store.memory.leads[&lead];
        let first = lead.revisions[0].number;
        assert!(lead.deliveries.iter().all(|one| one.revision >= first));
        (first, lead.revisions.len())
    };
    let all = REVISIONS_KEPT as usize + 40;
    assert_eq!(kept(&store), (1, all), "an attempt is under way");
    let end = store.attempt(lead, &head, LATER, 5_000);
    store.one(Change::Finish(end));
    store.commit(&changes(REVISIONS_KEPT + 41..=REVISIONS_KEPT + 41, &sinks));
    assert_eq!(kept(&store), (42, REVISIONS_KEPT as usize));
    assert!(matches!(
        store.state(lead, "crm", 42),
        Stands::Waiting { .. }
    ));
    assert_eq!(store.state(lead, "crm", 43), Stands::Behind);
    let newest = REVISIONS_KEPT + 41;
    assert!(matches!(
        store.state(lead, "mail", newest),
        Stands::Waiting { .. }
    ));
    let crm = store.sink("crm");
    assert_eq!(
        (crm.waiting, crm.superseded),
        (u64::from(REVISIONS_KEPT), 41)
    );
    // Dead letters give way too, and no sink wants what is left.
    store.end(lead, "crm", 42, DEAD);
    store.commit(&changes(newest + 1..=newest + REVISIONS_KEPT, &[]));
    assert_eq!(kept(&store), (newest + 1, REVISIONS_KEPT as usize));
    let crm = store.sink("crm");
    assert_eq!((crm.waiting, crm.dead.values().sum::<u64>()), (0, 0));
    assert_eq!(store.totals.unrouted, 1);
}

#[test]
fn in_whatever_order_records_were_moved_the_same_revisions_are_kept() {
    let mut store = Store::new();
    let lead = store.new_lead(change(1, &["crm", "mail"]));
    let head = store.claim(lead, "crm", 1);
    store.commit(&changes(2..=REVISIONS_KEPT + 9, &["crm", "mail"]));
    let end = store.attempt(lead, &head, DELIVERED, 5_000);
    store.one(Change::Finish(end));
    store.commit(&changes(
        REVISIONS_KEPT + 10..=REVISIONS_KEPT + 20,
        &["crm"],
    ));
    let is = store.memory.leads[&lead].clone();
    let (revisions, others): (Vec<&Record>, Vec<&Record>) = (store.log.iter())
        .filter(|record| record.lead() == Some(lead))
        .partition(|record| matches!(record, Record::Revision { .. }));
    let orders = [
        others
            .iter()
            .chain(revisions.iter())
            .copied()
            .collect::<Vec<_>>(),
        revisions
            .iter()
            .rev()
            .chain(others.iter())
            .copied()
            .collect(),
        others
            .iter()
            .copied()
            .chain(revisions.iter().rev().copied())
            .collect(),
    ];
    for order in orders {
        let replayed = order.into_iter().fold(None, Lead::apply).expect("a lead");
        assert_eq!(replayed.revisions, is.revisions);
        let mut deliveries = replayed.deliveries;
        deliveries.sort_by_key(|one| one.id);
        let mut theirs = is.deliveries.clone();
        theirs.sort_by_key(|one| one.id);
        assert_eq!(deliveries, theirs);
    }
}

#[test]
fn history_does_not_push_out_what_holds() {
    let mut store = Store::new();
    let lead = store.new_lead(modified(1_000_000, change(1, &["crm"])));
    let older = (2..=REVISIONS_KEPT + 20)
        .map(|number| Change::Accept(modified(number.into(), change(number, &["crm"]))));
    store.commit(&older.collect::<Vec<_>>());
    let kept = &store.memory.leads[&lead].revisions;
    assert_eq!((kept[0].number, kept.len()), (1, REVISIONS_KEPT as usize));
    assert!(matches!(
        store.state(lead, "crm", 1),
        Stands::Waiting { .. }
    ));
    assert_eq!(store.totals.duplicate, 20);
    store.accept(modified(2_000_000, change(9_999, &["crm"])));
    let kept = &store.memory.leads[&lead].revisions;
    assert_eq!((kept[0].number, kept.len()), (2, REVISIONS_KEPT as usize));
}
