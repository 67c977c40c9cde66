//! Lists of deliveries, and of what fails alike.

use std::process::ExitCode;

use serde_json::Value;

use super::super::client::{Api, Query, Target};
use super::super::length::Length;
use super::super::span::Span;
use super::super::table::{self, Column, coded, column};
use super::super::{Global, held, out};
use crate::words::Words;

#[derive(clap::Args)]
pub(in super::super) struct Deliveries {
    /// Only of this sink
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// Only of leads of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only in this state: pending, in_flight, retrying, behind, delivered, superseded, cancelled, dead
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only dead letters of this reason: rejected, max_attempts, max_age, held, route
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only what failed by this rule, such as timeout
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Only of this failure group, as `outbox failures` lists it
    #[arg(long, value_name = "ID")]
    group: Option<String>,
    /// Only what is not over and whose sink is not configured any more
    #[arg(long)]
    orphaned: bool,
    #[command(flatten)]
    span: Span,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
pub(in super::super) struct Orphaned {
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
pub(in super::super) struct Failures {
    /// Only of this sink
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// How many at most [default: 50]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    #[command(flatten)]
    target: Target,
}

const DELIVERIES: [Column; 9] = [
    column("id", "id", "编号"),
    column("sink", "sink", "目的地"),
    coded("state", "state", "状态", Words::State),
    column("attempts", "attempts", "次数"),
    column("created_at", "created", "创建时间"),
    column("due_at", "due", "下次投递"),
    column("held", "held by", "受阻"),
    column("lead", "lead", "客资"),
    coded("last_reason", "last reason", "最近原因", Words::Reason),
];

const FAILURES: [Column; 9] = [
    column("id", "group", "分组"),
    column("sink", "sink", "目的地"),
    coded("rule", "rule", "规则", Words::Rule),
    column("dead", "dead", "死信"),
    column("retrying", "retrying", "重试中"),
    column("last_at", "newest", "最新"),
    column("first_at", "oldest", "最早"),
    coded("reason", "reason", "原因", Words::Reason),
    column("sample", "one of them", "其中一条"),
];

pub(super) fn deliveries(global: &Global, args: &Deliveries) -> Result<(), ExitCode> {
    let limit = args.length.limit(500);
    let query = Query::default()
        .with("sink", args.sink.as_ref())
        .with("source", args.source.as_ref())
        .with("state", args.state.as_ref())
        .with("reason", args.reason.as_ref())
        .with("rule", args.rule.as_ref())
        .with("group", args.group.as_ref())
        .with("orphaned", args.orphaned.then_some("true"))
        .with("limit", limit);
    let query = args.span.add_to(query);
    let list = Api::of(global, &args.target)?.list("/deliveries", &query, args.length.all)?;
    print_deliveries(global, list);
    Ok(())
}

pub(super) fn orphaned(global: &Global, args: &Orphaned) -> Result<(), ExitCode> {
    let limit = args.length.limit(500);
    let query = Query::default().with("limit", limit);
    let list = Api::of(global, &args.target)?.list("/orphaned", &query, args.length.all)?;
    print_deliveries(global, list);
    Ok(())
}

fn print_deliveries(global: &Global, mut list: Value) {
    if !global.json {
        for item in list["items"].as_array_mut().into_iter().flatten() {
            item["held"] = held::brief(global, &item["held_by"]).into();
        }
    }
    table::print_list(global, &DELIVERIES, &list);
}

pub(super) fn failures(global: &Global, args: &Failures) -> Result<(), ExitCode> {
    let query = Query::default()
        .with("sink", args.sink.as_ref())
        .with("limit", args.limit);
    let list = Api::of(global, &args.target)?.get(&query.at("/failure-groups"))?;
    if global.json {
        out::json(&list);
        return Ok(());
    }
    table::print(global, &FAILURES, table::items(&list));
    if list["more"] == true {
        let more = global
            .lang()
            .pick("there are more; see --limit", "还有更多；用 --limit 查看");
        errln!("leadgate: {more}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lang::Lang;
    use crate::terminal;

    #[test]
    fn groups_fit_eighty_columns_in_both_languages_and_keep_their_ids_whole() {
        let group = json!({
            "id": "0011223344556677",
            "sink": "a-crm-with-a-long-name",
            "rule": "status-4xx",
            "reason": "字段 store_id 不存在 ".repeat(9),
            "count": 1_234_567, "dead": 1_234_000, "retrying": 567,
            "first_at": "2026-11-26T02:00:00.000Z",
            "last_at": "2026-11-27T02:00:00.000Z",
            "sample": "01937f4e-8a6b-7c3d-9e2f-0123456789ab",
        });
        for lang in [Lang::En, Lang::ZhCn] {
            let lines = table::lines(lang, &FAILURES, std::slice::from_ref(&group), 80);
            let wide = lines.iter().find(|line| terminal::width(line) > 80);
            assert_eq!(wide, None);
            let text = lines.join("\n");
            for whole in ["0011223344556677", "01937f4e-8a6b-7c3d-9e2f-0123456789ab"] {
                assert!(text.contains(whole), "{text}");
            }
        }
    }
}
