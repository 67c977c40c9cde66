//! `leadgate pushes`: the last pushes with what became of each and what to do about it; one of them
//! with what was signed of it.

use std::process::ExitCode;

use serde_json::Value;

use super::client::{Api, Query, Target};
use super::table::{self, Column, coded, column};
use super::{Global, finish, out};
use crate::lang::Lang;
use crate::terminal;
use crate::words::{self, Words};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Show this one, with what was signed of it if its signature is wrong
    #[arg(value_name = "NUMBER", conflicts_with_all = ["verdict", "class", "source", "limit"])]
    number: Option<u64>,
    /// Only with this verdict: accepted, revised, older, routed, deferred, duplicate, quarantined, rejected, refused, unknown_path, unread, quarantine_full, overloaded, failed
    #[arg(long, value_name = "VERDICT")]
    verdict: Option<String>,
    /// Only of this class: taken, duplicates, set_aside, not_authentic, not_taken
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Only of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// How many at most, up to 200 [default: 50]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    #[command(flatten)]
    target: Target,
}

const PUSHES: [Column; 9] = [
    column("number", "number", "序号"),
    column("at", "received", "接收时间"),
    coded("verdict", "verdict", "结果", Words::Push),
    coded("reason", "reason", "原因", Words::PushReason),
    column("source", "source", "来源"),
    column("status", "status", "应答"),
    column("peer", "from", "发送方"),
    column("bytes", "bytes", "字节"),
    column("duration_ms", "ms", "毫秒"),
];

/// What is told of one by itself, too.
const MORE: [Column; 5] = [
    column("clock_difference_seconds", "clock (s)", "时钟差(秒)"),
    column("lead", "lead", "客资"),
    column("quarantine", "quarantine", "隔离编号"),
    column("explanation", "what it means", "含义"),
    column("advice", "what to do", "怎么办"),
];

const SIGNATURE: [Column; 5] = [
    column("finding", "signature", "签名"),
    column("charset", "charset", "字符集"),
    column("secrets", "secrets tried", "所试密钥数"),
    column("how", "signed as", "签名算法"),
    column("text", "signed text", "签名原文"),
];

pub(super) fn run(global: &Global, args: &Args) -> ExitCode {
    finish(match args.number {
        Some(number) => show(global, args, number),
        None => list(global, args),
    })
}

fn list(global: &Global, args: &Args) -> Result<(), ExitCode> {
    let query = Query::default()
        .with("verdict", args.verdict.as_ref())
        .with("class", args.class.as_ref())
        .with("source", args.source.as_ref())
        .with("limit", args.limit);
    let answer = Api::of(global, &args.target)?.get(&query.at("/pushes"))?;
    table::print_list(global, &PUSHES, &answer);
    if !global.json {
        let lang = global.lang();
        for line in counts(lang, &answer) {
            errln!("leadgate: {line}");
        }
        if !table::items(&answer).is_empty() {
            let more = lang.pick(
                "`leadgate pushes NUMBER` says what one means, and what to do",
                "用 `leadgate pushes 序号` 查看某一条的含义和处理办法",
            );
            errln!("leadgate: {more}");
        }
    }
    Ok(())
}

/// How many there were since the start.
fn counts(lang: Lang, answer: &Value) -> Vec<String> {
    let counts = answer["counts"].as_array().into_iter().flatten();
    let counts: Vec<String> = counts
        .filter(|one| one["count"] != 0)
        .map(|one| {
            let class = one["class"].as_str().unwrap_or_default();
            let class = Words::Pushes.of(lang, class).replace('_', " ");
            format!("{class} {}", one["count"])
        })
        .collect();
    if counts.is_empty() {
        let none = lang.pick("no push has come since the start", "启动以来还没有收到推送");
        return vec![none.to_owned()];
    }
    let since = lang.pick("since the start: ", "启动以来：");
    table::wrapped(
        &format!("{since}{}", counts.join(lang.comma())),
        terminal::columns().saturating_sub("leadgate: ".len()),
    )
}

fn show(global: &Global, args: &Args, number: u64) -> Result<(), ExitCode> {
    let mut push = Api::of(global, &args.target)?.get(&format!("/pushes/{number}"))?;
    if global.json {
        out::json(&push);
        return Ok(());
    }
    let lang = global.lang();
    in_language(lang, &mut push, &["explanation", "advice"]);
    table::print_one(global, &[&PUSHES[..], &MORE].concat(), &push);
    let signature = &mut push["signature"];
    if signature.is_null() {
        return Ok(());
    }
    in_language(lang, signature, &["finding"]);
    outln!("");
    table::print_one(global, &SIGNATURE, signature);
    if let Some(given) = given(lang, signature) {
        outln!("{given}");
    }
    for oddity in signature["oddities"].as_array().into_iter().flatten() {
        outln!(
            "{}",
            words::oddity(lang, oddity.as_str().unwrap_or_default())
        );
    }
    Ok(())
}

/// Puts the Chinese text in the place of the English one.
fn in_language(lang: Lang, value: &mut Value, names: &[&str]) {
    if lang == Lang::ZhCn {
        for name in names {
            value[*name] = value[format!("{name}_zh")].take();
        }
    }
}

/// What the signature that came looks like, if it cannot be one.
fn given(lang: Lang, signature: &Value) -> Option<String> {
    let given = &signature["given"];
    let (length, expected) = (&given["length"], &signature["expected_length"]);
    Some(match given["shape"].as_str()? {
        "right" | "lower_case" => {
            let ends = given["ends"].as_str()?;
            lang.pick(
                format!("the signature that came: {ends}"),
                format!("收到的签名：{ends}"),
            )
        }
        "length" => lang.pick(
            format!("the signature that came has {length} characters instead of {expected}"),
            format!("收到的签名有 {length} 个字符，应为 {expected} 个"),
        ),
        _ => lang.pick(
            format!("the signature that came is not {expected} digits of hex"),
            format!("收到的签名不是 {expected} 位十六进制数字"),
        ),
    })
}
