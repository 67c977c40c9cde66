//! Promise 8: erased means gone: from every list, count and index, also after a crash.

use super::engine::Engine;
use super::pushes::{all, arrival, claims, dead, finish, lead_for, lead_of, newest};
use super::subject::Subject;
use crate::outbox::{
    Accepted, Arrival, Filter, Find, FindBy, Intake, LeadId, Operations, Queue, Repair, Repaired,
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
    assert_eq!(outbox.erase(lead).await, Ok(true));
    is_gone(&outbox, lead, left);
    assert_eq!(outbox.erase(lead).await, Ok(false), "it is gone");
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
    assert_eq!(outbox.erase(lead).await, Ok(false));
    assert!(outbox.history(lead).expect("reads").is_some());
    outbox.unclaim("crm", &[claim.id]);
    assert_eq!(outbox.erase(lead).await, Ok(true));
    assert!(claims(&*outbox, 1_000).is_empty());
}

pub(super) async fn what_was_erased_stays_erased_after_a_crash<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let (lead, left) = fill(&outbox).await;
    assert_eq!(outbox.erase(lead).await, Ok(true));
    outbox.crash();
    is_gone(&outbox, lead, left);
    outbox.reopen();
    is_gone(&outbox, lead, left);
}
