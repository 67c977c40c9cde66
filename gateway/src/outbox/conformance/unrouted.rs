//! Leads that no sink wants: counted, listed, and routed again by a re-push.

use super::engine::Engine;
use super::pushes::{all, arrival, claims, erase, finish, lead_of};
use super::subject::Subject;
use crate::outbox::{Accepted, Arrival, Intake, LeadId, Operations, State};

fn unwanted(record: u64, content: u8) -> Arrival {
    Arrival {
        routes: Vec::new(),
        ..arrival(record, content)
    }
}

fn listed(outbox: &impl Operations) -> Vec<LeadId> {
    outbox.unrouted(None, 100).expect("reads").items
}

async fn accept(outbox: &impl Intake, arrival: Arrival) -> Accepted {
    outbox.accept(arrival).await.expect("accepted")
}

pub(super) async fn a_lead_that_no_sink_wants_is_counted_and_listed_page_by_page<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    accept(&*outbox, arrival(1, 1)).await;
    for record in 2..=6 {
        accept(&*outbox, unwanted(record, 1)).await;
    }
    assert_eq!(outbox.totals().unrouted, 5);
    assert_eq!(outbox.setup.metrics.unrouted.get(), 5);
    let newest = listed(&*outbox);
    assert_eq!(newest.len(), 5);
    let paged = all(|after| outbox.unrouted(after, 2).expect("reads"));
    assert_eq!(paged, newest, "newest first, none twice, none missing");
    assert!(newest.windows(2).all(|pair| pair[0] > pair[1]));
    outbox.crash();
    assert_eq!((outbox.totals().unrouted, listed(&*outbox)), (5, newest));
}

pub(super) async fn a_re_push_of_a_lead_without_any_delivery_is_routed_again_once<E: Engine>() {
    let outbox = Subject::<E>::new();
    let lead = lead_of(accept(&*outbox, unwanted(1, 1)).await);
    let again = accept(&*outbox, unwanted(1, 1)).await;
    assert!(matches!(again, Accepted::Duplicate { .. }), "{again:?}");
    let routed = accept(&*outbox, arrival(1, 1)).await;
    assert_eq!(routed, Accepted::Routed { lead, revision: 1 });
    assert_eq!((outbox.totals().unrouted, listed(&*outbox)), (0, vec![]));
    let due = claims(&*outbox, 2_000);
    assert_eq!(due.len(), 1);
    finish(&*outbox, &due[0], State::Delivered { at: 5 }).await;
    let third = accept(&*outbox, arrival(1, 1)).await;
    assert_eq!(third, Accepted::Duplicate { lead, revision: 1 });
    assert!(claims(&*outbox, 2_000).is_empty());
    assert_eq!(outbox.totals().leads, 1);
}

pub(super) async fn a_newer_revision_that_a_sink_wants_takes_the_lead_off_the_list<E: Engine>() {
    let outbox = Subject::<E>::new();
    accept(&*outbox, unwanted(1, 1)).await;
    accept(&*outbox, unwanted(1, 2)).await;
    assert_eq!(outbox.totals().unrouted, 1, "a lead, not its revisions");
    accept(&*outbox, arrival(1, 3)).await;
    assert_eq!((outbox.totals().unrouted, listed(&*outbox)), (0, vec![]));
    // It has a delivery: the older content is a duplicate as always.
    let older = accept(&*outbox, arrival(1, 1)).await;
    assert!(matches!(older, Accepted::Duplicate { revision: 1, .. }));
}

pub(super) async fn content_older_than_what_is_known_is_not_routed_again<E: Engine>() {
    let outbox = Subject::<E>::new();
    let modified = |content, at, routes: &Arrival| Arrival {
        modified_at: Some(at),
        content: [content; 32],
        ..routes.clone()
    };
    accept(&*outbox, modified(1, 10, &unwanted(1, 1))).await;
    accept(&*outbox, modified(2, 20, &unwanted(1, 1))).await;
    let older = accept(&*outbox, modified(1, 10, &arrival(1, 1))).await;
    assert!(matches!(older, Accepted::Duplicate { .. }), "{older:?}");
    let newest = accept(&*outbox, modified(2, 20, &arrival(1, 1))).await;
    assert!(matches!(newest, Accepted::Routed { revision: 2, .. }));
}

pub(super) async fn an_erased_lead_is_not_counted_any_more<E: Engine>() {
    let outbox = Subject::<E>::new();
    let lead = lead_of(accept(&*outbox, unwanted(1, 1)).await);
    assert!(erase(&*outbox, lead).await.expect("erases"));
    assert_eq!((outbox.totals().unrouted, listed(&*outbox)), (0, vec![]));
}
