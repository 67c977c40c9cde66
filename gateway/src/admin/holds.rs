//! Holds: what keeps a sink or a delivery from going on, with its end and what ends it.

use schemars::JsonSchema;
use serde::Serialize;

use super::problem::Problem;
use super::shape::HeldBy;
use super::{Admin, rfc3339};
use crate::delivery::{Hold, HoldReason};
use crate::outbox::{Listed, PauseCause, State, StateName};

/// A hold as the API shows it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Hold")]
pub(super) struct Shown {
    #[schemars(with = "HeldBy")]
    pub(super) reason: &'static str,
    since: Option<String>,
    /// `None` where no time ends it.
    pub(super) until: Option<String>,
    /// What a person can do, or what has to happen.
    ends_by: String,
    /// What the person who paused the sink said.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Crashes of leadgate in a row, if they paused the sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    crashes: Option<u32>,
    /// The delivery that goes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<String>,
}

/// What holds a whole sink back.
pub(super) fn of_sink(admin: &Admin, sink: &str) -> Vec<Hold> {
    if !admin.configured.get().sinks.contains_key(sink) {
        return vec![Hold {
            reason: HoldReason::Orphaned,
            since: None,
            until: None,
        }];
    }
    let paused = admin.outbox.pause_of(sink).map(|pause| Hold {
        reason: HoldReason::Paused,
        since: (pause.since > 0).then_some(pause.since),
        until: None,
    });
    let status = admin.delivery.of(sink);
    paused.into_iter().chain(status.holds).collect()
}

/// As shown, with who paused it.
pub(super) fn shown_of(admin: &Admin, sink: &str) -> Vec<Shown> {
    let mut holds = shown(sink, of_sink(admin, sink));
    let cause = admin.outbox.pause_of(sink).map(|pause| pause.cause);
    if let Some(pause) = holds
        .iter_mut()
        .find(|hold| hold.reason == HoldReason::Paused.as_str())
    {
        match cause {
            Some(PauseCause::Person(note)) if !note.is_empty() => pause.note = Some(note),
            Some(PauseCause::Crashes(count)) => pause.crashes = Some(count),
            _ => {}
        }
    }
    holds
}

/// As shown.
fn shown(sink: &str, holds: Vec<Hold>) -> Vec<Shown> {
    let show = |hold: Hold| Shown {
        reason: hold.reason.as_str(),
        since: hold.since.map(rfc3339),
        until: hold.until.map(rfc3339),
        ends_by: ends_by(hold.reason, sink),
        note: None,
        crashes: None,
        behind: None,
    };
    holds.into_iter().map(show).collect()
}

/// What holds one delivery back; nothing if it is over or under way. Reads the disk.
pub(super) fn of_delivery(admin: &Admin, listed: &Listed) -> Result<Vec<Shown>, Problem> {
    let sink = listed.delivery.sink.as_str();
    if !matches!(
        listed.state,
        StateName::Pending | StateName::Retrying | StateName::Behind
    ) {
        return Ok(Vec::new());
    }
    let mut holds = shown_of(admin, sink);
    match listed.delivery.state {
        State::Behind => {
            let mut order = shown(
                sink,
                vec![Hold {
                    reason: HoldReason::Order,
                    since: Some(listed.delivery.created_at),
                    until: None,
                }],
            );
            let first = first_of(admin, listed)?;
            order
                .iter_mut()
                .for_each(|hold| hold.behind.clone_from(&first));
            holds.extend(order);
        }
        State::Waiting { due_at } if due_at > admin.clock.now() => {
            let last = listed.delivery.history.last();
            let since = last.map(|one| {
                let took = i64::try_from(one.duration_ms).unwrap_or(0);
                one.started_at.saturating_add(took)
            });
            let backoff = Hold {
                reason: HoldReason::Backoff,
                since: since.or(Some(listed.delivery.created_at)),
                until: Some(due_at),
            };
            holds.extend(shown(sink, vec![backoff]));
        }
        _ => {}
    }
    Ok(holds)
}

/// The delivery that goes before one that is behind.
fn first_of(admin: &Admin, listed: &Listed) -> Result<Option<String>, Problem> {
    let lead = admin.outbox.history(listed.delivery.lead)?;
    let others = lead.into_iter().flat_map(|lead| lead.deliveries);
    let before = others.filter(|other| {
        other.delivery.sink == listed.delivery.sink
            && other.delivery.revision < listed.delivery.revision
            && other.delivery.state.is_waiting()
    });
    let first = before.min_by_key(|other| other.delivery.revision);
    Ok(first.map(|other| other.id.to_string()))
}

fn ends_by(reason: HoldReason, sink: &str) -> String {
    match reason {
        HoldReason::Paused | HoldReason::Breaker | HoldReason::Destination => {
            format!("leadgate sink resume {sink}")
        }
        HoldReason::Rate => "its time, or a higher `rate`".to_owned(),
        HoldReason::Slots => "the end of an attempt, or a higher `concurrency`".to_owned(),
        HoldReason::Order => "the end of the earlier revision, or cancelling that".to_owned(),
        HoldReason::Backoff => "its time, or leadgate outbox retry".to_owned(),
        HoldReason::Orphaned => {
            format!("configuring [sinks.{sink}] again, or cancelling the delivery")
        }
    }
}
