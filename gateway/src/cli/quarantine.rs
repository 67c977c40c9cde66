//! `leadgate quarantine`: pushes that were kept aside, and what a person decides about them, one by
//! one or many as a bulk job.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Api, Query, Target, encoded};
use super::length::Length;
use super::table::{self, Column, coded, column};
use super::{Global, ask, bulk, finish, out};
use crate::lang::{Lang, counted};
use crate::words::Words;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List pushes that were kept aside, oldest first
    List(List),
    /// Show a push in quarantine, and what it would become
    Show(Show),
    /// Take pushes out of quarantine as the leads they are, and deliver them
    Release(Release),
    /// Remove pushes from quarantine for good
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
    /// Only received at or after: a time such as "2026-11-26 10:00:00" or 2026-11-26, which is GMT+8 unless it names another zone (Z, +08:00), or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only received before: a time (GMT+8 unless it names another zone), or how long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
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
pub(super) struct Show {
    /// Its id
    id: String,
    /// Show what was pushed; the daemon records that somebody did
    #[arg(long)]
    reveal: bool,
    /// Why, for the audit log; names nobody
    #[arg(long, value_name = "TEXT", requires = "reveal")]
    note: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Many pushes.
#[derive(clap::Args)]
#[group(id = "many", multiple = true)]
pub(super) struct Many {
    /// All with this reason: stale, no_timestamp, unparsable, not_an_object, no_known_field, unknown_method, open_key
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// All of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// All received at or after: a time such as "2026-11-26 10:00:00" or 2026-11-26, which is GMT+8 unless it names another zone (Z, +08:00), or how long ago, such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// All received before: a time (GMT+8 unless it names another zone), or how long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only those whose lead would meet this condition, written as a sink's `when`
    #[arg(long, value_name = "EXPR")]
    when: Option<String>,
}

impl Many {
    fn make(
        &self,
        global: &Global,
        target: &Target,
        mut wish: Value,
        run: &bulk::Run,
    ) -> Result<(), ExitCode> {
        for (name, value) in [
            ("reason", &self.reason),
            ("source", &self.source),
            ("since", &self.since),
            ("until", &self.until),
            ("when", &self.when),
        ] {
            wish[name] = json!(value);
        }
        bulk::make(global, target, wish, run)
    }
}

#[derive(clap::Args)]
pub(super) struct Release {
    /// Id of the push in quarantine
    #[arg(required_unless_present = "many", conflicts_with = "many")]
    id: Option<String>,
    #[command(flatten)]
    which: Many,
    /// Also those by which nobody could be reached
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    run: bulk::Run,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
pub(super) struct Discard {
    /// Id of the push in quarantine
    #[arg(required_unless_present = "many", conflicts_with = "many")]
    id: Option<String>,
    #[command(flatten)]
    which: Many,
    #[command(flatten)]
    run: bulk::Run,
    #[command(flatten)]
    target: Target,
}

const PUSHES: [Column; 6] = [
    column("id", "id", "编号"),
    column("source", "source", "来源"),
    coded("reason", "reason", "原因", Words::Quarantine),
    column("received_at", "received", "接收时间"),
    column("clock_difference_seconds", "clock (s)", "时钟差(秒)"),
    column("bytes", "bytes", "字节"),
];

const PUSH: [Column; 8] = [
    column("id", "id", "编号"),
    column("source", "source", "来源"),
    coded("reason", "reason", "原因", Words::Quarantine),
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
            None => {
                let wish = json!({ "action": "release", "force": args.force });
                args.which.make(global, &args.target, wish, &args.run)
            }
        },
        Command::Discard(args) => match &args.id {
            Some(id) => discard(global, args, id),
            None => {
                let wish = json!({ "action": "discard" });
                args.which.make(global, &args.target, wish, &args.run)
            }
        },
    })
}

fn list(global: &Global, args: &List) -> Result<(), ExitCode> {
    let limit = args.length.limit(100);
    let query = Query::default()
        .with("reason", args.which.reason.as_ref())
        .with("source", args.which.source.as_ref())
        .with("since", args.which.since.as_ref())
        .with("until", args.which.until.as_ref())
        .with("limit", limit);
    let answer = Api::of(global, &args.target)?.list("/quarantine", &query, args.length.all)?;
    table::print_list(global, &PUSHES, &answer);
    let lang = global.lang();
    for count in answer["counts"].as_array().into_iter().flatten() {
        let source = count["source"].as_str().unwrap_or_default();
        let not_kept = count["not_kept"].as_u64().unwrap_or_default();
        if not_kept != 0 {
            let [first, last] = ["first_not_kept_at", "last_not_kept_at"].map(|name| {
                let text = count[name].as_str().unwrap_or_default();
                table::time(lang, text).unwrap_or_else(|| text.to_owned())
            });
            let more = counted(not_kept, "more push was", "more pushes were");
            errln!(
                "leadgate: {}",
                lang.pick(
                    format!(
                        "{source}: {more} not kept, because the quarantine was full ({first} to {last}); the answer was failure"
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

fn get(global: &Global, target: &Target, id: &str, query: &Query) -> Result<Value, ExitCode> {
    let path = query.at(&format!("/quarantine/{}", encoded(id)));
    Api::of(global, target)?.get(&path)
}

fn show(global: &Global, one: &Show) -> Result<(), ExitCode> {
    let query = Query::default()
        .with("reveal", one.reveal.then_some("true"))
        .with("note", one.note.as_ref());
    let push = get(global, &one.target, &one.id, &query)?;
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
    let known = fields.filter(|(name, value)| *name != "other" && !value.is_null());
    let known: Vec<_> = known
        .map(|(name, value)| {
            format!(
                "{name} {}",
                value.as_str().map_or(value.to_string(), str::to_owned)
            )
        })
        .collect();
    let mut lines = Vec::new();
    if !known.is_empty() {
        let known = known.join(lang.comma());
        lines.push(lang.pick(
            format!("would become the lead: {known}"),
            format!("将成为客资：{known}"),
        ));
    }
    lines.extend(unknown(lang, becomes, known.is_empty()));
    let sinks = becomes["sinks"].as_array().into_iter().flatten();
    let sinks: Vec<_> = sinks.filter_map(Value::as_str).collect();
    lines.push(format!(
        "{}{}",
        lang.pick("for the sinks: ", "投递到："),
        if sinks.is_empty() {
            lang.pick("none", "无").to_owned()
        } else {
            sinks.join(lang.comma())
        }
    ));
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

/// What there is beside the fields of a lead: a person cannot use a mask, but that a text is
/// kept, where, and what shows it.
fn unknown(lang: Lang, becomes: &Value, is_all: bool) -> Option<String> {
    let other = becomes["lead"]["other"].as_object();
    let names: Vec<_> = other.into_iter().flatten().map(|(name, _)| name).collect();
    if names == ["unread"] {
        return Some(
            lang.pick(
                "would become a lead without fields: leadgate can read none in it; the text as it was pushed goes to the sinks as `other.unread` (--reveal shows it)",
                "将成为没有字段的客资：leadgate 未能从中读出任何字段；推送的原文会以 other.unread 交给目的地（用 --reveal 查看）",
            )
            .to_owned(),
        );
    }
    if names.is_empty() {
        let nothing = lang.pick(
            "would become a lead without fields",
            "将成为没有任何字段的客资",
        );
        return is_all.then(|| nothing.to_owned());
    }
    let names: Vec<_> = names.into_iter().map(String::as_str).collect();
    let names = names.join(lang.comma());
    Some(lang.pick(
        format!("with fields of the sender's own, in `other` (--reveal shows them): {names}"),
        format!("另有发送方自己的字段，放在 other 中（用 --reveal 查看）：{names}"),
    ))
}

fn release(global: &Global, args: &Release, id: &str) -> Result<(), ExitCode> {
    args.run.is_of_one(global, false)?;
    let lang = global.lang();
    let push = get(global, &args.target, id, &Query::default())?;
    for line in becomes(global, &push) {
        errln!("{line}");
    }
    let unreachable = push["becomes"]["reachable"] == false;
    if unreachable && !args.run.yes && !args.force {
        ask::confirm(lang, lang.pick("release it all the same?", "仍要放行吗？"))?;
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

fn discard(global: &Global, args: &Discard, id: &str) -> Result<(), ExitCode> {
    args.run.is_of_one(global, false)?;
    let lang = global.lang();
    if !args.run.yes {
        let push = get(global, &args.target, id, &Query::default())?;
        for line in becomes(global, &push) {
            errln!("{line}");
        }
        ask::confirm(
            lang,
            lang.pick("remove it for good?", "永久删除这次推送吗？"),
        )?;
    }
    let path = format!("/quarantine/{}/discard", encoded(id));
    let answer = Api::of(global, &args.target)?.post(&path, &json!({}))?;
    if global.json {
        out::json(&answer);
    } else {
        outln!("{} {id}", lang.pick("discarded", "已丢弃"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_could_read_is_told_and_not_masked() {
        let becomes = |other: Value| json!({ "lead": { "name": null, "other": other } });
        let unread = becomes(json!({ "unread": "***" }));
        for (lang, part) in [
            (Lang::En, "--reveal shows it"),
            (Lang::ZhCn, "用 --reveal 查看"),
        ] {
            let line = unknown(lang, &unread, true).expect("a line");
            assert!(line.contains(part) && !line.contains("***"), "{line}");
        }
        let own = becomes(json!({ "wechat": "***", "age": "***" }));
        let line = unknown(Lang::En, &own, false).expect("a line");
        assert!(line.ends_with(": age, wechat"), "{line}");
        assert_eq!(unknown(Lang::En, &becomes(json!({})), false), None);
    }
}
