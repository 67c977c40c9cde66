//! What is true of this engine's files alone. What every engine promises is in
//! [`crate::outbox::conformance`].

mod damage;
pub(in crate::outbox) mod inside;
mod sink_state;
mod unrouted;

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
    let blobs = std::fs::read_dir(folder.path().join("store/blobs"))
        .expect("sled makes the folder")
        .count();
    assert_eq!(blobs, 0, "sled writes blobs without syncing them");
}

#[tokio::test]
async fn a_second_daemon_is_refused_by_name() {
    let folder = folder();
    let _first = open(&folder);
    let second = try_open(&folder, 1).err().expect("refused");
    assert!(matches!(second, OpenError::InUse(_)), "{second}");
}

#[test]
fn a_newer_format_is_refused() {
    let folder = folder();
    {
        let db = ::sled::open(folder.path().join("store")).expect("opens");
        db.insert(key::FORMAT, &7_u32.to_be_bytes())
            .expect("writes");
        db.flush().expect("flushes");
    }
    let error = try_open(&folder, 1).err().expect("refused");
    assert!(
        matches!(error, OpenError::Newer { found: 7, .. }),
        "{error}"
    );
}

#[test]
fn a_foreign_sled_database_is_refused() {
    let folder = folder();
    {
        let db = ::sled::open(folder.path().join("store")).expect("opens");
        db.insert(b"other", b"thing").expect("writes");
        db.flush().expect("flushes");
    }
    let error = try_open(&folder, 1).err().expect("refused");
    assert!(error.to_string().contains("not an outbox"), "{error}");
}

#[tokio::test]
async fn a_delivery_that_cannot_be_read_does_not_hold_up_the_others() {
    let folder = folder();
    let outbox = open(&folder);
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    outbox.accept(arrival(2, 2)).await.expect("accepted");
    let mut both = claims(&outbox, 1_000);
    outbox.unclaim("crm", &[both[1].id]);
    let first = both.remove(0);
    outbox
        .reader
        .tree
        .insert(
            key::delivery(
                key::WAITING,
                outbox.reader.sinks.named("crm").expect("a sink").number,
                first.id,
            ),
            &[9, 9],
        )
        .expect("damages");
    outbox.unclaim("crm", &[first.id]);
    let due = outbox.claim("crm", 1_000, 100).expect("readable");
    assert_eq!((due.deliveries.len(), due.damaged.len()), (1, 1));
    assert_eq!(due.damaged[0].0, first.id);
}

#[tokio::test]
async fn what_left_leaves_no_key_behind() {
    const DAY: Millis = 86_400_000;
    let folder = folder();
    let outbox = open(&folder);
    let keep = Retention {
        done_ms: 10 * DAY,
        dead_ms: 20 * DAY,
        dead_by: Millis::MAX,
    };
    for record in 0..3 {
        outbox.accept(arrival(record, 1)).await.expect("accepted");
    }
    let claims = claims(&outbox, 1_000);
    let reason = DeathReason::Rejected;
    finish(&outbox, &claims[0], State::Delivered { at: 5 }).await;
    finish(&outbox, &claims[1], State::Dead { at: 5, reason }).await;
    let (outbox, swept) = std::thread::spawn(move || {
        let swept = outbox.sweep(keep, 21 * DAY, None, 9).expect("sweeps");
        (outbox, swept)
    })
    .join()
    .expect("no panic");
    assert_eq!(swept.leads, 2);
    let keys = outbox.reader.tree.iter().keys();
    let rooms: Vec<u8> = keys.map(|key| key.expect("reads")[0]).collect();
    let of = |room: u8| rooms.iter().filter(|one| **one == room).count();
    let left = [b'l', b'i', b'o', b'd', b'x', b'w', b'q'].map(of);
    assert_eq!(left, [1, 1, 1, 0, 0, 1, 1]);
}

#[tokio::test]
async fn a_damaged_backup_makes_no_store() {
    let folder = folder();
    let outbox = open(&folder);
    outbox.accept(arrival(1, 1)).await.expect("accepted");
    let file = folder.path().join("backup");
    let mut to = std::fs::File::create(&file).expect("makes the file");
    let backed_up = std::thread::spawn(move || outbox.backup(&mut to));
    backed_up.join().expect("no panic").expect("backs up");
    let mut bytes = std::fs::read(&file).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).expect("writes");
    let other = folder.path().join("other");
    assert!(restore(&file, &other, false).is_err() && !other.exists());
}
