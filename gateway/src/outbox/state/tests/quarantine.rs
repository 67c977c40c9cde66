//! Quarantine: each once, no more than may be, released or discarded.

use super::*;
use crate::config::Ceiling;
use crate::outbox::{QuarantineId, Quarantined};

fn odd(signature: u64, content: u64) -> NewQuarantined {
    NewQuarantined {
        source: "shop".into(),
        tags: [tag(0xf1, signature), tag(0xf1, 1_000 + content)],
        size: 10,
        received_at: 7,
        ceiling: Ceiling {
            max_entries: 3,
            max_bytes: 25,
        },
        body: Bytes::from_static(b"odd"),
    }
}

fn quarantine(store: &mut Store, push: NewQuarantined) -> Quarantined {
    match store.one(Change::Quarantine(push)) {
        Done::Quarantined(done) => done,
        other => panic!("{other:?}"),
    }
}

fn kept(store: &mut Store, push: NewQuarantined) -> QuarantineId {
    match quarantine(store, push) {
        Quarantined::New(id) => id,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_signature_or_content_is_kept_once_also_inside_one_commit() {
    let mut store = Store::new();
    let done = store.commit(&[
        Change::Quarantine(odd(1, 1)),
        Change::Quarantine(odd(1, 2)),
        Change::Quarantine(odd(2, 1)),
    ]);
    assert!(matches!(
        done[0],
        Ok(Done::Quarantined(Quarantined::New(_)))
    ));
    for one in &done[1..] {
        assert!(matches!(one, Ok(Done::Quarantined(Quarantined::Duplicate))));
    }
    assert_eq!(quarantine(&mut store, odd(1, 9)), Quarantined::Duplicate);
    let totals = &store.totals;
    assert_eq!(
        (totals.quarantined, totals.duplicate, totals.in_quarantine),
        (1, 3, 1)
    );
}

#[test]
fn beyond_the_ceiling_pushes_are_only_counted_until_everything_was_looked_at() {
    let mut store = Store::new();
    let first = kept(&mut store, odd(1, 1));
    let second = kept(&mut store, odd(2, 2));
    for at in [20, 30] {
        let more = NewQuarantined {
            received_at: at,
            ..odd(3, 3)
        };
        assert_eq!(quarantine(&mut store, more), Quarantined::Full, "by bytes");
    }
    let count = &store.memory.quarantine_counts["shop"];
    assert_eq!((count.entries, count.bytes, count.not_kept), (2, 20, 2));
    assert_eq!((count.first_not_kept_at, count.last_not_kept_at), (20, 30));
    let other = NewQuarantined {
        source: "other".into(),
        ..odd(4, 4)
    };
    kept(&mut store, other);
    assert_eq!(store.one(Change::Discard(first)), Done::Did(true));
    assert_eq!(store.memory.quarantine_counts["shop"].not_kept, 2);
    let small = |signature| NewQuarantined {
        size: 1,
        ..odd(signature, signature)
    };
    kept(&mut store, small(5));
    kept(&mut store, small(6));
    assert_eq!(
        quarantine(&mut store, small(7)),
        Quarantined::Full,
        "by number"
    );
    let left: Vec<QuarantineId> = store.memory.quarantine.keys().copied().collect();
    for id in left {
        assert_eq!(store.one(Change::Discard(id)), Done::Did(true));
    }
    assert_eq!(store.memory.quarantine_counts["shop"].not_kept, 0);
    assert_eq!(store.one(Change::Discard(second)), Done::Did(false));
    kept(&mut store, odd(1, 1));
    assert_eq!(store.totals.in_quarantine, 1, "what left is forgotten");
}

#[test]
fn a_push_is_released_as_a_lead_that_begins_now() {
    let mut store = Store::new();
    let id = kept(&mut store, odd(1, 1));
    let lead = NewLead {
        now: 7_000,
        ..push(9, 9, &["crm"])
    };
    let release = || Change::Release {
        id,
        lead: lead.clone(),
    };
    let done = store.commit(&[release(), release()]);
    let Ok(Done::Released(Some(Accepted::New { lead, .. }))) = done[0] else {
        panic!("{done:?}");
    };
    assert!(matches!(done[1], Ok(Done::Released(None))));
    let revision = &store.memory.leads[&lead].revisions[0];
    assert_eq!((revision.received_at, revision.pushed_at), (1_000, 7_000));
    let head = store.head(lead, "crm", 1);
    assert_eq!((head.created_at, head.budget.since), (7_000, 7_000));
    assert_eq!(
        (store.totals.in_quarantine, store.totals.latest),
        (0, 7_000)
    );
}

#[test]
fn a_release_that_fails_leaves_the_push_in_quarantine() {
    let mut store = Store::new();
    let id = kept(&mut store, odd(1, 1));
    let done = store.commit(&[Change::Release {
        id,
        lead: push(9, 9, &["crm", "nobody"]),
    }]);
    assert!(matches!(&done[0], Err(Fault::Sink(name)) if name == "nobody"));
    assert_eq!((store.totals.in_quarantine, store.totals.leads), (1, 0));
    assert_eq!(store.memory.quarantine_counts["shop"].entries, 1);
    // Nor do the changes behind it in its commit see anything of it.
    let done = store.commit(&[
        Change::Release {
            id,
            lead: push(9, 9, &["nobody"]),
        },
        Change::Quarantine(odd(1, 1)),
        Change::Discard(id),
    ]);
    assert!(done[0].is_err());
    assert!(matches!(
        done[1],
        Ok(Done::Quarantined(Quarantined::Duplicate))
    ));
    assert!(matches!(done[2], Ok(Done::Did(true))));
}

#[test]
fn a_push_of_another_store_is_loaded_once() {
    let mut old = Store::new();
    let id = kept(&mut old, odd(1, 1));
    let (head, body) = old.memory.quarantine[&id].clone();
    let told = || {
        Change::Load(vec![Record::Quarantined {
            id,
            head: head.clone(),
            body: body.clone(),
        }])
    };
    let mut new = Store::new();
    let done = new.commit(&[told(), told()]);
    assert!(matches!(
        done[..],
        [Ok(Done::Did(true)), Ok(Done::Did(false))]
    ));
    assert_eq!(quarantine(&mut new, odd(5, 1)), Quarantined::Duplicate);
    assert_eq!(new.totals.quarantined, 1);
}
