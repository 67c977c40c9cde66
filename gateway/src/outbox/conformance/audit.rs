//! The audit log: what was done is there, in order, until its own time is over.

use super::engine::Engine;
use super::pushes::{arrival, newest};
use super::subject::{Subject, blocking};
use crate::clock::Millis;
use crate::outbox::{
    Actor, Audit, AuditAction, AuditEntry, AuditEvent, AuditFilter, AuditResult, DAY, Erasure,
    Intake, Maintenance, Operations, Paged, Role, Via,
};

/// Said in the note of each.
pub(super) const NOTE: &str = "asked-for-by-the-shop";

pub(super) fn event(at: Millis, action: AuditAction) -> AuditEvent {
    let who = Actor {
        name: "li".to_owned(),
        role: Role::Admin,
        via: Via::Api,
        peer: Some([10, 0, 0, 7].into()),
    };
    AuditEvent {
        note: NOTE.to_owned(),
        count: Some(3),
        ..AuditEvent::new(at, who, action)
    }
}

/// Keeps one entry for each day.
pub(super) async fn record_days<E: Engine>(outbox: &Subject<E>, days: std::ops::Range<i64>) {
    for day in days {
        let action = AuditAction::ALL[usize::try_from(day).expect("small") % 3];
        let number = outbox.record(event(day * DAY, action)).await;
        number.expect("recorded");
    }
}

/// All that pass, read in pages of so many.
pub(super) fn audited<E: Engine>(
    outbox: &Subject<E>,
    filter: &AuditFilter,
    limit: usize,
) -> Vec<AuditEntry> {
    super::pushes::all(|after| {
        if let Some(after) = after {
            assert!(outbox.continues(Paged::Audit, after), "{after}");
        }
        outbox.audit(filter, after, limit).expect("reads")
    })
}

fn numbers(entries: &[AuditEntry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.number).collect()
}

pub(super) async fn entries_outlive_a_crash_and_are_listed_newest_first<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    assert_eq!(blocking(|| outbox.verify_audit()).expect("reads").last, 0);
    outbox.audit_ready().await.expect("ready");
    let mut wanted = event(1_000, AuditAction::LeadsErase);
    wanted.result = AuditResult::Refused("in-flight".to_owned());
    wanted.filter = "by phone".to_owned();
    assert_eq!(outbox.record(wanted.clone()).await, Ok(1));
    record_days(&outbox, 1..4).await;
    for again in [false, true] {
        if again {
            outbox.reopen();
        } else {
            outbox.crash();
        }
        outbox.audit_ready().await.expect("ready");
        let number = outbox.record(event(5 * DAY, AuditAction::Reload)).await;
        assert_eq!(number, Ok(5 + u64::from(again)));
    }
    let entries = audited(&outbox, &AuditFilter::default(), 2);
    assert_eq!(numbers(&entries), [6, 5, 4, 3, 2, 1]);
    assert_eq!(entries[5].event, wanted);
    let state = blocking(|| outbox.verify_audit()).expect("reads");
    assert_eq!((state.entries, state.first, state.last), (6, 1, 6));
    assert_eq!(state.chain, entries[0].chain);
    assert_eq!(state.broken, None);
    let mut oldest_first = Vec::new();
    let each = |entry: AuditEntry| {
        oldest_first.push(entry.number);
        Ok(())
    };
    let mut each = each;
    outbox.each_audited(&mut each).expect("reads");
    assert_eq!(oldest_first, [1, 2, 3, 4, 5, 6]);
}

pub(super) async fn a_filter_takes_what_it_says_page_by_page<E: Engine>() {
    let outbox = Subject::<E>::new();
    // Over some months.
    record_days(&outbox, 0..100).await;
    let of = |action: &str| AuditFilter {
        action: Some(action.to_owned()),
        ..AuditFilter::default()
    };
    assert_eq!(audited(&outbox, &of("delivery"), 7).len(), 100);
    assert_eq!(audited(&outbox, &of("delivery.done"), 7).len(), 33);
    assert_eq!(audited(&outbox, &of("leads"), 7).len(), 0);
    let between = AuditFilter {
        since: Some(20 * DAY),
        before: Some(70 * DAY),
        ..AuditFilter::default()
    };
    let entries = audited(&outbox, &between, 9);
    let wanted: Vec<u64> = (21..71).rev().collect();
    assert_eq!(numbers(&entries), wanted);
    let nobody = AuditFilter {
        who: Some("nobody".to_owned()),
        ..AuditFilter::default()
    };
    assert!(audited(&outbox, &nobody, 9).is_empty());
    for cursor in ["", "xyz", "-1"] {
        assert!(!outbox.continues(Paged::Audit, cursor), "{cursor}");
    }
}

pub(super) async fn what_is_old_leaves_on_purpose_and_the_rest_is_sound<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    record_days(&outbox, 0..100).await;
    let before = 70 * DAY;
    let gone = blocking(|| outbox.retire_audit(before)).expect("retires");
    assert!((1..=70).contains(&gone), "{gone}");
    outbox.crash();
    let entries = audited(&outbox, &AuditFilter::default(), 50);
    let wanted: Vec<u64> = (gone + 1..=100).rev().collect();
    assert_eq!(numbers(&entries), wanted, "nothing younger left");
    let state = blocking(|| outbox.verify_audit()).expect("reads");
    assert_eq!((state.first, state.last), (gone + 1, 100));
    assert_eq!(state.broken, None, "it left on purpose");
    assert_eq!(blocking(|| outbox.retire_audit(before)), Ok(0));
    // All of it: numbers go on.
    let rest = blocking(|| outbox.retire_audit(200 * DAY));
    assert_eq!(rest, Ok(100 - gone));
    assert!(audited(&outbox, &AuditFilter::default(), 9).is_empty());
    for number in 101..104 {
        let recorded = outbox.record(event(200 * DAY, AuditAction::Reload)).await;
        assert_eq!(recorded, Ok(number));
        outbox.crash();
        let state = blocking(|| outbox.verify_audit()).expect("reads");
        assert_eq!((state.first, state.last), (101, number));
        assert_eq!(state.broken, None);
    }
}

pub(super) async fn a_store_that_is_closed_keeps_no_entry<E: Engine>() {
    let outbox = Subject::<E>::new();
    let shared = outbox.share();
    blocking(|| shared.close());
    assert!(shared.audit_ready().await.is_err());
    let event = event(1_000, AuditAction::Reload);
    assert!(shared.record(event).await.is_err());
    assert!(blocking(|| shared.retire_audit(0)).is_err());
}

pub(super) async fn an_erasure_leaves_the_log_alone<E: Engine>() {
    let mut outbox = Subject::<E>::new();
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    record_days(&outbox, 0..3).await;
    let leads = outbox.leads(&newest(), None, 9).expect("reads").items;
    let erased = outbox.erase(Erasure {
        leads,
        quarantined: Vec::new(),
    });
    assert_eq!(erased.await.expect("erased").leads.len(), 1);
    outbox.crash();
    let entries = audited(&outbox, &AuditFilter::default(), 9);
    assert_eq!(numbers(&entries), [3, 2, 1]);
    assert_eq!(
        blocking(|| outbox.verify_audit()).expect("reads").broken,
        None
    );
}

pub(super) async fn those_who_come_together_get_numbers_without_a_gap<E: Engine>() {
    let outbox = Subject::<E>::new();
    let store = outbox.share();
    let all = (0..200).map(|_| tokio::spawn(store.record(event(1_000, AuditAction::Reload))));
    let mut got = Vec::new();
    for one in all.collect::<Vec<_>>() {
        got.push(one.await.expect("runs").expect("recorded"));
    }
    got.sort_unstable();
    assert_eq!(got, (1..=200).collect::<Vec<_>>());
    assert_eq!(
        blocking(|| outbox.verify_audit()).expect("reads").broken,
        None
    );
}
