//! Logs: English events with fields on stderr, for a person or as one JSON object a line.
//!
//! Where the log goes must never matter to a lead. So [`super::writer`] writes it on a thread of
//! its own, and a panic is written past tracing, which may be what panicked.

use std::cell::Cell;
use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::accept::Accepting;
use super::{panics, writer};
use crate::config::{Log, LogFormat};
use crate::terminal;

/// What the web server says about itself, and about strangers who do not speak HTTP: anybody
/// could fill the log with errors that nobody needs to act on.
/// Nor what clients of message brokers and databases say: they would show subjects and values.
/// And the engine of the index complains of files that are made anew without anybody.
const QUIET: &str = "actix_server=warn,actix_http=off,sled=off,async_nats=off,lapin=off,\
    librdkafka=off,rdkafka=off,tokio_postgres=off,mysql_async=off";

/// Starts logging. Called once; a second call changes nothing.
///
/// `LEADGATE_LOG` overrides the configured level. An unusable filter falls back to `info`
/// and says so, because a daemon without logs helps nobody.
pub fn start(log: &Log) {
    let (filter, bad) = filter(log);
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer::line)
        // Its own complaints would go to stderr by a macro that panics.
        .log_internal_errors(false)
        .with_target(false);
    // A second subscriber (several daemons in one test process) is refused; the first goes on.
    let started = match log.format {
        LogFormat::Json => {
            let json = base
                .json()
                .flatten_event(true)
                .with_span_events(FmtSpan::NONE)
                .with_current_span(true)
                .with_span_list(false)
                .with_filter_reloading();
            let handle = json.reload_handle();
            let started = json.finish().with(Accepting).try_init();
            started.map(|()| level(move |filter| handle.reload(filter).is_ok()))
        }
        LogFormat::Human => {
            let human = base
                .with_ansi(terminal::colours_on_stderr())
                .with_filter_reloading();
            let handle = human.reload_handle();
            let started = human.finish().with(Accepting).try_init();
            started.map(|()| level(move |filter| handle.reload(filter).is_ok()))
        }
    };
    if let Ok(level) = started {
        // There is one log, so it is the first.
        let _ = LEVEL.set(level);
    }
    let format = log.format;
    hook(move |panic| panicked(panic, format));
    if let Some(error) = bad {
        tracing::warn!(error = %error, "log filter not understood; using info");
    }
}

/// From now on the log is filtered as `log` says; whether it is. It is not where `LEADGATE_LOG`
/// overrides it, or where it cannot be understood.
pub fn set_level(log: &Log) -> bool {
    if std::env::var_os("LEADGATE_LOG").is_some() {
        tracing::warn!("log.level is overridden by LEADGATE_LOG");
        return false;
    }
    let (filter, bad) = filter(log);
    if let Some(error) = bad {
        tracing::warn!(error = %error, "log filter not understood; the one before is kept");
        return false;
    }
    LEVEL.get().is_some_and(|set| set(filter))
}

/// Sets the filter of the log that was started.
static LEVEL: OnceLock<Level> = OnceLock::new();

type Level = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

fn level(set: impl Fn(EnvFilter) -> bool + Send + Sync + 'static) -> Level {
    Box::new(set)
}

/// The filter that is wanted, or `info` and why it cannot be.
fn filter(log: &Log) -> (EnvFilter, Option<ParseError>) {
    let wanted = std::env::var("LEADGATE_LOG").unwrap_or_else(|_| log.level.clone());
    match EnvFilter::try_new(format!("{wanted},{QUIET}")) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(format!("info,{QUIET}")), Some(error)),
    }
}

/// Says of a panic only where it was, for commands that have no log. To be called before anything
/// else: plugins that are linked in leave their panics to the process from then on.
pub fn watch_panics() {
    hook(|panic| {
        let at = panic.location().map(ToString::to_string);
        let _ = writeln!(
            std::io::stderr(),
            "leadgate panicked at {}; this is a bug",
            at.unwrap_or_default()
        );
    });
}

/// The one panic hook of this process. What is caught and reported by somebody is not told of.
fn hook(told: impl Fn(&PanicHookInfo<'_>) + Send + Sync + 'static) {
    leadgate_plugin::export::leave_panics_to_the_process();
    std::panic::set_hook(Box::new(move |panic| {
        if !panics::expected() {
            told(panic);
        }
    }));
}

/// Writes what is still to be written, for as long as somebody takes it.
pub fn flush() {
    writer::flush();
}

thread_local! {
    static PANICKING: Cell<bool> = const { Cell::new(false) };
}

/// Says where a thread panicked. A panic in here would abort the process, so it asks nothing
/// of tracing, whose state may be half-way, and says a second panic of the same thread, which
/// is about to abort it, not at all. A panic's message may quote what it was working on, which
/// may be a person.
fn panicked(panic: &PanicHookInfo<'_>, format: LogFormat) {
    if PANICKING.replace(true) {
        return;
    }
    let at = panic.location().map(ToString::to_string);
    let at = at.unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed").to_owned();
    writer::send(panic_line(format, jiff::Timestamp::now(), &at, &thread));
    PANICKING.set(false);
}

fn panic_line(format: LogFormat, now: jiff::Timestamp, at: &str, thread: &str) -> Vec<u8> {
    let line = match format {
        LogFormat::Json => serde_json::json!({
            "timestamp": format!("{now:.6}"),
            "level": "ERROR",
            "message": "thread panicked",
            "at": at,
            "thread": thread,
        })
        .to_string(),
        LogFormat::Human => {
            format!("{now:.6} ERROR thread panicked at=\"{at}\" thread=\"{thread}\"")
        }
    };
    (line + "\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_one_line_of_the_log() {
        let now: jiff::Timestamp = "2026-11-28T11:59:10Z".parse().expect("a time");
        let line = panic_line(LogFormat::Json, now, "src/a.rs:1:2", "committer");
        let read: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!(read["message"], "thread panicked");
        assert_eq!(read["at"], "src/a.rs:1:2");
        assert_eq!(line.split(|byte| *byte == b'\n').count(), 2);
        let line = panic_line(LogFormat::Human, now, "src/a.rs:1:2", "committer");
        assert!(line.ends_with(b"thread=\"committer\"\n"));
    }
}
