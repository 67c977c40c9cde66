//! Logs: English events with fields on stderr, for a person or as one JSON object a line.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{Log, LogFormat};

/// What the web server says about itself, and about strangers who do not speak HTTP: anybody
/// could fill the log with errors that nobody needs to act on.
/// Nor what clients of message brokers and databases say: they would show subjects and values.
const QUIET: &str = "actix_server=warn,actix_http=off,async_nats=off,lapin=off,librdkafka=off,\
    rdkafka=off,tokio_postgres=off,mysql_async=off";

/// Starts logging. Called once; a second call changes nothing.
///
/// `LEADGATE_LOG` overrides the configured level. An unusable filter falls back to `info`
/// and says so, because a daemon without logs helps nobody.
pub fn start(log: &Log) {
    let wanted = std::env::var("LEADGATE_LOG").unwrap_or_else(|_| log.level.clone());
    let (filter, bad) = match EnvFilter::try_new(format!("{wanted},{QUIET}")) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(format!("info,{QUIET}")), Some(error)),
    };
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second subscriber (several daemons in one test process) is refused; the first goes on.
    let _ = match log.format {
        LogFormat::Json => base
            .json()
            .flatten_event(true)
            .with_span_events(FmtSpan::NONE)
            .with_current_span(true)
            .with_span_list(false)
            .try_init(),
        LogFormat::Human => base.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    // A panic's message may quote what it was working on, which may be a person.
    std::panic::set_hook(Box::new(|panic| {
        let at = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(at, "panic caught");
    }));
    if let Some(error) = bad {
        tracing::warn!(error = %error, "log filter not understood; using info");
    }
}
