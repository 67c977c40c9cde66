//! The engine's promises, against a real store in a temporary folder.

mod beside;
mod cleaning;
mod copies;
mod damage;
mod erasing;
mod flips;
mod histories;
mod late;
mod unfinished;

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
    SledOutbox::open(options(&folder.path().join("store"), queue, keys, min_free))
}

fn options<'a>(
    path: &'a std::path::Path,
    queue: usize,
    keys: &'a [OutboxKey],
    min_free: u64,
) -> Options<'a> {
    Options {
        path,
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
    }
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
        config_revision: String::new(),
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
async fn a_second_daemon_is_refused_by_name() {
    let folder = folder();
    let _first = open(&folder);
    let second = try_open(&folder, 1).err().expect("refused");
    assert!(matches!(second, OpenError::InUse(_)), "{second}");
}
