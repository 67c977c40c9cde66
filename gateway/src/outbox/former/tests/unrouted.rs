//! Leads that no sink wants: counted, listed, and routed again by a re-push.

use super::*;

fn unwanted(record: u64, content: u8) -> Arrival {
    Arrival {
        routes: Vec::new(),
        ..arrival(record, content)
    }
}

fn listed(outbox: &SledOutbox) -> Vec<LeadId> {
    outbox.unrouted(None, 100).expect("reads").items
}

async fn accept(outbox: &SledOutbox, arrival: Arrival) -> Accepted {
    outbox.accept(arrival).await.expect("accepted")
}

#[tokio::test]
async fn a_lead_that_no_sink_wants_is_counted_and_listed_page_by_page() {
    let folder = folder();
    let outbox = open(&folder);
    accept(&outbox, arrival(1, 1)).await;
    for record in 2..=6 {
        accept(&outbox, unwanted(record, 1)).await;
    }
    assert_eq!(outbox.totals().unrouted, 5);
    assert_eq!(outbox.shared.metrics().unrouted.get(), 5);
    let all = listed(&outbox);
    assert_eq!(all.len(), 5);
    let (mut paged, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = outbox.unrouted(after.as_deref(), 2).expect("reads");
        paged.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, all, "newest first, none twice, none missing");
    assert!(all.windows(2).all(|pair| pair[0] > pair[1]));
    close(outbox);
    let outbox = open(&folder);
    assert_eq!((outbox.totals().unrouted, listed(&outbox)), (5, all));
}

#[tokio::test]
async fn a_re_push_of_a_lead_without_any_delivery_is_routed_again_once() {
    let folder = folder();
    let outbox = open(&folder);
    let Accepted::New { lead, .. } = accept(&outbox, unwanted(1, 1)).await else {
        panic!("a new lead");
    };
    let again = accept(&outbox, unwanted(1, 1)).await;
    assert!(matches!(again, Accepted::Duplicate { .. }), "{again:?}");
    let routed = accept(&outbox, arrival(1, 1)).await;
    assert_eq!(routed, Accepted::Routed { lead, revision: 1 });
    assert_eq!((outbox.totals().unrouted, listed(&outbox)), (0, vec![]));
    let due = claims(&outbox, 2_000);
    assert_eq!(due.len(), 1);
    finish(&outbox, &due[0], State::Delivered { at: 5 }).await;
    let third = accept(&outbox, arrival(1, 1)).await;
    assert_eq!(third, Accepted::Duplicate { lead, revision: 1 });
    assert!(claims(&outbox, 2_000).is_empty());
    assert_eq!(outbox.totals().leads, 1);
}

#[tokio::test]
async fn a_newer_revision_that_a_sink_wants_takes_the_lead_off_the_list() {
    let folder = folder();
    let outbox = open(&folder);
    accept(&outbox, unwanted(1, 1)).await;
    accept(&outbox, unwanted(1, 2)).await;
    assert_eq!(outbox.totals().unrouted, 1, "a lead, not its revisions");
    accept(&outbox, arrival(1, 3)).await;
    assert_eq!((outbox.totals().unrouted, listed(&outbox)), (0, vec![]));
    // It has a delivery: the older content is a duplicate as always.
    let older = accept(&outbox, arrival(1, 1)).await;
    assert!(matches!(older, Accepted::Duplicate { revision: 1, .. }));
}

#[tokio::test]
async fn content_older_than_what_is_known_is_not_routed_again() {
    let folder = folder();
    let outbox = open(&folder);
    let modified = |content, at, routes: &Arrival| Arrival {
        modified_at: Some(at),
        content: [content; 32],
        ..routes.clone()
    };
    accept(&outbox, modified(1, 10, &unwanted(1, 1))).await;
    accept(&outbox, modified(2, 20, &unwanted(1, 1))).await;
    let older = accept(&outbox, modified(1, 10, &arrival(1, 1))).await;
    assert!(matches!(older, Accepted::Duplicate { .. }), "{older:?}");
    let newest = accept(&outbox, modified(2, 20, &arrival(1, 1))).await;
    assert!(matches!(newest, Accepted::Routed { revision: 2, .. }));
}

#[tokio::test]
async fn an_erased_lead_is_not_counted_any_more() {
    let folder = folder();
    let outbox = open(&folder);
    let Accepted::New { lead, .. } = accept(&outbox, unwanted(1, 1)).await else {
        panic!("a new lead");
    };
    assert!(outbox.erase(lead).await.expect("erases"));
    assert_eq!((outbox.totals().unrouted, listed(&outbox)), (0, vec![]));
}

#[tokio::test]
async fn the_mark_is_verified_and_salvaged() {
    let folder = folder();
    let outbox = open(&folder);
    accept(&outbox, unwanted(1, 1)).await;
    let Accepted::New { lead, .. } = accept(&outbox, arrival(2, 1)).await else {
        panic!("a new lead");
    };
    close(outbox);
    let path = folder.path().join("store");
    let verdict = verify(&path, &[], 16 << 20).expect("verifies");
    assert_eq!(verdict.found, 0, "{:?}", verdict.problems);
    let to = folder.path().join("saved");
    salvage(&path, &to, &[]).expect("salvages");
    let verdict = verify(&to, &[], 16 << 20).expect("verifies");
    assert_eq!(verdict.found, 0, "{:?}", verdict.problems);
    {
        let db = engine::open(&path, 16 << 20).expect("opens");
        db.insert(key::unrouted(lead), b"").expect("writes");
        db.flush().expect("flushes");
    }
    let verdict = verify(&path, &[], 16 << 20).expect("verifies");
    assert_eq!(verdict.found, 2, "mark and count: {:?}", verdict.problems);
}
