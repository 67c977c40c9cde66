//! What is old, what is found, what is known of one.

use super::*;
use crate::outbox::sled::indexed::IndexedPush;
use crate::outbox::{Expiring, Retention, made_at};

const KEEP: Retention = Retention {
    done_ms: 1_000,
    dead_ms: 5_000,
    dead_by: Millis::MAX,
};

impl World {
    fn quarantine(&mut self, received_at: Millis) -> QuarantineId {
        let id = QuarantineId(self.id(received_at));
        let push = IndexedPush {
            head: QuarantineHead {
                source: "shop".to_owned(),
                size: 9,
                received_at,
                tags: [[0; 17]; 2],
            },
            place: self.place(),
            segments: Vec::new(),
        };
        let mut projection = Projection::default();
        projection.quarantined(id, None, Some(&push));
        let index = &self.catalog.index;
        index.apply(projection.changes(|key| index.get(key)).expect("reads"));
        id
    }
}

#[test]
fn quarantined_pushes_are_listed_oldest_first_and_leave_by_age() {
    let mut world = World::new(1);
    let ids: Vec<_> = (0..5).map(|at| world.quarantine(T + at * 100)).collect();
    let reader = world.reader();
    let first = reader.quarantined_pushes(None, 2).expect("reads");
    let next = first.next.expect("more");
    assert!(continues(crate::outbox::Paged::Quarantine, &next));
    let rest = reader.quarantined_pushes(Some(&next), 9).expect("reads");
    assert!(rest.next.is_none());
    let listed = first.items.iter().chain(&rest.items).map(|push| push.id);
    assert_eq!(listed.collect::<Vec<_>>(), ids);
    let old = |now, keep| reader.old_quarantined(keep, now, 10).expect("reads");
    assert_eq!(old(T + 5_200, KEEP), ids[..3]);
    let not_announced = Retention {
        dead_by: T + 5_000,
        ..KEEP
    };
    assert_eq!(old(T + 5_200, not_announced), ids[..1]);
    assert_eq!(
        reader.old_quarantined(KEEP, T + 5_200, 2).expect("reads"),
        ids[..2]
    );
}

#[test]
fn old_leads_are_given_in_steps_over_all_sources_and_once_each() {
    let world = World::filled(2, 60);
    let now = T + 500 + KEEP.done_ms;
    let (mut given, mut from) = (Vec::new(), None);
    loop {
        let (some, next) = world.reader().old_leads(KEEP, now, from, 7).expect("reads");
        given.extend(some);
        match next {
            Some(_) => from = next,
            None => break,
        }
    }
    let old = world.leads.keys().filter(|id| made_at(id.0) <= T + 500);
    assert_eq!(given, old.copied().collect::<Vec<_>>());
    assert!(given.len() > 7 && given.len() < 60);
}

#[test]
fn what_leaves_soon_is_counted_with_when_the_first_does() {
    let mut world = World::filled(3, 60);
    for at in [T + 300, T + 700] {
        world.quarantine(at);
    }
    let until = T + 500 + KEEP.dead_ms;
    let dead = world.deliveries().into_iter().filter_map(|(_, head)| {
        let State::Dead { at: died, .. } = head.state else {
            return None;
        };
        Some(died + KEEP.dead_ms).filter(|ends| *ends <= until)
    });
    let dead: Vec<Millis> = dead.collect();
    let first = dead.iter().copied().chain([T + 300 + KEEP.dead_ms]).min();
    let naive = Expiring {
        dead_letters: dead.len() as u64,
        quarantine: 1,
        first,
    };
    assert!(!dead.is_empty());
    assert_eq!(world.reader().expiring(KEEP, until).expect("reads"), naive);
}

#[test]
fn only_leads_that_are_stored_are_found_however_many_are_gone() {
    let mut world = World::filled(4, 30);
    let all: Vec<LeadId> = world.leads.keys().copied().collect();
    let tag = [3; 17];
    let ids = all.iter().rev().map(|id| id.0).collect();
    world.journal.tags.borrow_mut().insert(tag, ids);
    let (gone, stay) = all.split_at(25);
    // What is gone is found first.
    let mut ids: Vec<Uuid> = gone.iter().map(|id| id.0).collect();
    ids.extend(stay.iter().rev().map(|id| id.0));
    world.journal.tags.borrow_mut().insert(tag, ids);
    world.commit(gone.iter().map(|id| (*id, None)).collect());
    let found = world.reader().find(&tag, 10).expect("reads");
    assert_eq!(found, stay);
    assert_eq!(world.reader().find(&tag, 2).expect("reads").len(), 2);
    assert!(world.reader().find(&[9; 17], 2).expect("reads").is_empty());
}

#[test]
fn a_lead_is_shown_with_all_of_it_and_a_delivery_by_its_id() {
    let world = World::filled(5, 40);
    let reader = world.reader();
    for (id, lead) in &world.leads {
        let history = reader.history(*id).expect("reads").expect("stored");
        assert_eq!(history.revisions.len(), lead.lead.revisions.len());
        let mut ids: Vec<_> = lead.lead.deliveries.iter().map(|head| head.id).collect();
        ids.sort_unstable();
        assert!(history.deliveries.iter().map(|one| one.id).eq(ids));
        for one in &history.deliveries {
            let delivery = reader.delivery(one.id).expect("reads").expect("stored");
            assert_eq!(delivery, one.delivery);
            assert_eq!(delivery.lead, *id);
            let inflight = world.claims.is_claimed(one.id);
            assert_eq!(one.state == StateName::InFlight, inflight);
        }
        let newest = reader.lead(*id, 0).expect("reads").expect("stored");
        assert_eq!(
            (newest.revision, newest.source),
            (1, lead.lead.source.clone())
        );
        assert!(reader.lead(*id, 2).expect("reads").is_none());
    }
    let nobody = LeadId(Uuid::from_u128(1));
    assert!(reader.history(nobody).expect("reads").is_none());
    assert!(
        reader
            .delivery(DeliveryId(nobody.0))
            .expect("reads")
            .is_none()
    );
}

#[test]
fn the_oldest_that_waits_is_of_any_source_and_state() {
    let world = World::filled(6, 60);
    for sink in SINKS {
        let all = world.deliveries().into_iter();
        let waiting = all.filter(|(_, head)| head.sink == sink && head.state.is_waiting());
        let naive = waiting.map(|(_, head)| head.created_at).min();
        assert_eq!(world.reader().oldest(sink).expect("reads"), naive, "{sink}");
    }
}
