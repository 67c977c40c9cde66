//! `leadgate leads`: leads that are stored.

pub(super) mod erase;
mod export;
mod never;
mod replay;
mod whom;

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Api, Query, Target, encoded};
use super::length::Length;
use super::span::Span;
use super::table::{self, Column, coded, column};
use super::{FAILED, Global, fail, finish, out};
use crate::words::Words;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Find leads by a value; it is sent in a body, never in a URL
    Find(Find),
    /// List leads, by source, store, city, sink, state and time, newest first
    List(Leads),
    /// Show a lead with its revisions and deliveries
    Show(Show),
    /// Print all that is stored of a person, as JSON in the clear, for that person
    Export(export::Export),
    /// Erase a lead, or all that is stored of a person, from the outbox and its disk
    Erase(erase::Erase),
    /// Send stored leads to a sink, or what a removed sink still had to do to another one
    Replay(replay::Replay),
}

/// One value; `-` reads it from stdin, so that it does not stay in the shell's history.
#[derive(clap::Args)]
#[group(id = "by", required = true, multiple = false, args = ["phone", "record_id", "order_num", "nick", "openid"])]
pub(super) struct Find {
    /// Phone, however it is written, or its last four digits; - reads it from stdin and keeps it out of the shell's history
    #[arg(long, value_name = "PHONE", allow_hyphen_values = true)]
    phone: Option<String>,
    /// Record id at Tmall; - reads it from stdin
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    record_id: Option<String>,
    /// Number of the reservation order; - reads it from stdin
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    order_num: Option<String>,
    /// Taobao nick; - reads it from stdin
    #[arg(long, value_name = "NICK", allow_hyphen_values = true)]
    nick: Option<String>,
    /// Encrypted Taobao id; - reads it from stdin
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    openid: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
pub(super) struct Leads {
    /// Only of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only of this merchant
    #[arg(long, value_name = "ID")]
    seller_id: Option<String>,
    /// Only of this store
    #[arg(long, value_name = "ID")]
    store_id: Option<String>,
    /// Only of this city: its code, or what its name begins with
    #[arg(long, value_name = "CITY")]
    city: Option<String>,
    /// Only with a delivery to this sink
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
    /// Only with a delivery in this state; with --sink, that to this sink
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    #[command(flatten)]
    span: Span,
    /// Only leads that no sink ever wanted
    #[arg(long, conflicts_with_all = ["source", "seller_id", "store_id", "city", "sink", "state", "since", "until", "order"])]
    unrouted: bool,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args)]
pub(super) struct Show {
    /// Its id
    id: String,
    /// Show personal data; the daemon records that somebody did
    #[arg(long)]
    reveal: bool,
    /// Why, for the audit log; names nobody
    #[arg(long, value_name = "TEXT", requires = "reveal")]
    note: Option<String>,
    #[command(flatten)]
    target: Target,
}

const LEADS: [Column; 6] = [
    column("id", "lead", "客资"),
    column("source", "source", "来源"),
    column("record_id", "record id", "客资 ID"),
    column("revisions", "revisions", "版本数"),
    column("last_received_at", "received", "接收时间"),
    coded("sinks", "sinks", "目的地", Words::State),
];

const DELIVERIES: [Column; 6] = [
    column("id", "delivery", "投递"),
    column("sink", "sink", "目的地"),
    column("revision", "revision", "版本"),
    coded("state", "state", "状态", Words::State),
    column("attempts", "attempts", "次数"),
    coded("last_reason", "last reason", "最近原因", Words::Reason),
];

pub(super) fn run(global: &Global, command: Command) -> ExitCode {
    finish(match command {
        Command::Find(find) => search(global, &find),
        Command::List(leads) => list(global, &leads),
        Command::Show(one) => show(global, &one),
        Command::Export(args) => export::run(global, &args),
        Command::Erase(args) => erase::run(global, &args),
        Command::Replay(args) => replay::run(global, &args),
    })
}

fn search(global: &Global, find: &Find) -> Result<(), ExitCode> {
    let given = [
        ("phone", &find.phone),
        ("record_id", &find.record_id),
        ("order_num", &find.order_num),
        ("nick", &find.nick),
        ("openid", &find.openid),
    ];
    let (by, value) = whom::one(global, given)?;
    let body = json!({ "by": by, "value": value });
    let list = Api::of(global, &find.target)?.post("/leads/search", &body)?;
    table::print_list(global, &LEADS, &list);
    if table::items(&list).is_empty() {
        return Err(fail(
            global.lang().pick("no lead has it", "没有符合的客资"),
            FAILED,
        ));
    }
    Ok(())
}

fn list(global: &Global, args: &Leads) -> Result<(), ExitCode> {
    let limit = args.length.limit(100);
    let query = Query::default()
        .with("source", args.source.as_ref())
        .with("seller_id", args.seller_id.as_ref())
        .with("store_id", args.store_id.as_ref())
        .with("city", args.city.as_ref())
        .with("sink", args.sink.as_ref())
        .with("state", args.state.as_ref())
        .with("limit", limit)
        .with("unrouted", args.unrouted.then_some("true"));
    let query = args.span.add_to(query);
    let answer = Api::of(global, &args.target)?.list("/leads", &query, args.length.all)?;
    table::print_list(global, &LEADS, &answer);
    Ok(())
}

fn get(global: &Global, one: &Show, path: &str) -> Result<Value, ExitCode> {
    let query = Query::default()
        .with("reveal", one.reveal.then_some("true"))
        .with("note", one.note.as_ref());
    let path = query.at(&format!("{path}/{}", encoded(&one.id)));
    Api::of(global, &one.target)?.get(&path)
}

fn show(global: &Global, one: &Show) -> Result<(), ExitCode> {
    let lead = get(global, one, "/leads")?;
    if global.json {
        out::json(&lead);
        return Ok(());
    }
    let lang = global.lang();
    outln!("{} {}", lang.pick("lead", "客资"), one.id);
    let oldest = lead["revisions"][0]["revision"].as_u64().unwrap_or(1);
    if oldest > 1 {
        outln!(
            "{} 1–{}: {}",
            lang.pick("revisions", "版本"),
            oldest - 1,
            lang.pick(
                "removed; of each lead the newest 256 are kept",
                "已移除；每条客资只保留最新的 256 个版本"
            )
        );
    }
    for revision in lead["revisions"].as_array().into_iter().flatten() {
        let (number, at) = (&revision["revision"], &revision["received_at"]);
        let at = at.as_str().unwrap_or_default();
        let at = table::time(lang, at).unwrap_or_else(|| at.to_owned());
        outln!("\n{} {number} · {at}", lang.pick("revision", "版本"));
        let fields: Vec<_> = revision["lead"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_null() && value.as_object().is_none_or(|map| !map.is_empty()))
            .map(|(name, value)| json!({ "name": name, "value": value, "label": revision["labels"][name] }))
            .collect();
        let columns = [
            column("name", "field", "字段"),
            column("value", "value", "值"),
            column("label", "label", "名称"),
        ];
        table::print(global, &columns, &fields);
    }
    outln!();
    if lead["unrouted"] == true {
        outln!(
            "{}",
            lang.pick(
                "no sink wanted it; once one does, a re-push brings it in",
                "没有目的地要这条客资；有目的地需要后，再次推送即会投递"
            )
        );
    } else {
        let deliveries = lead["deliveries"].as_array();
        table::print(global, &DELIVERIES, deliveries.map_or(&[], Vec::as_slice));
    }
    for line in never::lines(lang, &lead) {
        outln!("{line}");
    }
    Ok(())
}
