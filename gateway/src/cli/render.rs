//! `leadgate render`: what a sink would be sent for a lead, without sending it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::{FAILED, Global, fail};
use crate::clock::{Clock, SystemClock};
use crate::lead::{self, Event, EventKind, Lead};
use crate::plugin::{Call, Plugins, SinkConfig};
use crate::route::Routes;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Name of the sink
    #[arg(long, value_name = "NAME")]
    sink: String,
    /// File with a lead as Tmall sends it [default: the document's sample lead]
    #[arg(long, value_name = "FILE")]
    lead: Option<PathBuf>,
}

pub(super) fn run(global: &Global, args: &Args) -> ExitCode {
    match render(global, args) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn render(global: &Global, args: &Args) -> Result<String, ExitCode> {
    let lang = global.lang();
    let mut plugins = Plugins::builtin().map_err(|error| fail(error, FAILED))?;
    let config = super::check::load(global, &mut plugins)?;
    let Some(sink) = config.sinks.get(&args.sink) else {
        let known = config.sinks.keys().cloned().collect::<Vec<_>>().join(", ");
        let what = lang.pick("no such sink; there are", "没有这个目的地；现有");
        return Err(fail(format!("{}: {what}: {known}", args.sink), FAILED));
    };
    let raw = match &args.lead {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| fail(format!("{}: {error}", path.display()), FAILED))?,
        None => lead::SAMPLE.to_owned(),
    };
    let lead = Lead::parse_json(&raw).map_err(|error| fail(error, FAILED))?;
    let source = config.sources.keys().next().map_or("tmall", String::as_str);
    let routes =
        Routes::new(config.sinks.iter(), &config.tables).map_err(|error| fail(error, FAILED))?;
    match routes
        .of(source, &lead)
        .into_iter()
        .find(|route| *route.sink == *args.sink)
    {
        None => eprintln!(
            "leadgate: {}",
            lang.pick(
                "the sink's `when` does not want this lead; shown anyway",
                "该目的地的 when 条件不接收这条客资；仍显示如下"
            )
        ),
        Some(route) => {
            if let Some(why) = route.failed {
                return Err(fail(format!("sinks.{}.when: {why}", args.sink), FAILED));
            }
        }
    }

    let plugin = plugins
        .get(&sink.plugin)
        .ok_or_else(|| fail(format!("no plugin {}", sink.plugin), FAILED))?;
    let made = plugin
        .create(&SinkConfig {
            name: &args.sink,
            settings: &sink.settings,
            tables: &config.tables,
        })
        .map_err(|problems| {
            let lines: Vec<_> = problems
                .into_iter()
                .map(|problem| problem.to_string())
                .collect();
            fail(lines.join("; "), FAILED)
        })?;
    let labels =
        serde_json::to_string(&lead.labels(&config.tables)).unwrap_or_else(|_| "{}".to_owned());
    let json = String::from_utf8_lossy(&lead.json()).into_owned();
    let event = Event {
        kind: EventKind::Created,
        id: &uuid::Uuid::now_v7(),
        revision: 1,
        source,
        received_at: SystemClock.now(),
        lead: &json,
        labels: &labels,
        raw: &raw,
    }
    .json();
    let call = Call {
        id: uuid::Uuid::now_v7().to_string(),
        attempt: 1,
        timeout: Duration::from_secs(10),
        event,
        trace_id: String::new(),
        journal: String::new(),
        keep: None,
    };
    match made.render(call) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(fail(
            format!(
                "{}: {}",
                sink.plugin,
                lang.pick("this plugin cannot show what it sends", "该插件不支持预览")
            ),
            FAILED,
        )),
        Err(why) => Err(fail(why, FAILED)),
    }
}
