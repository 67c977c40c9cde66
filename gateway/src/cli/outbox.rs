//! `leadgate outbox`: what is in the outbox of the running daemon.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::{Global, client};

#[derive(Subcommand)]
pub(super) enum Command {
    /// How many leads and deliveries there are, in which state
    Stats(client::Target),
    #[command(flatten)]
    Upkeep(super::upkeep::Command),
}

pub(super) fn run(global: &Global, command: &Command) -> ExitCode {
    let target = match command {
        Command::Stats(target) => target,
        Command::Upkeep(command) => return super::upkeep::run(global, command),
    };
    match client::get(global, target, "/api/v1/stats") {
        Ok(stats) if global.json => println!("{stats:#}"),
        Ok(stats) => print_stats(global, &stats),
        Err(code) => return code,
    }
    ExitCode::SUCCESS
}

fn print_stats(global: &Global, stats: &Value) {
    let lang = global.lang();
    let leads = &stats["leads"];
    println!(
        "{}: {} {}, {} {}, {} {}, {} {}",
        lang.pick("leads", "客资"),
        leads["accepted"],
        lang.pick("accepted", "已接收"),
        leads["duplicate"],
        lang.pick("duplicate", "重复"),
        leads["quarantined"],
        lang.pick("quarantined", "隔离"),
        leads["refused"],
        lang.pick("refused", "拒绝"),
    );
    let Some(sinks) = stats["sinks"].as_object() else {
        return;
    };
    let columns = [
        "pending",
        "in_flight",
        "retrying",
        "delivered",
        "dead",
        "oldest_pending_seconds",
    ];
    let head = lang.pick(
        [
            "pending",
            "in flight",
            "retrying",
            "delivered",
            "dead",
            "oldest (s)",
        ],
        [
            "pending 待投递",
            "in flight 投递中",
            "retrying 重试中",
            "delivered 已送达",
            "dead 死信",
            "oldest 最早(秒)",
        ],
    );
    for (name, sink) in sinks {
        println!("{name}");
        for (column, title) in columns.iter().zip(head) {
            let value = &sink[*column];
            println!(
                "  {title}: {}",
                if value.is_null() {
                    "-".to_owned()
                } else {
                    value.to_string()
                }
            );
        }
    }
}
