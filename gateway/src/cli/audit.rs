//! `leadgate audit`: who did what, and who looked at whom.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::client::{Api, Query, Target};
use super::length::Length;
use super::span::Times;
use super::table::{self, Column, coded, column};
use super::{FAILED, Global, finish, out};
use crate::outbox::AuditResult;
use crate::words::Words;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List what was done, the newest first
    List(List),
    /// Check that no entry was removed or changed
    Verify(Target),
    /// Print entries as JSON lines, the oldest first
    Export(Export),
}

/// Which entries.
#[derive(clap::Args)]
pub(super) struct Which {
    /// Only by this person or token
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Only this action, such as leads.reveal, or all about a thing, such as leads
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only what ended so
    #[arg(long, value_name = "RESULT", value_parser = AuditResult::NAMES)]
    result: Option<String>,
    #[command(flatten)]
    times: Times,
}

#[derive(clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
pub(super) struct Export {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    target: Target,
}

impl Which {
    fn query(&self) -> Query {
        let query = Query::default()
            .with("who", self.who.as_ref())
            .with("action", self.action.as_ref())
            .with("result", self.result.as_ref());
        self.times.add_to(query)
    }
}

const ENTRIES: [Column; 11] = [
    column("number", "entry", "条目"),
    column("at", "at", "时间"),
    column("who", "who", "操作人"),
    coded("action", "action", "操作", Words::Audit),
    coded("result", "result", "结果", Words::AuditResult),
    column("target", "target", "对象"),
    column("filter", "filter", "条件"),
    column("count", "count", "数量"),
    column("note", "note", "备注"),
    column("problem", "problem", "问题"),
    column("from", "from", "来自"),
];

const STATE: [Column; 6] = [
    column("entries", "entries", "条目数"),
    column("first", "oldest kept", "最早保留的条目"),
    column("last", "newest", "最新条目"),
    column("chain", "hash of the newest", "最新条目的哈希"),
    column("at", "broken at entry", "断开处的条目"),
    column("why", "because", "原因"),
];

pub(super) fn run(global: &Global, command: &Command) -> ExitCode {
    finish(match command {
        Command::List(args) => list(global, args),
        Command::Verify(target) => verify(global, target),
        Command::Export(args) => export(global, args),
    })
}

fn list(global: &Global, args: &List) -> Result<(), ExitCode> {
    let limit = args.length.limit(500);
    let query = args.which.query().with("limit", limit);
    let mut list = Api::of(global, &args.target)?.list("/audit", &query, args.length.all)?;
    if !global.json {
        let items = list["items"].as_array_mut().into_iter().flatten();
        items.for_each(|item| item["from"] = from(item).into());
    }
    table::print_list(global, &ENTRIES, &list);
    Ok(())
}

/// Which way somebody came, and from where.
fn from(item: &Value) -> String {
    let text = |name: &str| item[name].as_str().unwrap_or_default();
    [text("via"), text("peer")].join(" ").trim_end().to_owned()
}

fn verify(global: &Global, target: &Target) -> Result<(), ExitCode> {
    let mut state = Api::of(global, target)?.get("/audit/verify")?;
    let lang = global.lang();
    let is_sound = state["sound"] == true;
    if global.json {
        out::json(&state);
    } else {
        state["at"] = state["broken"]["at"].take();
        state["why"] = state["broken"][lang.pick("detail", "detail_zh")].take();
        table::print_one(global, &STATE, &state);
        if is_sound {
            let sound = lang.pick("no entry was removed or changed", "没有条目被移除或改动");
            outln!("{sound}");
        }
    }
    if is_sound {
        Ok(())
    } else {
        Err(ExitCode::from(FAILED))
    }
}

fn export(global: &Global, args: &Export) -> Result<(), ExitCode> {
    let path = args.which.query().at("/audit/export");
    Api::of(global, &args.target)?.print(&path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lang::Lang;
    use crate::terminal;

    #[test]
    fn entries_fit_the_terminal_in_both_languages_and_say_all_there_is() {
        let mut item = json!({
            "number": 12_345, "at": "2026-11-29T00:30:00.000Z", "who": "zhang-san", "via": "api",
            "peer": "10.0.0.7", "action": "leads.erase", "result": "failed",
            "problem": "broken-off", "target": "01937f4e-8a6b-7c3d-9e2f-0123456789ab",
            "filter": "by=phone", "count": 3, "note": "客户来电要求删除全部个人信息，已核对身份",
        });
        item["from"] = from(&item).into();
        for (lang, action) in [(Lang::En, "leads.erase"), (Lang::ZhCn, "擦除客资")] {
            let lines = table::lines(lang, &ENTRIES, &[item.clone()], 80);
            assert!(
                lines.iter().all(|line| terminal::width(line) <= 80),
                "{lines:?}"
            );
            let text = lines.join("\n");
            for part in [
                action,
                "0123456789ab",
                "by=phone",
                "api 10.0.0.7",
                "broken-off",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }
}
