//! What leaves, and what another store brings.

use super::*;
use crate::outbox::{DAY, Erased, Retention};

const KEEP: Retention = Retention {
    done_ms: 10 * DAY,
    dead_ms: 20 * DAY,
    dead_by: Millis::MAX,
};

fn expire(store: &mut Store, lead: LeadId, now: Millis, keep: Retention) -> Option<u64> {
    match store.one(Change::Expire { lead, keep, now }) {
        Done::Expired(expired) => expired,
        other => panic!("{other:?}"),
    }
}

/// Tried once at each of these sinks.
fn gone(lead: LeadId, sinks: &[&str]) -> Done {
    let sinks = sinks.iter();
    Done::Erased(Erased {
        leads: vec![lead],
        attempts: sinks.map(|sink| ((lead, (*sink).to_owned()), 1)).collect(),
        ..Erased::default()
    })
}

fn in_flight(lead: LeadId) -> Done {
    Done::Erased(Erased {
        in_flight: vec![lead],
        ..Erased::default()
    })
}

#[test]
fn an_erased_lead_is_gone_with_everything_and_new_when_it_comes_again_even_at_once() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm"]));
    store.end(lead, "crm", 1, LATER);
    let done = store.commit(&[
        Change::Erase(lead.into()),
        Change::Erase(lead.into()),
        Change::Accept(push(1, 1, &["crm"])),
        Change::Accept(push(1, 1, &["crm"])),
    ]);
    assert_eq!(done[0].as_ref().ok(), Some(&gone(lead, &["crm"])));
    let nothing = Done::Erased(Erased::default());
    assert_eq!(done[1].as_ref().ok(), Some(&nothing));
    let Ok(Done::Accepted(Accepted::New {
        lead: again,
        revision: 1,
        ..
    })) = done[2]
    else {
        panic!("{done:?}");
    };
    assert!(
        matches!(done[3], Ok(Done::Accepted(Accepted::Duplicate { lead, .. })) if lead == again)
    );
    assert!(again != lead && store.memory.leads.len() == 1);
    assert_eq!(store.memory.bodies.len(), 1);
    let gone = store
        .log
        .iter()
        .any(|record| matches!(record, Record::LeadGone { erased: true, .. }));
    assert!(gone);
}

#[test]
fn a_lead_that_is_attempted_is_not_erased() {
    let mut store = Store::new();
    let lead = store.new_lead(push(1, 1, &["crm", "mail"]));
    let head = store.claim(lead, "mail", 1);
    assert_eq!(store.one(Change::Erase(lead.into())), in_flight(lead));
    assert!(
        !store.hands.is_reserved(store.head(lead, "crm", 1).id),
        "the commit is over"
    );
    store.hands.unclaim(&[head.id]);
    assert_eq!(store.one(Change::Erase(lead.into())), gone(lead, &[]));
}

#[test]
fn what_is_over_leaves_after_its_time_and_nothing_else_does() {
    let mut store = Store::new();
    let done = store.new_lead(push(1, 1, &["crm"]));
    let dead = store.new_lead(push(2, 1, &["crm", "mail"]));
    let waits = store.new_lead(push(3, 1, &["crm"]));
    let unwanted = store.new_lead(push(4, 1, &[]));
    store.end(done, "crm", 1, DELIVERED);
    store.end(dead, "crm", 1, DEAD);
    store.end(dead, "mail", 1, DELIVERED);
    assert_eq!(expire(&mut store, done, 10 * DAY + 4_999, KEEP), None);
    assert_eq!(expire(&mut store, done, 10 * DAY + 5_000, KEEP), Some(0));
    assert_eq!(expire(&mut store, unwanted, 10 * DAY + 999, KEEP), None);
    assert_eq!(
        expire(&mut store, unwanted, 10 * DAY + 1_000, KEEP),
        Some(0)
    );
    assert_eq!(expire(&mut store, dead, 20 * DAY, KEEP), None);
    let untold = Retention {
        dead_by: 20 * DAY,
        ..KEEP
    };
    assert_eq!(
        expire(&mut store, dead, 30 * DAY, untold),
        None,
        "not announced yet"
    );
    assert_eq!(expire(&mut store, dead, 20 * DAY + 5_000, KEEP), Some(1));
    assert_eq!(
        expire(&mut store, waits, 900 * DAY, KEEP),
        None,
        "however old"
    );
    assert_eq!(
        expire(&mut store, done, 900 * DAY, KEEP),
        None,
        "it is not there"
    );
    assert_eq!(
        (store.totals.leads, store.sink("crm").dead_letters()),
        (1, 0)
    );
    assert_eq!(
        store.sink("crm").delivered,
        1,
        "it was delivered all the same"
    );
}

#[test]
fn a_late_revision_keeps_its_lead() {
    let mut store = Store::new();
    let lead = store.new_lead(modified(20, push(1, 1, &["crm"])));
    store.end(lead, "crm", 1, DELIVERED);
    store.accept(modified(10, at(5 * DAY, push(1, 2, &["crm"]))));
    assert_eq!(expire(&mut store, lead, 14 * DAY, KEEP), None);
    assert_eq!(expire(&mut store, lead, 15 * DAY, KEEP), Some(0));
}

/// A lead as another store exports it, under an identity.
fn loaded(store: &Store, from: LeadId, as_id: LeadId, identity: u64) -> Change {
    let lead = &store.memory.leads[&from];
    let revisions = lead.revisions.iter().map(|revision| Record::Revision {
        lead: as_id,
        source: "shop".to_owned(),
        identity: tag(0xf0, identity),
        revision: revision.clone(),
        finds: vec![tag(0, 1)],
        body: store.memory.bodies[&(from, revision.number)].clone(),
    });
    let deliveries = lead.deliveries.iter().map(|head| Record::Delivery {
        lead: as_id,
        delivery: DeliveryHead {
            failure: None,
            ..head.clone()
        },
        details: store.memory.details.get(&head.id).cloned(),
    });
    Change::Load(revisions.chain(deliveries).collect())
}

#[test]
fn a_lead_of_another_store_is_what_it_was_there_and_is_loaded_once() {
    let mut old = Store::new();
    let lead = old.new_lead(modified(20, push(1, 1, &["crm", "mail"])));
    old.accept(modified(10, push(1, 2, &["crm"])));
    old.end(lead, "crm", 1, DEAD);
    old.end(lead, "mail", 1, DELIVERED);
    let told = || loaded(&old, lead, lead, 1);
    let mut new = Store::new();
    let done = new.commit(&[told(), told()]);
    assert!(matches!(
        done[..],
        [Ok(Done::Did(true)), Ok(Done::Did(false))]
    ));
    assert!(new.memory.leads == old.memory.leads);
    assert!(new.memory.details == old.memory.details && new.memory.bodies == old.memory.bodies);
    assert_eq!(new.one(told()), Done::Did(false));
    assert_eq!(
        new.accept(push(1, 1, &["crm"])),
        Accepted::Duplicate { lead, revision: 1 }
    );
    // Under its id, but another identity; and the other way round.
    let other = loaded(&old, lead, lead, 2);
    assert_eq!(new.one(other), Done::Did(false));
    let other = loaded(&old, lead, LeadId(uuid::Uuid::max()), 1);
    assert_eq!(new.one(other), Done::Did(false));
}

#[test]
fn a_lead_that_was_just_loaded_can_be_repaired_in_the_same_commit() {
    let mut old = Store::new();
    let lead = old.new_lead(push(1, 1, &["crm"]));
    old.end(lead, "crm", 1, DEAD);
    let head = old.head(lead, "crm", 1);
    let repair = |repair| Change::Repair {
        id: head.id,
        repair,
        now: 7_000,
    };
    let mut new = Store::new();
    let done = new.commit(&[
        loaded(&old, lead, lead, 1),
        repair(Repair::Cancel),
        repair(RETRY),
    ]);
    for one in &done[1..] {
        assert!(
            matches!(one, Ok(Done::Repaired(Repaired::Done))),
            "{done:?}"
        );
    }
    let again = new.head(lead, "crm", 1);
    assert_eq!(
        (again.class(), again.failure),
        (Class::Retrying, head.failure)
    );
}
