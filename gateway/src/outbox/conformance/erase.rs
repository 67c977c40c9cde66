//! Promise 8: erased means gone: from every list, count and index, also after a crash.

use super::engine::Engine;
use super::pushes::{
    all, arrival, claims, dead, erase, finish, lead_for, lead_of, newest, quarantined,
};
use super::subject::Subject;
use crate::outbox::{
    Accepted, Arrival, Erased, Erasure, Filter, Find, FindBy, Intake, LeadId, Operations, Queue,
    Repair, Repaired,
};

fn findable(record: u64, content: u8) -> Arrival {
    Arrival {
        content: [content; 32],
        finds: vec![find()],
        ..lead_for(record, "shop", &["crm", "mail"])
    }
}

fn find() -> Find {
    Find::new(FindBy::Phone, "13567658911")
}

/// Two leads of two revisions, one delivery of each dead: the first is for the test.
async fn fill<E: Engine>(outbox: &Subject<E>) -> (LeadId, LeadId) {
    let mut leads = Vec::new();
    for record in 0..2 {
        leads.push(outbox.accept(findable(record, 1)).await.expect("accepted"));
    }
    for claim in claims(&**outbox, 1_000) {
        finish(&**outbox, &claim, dead(5)).await;
    }
    for record in 0..2 {
        outbox.accept(findable(record, 2)).await.expect("accepted");
    }
    (lead_of(leads[0]), lead_of(leads[1]))
}

fn is_gone<E: Engine>(outbox: &Subject<E>, gone: LeadId, left: LeadId) {
    assert!(outbox.lead(gone, 0).expect("reads").is_none());
    assert!(outbox.lead(gone, 1).expect("reads").is_none());
    assert!(outbox.history(gone).expect("reads").is_none());
    assert_eq!(outbox.outline(gone), Ok(None));
    assert_eq!(outbox.find(&find(), 9), Ok(vec![left]));
    assert_eq!(
        outbox.leads(&newest(), None, 9).expect("reads").items,
        [left]
    );
    let filter = Filter::default();
    let listed = all(|after| outbox.deliveries(&filter, after, 2).expect("reads"));
    assert_eq!(listed.len(), 4);
    assert!(listed.iter().all(|one| one.delivery.lead == left));
    let totals = outbox.totals();
    assert_eq!((totals.leads, totals.accepted), (1, 4));
    assert_eq!(totals.sinks["crm"].dead_letters(), 1);
    assert_eq!(totals.sinks["crm"].waiting, 1);
    assert_eq!(totals.sinks["mail"].waiting, 1);
}

pub(super) async fn an_erased_lead_is_in_no_list_no_count_and_no_index<E: Engine>() {
    let outbox = Subject::<E>::new();
    let (lead, left) = fill(&outbox).await;
    let history = outbox.history(lead).expect("reads").expect("is there");
    let outline = outbox.outline(lead).expect("reads").expect("is there");
    assert_eq!(
        (
            &*outline.source,
            outline.revisions,
            outline.first_received_at
        ),
        ("shop", 2, history.revisions[0].received_at)
    );
    let deliveries = outline.deliveries.into_iter();
    let mut deliveries: Vec<_> = deliveries
        .map(|one| {
            assert_eq!(one.noted, one.attempts > 0);
            (one.sink, one.state, one.attempts)
        })
        .collect();
    let listed = history.deliveries.iter();
    let mut listed: Vec<_> = listed
        .map(|one| (one.delivery.sink.clone(), one.state, one.delivery.attempts))
        .collect();
    deliveries.sort();
    listed.sort();
    assert_eq!(deliveries, listed);
    assert_eq!(erase(&*outbox, lead).await, Ok(true));
    is_gone(&outbox, lead, left);
    assert_eq!(erase(&*outbox, lead).await, Ok(false), "it is gone");
    for one in history.deliveries {
        assert!(outbox.delivery(one.id).expect("reads").is_none());
        let repair = outbox.repair(one.id, Repair::Retry { force: true }, 9);
        assert_eq!(repair.await, Ok(Repaired::Unknown));
    }
    let due = outbox.claim("mail", 9_000, 9).expect("reads");
    assert_eq!(due.deliveries.len(), 1);
    let again = outbox.accept(findable(0, 1)).await;
    assert!(
        matches!(again, Ok(Accepted::New { revision: 1, .. })),
        "the same push is a new lead"
    );
}

pub(super) async fn a_lead_is_not_erased_under_an_attempt<E: Engine>() {
    let outbox = Subject::<E>::new();
    let lead = lead_of(outbox.accept(arrival(1, 1)).await.expect("accepted"));
    let claim = claims(&*outbox, 1_000).remove(0);
    assert_eq!(erase(&*outbox, lead).await, Ok(false));
    assert!(outbox.history(lead).expect("reads").is_some());
    outbox.unclaim("crm", &[claim.id]);
    assert_eq!(erase(&*outbox, lead).await, Ok(true));
    assert!(claims(&*outbox, 1_000).is_empty());
}

pub(super) async fn what_was_erased_stays_erased_after_a_crash<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let (lead, left) = fill(&outbox).await;
    assert_eq!(erase(&*outbox, lead).await, Ok(true));
    outbox.crash();
    is_gone(&outbox, lead, left);
    outbox.reopen();
    is_gone(&outbox, lead, left);
}

pub(super) async fn many_are_erased_at_once_and_those_under_an_attempt_are_named<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let mut leads = Vec::new();
    for record in 0..20 {
        leads.push(lead_of(
            outbox.accept(arrival(record, 1)).await.expect("accepted"),
        ));
    }
    for body in [b"one", b"two"] {
        outbox.quarantine(quarantined(body)).await.expect("kept");
    }
    let pushes = outbox.quarantined_pushes(None, 9).expect("reads").items;
    let first = outbox.quarantined_ids(None, 1).expect("reads");
    let second = outbox.quarantined_ids(first.next.as_deref(), 1);
    let second = second.expect("reads");
    assert_eq!(
        [first.items[0], second.items[0]],
        [pushes[0].id, pushes[1].id]
    );
    assert_eq!(second.next, None);
    let due = outbox.claim("crm", 1_000, 1).expect("reads").deliveries;
    let busy = due[0].delivery.lead;
    let what = Erasure {
        // One that is named twice, and one that was never there.
        leads: leads[..15]
            .iter()
            .copied()
            .chain([leads[0], unknown()])
            .collect(),
        quarantined: vec![pushes[0].id],
    };
    let erased = outbox.erase(what.clone()).await.expect("erases");
    let gone: Vec<_> = leads[..15]
        .iter()
        .copied()
        .filter(|one| *one != busy)
        .collect();
    assert!(gone.len() >= 14);
    assert_eq!(erased.leads, gone);
    let named = erased.in_flight.iter().filter(|one| **one != busy).count();
    assert_eq!(
        (named, erased.in_flight.is_empty()),
        (0, !leads[..15].contains(&busy))
    );
    assert_eq!(erased.quarantined, [pushes[0].id]);
    let left = |outbox: &Subject<E>| {
        let page = outbox.leads(&newest(), None, 99).expect("reads");
        assert!(page.items.iter().all(|one| !gone.contains(one)));
        let pushes = outbox.quarantined_pushes(None, 9).expect("reads").items;
        assert_eq!(pushes.len(), 1);
        (page.items.len(), outbox.totals().leads)
    };
    let expected = 20 - gone.len();
    assert_eq!(left(&outbox), (expected, expected as u64));
    outbox.crash();
    assert_eq!(left(&outbox), (expected, expected as u64));
    // The claim is given back: the same again takes the rest.
    let again = outbox.erase(what).await.expect("erases");
    let rest: Vec<_> = leads[..15]
        .iter()
        .copied()
        .filter(|one| *one == busy)
        .collect();
    assert_eq!(again.leads, rest);
    assert_eq!(
        (again.quarantined, again.in_flight),
        (Vec::new(), Vec::new())
    );
    assert_eq!(
        outbox.erase(Erasure::default()).await,
        Ok(Erased::default())
    );
}

fn unknown() -> LeadId {
    LeadId(uuid::Uuid::max())
}
