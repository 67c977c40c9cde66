//! Many deliveries at once: which, and the job over them.

use std::process::ExitCode;

use serde_json::json;

use super::super::client::Target;
use super::super::{Global, bulk};

/// Which deliveries.
#[derive(clap::Args)]
#[group(id = "many", multiple = true)]
pub(in super::super) struct Many {
    /// All of this sink
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// All in this state: pending, retrying, behind, dead [default: dead]
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only of leads of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only dead letters of this reason: rejected, max_attempts, max_age, held, route
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only what failed by this rule, such as timeout
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Only of this failure group, as `outbox failures` lists it
    #[arg(long, value_name = "ID")]
    group: Option<String>,
    /// Only from then on: a time such as "2026-11-26 10:00:00" or 2026-11-26, which is GMT+8 unless it names another zone (Z, +08:00), or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only from before then: a time (GMT+8 unless it names another zone), or how long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only those whose lead meets this condition, written as a sink's `when`
    #[arg(long, value_name = "EXPR")]
    when: Option<String>,
}

/// Makes a job of it.
pub(super) fn make(
    global: &Global,
    target: &Target,
    action: &str,
    which: &Many,
    run: &bulk::Run,
) -> Result<(), ExitCode> {
    let wish = json!({
        "action": action,
        "sink": which.sink,
        "state": which.state,
        "source": which.source,
        "reason": which.reason,
        "rule": which.rule,
        "group": which.group,
        "since": which.since,
        "until": which.until,
        "when": which.when,
    });
    bulk::make(global, target, wish, run)
}
