//! Failure groups and the filters that go with them: what failed alike, exactly as it stands now.

use super::engine::{Engine, Setup};
use super::pushes::{all, attempt, claims_of, dead, erase, lead_for};
use super::subject::Subject;
use crate::outbox::{
    Claim, DeathReason, Filter, Intake, Operations, Queue, Repair, Repaired, SinkCount, State,
    StateName,
};

/// Ends an attempt for that reason.
async fn fail<E: Engine>(outbox: &Subject<E>, claim: &Claim, state: State, why: &str) {
    let mut end = attempt(claim, state, 5);
    let last = end.delivery.history.last_mut().expect("just made");
    last.rule = "answer".to_owned();
    last.reason = why.to_owned();
    outbox.finish(end).await.expect("taken");
}

/// How many are in each group: dead, retrying; the largest first.
fn sizes<E: Engine>(outbox: &Subject<E>, sink: Option<&str>) -> Vec<(String, u64, u64)> {
    let groups = outbox.failure_groups(sink, 9).expect("reads").into_iter();
    let sizes = groups.map(|group| (group.sink, group.dead, group.retrying));
    sizes.collect()
}

fn listed<E: Engine>(outbox: &Subject<E>, filter: &Filter) -> usize {
    all(|after| outbox.deliveries(filter, after, 2).expect("reads")).len()
}

/// Five deliveries for `crm` of two sources, of which three died of one cause and one retries for
/// it; one for `mail` died of another.
pub(super) async fn fill<E: Engine>(outbox: &Subject<E>) -> Vec<Claim> {
    for record in 0..5 {
        let source = if record % 2 == 0 { "shop" } else { "other" };
        let sinks: &[&str] = if record == 0 {
            &["crm", "mail"]
        } else {
            &["crm"]
        };
        let lead = lead_for(record, source, sinks);
        outbox.accept(lead).await.expect("accepted");
    }
    let mut crm = claims_of(&**outbox, "crm", 1_000);
    crm.sort_by_key(|claim| claim.id);
    for (number, claim) in crm.iter().take(4).enumerate() {
        let state = if number == 3 {
            State::Waiting { due_at: 9_000 }
        } else {
            dead(5)
        };
        let why = format!("no answer after {number}12345 seconds");
        fail(outbox, claim, state, &why).await;
    }
    let mail = claims_of(&**outbox, "mail", 1_000);
    let state = State::Dead {
        at: 5,
        reason: DeathReason::MaxAge,
    };
    fail(outbox, &mail[0], state, "the mailbox is full").await;
    crm
}

pub(super) async fn what_failed_alike_is_one_group_and_follows_every_change<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let crm = fill(&outbox).await;
    let group = |name: &str, dead, retrying| (name.to_owned(), dead, retrying);
    assert_eq!(
        sizes(&outbox, None),
        [group("crm", 3, 1), group("mail", 1, 0)]
    );
    assert_eq!(sizes(&outbox, Some("mail")), [group("mail", 1, 0)]);
    assert_eq!(outbox.failure_groups(None, 1).expect("reads").len(), 1);
    assert!(outbox.failure_groups(Some("nobody"), 9).is_err());
    let largest = outbox.failure_groups(None, 1).expect("reads").remove(0);
    assert_eq!(largest.rule, "answer");
    assert!(largest.reason.starts_with("no answer after "));
    assert!(!largest.reason.contains("12345"));
    assert_eq!(largest.sample, crm[3].id, "the newest");
    assert_eq!((largest.first, largest.last), (1_000, 1_000));

    let retry = outbox.repair(crm[0].id, Repair::Retry { force: false }, 2_000);
    assert_eq!(retry.await, Ok(Repaired::Done));
    assert_eq!(sizes(&outbox, Some("crm")), [group("crm", 2, 2)]);
    let cancel = outbox.repair(crm[1].id, Repair::Cancel, 2_000);
    assert_eq!(cancel.await, Ok(Repaired::Done));
    assert_eq!(sizes(&outbox, Some("crm")), [group("crm", 1, 2)]);
    let again = outbox.claim_one("crm", crm[3].id).expect("reads");
    let again = again.expect("it waits");
    assert_eq!(
        sizes(&outbox, Some("crm")),
        [group("crm", 1, 2)],
        "tried now"
    );
    fail(&outbox, &again, dead(9), "refused").await;
    let mut now = sizes(&outbox, Some("crm"));
    now.sort();
    assert_eq!(now, [group("crm", 1, 0), group("crm", 1, 1)]);
    assert_eq!(erase(&*outbox, crm[2].delivery.lead).await, Ok(true));
    outbox.crash();
    let mut now = sizes(&outbox, Some("crm"));
    now.sort();
    assert_eq!(now, [group("crm", 0, 1), group("crm", 1, 0)]);
    let first = outbox.claim_one("crm", crm[0].id).expect("reads");
    let ended = attempt(&first.expect("it waits"), State::Delivered { at: 9 }, 9);
    outbox.finish(ended).await.expect("taken");
    assert_eq!(sizes(&outbox, Some("crm")), [group("crm", 1, 0)]);
}

pub(super) async fn deliveries_are_listed_by_group_rule_reason_and_source<E: Engine>() {
    let outbox = Subject::<E>::new();
    let crm = fill(&outbox).await;
    let none = Filter::default;
    let group = outbox.failure_groups(Some("crm"), 9).expect("reads")[0].id;
    let of_group = Filter {
        group: Some(group),
        ..none()
    };
    assert_eq!(listed(&outbox, &of_group), 4);
    let dead_of_group = Filter {
        state: Some(StateName::Dead),
        sink: Some("crm".to_owned()),
        ..of_group.clone()
    };
    assert_eq!(listed(&outbox, &dead_of_group), 3);
    let newest_first = Filter {
        newest_first: true,
        ..dead_of_group.clone()
    };
    let ids = |filter: &Filter| -> Vec<_> {
        let all = all(|after| outbox.deliveries(filter, after, 2).expect("reads"));
        all.into_iter().map(|one| one.id).collect()
    };
    assert_eq!(ids(&dead_of_group), [crm[0].id, crm[1].id, crm[2].id]);
    assert_eq!(ids(&newest_first), [crm[2].id, crm[1].id, crm[0].id]);
    let of_source = |source: &str, filter: &Filter| Filter {
        source: Some(source.to_owned()),
        ..filter.clone()
    };
    assert_eq!(listed(&outbox, &of_source("other", &of_group)), 2);
    assert_eq!(listed(&outbox, &of_source("other", &none())), 2);
    assert_eq!(listed(&outbox, &of_source("shop", &none())), 4);
    assert_eq!(listed(&outbox, &of_source("nobody", &none())), 0);
    let of_rule = |rule: &str| Filter {
        rule: Some(rule.to_owned()),
        ..none()
    };
    assert_eq!(listed(&outbox, &of_rule("answer")), 5);
    assert_eq!(listed(&outbox, &of_rule("other")), 0);
    let of_reason = |reason| Filter {
        reason: Some(reason),
        ..none()
    };
    assert_eq!(listed(&outbox, &of_reason(DeathReason::Rejected)), 3);
    assert_eq!(listed(&outbox, &of_reason(DeathReason::MaxAge)), 1);
    assert_eq!(listed(&outbox, &of_reason(DeathReason::Held)), 0);
}

pub(super) async fn what_is_stored_is_counted_by_sink_source_and_state<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let crm = fill(&outbox).await;
    let counts = |outbox: &Subject<E>| -> Vec<(String, String, StateName, u64)> {
        let counts = outbox.counts().expect("reads");
        assert!(counts.is_sorted());
        let each = |one: SinkCount| (one.sink, one.source, one.state, one.count);
        counts.into_iter().map(each).collect()
    };
    let count =
        |sink: &str, source: &str, state, count| (sink.to_owned(), source.to_owned(), state, count);
    // The fifth is in flight, and counts as what it was.
    let expected = [
        count("crm", "other", StateName::Retrying, 1),
        count("crm", "other", StateName::Dead, 1),
        count("crm", "shop", StateName::Pending, 1),
        count("crm", "shop", StateName::Dead, 2),
        count("mail", "shop", StateName::Dead, 1),
    ];
    assert_eq!(counts(&outbox), expected);
    outbox.unclaim("crm", &[crm[4].id]);
    outbox
        .repair(crm[4].id, Repair::Cancel, 9)
        .await
        .expect("done");
    assert_eq!(erase(&*outbox, crm[1].delivery.lead).await, Ok(true));
    outbox.crash();
    let expected = [
        count("crm", "other", StateName::Retrying, 1),
        count("crm", "shop", StateName::Cancelled, 1),
        count("crm", "shop", StateName::Dead, 2),
        count("mail", "shop", StateName::Dead, 1),
    ];
    assert_eq!(counts(&outbox), expected);
}

pub(super) async fn deliveries_of_a_sink_that_is_gone_are_listed_as_orphaned<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    let crm = fill(&outbox).await;
    let ended = attempt(&crm[4], State::Delivered { at: 5 }, 5);
    outbox.finish(ended).await.expect("taken");
    let orphaned = Filter {
        orphaned: true,
        ..Filter::default()
    };
    assert_eq!(listed(&outbox, &orphaned), 0);
    outbox.close();
    outbox.setup = Setup::default();
    outbox.setup.sinks.retain(|sink| sink.name != "crm");
    outbox.open();
    assert_eq!(listed(&outbox, &orphaned), 4, "not what is delivered");
    let dead = Filter {
        state: Some(StateName::Dead),
        ..orphaned.clone()
    };
    assert_eq!(listed(&outbox, &dead), 3);
    assert_eq!(sizes(&outbox, None)[0], ("crm".to_owned(), 3, 1));
    for claim in &crm[..4] {
        let cancel = outbox.repair(claim.id, Repair::Cancel, 9);
        assert_eq!(cancel.await, Ok(Repaired::Done));
    }
    assert_eq!(listed(&outbox, &orphaned), 0);
}
