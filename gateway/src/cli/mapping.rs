//! `leadgate sink show | settings | render`: what is set of a sink of the running daemon, and what
//! it would be sent of a lead, also by settings that were edited. Nothing is sent or saved.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Api, Target, encoded};
use super::sink::Named;
use super::{BAD_CONFIG, FAILED, Global, fail, held, out, reload};
use crate::lang::Lang;
use crate::words::Words;

/// Longest wait: plugins are asked, maybe in new processes, and others before this one.
const PATIENCE: Duration = Duration::from_secs(120);
/// Largest file that is read; the daemon takes less.
const LARGEST: u64 = 1 << 20;

#[derive(clap::Args)]
pub(super) struct Render {
    /// Name of the sink
    name: String,
    /// Id of a stored lead; who it is about is made up
    #[arg(long, value_name = "ID")]
    id: Option<Uuid>,
    /// Id of a delivery, of any sink: its lead, likewise
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    delivery: Option<Uuid>,
    /// File with a lead as Tmall sends it [default: the document's sample lead]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["id", "delivery"])]
    lead: Option<PathBuf>,
    /// File with the sink's table, edited; `leadgate sink settings NAME` prints it as it is
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

/// What is set of a sink, and how it does.
pub(super) fn show(global: &Global, named: &Named) -> Result<(), ExitCode> {
    let path = format!("/sinks/{}", encoded(&named.name));
    let sink = Api::of(global, &named.target)?.get(&path)?;
    if global.json {
        out::json(&sink);
        return Ok(());
    }
    super::sink::print(global, std::slice::from_ref(&sink));
    let lang = global.lang();
    for (reason, count) in sink["dead_by_reason"].as_object().into_iter().flatten() {
        let title = lang.pick("dead", "死信");
        let reason = Words::Death.of(lang, reason);
        outln!("{title}{}{reason} {count}", lang.colon());
    }
    for line in held::lines(global, &sink["holds"]) {
        outln!("{line}");
    }
    for line in set(&sink["set"]) {
        outln!("{line}");
    }
    Ok(())
}

/// What is set, as the configuration writes it.
fn set(set: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for key in [
        "when",
        "concurrency",
        "rate",
        "timeout",
        "on_ambiguous",
        "on_update",
        "on_dead",
        "max_hold",
    ] {
        if !set[key].is_null() {
            lines.push(format!("{key} = {}", set[key]));
        }
    }
    for (table, keys) in [
        ("retry", &["first", "max", "max_attempts", "max_age"][..]),
        ("breaker", &["failures", "wait", "max"]),
    ] {
        for key in keys {
            if !set[table][key].is_null() {
                lines.push(format!("{table}.{key} = {}", set[table][key]));
            }
        }
    }
    lines
}

/// The table of a sink as it stands in the files, and nothing else on stdout.
pub(super) fn settings(global: &Global, named: &Named) -> Result<(), ExitCode> {
    let path = format!("/sinks/{}/settings", encoded(&named.name));
    let answer = Api::of(global, &named.target)?.get(&path)?;
    if global.json {
        out::json(&answer);
        return Ok(());
    }
    let text = |field: &str| answer[field].as_str().unwrap_or_default();
    outln!("{}", text("settings").trim_end());
    let (lang, file) = (global.lang(), text("file"));
    errln!(
        "{}",
        lang.pick(
            format!("from {file}; `***` stands for a secret that is written out there"),
            format!("来自 {file}；`***` 代表写在其中的密钥"),
        )
    );
    Ok(())
}

/// What a sink would be sent; fails if that cannot be said.
pub(super) fn render(global: &Global, args: &Render) -> Result<(), ExitCode> {
    let read = |file: &Option<PathBuf>| file.as_deref().map(read).transpose();
    let wish = json!({
        "lead": args.id,
        "delivery": args.delivery,
        "push": read(&args.lead)?,
        "settings": read(&args.settings)?,
    });
    let refused = |problem: &Value| {
        (problem["type"] == "urn:leadgate:problem:bad-configuration").then(|| {
            reload::refusal(global, problem);
            ExitCode::from(BAD_CONFIG)
        })
    };
    let path = format!("/sinks/{}/render", encoded(&args.name));
    let api = Api::of(global, &args.target)?;
    let answer = api.post_or(&path, &wish, PATIENCE, refused)?;
    if global.json {
        out::json(&answer);
    } else {
        print(global, &answer);
    }
    let cannot = [&answer["now"], &answer["edited"]];
    if cannot.iter().any(|side| side.get("cannot").is_some()) {
        return Err(ExitCode::from(FAILED));
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, ExitCode> {
    let read = || {
        if std::fs::metadata(file)?.len() > LARGEST {
            return Err(std::io::Error::other("larger than 1 MiB"));
        }
        std::fs::read_to_string(file)
    };
    read().map_err(|error| fail(format!("{}: {error}", file.display()), FAILED))
}

/// What would be sent on stdout, as a difference if there are two; what is said of it on stderr.
fn print(global: &Global, answer: &Value) {
    let lang = global.lang();
    for line in said(lang, answer) {
        errln!("{line}");
    }
    if let Some(report) = answer[lang.pick("report", "report_zh")].as_str() {
        out::message(report);
    }
    match answer["difference"].as_array() {
        Some(lines) => {
            for line in lines {
                outln!("{}", different(line));
            }
        }
        None => {
            let sides = [&answer["edited"], &answer["now"]];
            let texts = sides.iter().filter_map(|side| side["request"].as_str());
            if let Some(text) = texts.into_iter().next() {
                outln!("{}", text.trim_end());
            }
        }
    }
    if answer["settings"].is_string() {
        for line in next(lang, answer) {
            errln!("{line}");
        }
    }
}

/// A line of a difference, as such are written.
fn different(line: &Value) -> String {
    let sign = match line["change"].as_str() {
        Some("removed") => "- ",
        Some("added") => "+ ",
        _ => "  ",
    };
    format!("{sign}{}", line["text"].as_str().unwrap_or_default())
}

/// Whether the sink wants the lead, and what cannot be shown.
fn said(lang: Lang, answer: &Value) -> Vec<String> {
    let sink = answer["sink"].as_str().unwrap_or_default();
    let sides = [
        ("now", lang.pick("as it runs", "按运行中的配置")),
        ("edited", lang.pick("as edited", "按修改后的设置")),
    ];
    let mut lines = Vec::new();
    for (key, title) in sides {
        let side = &answer[key];
        if side.is_null() {
            continue;
        }
        let wanted = match side["wanted"].as_bool() {
            Some(true) => lang.pick("wants this lead", "接收这条客资"),
            Some(false) => lang.pick("does not want this lead", "不接收这条客资"),
            None => lang.pick("cannot tell whether it wants this lead", "无法判断是否接收"),
        };
        lines.push(lang.pick(
            format!("{title}: {sink} {wanted}"),
            format!("{title}：{sink} {wanted}"),
        ));
        if let Some(why) = side[lang.pick("cannot", "cannot_zh")].as_str() {
            lines.push(lang.pick(
                format!("{title}: what it would be sent cannot be shown: {why}"),
                format!("{title}：无法显示会发送的内容：{why}"),
            ));
        }
    }
    let is_stored = answer["of"]["lead"].is_string();
    if is_stored {
        lines.push(
            lang.pick(
                "who the lead is about is made up here; the rest is as it was received",
                "客户的身份信息已替换为虚构内容，其余与收到的一致",
            )
            .to_owned(),
        );
    }
    lines
}

/// How what was tried becomes what runs.
fn next(lang: Lang, answer: &Value) -> [String; 2] {
    let file = answer["file"].as_str().unwrap_or("leadgate.toml");
    [
        lang.pick(
            format!("nothing was sent or saved. To use it: change the table in {file},"),
            format!("未发送，也未保存。要启用：修改 {file} 中的对应表，"),
        ),
        lang.pick(
            "then `leadgate check` and `leadgate reload`".to_owned(),
            "再执行 `leadgate check` 与 `leadgate reload`".to_owned(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_written_as_the_configuration_writes_it() {
        let lines = set(&json!({
            "when": "store_id == 7", "concurrency": 4, "rate": null, "timeout": "10s",
            "retry": { "first": "5s", "max_attempts": 15 },
            "breaker": { "failures": 0 },
        }));
        assert_eq!(
            lines,
            [
                "when = \"store_id == 7\"",
                "concurrency = 4",
                "timeout = \"10s\"",
                "retry.first = \"5s\"",
                "retry.max_attempts = 15",
                "breaker.failures = 0",
            ]
        );
        assert!(set(&Value::Null).is_empty());
    }

    #[test]
    fn both_sides_are_told_apart_and_what_cannot_be_shown_says_why() {
        let answer = json!({
            "sink": "crm",
            "of": { "lead": "x" },
            "now": { "wanted": true },
            "edited": { "wanted": null, "cannot": "no store", "cannot_zh": "没有门店" },
        });
        let lines = said(Lang::En, &answer);
        assert_eq!(lines[0], "as it runs: crm wants this lead");
        assert_eq!(
            lines[1],
            "as edited: crm cannot tell whether it wants this lead"
        );
        assert!(lines[2].ends_with("cannot be shown: no store"), "{lines:?}");
        assert!(lines[3].contains("made up"), "{lines:?}");
        let lines = said(Lang::ZhCn, &answer);
        assert_eq!(lines[0], "按运行中的配置：crm 接收这条客资");
        assert!(lines[2].ends_with("：没有门店"), "{lines:?}");
    }
}
