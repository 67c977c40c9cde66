//! `leadgate quarantine`: pushes that were kept aside, and what a person decides about them.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Api, Query, Target, encoded};
use super::table::{self, Column, column};
use super::{FAILED, Global, USAGE, fail, finish, out};
use crate::lang::Lang;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List pushes that were kept aside, oldest first
    List(List),
    /// Show a push in quarantine, and what it would become
    Show(Show),
    /// Take pushes out of quarantine as the leads they are, and deliver them
    Release(Release),
    /// Remove a push from quarantine for good
    Discard(Discard),
}

/// Which pushes.
#[derive(clap::Args, Default)]
pub(super) struct Which {
    /// Only with this reason: stale, no_timestamp, unparsable, not_an_object, no_known_field, unknown_method, open_key
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only received at or after: a time such as "2026-11-26 10:00:00" (GMT+8), or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only received before: a time, or how long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    which: Which,
    /// How many at most [default: 50]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// All of them, however many
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
pub(super) struct Show {
    /// Its id
    id: String,
    /// Show what was pushed; the daemon logs that somebody did
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
#[group(id = "whom", required = true, multiple = true, args = ["id", "reason", "source", "since", "until"])]
pub(super) struct Release {
    /// Id of the push in quarantine
    #[arg(conflicts_with_all = ["reason", "source", "since", "until"])]
    id: Option<String>,
    #[command(flatten)]
    which: Which,
    /// Also those by which nobody could be reached
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
pub(super) struct Discard {
    /// Id of the push in quarantine
    id: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    target: Target,
}

const PUSHES: [Column; 6] = [
    column("id", "id", "编号"),
    column("source", "source", "来源"),
    column("reason", "reason", "原因"),
    column("received_at", "received", "接收时间"),
    column("clock_difference_seconds", "clock (s)", "时钟差(秒)"),
    column("bytes", "bytes", "字节"),
];

const PUSH: [Column; 8] = [
    column("id", "id", "编号"),
    column("source", "source", "来源"),
    column("reason", "reason", "原因"),
    column("received_at", "received", "接收时间"),
    column("pushed_at", "says it was pushed", "自称推送时间"),
    column("clock_difference_seconds", "clock (s)", "时钟差(秒)"),
    column("request_id", "request id", "请求编号"),
    column("content_type", "content type", "内容类型"),
];

pub(super) fn run(global: &Global, command: &Command) -> ExitCode {
    finish(match command {
        Command::List(args) => list(global, args),
        Command::Show(one) => show(global, one),
        Command::Release(args) => match &args.id {
            Some(id) => release(global, args, id),
            None => release_many(global, args),
        },
        Command::Discard(one) => discard(global, one),
    })
}

fn list(global: &Global, args: &List) -> Result<(), ExitCode> {
    let limit = if args.all { Some(100) } else { args.limit };
    let query = Query::default()
        .with("reason", args.which.reason.as_ref())
        .with("source", args.which.source.as_ref())
        .with("since", args.which.since.as_ref())
        .with("until", args.which.until.as_ref())
        .with("limit", limit);
    let answer = Api::of(global, &args.target)?.list("/quarantine", &query, args.all)?;
    table::print_list(global, &PUSHES, &answer);
    let lang = global.lang();
    for count in answer["counts"].as_array().into_iter().flatten() {
        let (source, not_kept) = (
            count["source"].as_str().unwrap_or_default(),
            &count["not_kept"],
        );
        if *not_kept != 0 {
            let (first, last) = (&count["first_not_kept_at"], &count["last_not_kept_at"]);
            errln!(
                "leadgate: {}",
                lang.pick(
                    format!(
                        "{source}: {not_kept} more were not kept, because the quarantine was full ({first} to {last}); they got the failure answer"
                    ),
                    format!(
                        "{source}：隔离区已满，另有 {not_kept} 次推送未保存（{first} 至 {last}），已应答失败"
                    )
                )
            );
        }
    }
    Ok(())
}

fn get(global: &Global, target: &Target, id: &str, reveal: bool) -> Result<Value, ExitCode> {
    let query = Query::default().with("reveal", reveal.then_some("true"));
    let path = query.at(&format!("/quarantine/{}", encoded(id)));
    Api::of(global, target)?.get(&path)
}

fn show(global: &Global, one: &Show) -> Result<(), ExitCode> {
    let push = get(global, &one.target, &one.id, one.reveal)?;
    if global.json {
        out::json(&push);
        return Ok(());
    }
    table::print_one(global, &PUSH, &push);
    // Whole, however wide the terminal is: this is what was signed.
    let lang = global.lang();
    for (title, field) in [
        (lang.pick("query", "查询串"), "query"),
        (lang.pick("body", "请求体"), "body"),
    ] {
        if let Some(text) = push[field].as_str() {
            outln!("{title}{}{}", lang.colon(), text.replace(['\n', '\r'], " "));
        }
    }
    for line in becomes(global, &push) {
        outln!("{line}");
    }
    Ok(())
}

/// What it would become, in lines.
fn becomes(global: &Global, push: &Value) -> Vec<String> {
    let lang = global.lang();
    let becomes = &push["becomes"];
    if becomes.is_null() {
        let gone = lang.pick(
            "it cannot be released: its source is not configured any more",
            "无法放行：其来源已不在配置中",
        );
        return vec![gone.to_owned()];
    }
    let fields = becomes["lead"].as_object().into_iter().flatten();
    let said = fields.filter(|(_, value)| match value {
        Value::Null => false,
        Value::Object(map) => !map.is_empty(),
        _ => true,
    });
    let said: Vec<_> = said
        .map(|(name, value)| {
            format!(
                "{name} {}",
                value.as_str().map_or(value.to_string(), str::to_owned)
            )
        })
        .collect();
    let said = if said.is_empty() {
        lang.pick("nothing", "无任何字段").to_owned()
    } else {
        said.join(", ")
    };
    let sinks = becomes["sinks"].as_array().into_iter().flatten();
    let sinks: Vec<_> = sinks.filter_map(Value::as_str).collect();
    let mut lines = vec![
        format!(
            "{}{said}",
            lang.pick("would become the lead: ", "将成为客资：")
        ),
        format!(
            "{}{}",
            lang.pick("for the sinks: ", "投递到："),
            if sinks.is_empty() {
                lang.pick("none", "无").to_owned()
            } else {
                sinks.join(", ")
            }
        ),
    ];
    if becomes["reachable"] == false {
        lines.push(
            lang.pick(
                "nobody could be reached by it: no phone, no nick, no openid",
                "无法联系到任何人：没有手机号、昵称或 openid",
            )
            .to_owned(),
        );
    }
    lines
}

fn release(global: &Global, args: &Release, id: &str) -> Result<(), ExitCode> {
    let lang = global.lang();
    let push = get(global, &args.target, id, false)?;
    for line in becomes(global, &push) {
        errln!("{line}");
    }
    let unreachable = push["becomes"]["reachable"] == false;
    if unreachable && !args.yes && !args.force {
        confirm(
            global,
            lang.pick("release it all the same?", "仍要放行吗？"),
        )?;
    }
    let path = format!("/quarantine/{}/release", encoded(id));
    let answer = Api::of(global, &args.target)?.post(&path, &json!({ "force": unreachable }))?;
    if global.json {
        out::json(&answer);
        return Ok(());
    }
    let lead = answer["lead"].as_str().unwrap_or_default();
    let what = if answer["duplicate"] == true {
        lang.pick(
            "released; it was known already, as lead",
            "已放行；该内容已存在，客资",
        )
    } else {
        lang.pick("released as lead", "已放行为客资")
    };
    outln!("{what} {lead}");
    Ok(())
}

fn release_many(global: &Global, args: &Release) -> Result<(), ExitCode> {
    let lang = global.lang();
    let api = Api::of(global, &args.target)?;
    let which = &args.which;
    let mut wish = json!({ "force": args.force });
    for (name, value) in [
        ("reason", &which.reason),
        ("source", &which.source),
        ("since", &which.since),
        ("until", &which.until),
    ] {
        if let Some(value) = value {
            wish[name] = value.as_str().into();
        }
    }
    let mut planned = wish.clone();
    planned["plan"] = true.into();
    let plan = api.post("/quarantine/release", &planned)?;
    let (count, unreachable) = (&plan["count"], &plan["unreachable"]);
    if *count == 0 {
        if global.json {
            out::json(&json!({
                "released": 0, "duplicates": 0, "unreachable": 0, "without_source": 0, "remaining": 0,
            }));
        } else {
            let nothing = lang.pick(
                "nothing matches; no push was released",
                "没有符合条件的推送，未放行任何内容",
            );
            outln!("{nothing}");
        }
        return Ok(());
    }
    let pairs = |of: &Value| {
        let all = of.as_object().into_iter().flatten();
        let all = all.map(|(name, count)| format!("{name} {count}"));
        all.collect::<Vec<_>>().join(", ")
    };
    let (reasons, sources) = (pairs(&plan["by_reason"]), pairs(&plan["by_source"]));
    errln!(
        "leadgate: {}",
        lang.pick(
            format!("{count} pushes ({reasons}; {sources}); nobody could be reached by {unreachable} of them"),
            format!("共 {count} 次推送（{reasons}；{sources}），其中 {unreachable} 次无法联系到任何人")
        )
    );
    if !args.yes {
        confirm(global, lang.pick("release them?", "放行这些推送吗？"))?;
    }
    wish["confirm_count"] = count.clone();
    let done = api.post("/quarantine/release", &wish)?;
    if global.json {
        out::json(&done);
        return Ok(());
    }
    outln!("{}", outcome(lang, &done));
    Ok(())
}

/// What a run did, and what it left, in a line.
fn outcome(lang: Lang, done: &Value) -> String {
    let number = |name: &str| done[name].as_u64().unwrap_or_default();
    let released = number("released");
    let mut line = match number("duplicates") {
        0 => lang.pick(
            format!("{released} released"),
            format!("已放行 {released} 次推送"),
        ),
        known => lang.pick(
            format!("{released} released ({known} known already)"),
            format!("已放行 {released} 次推送（其中 {known} 次内容已存在）"),
        ),
    };
    for (name, en, zh) in [
        (
            "unreachable",
            "stay in quarantine: nobody could be reached by them (--force releases them, too)",
            "次仍在隔离区：无法联系到任何人（--force 可一并放行）",
        ),
        (
            "without_source",
            "stay in quarantine: their source is not configured any more",
            "次仍在隔离区：其来源已不在配置中",
        ),
        (
            "remaining",
            "were not looked at in the time of one run: run it again",
            "次本次未来得及处理：请再次执行",
        ),
    ] {
        match number(name) {
            0 => {}
            count => {
                line.push_str(&lang.pick(format!("; {count} {en}"), format!("；{count} {zh}")));
            }
        }
    }
    line
}

fn discard(global: &Global, one: &Discard) -> Result<(), ExitCode> {
    let lang = global.lang();
    if !one.yes {
        let push = get(global, &one.target, &one.id, false)?;
        for line in becomes(global, &push) {
            errln!("{line}");
        }
        confirm(
            global,
            lang.pick("remove it for good?", "永久删除这次推送吗？"),
        )?;
    }
    let path = format!("/quarantine/{}/discard", encoded(&one.id));
    let answer = Api::of(global, &one.target)?.post(&path, &json!({}))?;
    if global.json {
        out::json(&answer);
    } else {
        outln!("{} {}", lang.pick("discarded", "已丢弃"), one.id);
    }
    Ok(())
}

/// Asks on the terminal; an error if the answer is not yes.
fn confirm(global: &Global, question: &str) -> Result<(), ExitCode> {
    let lang = global.lang();
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let why = lang.pick(
            "this is no terminal to ask on; say --yes",
            "当前不是终端，无法询问；确认请加 --yes",
        );
        return Err(fail(format!("{question} {why}"), USAGE));
    }
    out::message(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    read.map_err(|error| fail(error, FAILED))?;
    if matches!(answer.trim(), "y" | "Y" | "yes" | "是") {
        Ok(())
    } else {
        Err(fail(lang.pick("nothing was done", "未做任何更改"), FAILED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_release_left_is_said_only_where_something_is_left() {
        let done = json!({ "released": 2, "duplicates": 0, "unreachable": 0, "without_source": 0, "remaining": 0 });
        assert_eq!(outcome(Lang::En, &done), "2 released");
        let done = json!({ "released": 2, "duplicates": 1, "unreachable": 1, "without_source": 0, "remaining": 0 });
        assert_eq!(
            outcome(Lang::En, &done),
            "2 released (1 known already); 1 stay in quarantine: nobody could be reached by them (--force releases them, too)"
        );
        assert!(outcome(Lang::ZhCn, &done).contains("1 次仍在隔离区"));
    }
}
