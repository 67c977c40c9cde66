//! Promise 1: `accept` returns only when the lead, its deliveries, its identity and what it is
//! found by are durable in one atomic step.

use futures_util::future::join_all;

use super::engine::Engine;
use super::pushes::{all, arrival, claims, lead_for, lead_of, newest, quarantined};
use super::subject::Subject;
use crate::outbox::{
    Accepted, Arrival, DeathReason, Filter, Find, FindBy, Intake, LeadId, Maintenance, Operations,
    Quarantined, QuarantinedPush, Route,
};

pub(super) async fn an_accepted_lead_is_due_at_once_and_survives_reopening<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let accepted = outbox.accept(arrival(1, 1)).await.expect("accepted");
    assert!(matches!(
        accepted,
        Accepted::New {
            revision: 1,
            history: false,
            ..
        }
    ));
    outbox.reopen();
    let due = claims(&*outbox, 1_000);
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].lead.lead, "{\"record_id\":1}");
    assert_eq!(outbox.totals().sinks["crm"].waiting, 1);
    assert_eq!(outbox.oldest("crm").expect("readable"), Some(1_000));
    assert_eq!(outbox.oldest("mail").expect("readable"), None);
}

/// A lead for two sinks that is found by its record's number.
fn findable(record: u64) -> Arrival {
    Arrival {
        finds: vec![found_by(record)],
        ..lead_for(record, "shop", &["crm", "mail"])
    }
}

fn found_by(record: u64) -> Find {
    Find::new(FindBy::RecordId, &record.to_string())
}

/// The lead is there with its revision, its deliveries, and in each list and index.
async fn is_whole<E: Engine>(outbox: &Subject<E>, record: u64, id: LeadId) {
    let history = outbox.history(id).expect("reads").expect("is there");
    assert_eq!((history.revisions.len(), history.deliveries.len()), (1, 2));
    assert_eq!(outbox.find(&found_by(record), 9), Ok(vec![id]));
    let again = outbox.accept(findable(record)).await.expect("acknowledged");
    let known = Accepted::Duplicate {
        lead: id,
        revision: 1,
    };
    assert_eq!(again, known);
}

pub(super) async fn what_was_acknowledged_is_there_after_a_crash_with_all_that_belongs_to_it<
    E: Engine,
>() {
    const LEADS: u64 = 100;
    let mut outbox = Subject::<E>::new();
    let pushes = (0..LEADS).map(|record| outbox.accept(findable(record)));
    let accepted = join_all(pushes).await;
    outbox.crash();
    let totals = outbox.totals();
    assert_eq!((totals.leads, totals.accepted), (LEADS, LEADS));
    for (record, accepted) in (0..LEADS).zip(accepted) {
        is_whole(&outbox, record, lead_of(accepted.expect("accepted"))).await;
    }
    for sink in ["crm", "mail"] {
        let filter = Filter {
            sink: Some(sink.to_owned()),
            ..Filter::default()
        };
        let listed = all(|after| outbox.deliveries(&filter, after, 30).expect("reads"));
        assert_eq!(listed.len() as u64, LEADS);
        assert_eq!(outbox.totals().sinks[sink].waiting, LEADS);
    }
    assert_eq!(outbox.totals().duplicate, LEADS);
}

pub(super) async fn what_nobody_was_told_of_is_there_whole_or_not_at_all<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let mut pushes = (0..400)
        .map(|record| tokio::spawn(outbox.accept(findable(record))))
        .collect::<Vec<_>>();
    let first = pushes.remove(0).await.expect("no panic");
    // The others may have been written by now, or in part, or not.
    outbox.crash();
    let known = lead_of(first.expect("accepted"));
    is_whole(&outbox, 0, known).await;
    let leads = all(|after| outbox.leads(&newest(), after, 100).expect("reads"));
    assert!(leads.contains(&known));
    assert_eq!(outbox.totals().leads, leads.len() as u64);
    let mut found = 0;
    for record in 0..400 {
        let ids = outbox.find(&found_by(record), 9).expect("finds");
        for id in ids {
            is_whole(&outbox, record, id).await;
            found += 1;
        }
    }
    assert_eq!(found, leads.len(), "what is listed is found");
}

pub(super) async fn equal_content_is_a_duplicate_also_inside_one_group_and_against_old_revisions<
    E: Engine,
>() {
    let outbox = Subject::<E>::new();
    let results = join_all((0..8).map(|_| outbox.accept(arrival(1, 1)))).await;
    let new = results
        .iter()
        .filter(|result| matches!(result, Ok(Accepted::New { .. })))
        .count();
    assert_eq!(new, 1);
    outbox.accept(arrival(1, 2)).await.expect("a revision");
    let again = outbox.accept(arrival(1, 1)).await.expect("acknowledged");
    assert!(matches!(again, Accepted::Duplicate { revision: 1, .. }));
    assert_eq!(outbox.totals().sinks["crm"].waiting, 2);
    assert_eq!(outbox.totals().duplicate, 8);
}

pub(super) async fn an_older_modification_is_kept_as_history_and_not_delivered<E: Engine>() {
    let outbox = Subject::<E>::new();
    let mut newer = arrival(1, 1);
    newer.modified_at = Some(2_000);
    let mut older = arrival(1, 2);
    older.modified_at = Some(1_000);
    outbox.accept(newer).await.expect("accepted");
    let Accepted::New {
        lead,
        revision: 2,
        history: true,
    } = outbox.accept(older).await.expect("kept")
    else {
        panic!("an older revision is history");
    };
    assert_eq!(claims(&*outbox, 5_000).len(), 1);
    assert!(outbox.lead(lead, 2).expect("readable").is_some());
}

pub(super) async fn a_condition_that_failed_makes_a_dead_letter<E: Engine>() {
    let outbox = Subject::<E>::new();
    let mut lead = arrival(1, 1);
    lead.routes = vec![Route {
        sink: "mail".into(),
        failed: Some("bad value".to_owned()),
    }];
    let lead = lead_of(outbox.accept(lead).await.expect("accepted"));
    assert_eq!(outbox.totals().sinks["mail"].dead[&DeathReason::Route], 1);
    let history = outbox.history(lead).expect("reads").expect("is there");
    let told = &history.deliveries[0].delivery.history[0];
    assert_eq!(told.reason, "bad value", "a person sees why");
}

pub(super) async fn large_bodies_come_back_whole<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    for record in 0..40 {
        let mut lead = arrival(record, 1);
        lead.raw = "名".repeat(100_000);
        lead.lead = format!("{{\"x\":\"{}\"}}", "名".repeat(100_000));
        outbox.accept(lead).await.expect("accepted");
    }
    outbox.crash();
    let due = claims(&*outbox, 1_000);
    assert_eq!(due.len(), 40);
    let whole = "名".repeat(100_000);
    assert!(due.iter().all(|claim| claim.lead.raw == whole));
    assert!(due.iter().all(|claim| claim.lead.lead.len() == 300_008));
}

pub(super) async fn bytes_that_are_no_text_are_kept_beside_the_text<E: Engine>() {
    let outbox = Subject::<E>::new();
    let mut lead = arrival(1, 1);
    lead.original = Some(b"\xd5\xc5\xc8\xfd\xff".to_vec());
    outbox.accept(lead).await.expect("accepted");
    let stored = claims(&*outbox, 1_000).remove(0).lead;
    assert_eq!(stored.raw, "raw");
    assert_eq!(
        stored.original.as_deref(),
        Some(b"\xd5\xc5\xc8\xfd\xff".as_slice())
    );
}

pub(super) async fn the_same_push_is_quarantined_once<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let first = QuarantinedPush {
        query: "a=1".to_owned(),
        signature: "signed".to_owned(),
        ..quarantined(b"{")
    };
    let other_query = QuarantinedPush {
        query: "a=2".to_owned(),
        signature: "signed again".to_owned(),
        ..first.clone()
    };
    let same_signature = QuarantinedPush {
        body: b"{cut".to_vec(),
        ..first.clone()
    };
    assert!(matches!(
        outbox.quarantine(first).await,
        Ok(Quarantined::New(_))
    ));
    outbox.crash();
    for again in [other_query, same_signature] {
        assert_eq!(outbox.quarantine(again).await, Ok(Quarantined::Duplicate));
    }
    let totals = outbox.totals();
    assert_eq!((totals.quarantined, totals.duplicate), (1, 2));
}

pub(super) async fn a_lead_for_a_sink_that_is_not_there_is_refused_and_nothing_of_it_stays<
    E: Engine,
>() {
    let outbox = Subject::<E>::new();
    let wrong = lead_for(1, "shop", &["crm", "nobody"]);
    assert!(outbox.accept(wrong).await.is_err());
    assert_eq!(
        outbox.fault(),
        None,
        "a wrong name is no fault of the store"
    );
    let totals = outbox.totals();
    assert_eq!((totals.leads, totals.accepted), (0, 0));
    assert!(claims(&*outbox, 1_000).is_empty());
    let right = outbox.accept(lead_for(1, "shop", &["crm"])).await;
    assert!(matches!(right, Ok(Accepted::New { revision: 1, .. })));
}
