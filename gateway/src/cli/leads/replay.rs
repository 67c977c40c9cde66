//! `leadgate leads replay`: stored leads to a sink, or what a sink that is gone still had to do to
//! another one.

use std::process::ExitCode;

use serde_json::json;

use super::super::Global;
use super::super::bulk;
use super::super::client::Target;

#[derive(clap::Args)]
pub(in super::super) struct Replay {
    /// The sink that they go to
    #[arg(long, value_name = "NAME")]
    to: String,
    /// Not leads, but what waits or is dead for this sink, which is not configured any more
    #[arg(long, value_name = "NAME", conflicts_with = "only_undelivered")]
    from_orphaned: Option<String>,
    /// Only of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only from then on: a time such as "2026-11-26 10:00:00" or 2026-11-26, which is GMT+8 unless it names another zone (Z, +08:00), or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only from before then: a time (GMT+8 unless it names another zone), or how long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only leads that meet this condition, too, written as a sink's `when`
    #[arg(long, value_name = "EXPR")]
    when: Option<String>,
    /// Only what the sink was not given yet; without this what it was delivered goes again
    #[arg(long)]
    only_undelivered: bool,
    /// Also what the sink's own `when` does not want
    #[arg(long, conflicts_with = "from_orphaned")]
    regardless: bool,
    #[command(flatten)]
    run: bulk::Run,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(global: &Global, args: &Replay) -> Result<(), ExitCode> {
    let wish = json!({
        "action": if args.from_orphaned.is_some() { "move" } else { "replay" },
        "to": args.to,
        "sink": args.from_orphaned,
        "again": args.from_orphaned.is_none() && !args.only_undelivered,
        "regardless": args.regardless,
        "source": args.source,
        "since": args.since,
        "until": args.until,
        "when": args.when,
    });
    bulk::make(global, &args.target, wish, &args.run)
}
