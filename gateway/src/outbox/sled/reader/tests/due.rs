//! What is claimed, and in which order.

use super::*;
use crate::outbox::{Freshness, Wanted};

fn wanted(freshness: Freshness, limit: usize, newest: bool) -> Wanted {
    Wanted {
        freshness,
        limit,
        newest,
    }
}

impl World {
    /// A lead with one delivery that waits.
    fn waiting(&mut self, source: &str, due_at: Millis) -> DeliveryId {
        let head = self.delivery("crm", due_at, State::Waiting { due_at });
        let id = head.id;
        let lead = self.lead(source, vec![head]);
        self.put(lead);
        id
    }

    fn claim(&self, wanted: Wanted, now: Millis) -> crate::outbox::Due {
        self.reader().claim_some("crm", now, wanted).expect("reads")
    }
}

#[test]
fn sources_are_served_in_turn_the_oldest_of_each_first() {
    let mut world = World::new(1);
    let old: Vec<_> = (0..50).map(|at| world.waiting("old", T + at)).collect();
    let fresh: Vec<_> = (0..3)
        .map(|at| world.waiting("fresh", T + 90 + at))
        .collect();
    let due = world.claim(wanted(Freshness::Fresh, 6, false), T + 100);
    let of = |source: &str| -> Vec<DeliveryId> {
        let claims = due.deliveries.iter();
        claims
            .filter(|claim| claim.lead.source == source)
            .map(|claim| claim.id)
            .collect()
    };
    assert_eq!(of("old"), old[..3]);
    assert_eq!(of("fresh"), fresh);
    assert_eq!(due.next, Some(T + 3), "more of the backlog is due");
    let again = world.claim(wanted(Freshness::Fresh, 100, false), T + 100);
    assert_eq!(
        again.deliveries.len(),
        47,
        "what is claimed is not given again"
    );
    assert!(again.next.is_none());
}

#[test]
fn with_more_sources_than_a_page_holds_each_has_its_turn() {
    let mut world = World::new(2);
    for at in 0..12 {
        world.waiting(&format!("shop{}", at % 6), T + at);
    }
    let mut served = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let due = world.claim(wanted(Freshness::Fresh, 2, false), T + 100);
        served.extend(due.deliveries.into_iter().map(|claim| claim.lead.source));
    }
    assert_eq!(served.len(), 6, "{served:?}");
}

#[test]
fn the_newest_come_first_but_for_one_and_nothing_before_it_is_due() {
    let mut world = World::new(3);
    let ids: Vec<_> = (0..10).map(|at| world.waiting("shop", T + at)).collect();
    let due = world.claim(wanted(Freshness::Fresh, 3, true), T + 7);
    let claimed: Vec<_> = due.deliveries.iter().map(|claim| claim.id).collect();
    assert_eq!(claimed, [ids[7], ids[6], ids[0]]);
    let none = world.claim(wanted(Freshness::Again, 3, false), T + 7);
    assert!(none.deliveries.is_empty() && none.next.is_none());
    let early = world
        .reader()
        .claim_some("crm", T - 1, wanted(Freshness::Fresh, 3, false));
    let early = early.expect("reads");
    assert!(early.deliveries.is_empty());
    assert_eq!(early.next, Some(T));
}

#[test]
fn one_that_cannot_be_read_is_said_once_and_holds_up_nobody() {
    let mut world = World::new(4);
    let ids: Vec<_> = (0..3).map(|at| world.waiting("shop", T + at)).collect();
    let lead = world
        .leads
        .values()
        .find(|lead| lead.delivery(ids[0]).is_some());
    let damaged = lead.expect("stored").places.revisions[0].1;
    world.journal.damaged.borrow_mut().push(damaged);
    let due = world.claim(wanted(Freshness::Fresh, 10, false), T + 9);
    let claimed: Vec<_> = due.deliveries.iter().map(|claim| claim.id).collect();
    assert_eq!(claimed, ids[1..]);
    assert_eq!(due.damaged.len(), 1);
    assert_eq!(due.damaged[0].0, ids[0]);
    world.reader().claims.unclaim(&ids[1..]);
    let again = world.claim(wanted(Freshness::Fresh, 10, false), T + 9);
    assert!(again.damaged.is_empty() && again.deliveries.len() == 2);
}

#[test]
fn what_was_claimed_before_the_index_broke_can_be_claimed_again() {
    let mut world = World::new(6);
    let ids: Vec<_> = (0..40).map(|at| world.waiting("shop", T + at)).collect();
    for steps in (0..12).chain((12..48).step_by(4)) {
        world.catalog.index.breaks_after.set(Some(steps));
        let page = wanted(Freshness::Fresh, 50, true);
        let broken = world.reader().claim_some("crm", T + 99, page);
        assert!(broken.is_err(), "after {steps} steps");
        world.catalog.index.breaks_after.set(None);
        let due = world.claim(wanted(Freshness::Fresh, 50, false), T + 99);
        let claimed: Vec<_> = due.deliveries.iter().map(|claim| claim.id).collect();
        assert_eq!(claimed, ids, "after {steps} steps");
        world.reader().claims.unclaim(&ids);
    }
}

#[test]
fn an_update_is_one_of_a_lead_that_the_sink_was_given_before() {
    let mut world = World::new(5);
    let given = world.delivery("crm", T, State::Delivered { at: T });
    let elsewhere = world.delivery(
        "mail",
        T,
        State::Dead {
            at: T,
            reason: DeathReason::Rejected,
        },
    );
    let mut second = world.delivery("crm", T + 1, State::Waiting { due_at: T + 1 });
    let mut other = world.delivery("mail", T + 1, State::Waiting { due_at: T + 1 });
    (second.revision, other.revision) = (2, 2);
    let (id, mut lead) = world.lead(
        "shop",
        vec![given, elsewhere, second.clone(), other.clone()],
    );
    let mut revision = lead.lead.revisions[0].clone();
    revision.number = 2;
    lead.lead.revisions.push(revision);
    let place = world.place();
    lead.places.revisions.push((2, place));
    world.put((id, lead));
    let reader = world.reader();
    let claim = reader
        .claim_one("crm", second.id)
        .expect("reads")
        .expect("waits");
    assert!(claim.update);
    assert_eq!((claim.lead.revision, claim.delivery.lead), (2, id));
    let claim = reader
        .claim_one("mail", other.id)
        .expect("reads")
        .expect("waits");
    assert!(!claim.update, "what died there was not given");
}

#[test]
fn one_is_claimed_if_it_waits_for_that_sink_and_nobody_has_it() {
    let mut world = World::new(6);
    let waits = world.waiting("shop", T + 1_000_000);
    let done = world.delivery("crm", T, State::Delivered { at: T });
    let over = done.id;
    let lead = world.lead("shop", vec![done]);
    world.put(lead);
    let reader = world.reader();
    let claim = |sink, id| reader.claim_one(sink, id).expect("reads").is_some();
    assert!(!claim("mail", waits) && !claim("crm", over));
    assert!(claim("crm", waits), "due or not");
    assert!(!claim("crm", waits), "someone has it");
    assert!(!claim("crm", DeliveryId(Uuid::from_u128(3))));
    assert!(matches!(
        reader.claim_one("nobody", waits),
        Err(Fault::Sink(_))
    ));
    assert!(!world.claims.is_claimed(over));
}
