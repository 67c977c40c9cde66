//! What operators do at their desk: list, repair, pause, release, and find it so after a crash.

use std::time::Duration;

use super::engine::{Engine, Setup};
use super::pushes::{all, arrival, claims, claims_of, dead, finish, lead_for, newest, quarantined};
use super::subject::Subject;
use crate::outbox::{
    Accepted, Announced, Arrival, Belief, DeathReason, DeliveryId, Filter, Intake, Maintenance,
    Operations, Paged, PauseCause, Quarantined, QuarantinedPush, Queue, Repair, Repaired, State,
    StateName, Timekeeping,
};

pub(super) async fn lists_page_through_all_and_filter_by_sink_state_and_age<E: Engine>() {
    let outbox = Subject::<E>::new();
    for record in 0..7 {
        let mut lead = lead_for(record, "shop", &["crm", "mail"]);
        lead.received_at = 1_000 + i64::try_from(record).expect("small");
        outbox.accept(lead).await.expect("accepted");
    }
    let due = outbox.claim("crm", 9_000, 1).expect("reads");
    finish(
        &*outbox,
        &due.deliveries[0],
        State::Waiting { due_at: 99_000 },
    )
    .await;
    let mut seen = all(|after| {
        let page = outbox.deliveries(&Filter::default(), after, 3);
        let page = page.expect("reads");
        assert!(page.items.len() <= 3);
        page
    });
    seen.sort_by_key(|one| one.id);
    seen.dedup_by_key(|one| one.id);
    assert_eq!(seen.len(), 14);
    let count = |filter: Filter| {
        let page = outbox.deliveries(&filter, None, 100).expect("reads");
        page.items.len()
    };
    let none = Filter::default;
    let sink = Some("crm".to_owned());
    let of_sink = Filter { sink, ..none() };
    assert_eq!(count(of_sink.clone()), 7);
    let state = Some(StateName::Retrying);
    assert_eq!(count(Filter { state, ..none() }), 1);
    let before = Some(1_003);
    assert_eq!(count(Filter { before, ..of_sink }), 3);
    let since = Some(1_003);
    assert_eq!(count(Filter { since, ..none() }), 8);
    let unknown = Filter {
        sink: Some("nobody".to_owned()),
        ..none()
    };
    assert!(outbox.deliveries(&unknown, None, 9).is_err());
    let page = outbox.leads(&newest(), None, 5).expect("reads");
    let rest = outbox
        .leads(&newest(), page.next.as_deref(), 5)
        .expect("reads");
    assert_eq!(
        (page.items.len(), rest.items.len(), rest.next),
        (5, 2, None)
    );
    assert!(page.items[0] > page.items[1], "newest first");
}

pub(super) async fn a_page_is_continued_by_its_own_list_only<E: Engine>() {
    let outbox = Subject::<E>::new();
    for record in 0..4 {
        let sinks: &[&str] = if record < 2 { &["crm", "mail"] } else { &[] };
        let lead = lead_for(record, "shop", sinks);
        outbox.accept(lead).await.expect("accepted");
        let push = quarantined(&[u8::try_from(record).expect("small")]);
        outbox.quarantine(push).await.expect("kept");
    }
    let crm = Filter {
        sink: Some("crm".to_owned()),
        ..Filter::default()
    };
    let next = |next: Option<String>| next.expect("there is more");
    let leads = next(outbox.leads(&newest(), None, 1).expect("reads").next);
    let unrouted = next(outbox.unrouted(None, 1).expect("reads").next);
    let aside = next(outbox.quarantined_pushes(None, 1).expect("reads").next);
    let due = next(outbox.deliveries(&crm, None, 1).expect("reads").next);
    let lists = [
        (Paged::Leads, &leads),
        (Paged::Unrouted, &unrouted),
        (Paged::Quarantine, &aside),
        (Paged::Deliveries(&crm), &due),
    ];
    for (list, _) in lists {
        for (other, cursor) in lists {
            let same = std::mem::discriminant(&list) == std::mem::discriminant(&other);
            let continues = outbox.continues(list, cursor);
            assert_eq!(continues, same, "{other:?} continues {list:?}");
        }
        for wrong in ["", "x", "ff", "名", &"0".repeat(1_000)] {
            assert!(!outbox.continues(list, wrong), "{list:?}: {wrong}");
        }
    }
    let mail = Filter {
        sink: Some("mail".to_owned()),
        ..Filter::default()
    };
    assert!(!outbox.continues(Paged::Deliveries(&mail), &due));
}

pub(super) async fn a_retried_dead_letter_starts_with_a_fresh_budget<E: Engine>() {
    let outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let claim = claims(&*outbox, 1_000).remove(0);
    let busy = outbox.repair(claim.id, Repair::Cancel, 2_000).await;
    assert_eq!(busy, Ok(Repaired::InFlight));
    let reason = DeathReason::MaxAttempts;
    finish(&*outbox, &claim, State::Dead { at: 2_000, reason }).await;
    let retry = Repair::Retry { force: false };
    assert_eq!(
        outbox.repair(claim.id, retry.clone(), 7_000).await,
        Ok(Repaired::Done)
    );
    let again = claims(&*outbox, 7_000).remove(0);
    assert_eq!((again.id, again.delivery.attempts), (claim.id, 1));
    assert_eq!(
        (again.delivery.budget.spent, again.delivery.budget.since),
        (1, 7_000)
    );
    finish(&*outbox, &again, State::Delivered { at: 7_001 }).await;
    assert_eq!(
        outbox.repair(claim.id, retry.clone(), 8_000).await,
        Ok(Repaired::Over)
    );
    let unknown = DeliveryId(uuid::Uuid::nil());
    assert_eq!(
        outbox.repair(unknown, retry, 8_000).await,
        Ok(Repaired::Unknown)
    );
}

pub(super) async fn a_pause_outlives_a_crash_and_a_resume_wakes_the_lane<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    outbox
        .pause("crm", Some(PauseCause::Crashes(2)))
        .await
        .expect("taken");
    assert!(outbox.paused("crm") && !outbox.paused("mail"));
    outbox.crash();
    assert!(outbox.paused("crm"));
    let pause = outbox.pause_of("crm").expect("paused");
    assert_eq!(pause.cause, PauseCause::Crashes(2));
    assert!(pause.since > 0);
    let note = PauseCause::Person("the CRM moves".to_owned());
    outbox
        .pause("crm", Some(note.clone()))
        .await
        .expect("taken");
    outbox.reopen();
    let again = outbox.pause_of("crm").expect("paused");
    assert_eq!((again.since, again.cause), (pause.since, note));
    let arrivals = outbox.arrivals("crm");
    outbox.pause("crm", None).await.expect("taken");
    let woken = tokio::time::timeout(Duration::from_secs(60), arrivals.notified());
    woken.await.expect("woken");
    assert!(!outbox.paused("crm"));
    let nobody = outbox.pause("nobody", Some(PauseCause::Crashes(2)));
    assert!(nobody.await.is_err());
    assert_eq!(
        outbox.fault(),
        None,
        "a wrong name is no fault of the store"
    );
    outbox.crash();
    assert!(!outbox.paused("crm"));
}

pub(super) async fn a_quarantined_push_is_released_as_a_lead_or_discarded_and_may_come_again<
    E: Engine,
>() {
    let mut outbox = Subject::<E>::new();
    let stale = |body: &[u8]| QuarantinedPush {
        reason: "stale",
        ..quarantined(body)
    };
    for body in [b"one".as_slice(), &vec![b'2'; 20_000]] {
        outbox.quarantine(stale(body)).await.expect("kept");
    }
    outbox.crash();
    let first = outbox.quarantined_pushes(None, 1).expect("reads");
    let second = outbox
        .quarantined_pushes(first.next.as_deref(), 1)
        .expect("reads");
    assert_eq!((second.items[0].body.len(), &second.next), (20_000, &None));
    let one = outbox.quarantined_push(first.items[0].id).expect("reads");
    assert_eq!(one.expect("is there").body, b"one");
    let released = outbox
        .release(first.items[0].id, arrival(9, 9), 7_000)
        .await;
    assert!(matches!(released, Ok(Some(Accepted::New { .. }))));
    let released = claims(&*outbox, 7_000).remove(0);
    assert_eq!(released.lead.received_at, 1_000, "when the push came");
    assert_eq!(
        released.delivery.budget.since, 7_000,
        "when it was released"
    );
    assert_eq!(
        outbox
            .release(first.items[0].id, arrival(8, 8), 7_000)
            .await,
        Ok(None)
    );
    assert_eq!(outbox.discard(second.items[0].id).await, Ok(true));
    assert_eq!(outbox.discard(second.items[0].id).await, Ok(false));
    let gone = outbox.quarantined_push(second.items[0].id);
    assert!(gone.expect("reads").is_none());
    outbox.crash();
    assert_eq!(outbox.totals().in_quarantine, 0);
    assert_eq!(outbox.totals().leads, 1);
    let again = outbox.quarantine(stale(b"one")).await;
    assert!(
        matches!(again, Ok(Quarantined::New(_))),
        "what left is forgotten"
    );
}

pub(super) async fn what_is_known_of_the_time_outlives_a_crash<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let time = Timekeeping {
        belief: Belief::of(77_000),
        announced: Announced {
            until: 5,
            told_at: 6,
            next: 7,
            keep: 8,
        },
    };
    let noted = outbox.keep_time(time);
    assert_eq!(outbox.time(), time, "at once for readers");
    noted.await.expect("noted");
    let late = Arrival {
        received_at: 80_000,
        ..arrival(1, 1)
    };
    outbox.accept(late).await.expect("accepted");
    outbox.accept(arrival(2, 1)).await.expect("accepted");
    outbox.crash();
    assert_eq!((outbox.time(), outbox.latest()), (time, 80_000));
    outbox.reopen();
    assert_eq!((outbox.time(), outbox.latest()), (time, 80_000));
}

pub(super) async fn deliveries_of_a_sink_that_is_gone_stay_and_are_not_retried<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    for record in 0..2 {
        let lead = lead_for(record, "shop", &["mail"]);
        outbox.accept(lead).await.expect("accepted");
    }
    let both = claims_of(&*outbox, "mail", 1_000);
    finish(&*outbox, &both[0], dead(5)).await;
    outbox.close();
    outbox.setup = Setup::default();
    outbox.setup.sinks.retain(|sink| sink.name == "crm");
    outbox.open();
    let totals = outbox.totals().sinks["mail"].clone();
    assert_eq!((totals.waiting, totals.dead_letters()), (1, 1));
    let mail = Filter {
        sink: Some("mail".to_owned()),
        ..Filter::default()
    };
    let listed = outbox.deliveries(&mail, None, 9).expect("reads").items;
    assert_eq!(listed.len(), 2);
    let retry = outbox.repair(both[0].id, Repair::Retry { force: true }, 9);
    assert_eq!(retry.await, Ok(Repaired::NoSink));
    let cancel = outbox.repair(both[1].id, Repair::Cancel, 9);
    assert_eq!(cancel.await, Ok(Repaired::Done));
    outbox.close();
    outbox.setup = Setup::default();
    outbox.open();
    let retry = outbox.repair(both[0].id, Repair::Retry { force: true }, 9);
    assert_eq!(retry.await, Ok(Repaired::Done), "it is configured again");
    assert_eq!(claims_of(&*outbox, "mail", 1_000).len(), 1);
}
