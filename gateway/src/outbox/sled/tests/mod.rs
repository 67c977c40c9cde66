//! The engine's promises, against a real store in a temporary folder.

mod cleaning;
mod damage;
mod desk;
mod flips;
mod model;
mod sealed;

use futures_util::future::join_all;
use tempfile::TempDir;

use super::*;
use crate::config::OnUpdate;
use crate::outbox::{Attempt, Claim, DeathReason, Route, SinkPolicy, State};
use crate::seal::OutboxKey;
use crate::telemetry::metrics::Metrics;
use leadgate_plugin::OutcomeKind;

fn open(folder: &TempDir) -> SledOutbox {
    try_open(folder, 4096).expect("the store opens")
}

fn try_open(folder: &TempDir, queue: usize) -> Result<SledOutbox, OpenError> {
    open_with(folder, queue, &[], 0)
}

fn open_with(
    folder: &TempDir,
    queue: usize,
    keys: &[OutboxKey],
    min_free: u64,
) -> Result<SledOutbox, OpenError> {
    SledOutbox::open(Options {
        path: &folder.path().join("store"),
        queue,
        cache: 16 << 20,
        keys,
        sinks: vec![
            policy("crm", OnUpdate::Each, None),
            policy("mail", OnUpdate::Supersede, None),
            policy("once", OnUpdate::Ignore, Some("mail")),
        ],
        min_free,
        metrics: Metrics::new().outbox,
    })
}

/// Closes the store; may be called where blocking is not allowed.
fn close(outbox: SledOutbox) {
    let closing = std::thread::spawn(move || outbox.close());
    closing.join().expect("closes");
}

fn policy(name: &str, on_update: OnUpdate, on_dead: Option<&str>) -> SinkPolicy {
    SinkPolicy {
        name: name.to_owned(),
        on_update,
        on_dead: on_dead.map(str::to_owned),
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn arrival(record: u64, content: u8) -> Arrival {
    let mut identity = [0; 32];
    identity[..8].copy_from_slice(&record.to_be_bytes());
    Arrival {
        source: "shop".into(),
        received_at: 1_000,
        identity,
        stable: true,
        content: [content; 32],
        modified_at: None,
        request_id: None,
        method: None,
        lead: format!("{{\"record_id\":{record}}}"),
        labels: "{}".to_owned(),
        raw: "raw".to_owned(),
        original: None,
        finds: Vec::new(),
        routes: vec![Route {
            sink: "crm".into(),
            failed: None,
        }],
    }
}

/// The end of a claim's next attempt.
fn attempt(claim: &Claim, state: State, now: Millis) -> Finish {
    let State::Waiting { due_at } = claim.delivery.state else {
        panic!("a claim waits")
    };
    let mut delivery = claim.delivery.clone();
    delivery.attempts += 1;
    delivery.state = state;
    delivery.history.push(Attempt {
        number: delivery.attempts,
        started_at: 1,
        duration_ms: 1,
        outcome: OutcomeKind::Retry,
        rule: String::new(),
        reason: String::new(),
        receipt: String::new(),
        request: String::new(),
        response: String::new(),
        trace_id: String::new(),
    });
    Finish {
        id: claim.id,
        sink: claim.delivery.sink.as_str().into(),
        now,
        was_due: due_at,
        delivery,
    }
}

async fn finish(outbox: &SledOutbox, claim: &Claim, state: State) {
    outbox
        .finish(attempt(claim, state, 5))
        .await
        .expect("the store takes the end of an attempt");
}

fn claims(outbox: &SledOutbox, now: Millis) -> Vec<Claim> {
    claims_of(outbox, "crm", now)
}

fn claims_of(outbox: &SledOutbox, sink: &str, now: Millis) -> Vec<Claim> {
    let due = outbox.claim(sink, now, 100).expect("the store reads");
    due.deliveries
}

#[tokio::test]
async fn a_journal_is_there_after_a_crash_and_ended_deliveries_take_none() {
    let folder = folder();
    let outbox = open(&folder);
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let claim = claims(&outbox, 2_000).remove(0);
    let keep = outbox.keep("crm", claim.id, "{\"party\":7}".to_owned());
    keep.await.expect("kept");
    // As after a crash: the attempt never ended.
    close(outbox);
    let outbox = open(&folder);
    let again = claims(&outbox, 2_000).remove(0);
    assert_eq!((again.id, again.delivery.attempts), (claim.id, 0));
    assert_eq!(again.delivery.journal, "{\"party\":7}");
    finish(&outbox, &claim, State::Delivered { at: 5 }).await;
    let late = outbox.keep("crm", claim.id, "late".to_owned());
    late.await.expect("nothing to do");
    let ended = outbox.delivery(claim.id).expect("reads").expect("is there");
    assert_eq!(
        (ended.state, ended.journal.as_str()),
        (State::Delivered { at: 5 }, "")
    );
    assert!(claims(&outbox, 2_000).is_empty());
    close(outbox);
}

#[tokio::test]
async fn an_accepted_lead_is_due_at_once_and_survives_reopening() {
    let folder = folder();
    let outbox = open(&folder);
    let accepted = outbox.accept(arrival(1, 1)).await.expect("accepted");
    assert!(matches!(
        accepted,
        Accepted::New {
            revision: 1,
            history: false,
            ..
        }
    ));
    tokio::task::spawn_blocking(move || outbox.close())
        .await
        .expect("closed");

    let outbox = open(&folder);
    let due = claims(&outbox, 1_000);
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].lead.lead, "{\"record_id\":1}");
    assert_eq!(outbox.totals().sinks["crm"].waiting, 1);
    assert_eq!(outbox.oldest("crm").expect("readable"), Some(1_000));
    assert_eq!(outbox.oldest("mail").expect("readable"), None);
}

#[tokio::test]
async fn equal_content_is_a_duplicate_also_inside_one_group_and_against_old_revisions() {
    let folder = folder();
    let outbox = open(&folder);
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

#[tokio::test]
async fn an_older_modification_is_kept_as_history_and_not_delivered() {
    let folder = folder();
    let outbox = open(&folder);
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
    assert_eq!(claims(&outbox, 5_000).len(), 1);
    assert!(outbox.lead(lead, 2).expect("readable").is_some());
}

#[tokio::test]
async fn a_delivery_moves_from_waiting_to_retry_to_done_and_counts_follow() {
    let folder = folder();
    let outbox = open(&folder);
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let first = claims(&outbox, 1_000).remove(0);
    finish(&outbox, &first, State::Waiting { due_at: 9_000 }).await;
    assert!(claims(&outbox, 8_999).is_empty());
    let later = outbox.claim("crm", 8_999, 10).expect("readable");
    assert_eq!(later.next, Some(9_000));
    assert_eq!(outbox.totals().sinks["crm"].retrying, 1);

    let second = claims(&outbox, 9_000).remove(0);
    assert_eq!(second.id, first.id, "the id is stable over attempts");
    finish(&outbox, &second, State::Delivered { at: 9_001 }).await;
    assert!(claims(&outbox, Millis::MAX).is_empty());
    let totals = outbox.totals().sinks["crm"].clone();
    assert_eq!(
        (totals.waiting, totals.retrying, totals.delivered),
        (0, 0, 1)
    );
    let stored = outbox.delivery(first.id).expect("readable").expect("kept");
    assert_eq!(stored.attempts, 2);
}

#[tokio::test]
async fn finishing_twice_changes_nothing() {
    let folder = folder();
    let outbox = open(&folder);
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let claim = claims(&outbox, 1_000).remove(0);
    finish(
        &outbox,
        &claim,
        State::Dead {
            at: 1,
            reason: DeathReason::Rejected,
        },
    )
    .await;
    finish(&outbox, &claim, State::Delivered { at: 2 }).await;
    let totals = outbox.totals().sinks["crm"].clone();
    assert_eq!(
        (totals.waiting, totals.delivered, totals.dead_letters()),
        (0, 0, 1)
    );
}

#[tokio::test]
async fn a_condition_that_failed_makes_a_dead_letter() {
    let folder = folder();
    let outbox = open(&folder);
    let mut lead = arrival(1, 1);
    lead.routes = vec![Route {
        sink: "mail".into(),
        failed: Some("bad value".to_owned()),
    }];
    outbox.accept(lead).await.expect("accepted");
    assert_eq!(outbox.totals().sinks["mail"].dead[&DeathReason::Route], 1);
}

#[tokio::test]
async fn large_bodies_never_become_files_outside_the_log() {
    let folder = folder();
    let outbox = open(&folder);
    for record in 0..40 {
        let mut lead = arrival(record, 1);
        lead.raw = "名".repeat(100_000);
        lead.lead = format!("{{\"x\":\"{}\"}}", "名".repeat(100_000));
        outbox.accept(lead).await.expect("accepted");
    }
    let due = claims(&outbox, 1_000);
    assert_eq!(due.len(), 40);
    assert_eq!(due[7].lead.raw.len(), 300_000);
    let blobs = std::fs::read_dir(folder.path().join("store/index/blobs"))
        .expect("sled makes the folder")
        .count();
    assert_eq!(blobs, 0, "sled writes blobs without syncing them");
}

#[tokio::test]
async fn the_same_push_is_kept_once() {
    let folder = folder();
    let outbox = open(&folder);
    let quarantined = QuarantinedPush {
        source: "shop".into(),
        reason: "unparsable",
        received_at: 1,
        request_id: None,
        signature: String::new(),
        query: "a=1".to_owned(),
        content_type: "application/json".to_owned(),
        body: b"{".to_vec(),
        ceiling: crate::config::Ceiling::default(),
    };
    let again = QuarantinedPush {
        query: "a=2".to_owned(),
        ..quarantined.clone()
    };
    assert!(matches!(
        outbox.quarantine(quarantined).await,
        Ok(Quarantined::New(_))
    ));
    assert_eq!(outbox.quarantine(again).await, Ok(Quarantined::Duplicate));
    assert_eq!(outbox.totals().quarantined, 1);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let folder = folder();
    let outbox = try_open(&folder, 1).expect("opens");
    // One permit: as long as the committer has not taken the first job, others are refused.
    let results = join_all((0..64).map(|record| outbox.accept(arrival(record, 1)))).await;
    let full = results
        .iter()
        .filter(|result| **result == Err(Refusal::Full))
        .count();
    assert!(full > 0, "64 arrivals at once do not fit a queue of one");
    let new = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(outbox.totals().accepted, new as u64);
}

#[tokio::test]
async fn a_second_daemon_is_refused_by_name() {
    let folder = folder();
    let _first = open(&folder);
    let second = try_open(&folder, 1).err().expect("refused");
    assert!(matches!(second, OpenError::InUse(_)), "{second}");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_kept_beside_the_text() {
    let folder = folder();
    let outbox = open(&folder);
    let mut lead = arrival(1, 1);
    lead.original = Some(b"\xd5\xc5\xc8\xfd\xff".to_vec());
    outbox.accept(lead).await.expect("accepted");
    let stored = claims(&outbox, 1_000).remove(0).lead;
    assert_eq!(stored.raw, "raw");
    assert_eq!(
        stored.original.as_deref(),
        Some(b"\xd5\xc5\xc8\xfd\xff".as_slice())
    );
}
