//! What the tests push, and how their attempts end.

use std::path::Path;

use leadgate_plugin::OutcomeKind;

use crate::clock::Millis;
use crate::config::Ceiling;
use crate::outbox::{
    Accepted, Arrival, Attempt, Claim, DeathReason, Exported, Finish, LeadFilter, LeadId,
    Maintenance, Operations, Page, QuarantinedPush, Queue, Route, State, Unavailable,
};

/// A lead for `crm`.
pub(super) fn arrival(record: u64, content: u8) -> Arrival {
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
        routes: vec![route("crm")],
    }
}

/// A lead for `sinks` from `source`.
pub(super) fn lead_for(record: u64, source: &str, sinks: &[&str]) -> Arrival {
    Arrival {
        source: source.into(),
        routes: sinks.iter().map(|sink| route(sink)).collect(),
        ..arrival(record, 1)
    }
}

/// To a sink that wants it.
pub(super) fn route(sink: &str) -> Route {
    Route {
        sink: sink.into(),
        failed: None,
    }
}

/// Erases a lead; whether it is gone.
pub(super) async fn erase(outbox: &impl Operations, lead: LeadId) -> Result<bool, Unavailable> {
    let erased = outbox.erase(lead.into()).await?;
    assert_eq!(erased.quarantined, []);
    Ok(erased.leads == [lead])
}

/// A push that nobody can read.
pub(super) fn quarantined(body: &[u8]) -> QuarantinedPush {
    QuarantinedPush {
        source: "shop".into(),
        reason: "unparsable",
        received_at: 1_000,
        request_id: None,
        signature: String::new(),
        query: String::new(),
        content_type: String::new(),
        body: body.to_vec(),
        ceiling: Ceiling::default(),
    }
}

/// The lead that was made or got a revision.
pub(super) fn lead_of(accepted: Accepted) -> LeadId {
    match accepted {
        Accepted::New { lead, .. } => lead,
        other => panic!("nothing new: {other:?}"),
    }
}

/// The end of a claim's next attempt.
pub(super) fn attempt(claim: &Claim, state: State, now: Millis) -> Finish {
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
        config_revision: "0123456789abcdef".to_owned(),
    });
    Finish {
        id: claim.id,
        sink: claim.delivery.sink.as_str().into(),
        now,
        was_due: due_at,
        delivery,
    }
}

/// A dead letter.
pub(super) const fn dead(at: Millis) -> State {
    State::Dead {
        at,
        reason: DeathReason::Rejected,
    }
}

/// Ends the attempt of a claim.
pub(super) async fn finish(outbox: &impl Queue, claim: &Claim, state: State) {
    let finish = outbox.finish(attempt(claim, state, 5));
    finish.await.expect("the store takes the end of an attempt");
}

/// What is due for `crm`, claimed.
pub(super) fn claims(outbox: &impl Queue, now: Millis) -> Vec<Claim> {
    claims_of(outbox, "crm", now)
}

/// What is due for a sink, claimed.
pub(super) fn claims_of(outbox: &impl Queue, sink: &str, now: Millis) -> Vec<Claim> {
    let due = outbox.claim(sink, now, 100).expect("the store reads");
    due.deliveries
}

/// All leads, the newest first.
pub(super) fn newest() -> LeadFilter {
    LeadFilter {
        newest_first: true,
        ..LeadFilter::default()
    }
}

/// All of a list, read in pages.
pub(super) fn all<T>(mut page: impl FnMut(Option<&str>) -> Page<T>) -> Vec<T> {
    let (mut items, mut after) = (Vec::new(), None::<String>);
    loop {
        let next = page(after.as_deref());
        items.extend(next.items);
        after = next.next;
        if after.is_none() {
            return items;
        }
    }
}

/// Everything that is stored, as an export writes it.
pub(super) fn dump(outbox: &impl Maintenance) -> Vec<String> {
    let mut lines = Vec::new();
    let dumped = outbox.dump(&mut |line: Exported| {
        lines.push(serde_json::to_string(&line).expect("writes"));
        Ok(())
    });
    dumped.expect("dumps");
    lines
}

/// Writes a backup to a file. Blocks.
pub(super) fn back_up(outbox: &impl Maintenance, file: &Path) {
    let mut to = std::fs::File::create(file).expect("makes the file");
    outbox.backup(&mut to).expect("backs up");
}
