//! Promise 5: encryption at rest: what a thief of the disk finds, and what keys do.

use super::audit::{NOTE, audited, event, record_days};
use super::engine::{Engine, OnDisk, Setup};
use super::pushes::{arrival, attempt, claims, dead, lead_of, quarantined};
use super::subject::{Subject, blocking};
use crate::outbox::{
    Audit, AuditAction, AuditFilter, DAY, Find, FindBy, Intake, LeadId, Maintenance, Operations,
    PauseCause, QuarantinedPush, Queue,
};
use crate::seal::OutboxKey;

pub(super) const PHONE: &str = "13567658911";
pub(super) const NAME: &str = "张三丰";

/// A lead, a dead letter with its answer, and a quarantined push, all about one person; and what
/// a plugin and a person noted.
pub(super) async fn fill<E: Engine>(outbox: &Subject<E>) -> LeadId {
    let mut lead = arrival(1, 1);
    lead.lead = format!("{{\"name\":\"{NAME}\",\"phone\":\"{PHONE}\"}}");
    lead.raw = format!("{NAME} {PHONE}");
    lead.original = Some(format!("{NAME} {PHONE}").into_bytes());
    lead.finds = vec![
        Find::new(FindBy::Phone, PHONE),
        Find::new(FindBy::Nick, NAME),
    ];
    let lead = lead_of(outbox.accept(lead).await.expect("accepted"));
    let claim = claims(&**outbox, 1_000).remove(0);
    let mut end = attempt(&claim, dead(5), 5);
    end.delivery.history[0].response = format!("no such customer: {NAME} {PHONE}");
    end.delivery.journal = format!("{NAME} {PHONE}");
    outbox.finish(end).await.expect("taken");
    let push = QuarantinedPush {
        query: format!("q={PHONE}"),
        ..quarantined(format!("{{{NAME} {PHONE}").as_bytes())
    };
    outbox.quarantine(push).await.expect("kept");
    let secret = Some(format!("{NAME} {PHONE}").into_bytes());
    let kept = outbox.keep_sink_state("crm", "token", secret).await;
    assert_eq!(kept, Ok(true));
    lead
}

/// How often the person shows in what is stored.
pub(super) fn traces<E: OnDisk>(outbox: &Subject<E>) -> usize {
    let times = |bytes: &[u8], what: &[u8]| {
        let windows = bytes.windows(what.len());
        windows.filter(|window| *window == what).count()
    };
    let files = outbox.engine.bytes();
    let each = files
        .iter()
        .map(|bytes| times(bytes, PHONE.as_bytes()) + times(bytes, NAME.as_bytes()));
    each.sum()
}

pub(super) async fn what_is_stored_shows_nothing_of_a_person_when_there_is_a_key<E: OnDisk>() {
    let mut plain = Subject::<E>::new();
    fill(&plain).await;
    plain.close();
    assert!(
        traces(&plain) > 0,
        "without a key the files are readable: the search works"
    );

    let key = OutboxKey::generate();
    let mut outbox = Subject::<E>::with(Setup::sealed_with(&[key]));
    let lead = fill(&outbox).await;
    let find = |field, value| outbox.find(&Find::new(field, value), 10);
    assert_eq!(find(FindBy::Phone, "+86 135 6765 8911"), Ok(vec![lead]));
    assert_eq!(find(FindBy::Phone, "13567658912"), Ok(vec![]));
    assert_eq!(find(FindBy::Openid, NAME), Ok(vec![]));
    outbox.close();
    assert_eq!(traces(&outbox), 0);
}

pub(super) async fn a_new_key_seals_old_records_again_and_then_the_old_one_can_go<E: Engine>() {
    let (old, new) = (OutboxKey::generate(), OutboxKey::generate());
    let mut outbox = Subject::<E>::new();
    let lead = fill(&outbox).await;
    outbox.close();
    for keys in [vec![old.clone()], vec![new.clone(), old]] {
        outbox.setup = Setup::sealed_with(&keys);
        outbox.open();
        let mut resealed = 0;
        let mut from = None;
        loop {
            // Small steps: a record of several parts is not cut in the middle.
            let step = blocking(|| outbox.rekey(from.as_deref(), 2)).expect("reseals");
            resealed += step.resealed;
            from = step.next;
            if from.is_none() {
                break;
            }
        }
        assert!(
            resealed >= 3,
            "a lead, a delivery and a quarantined push at least, not {resealed}"
        );
        let again = blocking(|| outbox.rekey(None, 1_000)).expect("reads");
        assert_eq!(again.resealed, 0, "a second run finds nothing to do");
        outbox.close();
    }
    outbox.setup = Setup::sealed_with(&[new]);
    outbox.open();
    let stored = outbox.lead(lead, 0).expect("reads").expect("is there");
    assert!(stored.raw.contains(PHONE));
    let history = outbox.history(lead).expect("reads").expect("is there");
    assert!(history.deliveries[0].delivery.journal.contains(PHONE));
    let found = outbox.find(&Find::new(FindBy::Phone, PHONE), 10);
    assert_eq!(found, Ok(vec![lead]));
    let aside = outbox.quarantined_pushes(None, 10).expect("reads");
    assert_eq!(aside.items.len(), 1);
    let kept = outbox.sink_state("crm", "token").expect("reads");
    assert_eq!(kept, Some(format!("{NAME} {PHONE}").into_bytes()));
}

pub(super) async fn a_sealed_store_does_not_open_without_its_key_and_says_which<E: Engine>() {
    let key = OutboxKey::generate();
    let id = key.id().to_string();
    let mut outbox = Subject::<E>::with(Setup::sealed_with(std::slice::from_ref(&key)));
    let note = PauseCause::Person(NAME.to_owned());
    outbox.pause("crm", Some(note)).await.expect("taken");
    outbox.close();
    for keys in [vec![], vec![OutboxKey::generate()]] {
        let setup = Setup::sealed_with(&keys);
        let refused = blocking(|| outbox.engine.open(&setup).err());
        let refused = refused.expect("refused");
        assert!(refused.contains(&id), "{refused}");
    }
    outbox.setup = Setup::sealed_with(&[OutboxKey::generate(), key]);
    outbox.open();
    assert!(outbox.paused("crm"), "what was refused was not touched");
}

pub(super) async fn the_audit_log_is_sealed_and_sealed_again_with_a_new_key<E: OnDisk>() {
    let (old, new) = (OutboxKey::generate(), OutboxKey::generate());
    let shown = |outbox: &Subject<E>| {
        let files = outbox.engine.bytes();
        let mut all = files.iter();
        all.any(|file| file.windows(NOTE.len()).any(|seen| seen == NOTE.as_bytes()))
    };
    let mut outbox = Subject::<E>::with(Setup::default());
    record_days(&outbox, 0..40).await;
    assert!(shown(&outbox), "the test looks for what is there");
    for keys in [vec![old.clone()], vec![new.clone(), old], vec![new]] {
        outbox.setup = Setup::sealed_with(&keys);
        outbox.reopen();
        let entries = audited(&outbox, &AuditFilter::default(), 50);
        assert_eq!(entries.len(), 40);
        let mut from = None;
        loop {
            let step = blocking(|| outbox.rekey(from.as_deref(), 100)).expect("rekeys");
            from = step.next;
            if from.is_none() {
                break;
            }
        }
        assert!(!shown(&outbox));
        assert_eq!(audited(&outbox, &AuditFilter::default(), 50), entries);
        outbox.crash();
        let state = blocking(|| outbox.verify_audit()).expect("reads");
        assert_eq!((state.entries, state.broken), (40, None));
    }
    // What comes then goes on behind it.
    assert_eq!(
        outbox.record(event(40 * DAY, AuditAction::Reload)).await,
        Ok(41)
    );
}
