//! `leadgate plugin run`: one lead through a plugin, without a daemon.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use leadgate_plugin::abi;
use serde_json::{Value, json};

use super::super::{FAILED, Global, fail, out};
use super::check;
use super::part::child::{self, Ending, Ran};
use super::part::told::{Both, Line, Request};
use super::part::{self, Part};
use super::subject::{self, Subject};
use crate::clock::{Clock, SystemClock};
use crate::lang::Lang;
use crate::lead::Tables;
use crate::lead::{SAMPLE, Sample};

/// Largest file with a lead, in bytes; a push is smaller.
const LARGEST: u64 = 16 << 20;
/// How much longer than its attempt a child may take.
const GRACE: Duration = Duration::from_secs(20);
/// Bytes of what a plugin wrote that are shown.
const SHOWN: usize = 4096;

#[derive(clap::Args)]
pub(in super::super) struct Args {
    /// The library, or a program for the exec plugin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// TOML or JSON file with the sink's settings [default: none]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// File with a lead as Tmall sends it [default: the document's sample lead]
    #[arg(long, value_name = "FILE")]
    lead: Option<PathBuf>,
    /// Name of the plugin in it [default: the only one]
    #[arg(long, value_name = "NAME", value_parser = subject::name)]
    name: Option<String>,
    /// How long the attempt may take, such as 10s [default: 30s]
    #[arg(long, value_name = "TIME")]
    timeout: Option<leadgate_plugin::HumanDuration>,
}

pub(super) fn run(global: &Global, args: &Args) -> ExitCode {
    super::super::finish(deliver(global, args))
}

fn deliver(global: &Global, args: &Args) -> Result<(), ExitCode> {
    let lang = global.lang();
    let subject = Subject::read(global, &args.file)?;
    let name = subject
        .meant(args.name.as_deref())
        .map_err(|why| subject::unusable(lang, &args.file, &why))?;
    let event = event(args.lead.as_ref())?;
    let folder = part::folder().map_err(|error| fail(error, FAILED))?;
    let timeout = args
        .timeout
        .map_or(Duration::from_secs(30), |given| given.0);
    let mut request = Request {
        part: Part::One,
        file: (!subject.is_program()).then(|| subject.path.clone()),
        name: name.clone(),
        settings: json!({}),
        made_up: false,
        // As the author's own program would be started.
        folder: std::env::current_dir().map_err(|error| fail(error, FAILED))?,
        told: folder.path().join("one"),
        hidden: Vec::new(),
        event,
        timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
    };
    if subject.is_program() {
        (request.settings, _) = check::program(global, &subject, args.settings.as_deref())?;
    } else if let Some(file) = &args.settings {
        let schema = schema(global, args, &request, folder.path().join("descriptor"))?;
        (request.settings, _) = check::given_for(global, file, &name, &schema)?;
    }
    let ran = start(&request, timeout.saturating_add(GRACE))?;
    show(global, &ran);
    let delivered = ran.lines.iter().any(|line| match line {
        Line::Outcome(outcome) => {
            outcome["outcome"] == "delivered" || outcome["outcome"] == "duplicate"
        }
        _ => false,
    });
    if ran.ending == Ending::Done && delivered {
        Ok(())
    } else {
        Err(ExitCode::from(FAILED))
    }
}

/// What the library says of its settings.
fn schema(
    global: &Global,
    args: &Args,
    request: &Request,
    told: PathBuf,
) -> Result<Value, ExitCode> {
    let request = Request {
        part: Part::Descriptor,
        told,
        ..request.clone()
    };
    let ran = start(&request, GRACE)?;
    let schema = ran.lines.iter().find_map(|line| match line {
        Line::Fact(fact, Value::String(schema)) if fact == "schema" => Some(schema.clone()),
        _ => None,
    });
    let (Ending::Done, Some(schema)) = (&ran.ending, schema) else {
        let (lang, why) = (global.lang(), why_not(&ran));
        let file = args.file.display();
        return Err(fail(
            format!("{file}{}{}", lang.colon(), why.pick(lang)),
            FAILED,
        ));
    };
    serde_json::from_str(&schema).map_err(|error| fail(error, FAILED))
}

fn start(request: &Request, limit: Duration) -> Result<Ran, ExitCode> {
    child::run(request, limit).map_err(|error| fail(error, FAILED))
}

/// The event of a new lead.
fn event(file: Option<&PathBuf>) -> Result<String, ExitCode> {
    let read = |file: &PathBuf| {
        if std::fs::metadata(file)?.len() > LARGEST {
            return Err(std::io::Error::other("larger than 16 MiB"));
        }
        std::fs::read_to_string(file)
    };
    let place = file.map_or_else(String::new, |file| format!("{}: ", file.display()));
    let raw = match file {
        Some(file) => read(file).map_err(|error| fail(format!("{place}{error}"), FAILED))?,
        None => SAMPLE.to_owned(),
    };
    let made = Sample::new(&raw, "run", &Tables::new(), SystemClock.now())
        .map_err(|error| fail(format!("{place}{error}"), FAILED))?;
    Ok(String::from_utf8_lossy(&made.event).into_owned())
}

/// Why nothing came of it.
fn why_not(ran: &Ran) -> Both {
    let mut step = Both::plain("-");
    for line in &ran.lines {
        match line {
            Line::Step(now) => step = now.clone(),
            Line::Fault(fault) => return fault.clone(),
            _ => {}
        }
    }
    match &ran.ending {
        Ending::TimedOut => Both::new(
            format!("it did not end, while {}", step.en),
            format!("没有结束，正在{}", step.zh),
        ),
        Ending::Crashed(how) => Both::new(
            format!("it ended by {how}, while {}", step.en),
            format!("以 {how} 结束，正在{}", step.zh),
        ),
        Ending::Done => Both::new("it gave no outcome", "没有给出结果"),
    }
}

fn level(level: u32) -> &'static str {
    match level {
        abi::LOG_ERROR => "error",
        abi::LOG_WARN => "warn",
        abi::LOG_INFO => "info",
        _ => "debug",
    }
}

fn show(global: &Global, ran: &Ran) {
    let lang = global.lang();
    let outcome = ran.lines.iter().find_map(|line| match line {
        Line::Outcome(outcome) => Some(outcome),
        _ => None,
    });
    let kept = ran.lines.iter().rev().find_map(|line| match line {
        Line::Kept(kept) => Some(kept),
        _ => None,
    });
    let logs = ran.lines.iter().filter_map(|line| match line {
        Line::Log {
            level: at,
            message,
            fields,
        } => Some((level(*at), message, fields)),
        _ => None,
    });
    let failure = (outcome.is_none() || ran.ending != Ending::Done).then(|| why_not(ran));
    let wrote = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
        text.trim_end().to_owned()
    };
    let (stdout, stderr) = (wrote(&ran.stdout), wrote(&ran.stderr));
    if global.json {
        let logs: Vec<_> = logs
            .map(|(level, message, fields)| {
                let fields: Value = serde_json::from_str(fields).unwrap_or(Value::Null);
                json!({ "level": level, "message": message, "fields": fields })
            })
            .collect();
        out::json(&json!({
            "outcome": outcome,
            "kept": kept,
            "logs": logs,
            "stdout": stdout,
            "stderr": stderr,
            "took_ms": u64::try_from(ran.took.as_millis()).unwrap_or(u64::MAX),
            "error": failure.map(|why| why.pick(lang).to_owned()),
        }));
        return;
    }
    for (level, message, fields) in logs {
        errln!("{level} {message} {fields}");
    }
    for (name, text) in [("stdout", stdout), ("stderr", stderr)] {
        for line in text.lines() {
            errln!("{name} {line}");
        }
    }
    if let Some(outcome) = outcome {
        for line in titles(lang, outcome, kept) {
            outln!("{line}");
        }
    }
    if let Some(why) = failure {
        errln!("leadgate: {}", why.pick(lang));
    }
}

fn titles(lang: Lang, outcome: &Value, kept: Option<&String>) -> Vec<String> {
    let columns = [
        ("outcome", "outcome", "结果"),
        ("retry_after_ms", "retry after ms", "重试等待毫秒"),
        ("receipt", "receipt", "回执"),
        ("reason", "reason", "原因"),
        ("rule", "rule", "规则"),
        ("request", "request", "请求"),
        ("response", "response", "应答"),
    ];
    let mut lines = Vec::new();
    for (field, en, zh) in columns {
        let text = match &outcome[field] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        if !text.is_empty() {
            lines.push(format!("{}{}{text}", lang.pick(en, zh), lang.colon()));
        }
    }
    if let Some(kept) = kept {
        lines.push(format!(
            "{}{}{kept}",
            lang.pick("kept", "断点记录"),
            lang.colon()
        ));
    }
    lines
}
