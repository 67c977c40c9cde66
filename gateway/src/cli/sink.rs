//! `leadgate sink`: how the sinks of the running daemon do, pausing them, trying them out.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Api, Target, encoded};
use super::table::{self, Column, coded, column};
use super::upkeep::target::{self, Store};
use super::{FAILED, Global, USAGE, audited, fail, finish, held, mapping, out, running, runtime};
use crate::config::Config;
use crate::delivery::LONGEST_TRIAL;
use crate::outbox::{
    AuditAction, AuditResult, Maintenance, Operations, PAUSE_NOTE, PauseCause, Queue,
};
use crate::words::Words;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the sinks with what waits for them
    List(Target),
    /// Show one sink: how it does, and what is set of it
    Show(Named),
    /// Print how a sink stands in the configuration's files, without secrets
    Settings(Named),
    /// Show what a sink would be sent of a lead, also by edited settings; nothing is sent or saved
    Render(mapping::Render),
    /// Start no more attempts for a sink, until it is resumed; a restart does not end it
    #[command(after_help = STOPPED_TOO)]
    Pause(Pause),
    /// Let a sink go on: ends a pause, the breaker's wait and the wait that the destination asked for
    #[command(after_help = STOPPED_TOO)]
    Resume(Named),
    /// Send a sink one test lead now, also while it is paused, and show how that ends
    Test(Named),
    /// Stand in for a CRM: take what a sink sends to this machine, and show it
    Listen(super::listen::Args),
}

const STOPPED_TOO: &str =
    "Works with the daemon stopped as well: then it is written into the folder outbox.path.";

#[derive(clap::Args)]
pub(super) struct Pause {
    #[command(flatten)]
    named: Named,
    /// Why, for whoever looks later; at most 200 characters
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    note: String,
}

#[derive(clap::Args)]
pub(super) struct Named {
    /// Name of the sink
    pub(super) name: String,
    #[command(flatten)]
    pub(super) target: Target,
}

/// What a person must see first comes first: what does not fit into the width goes below.
const SINKS: [Column; 13] = [
    column("name", "sink", "目的地"),
    column("dead", "dead", "死信"),
    column("pending", "pending", "待投递"),
    column("retrying", "retrying", "重试中"),
    column("delivered", "delivered", "已送达"),
    coded("breaker", "breaker", "熔断", Words::Breaker),
    column("paused", "paused", "暂停"),
    column("in_flight", "in flight", "投递中"),
    column("behind", "behind", "等待前版"),
    column("held", "held by", "受阻"),
    column("oldest_pending_seconds", "oldest (s)", "最早（秒）"),
    column("last_delivered_at", "last delivered", "最近送达"),
    column("plugin", "plugin", "插件"),
];

pub(super) fn run(global: &Global, command: &Command) -> ExitCode {
    finish(match command {
        Command::List(target) => list(global, target),
        Command::Show(named) => mapping::show(global, named),
        Command::Settings(named) => mapping::settings(global, named),
        Command::Render(args) => mapping::render(global, args),
        Command::Pause(Pause { named, note }) => set(global, named, Some(note)),
        Command::Resume(named) => set(global, named, None),
        Command::Test(named) => test(global, named),
        Command::Listen(args) => return super::listen::run(global, args),
    })
}

fn list(global: &Global, target: &Target) -> Result<(), ExitCode> {
    let sinks = Api::of(global, target)?.get("/sinks")?;
    if global.json {
        out::json(&sinks);
    } else {
        print(global, table::items(&sinks));
        print_running(global, &sinks["config"]);
    }
    Ok(())
}

/// Which configuration they are of.
pub(super) fn print_running(global: &Global, config: &Value) {
    if let Some(line) = running::line(global.lang(), config) {
        outln!("{line}");
    }
}

/// A table of sinks; `yes` and `no` in the reader's language.
pub(super) fn print(global: &Global, sinks: &[Value]) {
    let lang = global.lang();
    let word = |paused: bool| {
        if paused {
            lang.pick("yes", "是")
        } else {
            lang.pick("no", "否")
        }
    };
    let notes: Vec<String> = sinks.iter().flat_map(|sink| notes(global, sink)).collect();
    let sinks = sinks.iter().cloned().map(|mut sink| {
        sink["paused"] = word(sink["paused"] == true).into();
        // What stands in a column of its own is not said twice, nor that it is at work.
        let mut holds = sink["holds"].take();
        if let Some(holds) = holds.as_array_mut() {
            holds.retain(|hold| hold["reason"] != "paused" && hold["reason"] != "slots");
        }
        sink["held"] = held::brief(global, &holds).into();
        sink
    });
    table::print(global, &SINKS, &sinks.collect::<Vec<_>>());
    for line in notes {
        outln!("{line}");
    }
}

/// What its plugin complains of, why it is paused, and whether it was at work in a crash.
fn notes(global: &Global, sink: &Value) -> Vec<String> {
    let lang = global.lang();
    let name = sink["name"].as_str().unwrap_or_default();
    let mut lines = Vec::new();
    if let (Some(state @ ("degraded" | "failed")), Some(why)) = (
        sink["health"]["state"].as_str(),
        sink["health"]["why"].as_str(),
    ) {
        let chinese = if state == "failed" {
            "有故障"
        } else {
            "有隐患"
        };
        lines.push(lang.pick(
            format!("{name}: {state}, its plugin says: {why}"),
            format!("{name}：{chinese}，插件说：{why}"),
        ));
    }
    if let Some(crashes) = sink["crash"]["in_a_row"].as_u64() {
        lines.push(lang.pick(
            format!("{name}: at work when leadgate crashed, {crashes} in a row"),
            format!("{name}：leadgate 崩溃时正在投递，已连续 {crashes} 次"),
        ));
    }
    let paused = sink["holds"].as_array().into_iter().flatten();
    let paused = paused.filter(|hold| hold["reason"] == "paused");
    for hold in paused {
        if let Some(note) = hold["note"].as_str() {
            let title = lang.pick("paused", "已暂停");
            lines.push(format!("{name}{}{title}, {note}", lang.colon()));
        }
        if hold["crashes"].is_u64() {
            lines.push(lang.pick(
                format!(
                    "{name}: paused because of that; give its plugin isolation = \"process\", then `leadgate sink resume {name}`"
                ),
                format!(
                    "{name}：因此已暂停；请为其插件设置 isolation = \"process\"，再执行 leadgate sink resume {name}"
                ),
            ));
        }
    }
    lines
}

/// Pauses with a note, or resumes without.
fn set(global: &Global, named: &Named, note: Option<&String>) -> Result<(), ExitCode> {
    let answer = match target::find(global, &named.target)? {
        Store::Daemon(_) => {
            let verb = if note.is_some() { "pause" } else { "resume" };
            let path = format!("/sinks/{}/{verb}", encoded(&named.name));
            let body = note.map_or_else(|| json!({}), |note| json!({ "note": note }));
            Api::of(global, &named.target)?.post(&path, &body)?
        }
        Store::Folder(config) => set_in(global, &config, &named.name, note)?,
    };
    if global.json {
        out::json(&answer);
        return Ok(());
    }
    let lang = global.lang();
    let state = match (answer["paused"] == true, answer["daemon"] == "stopped") {
        (true, _) => lang.pick("paused", "已暂停"),
        (false, false) => lang.pick("running", "运行中"),
        (false, true) => lang.pick("not paused", "未暂停"),
    };
    let when = if answer["daemon"] == "stopped" {
        lang.pick(
            " (written into the outbox; the daemon is stopped)",
            "（已写入发件箱；守护进程未运行）",
        )
    } else {
        ""
    };
    outln!("{}{}{state}{when}", named.name, lang.colon());
    for (key, en, zh) in [
        ("pause", "ended: the pause", "已结束：暂停"),
        (
            "breaker",
            "ended: the breaker; the next attempt probes the sink now",
            "已结束：熔断；下一次投递立即探测",
        ),
        (
            "destination_wait",
            "ended: the wait that the destination asked for",
            "已结束：对方要求的等待",
        ),
    ] {
        if answer["ended"][key] == true {
            outln!("  {}", lang.pick(en, zh));
        }
    }
    Ok(())
}

/// The same in the folder of a daemon that is stopped.
fn set_in(
    global: &Global,
    config: &Config,
    name: &str,
    note: Option<&String>,
) -> Result<Value, ExitCode> {
    let outbox = target::open(config, &[])?;
    let known = config.sinks.contains_key(name) || outbox.totals().sinks.contains_key(name);
    if !known {
        outbox.close();
        let lang = global.lang();
        let message = lang.pick(
            format!("there is no sink `{name}`"),
            format!("没有名为 {name} 的目的地"),
        );
        return Err(fail(message, FAILED));
    }
    if note
        .is_some_and(|note| note.chars().count() > PAUSE_NOTE || note.chars().any(char::is_control))
    {
        outbox.close();
        let lang = global.lang();
        let message = lang.pick(
            format!("--note is one line of at most {PAUSE_NOTE} characters"),
            format!("--note 须为一行，最多 {PAUSE_NOTE} 个字符"),
        );
        return Err(fail(message, USAGE));
    }
    let was = outbox.paused(name);
    let cause = note.map(|note| PauseCause::Person(note.clone()));
    let done = runtime()
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            let done = runtime.block_on(outbox.pause(name, cause));
            done.map_err(|error| error.to_string())
        });
    let action = note.map_or(AuditAction::SinkResume, |_| AuditAction::SinkPause);
    let noted = audited::record(&outbox, action, |event| {
        name.clone_into(&mut event.target);
        event.note = note.cloned().unwrap_or_default();
        if done.is_err() {
            event.result = AuditResult::Failed("unavailable".to_owned());
        }
    });
    outbox.close();
    done.map_err(|error| fail(error, FAILED))?;
    noted?;
    Ok(json!({
        "name": name,
        "paused": note.is_some(),
        "ended": { "pause": was && note.is_none() },
        "daemon": "stopped",
    }))
}

/// Succeeds only if the destination has the lead.
fn test(global: &Global, named: &Named) -> Result<(), ExitCode> {
    let path = format!("/sinks/{}/test", encoded(&named.name));
    let patience = LONGEST_TRIAL + Duration::from_secs(10);
    let api = Api::of(global, &named.target)?;
    let tried = api.post_within(&path, &json!({}), patience)?;
    running::warn_of_changes(global, &api);
    if global.json {
        out::json(&tried);
    } else {
        print_trial(global, &tried);
    }
    if tried["delivered"] == true {
        Ok(())
    } else {
        Err(ExitCode::from(FAILED))
    }
}

fn print_trial(global: &Global, tried: &Value) {
    let lang = global.lang();
    let text = |field: &str| tried[field].as_str().unwrap_or_default();
    let (sink, took) = (text("sink"), &tried["duration_ms"]);
    let outcome = Words::Outcome.of(lang, text("outcome"));
    let rule = Words::Rule.of(lang, text("rule"));
    let reason = Words::Reason.of(lang, text("reason"));
    outln!(
        "{}",
        lang.pick(
            format!("{sink}: {outcome} (rule {rule}, {took} ms)"),
            format!("{sink}：{outcome}（规则 {rule}，{took} 毫秒）"),
        )
    );
    let wait = match &tried["retry_after_seconds"] {
        Value::Null => String::new(),
        seconds => lang.pick(format!("{seconds} s"), format!("{seconds} 秒")),
    };
    // A made-up person of leadgate's own.
    let (name, record) = (
        tried["lead"]["name"].as_str().unwrap_or_default(),
        &tried["lead"]["record_id"],
    );
    let lead = lang.pick(
        format!("{name} (record_id {record})"),
        format!("{name}（record_id {record}）"),
    );
    for (title, value) in [
        (lang.pick("reason", "原因"), &*reason),
        (lang.pick("wait", "等待"), &wait),
        (lang.pick("receipt", "回执"), text("receipt")),
        (lang.pick("lead", "客资"), &lead),
        (lang.pick("request", "请求"), text("request")),
        (lang.pick("answer", "应答"), text("response")),
    ] {
        if !value.is_empty() {
            let value = value.trim_end().replace('\n', "\n  ");
            outln!("{title}{}{value}", lang.colon());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::Lang;
    use crate::terminal;

    #[test]
    fn dead_letters_stay_in_the_row_at_80_columns_however_long_the_name_is() {
        let sink = json!({
            "name": "n".repeat(64),
            "dead": 12_345_678,
            "pending": 12_345_678,
            "breaker": "half_open",
            "paused": "yes",
            "held": "breaker until 2026-11-28 16:30:00Z",
            "last_delivered_at": "2026-11-28T16:30:00.000Z",
        });
        for lang in [Lang::En, Lang::ZhCn] {
            let lines = table::lines(lang, &SINKS, std::slice::from_ref(&sink), 80);
            let (head, row) = (&lines[0], &lines[1]);
            assert!(head.contains(lang.pick("dead", "死信")), "{head}");
            assert!(row.contains("  12345678"), "{row}");
            assert!(lines.iter().all(|line| terminal::width(line) <= 80));
        }
    }

    #[test]
    fn a_usual_sink_fits_a_row_of_80_columns_with_all_its_counts() {
        let sink = json!({
            "name": "webhook", "dead": 3, "pending": 10, "retrying": 4, "delivered": 12345,
            "breaker": "closed", "paused": "no", "in_flight": 8, "behind": 0,
        });
        for lang in [Lang::En, Lang::ZhCn] {
            let lines = table::lines(lang, &SINKS, std::slice::from_ref(&sink), 80);
            assert!(
                lines[0].contains(lang.pick("behind", "等待前版")),
                "{lines:?}"
            );
        }
    }
}
