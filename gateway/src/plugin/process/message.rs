//! Messages: the bodies of frames that are JSON.

use std::path::PathBuf;

use leadgate_plugin::abi;
use leadgate_plugin::child::{Sandbox, SandboxReport};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Call, Connected, Health, Outcome, OutcomeKind, Step};
use super::frame::{Broken, Delivery, Ended, Kind, write};
use crate::config::Problem;

/// An attempt, or a look at one, as its frame has it.
pub(super) fn delivery(call: &Call) -> Delivery<'_> {
    Delivery {
        attempt: call.attempt,
        timeout_ms: u64::try_from(call.timeout.as_millis()).unwrap_or(u64::MAX),
        id: &call.id,
        event: &call.event,
        trace_id: &call.trace_id,
        step_record: &call.step_record,
    }
}

/// Which plugin a child is for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) protocol: u32,
    pub(super) name: String,
    /// The file that the descriptor beside this frame belongs to; none for a linked plugin.
    pub(super) library: Option<Library>,
    pub(super) sandbox: Sandbox,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Library {
    pub(super) path: PathBuf,
    pub(super) sha256: Option<String>,
}

/// What a plugin says of itself, and which sandbox holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::plugin) struct Described {
    pub(in crate::plugin) protocol: u32,
    pub(in crate::plugin) version: String,
    pub(in crate::plugin) abi: String,
    pub(in crate::plugin) vendor: String,
    pub(in crate::plugin) description: String,
    pub(in crate::plugin) url: String,
    pub(in crate::plugin) schema: Value,
    pub(in crate::plugin) abilities: Vec<String>,
    pub(in crate::plugin) batch: Option<usize>,
    pub(in crate::plugin) sandbox: SandboxReport,
}

/// A sink's configuration.
#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the key's own name")]
pub(super) struct Settings {
    pub(super) sink: String,
    pub(super) settings: Value,
    pub(super) tables: crate::lead::Tables,
    /// Whether it keeps anything from one run to the next.
    pub(super) state: bool,
}

/// A [`Problem`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    path: String,
    message: String,
    help: String,
    message_zh: String,
    help_zh: String,
    range: Option<(usize, usize)>,
}

impl From<Problem> for Told {
    fn from(problem: Problem) -> Self {
        Self {
            path: problem.path,
            message: problem.message,
            help: problem.help,
            message_zh: problem.chinese.message,
            help_zh: problem.chinese.help,
            range: problem.range.map(|range| (range.start, range.end)),
        }
    }
}

impl From<Told> for Problem {
    fn from(told: Told) -> Self {
        Self::at(told.path, told.message)
            .help(told.help)
            .chinese(told.message_zh, told.help_zh)
            .range(told.range.map(|(start, end)| start..end))
    }
}

/// An event for the log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) level: u32,
    pub(super) message: String,
    pub(super) fields: String,
}

/// A wish to a sink's state.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum AskState {
    Get(String),
    Set(String, Option<Vec<u8>>),
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum State {
    Got(Option<Vec<u8>>),
    Set(bool),
}

/// A [`Step`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Walked {
    name: String,
    ok: bool,
    note: String,
    took_ms: u64,
}

impl From<Step> for Walked {
    fn from(step: Step) -> Self {
        Self {
            name: step.name,
            ok: step.ok,
            note: step.note,
            took_ms: u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl From<Walked> for Step {
    fn from(walked: Walked) -> Self {
        Self {
            name: walked.name,
            ok: walked.ok,
            note: walked.note,
            took: std::time::Duration::from_millis(walked.took_ms),
        }
    }
}

/// How a walk ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum WalkEnd {
    Ok,
    Failed,
    Unsupported,
    Panicked,
}

impl From<Connected> for WalkEnd {
    fn from(ended: Connected) -> Self {
        match ended {
            Connected::Ok => Self::Ok,
            Connected::Failed => Self::Failed,
            Connected::Unsupported => Self::Unsupported,
            Connected::Panicked => Self::Panicked,
        }
    }
}

impl From<WalkEnd> for Connected {
    fn from(ended: WalkEnd) -> Self {
        match ended {
            WalkEnd::Ok => Self::Ok,
            WalkEnd::Failed => Self::Failed,
            WalkEnd::Unsupported => Self::Unsupported,
            WalkEnd::Panicked => Self::Panicked,
        }
    }
}

/// A [`Health`]: its number in the ABI and why.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Says(u32, String);

impl From<Health> for Says {
    fn from(health: Health) -> Self {
        match health {
            Health::Ok => Self(abi::HEALTH_OK, String::new()),
            Health::Degraded(why) => Self(abi::HEALTH_DEGRADED, why),
            Health::Failed(why) => Self(abi::HEALTH_FAILED, why),
            other => Self(abi::HEALTH_DEGRADED, other.why().to_owned()),
        }
    }
}

impl From<Says> for Health {
    fn from(Says(number, why): Says) -> Self {
        let why = why[..why.floor_char_boundary(1024)].to_owned();
        match number {
            abi::HEALTH_OK => Self::Ok,
            abi::HEALTH_DEGRADED => Self::Degraded(why),
            _ => Self::Failed(why),
        }
    }
}

/// Adds a frame whose body is JSON. What is sent here always has a form in JSON.
pub(super) fn json(out: &mut Vec<u8>, kind: Kind, number: u64, body: &impl Serialize) {
    let body = serde_json::to_vec(body).unwrap_or_default();
    write(out, kind, number, |out| out.extend_from_slice(&body));
}

/// A body that is JSON.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Broken> {
    serde_json::from_slice(body).map_err(|_| Broken::Body("JSON"))
}

/// Adds the frame of an outcome.
pub(super) fn done(out: &mut Vec<u8>, number: u64, outcome: &Outcome) {
    let retry_after = outcome.retry_after.map(|wait| wait.as_millis());
    let ended = Ended {
        kind: outcome.kind.number(),
        retry_after_ms: retry_after.map_or(-1, |ms| i64::try_from(ms).unwrap_or(i64::MAX)),
        texts: [
            &outcome.receipt,
            &outcome.reason,
            &outcome.rule,
            &outcome.request,
            &outcome.response,
        ],
    };
    write(out, Kind::Done, number, |out| ended.write(out));
}

/// The outcome in a frame, cut as one that comes from the ABI is.
pub(super) fn outcome(ended: &Ended<'_>) -> Outcome {
    let cut = |text: &str, most: usize| text[..text.floor_char_boundary(most)].to_owned();
    let [receipt, reason, rule, request, response] = ended.texts;
    let kind = OutcomeKind::from_number(ended.kind);
    let mut outcome = Outcome::new(kind, cut(reason, 1024));
    outcome.retry_after = u64::try_from(ended.retry_after_ms)
        .ok()
        .map(std::time::Duration::from_millis);
    outcome.receipt = cut(receipt, 4096);
    outcome.rule = cut(rule, 128);
    outcome.request = cut(request, 4096);
    outcome.response = cut(response, 4096);
    outcome
}
