//! `leadgate outbox`: what is in the outbox of the running daemon, and repairing it. The
//! commands for the store as a whole are in [`super::upkeep`].

mod list;
mod many;
mod retry;

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Api, Target, encoded};
use super::table::{self, Column, coded, column};
use super::{Global, ask, bulk, finish, held, out};
use crate::lang::Lang;
use crate::words::Words;

#[derive(Subcommand)]
pub(super) enum Command {
    /// How many leads and deliveries there are, in which state
    Stats(Target),
    /// List deliveries, by what became of them, for whom and when
    Deliveries(list::Deliveries),
    /// List what fails alike, in groups, the largest first
    Failures(list::Failures),
    /// Show one delivery with its attempts
    Show(One),
    /// Try one delivery again, or many
    Retry(retry::Retry),
    /// Give one delivery up, or many
    Cancel(Cancel),
    /// Count one delivery, or many, as delivered: somebody saw to it by hand
    Done(Done),
    /// List deliveries whose sink is not configured any more
    Orphaned(list::Orphaned),
    #[command(flatten)]
    Upkeep(super::upkeep::Command),
}

#[derive(clap::Args)]
pub(super) struct One {
    /// Id of the delivery
    id: String,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
pub(super) struct Cancel {
    /// Id of the delivery
    #[arg(required_unless_present = "many", conflicts_with = "many")]
    id: Option<String>,
    #[command(flatten)]
    which: many::Many,
    #[command(flatten)]
    run: bulk::Run,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
#[command(mut_arg("note", |arg| arg.required(true).help("How it was seen to; kept with each delivery; names nobody")))]
pub(super) struct Done {
    /// Id of the delivery
    #[arg(required_unless_present = "many", conflicts_with = "many")]
    id: Option<String>,
    #[command(flatten)]
    which: many::Many,
    #[command(flatten)]
    run: bulk::Run,
    #[command(flatten)]
    target: Target,
}

const DELIVERY: [Column; 13] = [
    column("id", "id", "编号"),
    column("sink", "sink", "目的地"),
    column("source", "source", "来源"),
    column("lead", "lead", "客资"),
    column("revision", "revision", "版本"),
    coded("state", "state", "状态", Words::State),
    coded("reason", "reason", "死信原因", Words::Death),
    column("attempts", "attempts", "次数"),
    column("created_at", "created", "创建时间"),
    column("due_at", "next attempt", "下次投递"),
    column("ended_at", "ended", "结束时间"),
    coded("last_reason", "last reason", "最近原因", Words::Reason),
    column("fallback_of", "instead of", "替代"),
];

const ATTEMPT: [Column; 9] = [
    column("number", "attempt", "第几次"),
    column("started_at", "started", "开始时间"),
    column("duration_ms", "ms", "毫秒"),
    coded("outcome", "outcome", "结果", Words::Outcome),
    coded("rule", "rule", "规则", Words::Rule),
    coded("reason", "reason", "原因", Words::Reason),
    column("receipt", "receipt", "回执"),
    column("trace_id", "trace", "追踪号"),
    column("config_revision", "configuration", "配置版本"),
];

pub(super) fn run(global: &Global, command: &Command) -> ExitCode {
    finish(match command {
        Command::Stats(target) => stats(global, target),
        Command::Deliveries(args) => list::deliveries(global, args),
        Command::Failures(args) => list::failures(global, args),
        Command::Show(one) => show(global, one),
        Command::Retry(args) => retry::retry(global, args),
        Command::Cancel(args) => match &args.id {
            Some(id) => cancel(global, args, id),
            None => many::make(global, &args.target, "cancel", &args.which, &args.run),
        },
        Command::Done(args) => match &args.id {
            Some(id) => done(global, args, id),
            None => many::make(global, &args.target, "done", &args.which, &args.run),
        },
        Command::Orphaned(args) => list::orphaned(global, args),
        Command::Upkeep(command) => return super::upkeep::run(global, command),
    })
}

fn show(global: &Global, one: &One) -> Result<(), ExitCode> {
    let path = format!("/deliveries/{}", encoded(&one.id));
    let delivery = Api::of(global, &one.target)?.get(&path)?;
    print_delivery(global, &delivery);
    Ok(())
}

/// Asks on a terminal, with what it is that is given up. It can be taken back by a retry, so
/// that scripts need not say `--yes`.
fn cancel(global: &Global, args: &Cancel, id: &str) -> Result<(), ExitCode> {
    args.run.is_of_one(global, false)?;
    let question = global.lang().pick("give it up?", "放弃这条投递吗？");
    let wish = json!({});
    decide(
        global,
        &args.target,
        (id, "cancel"),
        (question, args.run.yes),
        &wish,
    )
}

/// The same for one that somebody saw to.
fn done(global: &Global, args: &Done, id: &str) -> Result<(), ExitCode> {
    args.run.is_of_one(global, true)?;
    let question = global
        .lang()
        .pick("count it as delivered?", "记为已送达吗？");
    let wish = args.run.signed();
    decide(
        global,
        &args.target,
        (id, "done"),
        (question, args.run.yes),
        &wish,
    )
}

fn decide(
    global: &Global,
    target: &Target,
    (id, verb): (&str, &str),
    (question, yes): (&str, bool),
    wish: &Value,
) -> Result<(), ExitCode> {
    let lang = global.lang();
    let api = Api::of(global, target)?;
    let path = format!("/deliveries/{}", encoded(id));
    if !yes {
        let delivery = api.get(&path)?;
        let what = in_short(lang, &delivery);
        let question = lang.pick(format!("{what}: {question}"), format!("{what}：{question}"));
        ask::confirm_on_terminal(lang, &question)?;
    }
    let delivery = api.post(&format!("{path}/{verb}"), wish)?;
    print_delivery(global, &delivery);
    Ok(())
}

/// A delivery in a few words: whose it is, and how it stands.
fn in_short(lang: Lang, delivery: &Value) -> String {
    let text = |field: &str| delivery[field].as_str().unwrap_or_default();
    let (sink, lead) = (text("sink"), text("lead"));
    let state = Words::State.of(lang, text("state"));
    lang.pick(
        format!("delivery of lead {lead} to {sink} ({state})"),
        format!("客资 {lead} 到 {sink} 的投递（{state}）"),
    )
}

fn print_delivery(global: &Global, delivery: &Value) {
    if global.json {
        out::json(delivery);
        return;
    }
    table::print_one(global, &DELIVERY, delivery);
    let lang = global.lang();
    for hold in held::lines(global, &delivery["held_by"]) {
        say(lang.pick("held", "受阻"), &hold);
    }
    if let Some(advice) = delivery[lang.pick("advice", "advice_zh")].as_str() {
        say(lang.pick("note", "提示"), advice);
    }
    let history = delivery["history"].as_array();
    for attempt in history.into_iter().flatten() {
        outln!();
        table::print_one(global, &ATTEMPT, attempt);
        for (title, field) in [
            (lang.pick("request", "请求"), "request"),
            (lang.pick("answer", "应答"), "response"),
        ] {
            let text = attempt[field].as_str().unwrap_or_default().trim();
            if !text.is_empty() {
                outln!("{title}");
                for line in text.lines() {
                    block(line);
                }
            }
        }
    }
}

/// A title and a text, in lines that fit.
fn say(title: &str, text: &str) {
    outln!("{title}");
    block(text);
}

fn block(text: &str) {
    let text = crate::terminal::visible(text);
    for line in table::wrapped(&text, crate::terminal::columns().saturating_sub(2).max(20)) {
        outln!("  {line}");
    }
}

fn stats(global: &Global, target: &Target) -> Result<(), ExitCode> {
    let stats = Api::of(global, target)?.get("/stats")?;
    if global.json {
        out::json(&stats);
        return Ok(());
    }
    let leads = [
        column("accepted", "accepted", "已接收"),
        column("stored", "stored", "现存"),
        column("in_quarantine", "in quarantine", "隔离中"),
        column("unrouted", "unrouted", "无人要"),
        column("failed", "failed", "失败"),
        column("refused", "refused", "拒绝"),
        column("duplicate", "duplicate", "重复"),
        column("quarantined", "quarantined", "曾隔离"),
    ];
    table::print(global, &leads, std::slice::from_ref(&stats["leads"]));
    if stats["clock"]["state"] == "ahead" {
        let lang = global.lang();
        let [now, newest] = ["now", "newest"].map(|key| {
            let text = stats["clock"][key].as_str().unwrap_or_default();
            table::time(lang, text).unwrap_or_else(|| text.to_owned())
        });
        outln!(
            "\n{}",
            lang.pick(
                format!(
                    "the clock shows {now}, the newest record is of {newest}: nothing is removed until the clock is set right or has gone on for a day"
                ),
                format!(
                    "本机时钟为 {now}，最新记录为 {newest}：在时钟校正或平稳走满一天之前，不会清除任何数据"
                ),
            )
        );
    }
    outln!();
    super::sink::print(global, &by_name(&stats["sinks"]));
    super::sink::print_running(global, &stats["config"]);
    Ok(())
}

/// An object of objects as a list of them with their names.
fn by_name(sinks: &Value) -> Vec<Value> {
    let named = sinks.as_object().into_iter().flatten().map(|(name, sink)| {
        let mut sink = sink.clone();
        sink["name"] = name.as_str().into();
        sink
    });
    named.collect()
}
