//! The input: the lead that `render` shows, from a file, from the daemon, or the sample.

use std::path::Path;
use std::process::ExitCode;

use leadgate_plugin::template::Engine;
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::client::{Api, encoded};
use super::super::{FAILED, Global, fail};
use crate::clock::{Clock, Millis, SystemClock};
use crate::config::Config;
use crate::lead::{Event, EventKind, SAMPLE, Sample};
use crate::plugin::{Call, SinkConfig};
use crate::route::{self, Part};

/// Largest file with a lead, in bytes; a push is smaller.
const LARGEST: u64 = 16 << 20;

/// A lead as an event.
pub(super) struct Input {
    pub(super) id: Uuid,
    pub(super) revision: u64,
    pub(super) source: String,
    lead: Value,
    event: Vec<u8>,
}

impl Input {
    /// A push's body as a new lead; the document's sample if no file is given.
    pub(super) fn pushed(
        config: &Config,
        file: Option<&Path>,
        source: Option<&String>,
    ) -> Result<Self, ExitCode> {
        if let Some(name) = source
            && !config.sources.contains_key(name)
        {
            let known: Vec<_> = config.sources.keys().map(String::as_str).collect();
            let known = known.join(", ");
            return Err(fail(
                format!("{name}: no such source; there are: {known}"),
                FAILED,
            ));
        }
        let source = source.or(config.sources.keys().next());
        let source = source.map_or("tmall", String::as_str);
        let raw = file.map_or_else(|| Ok(SAMPLE.to_owned()), read)?;
        let place = file.map_or_else(String::new, |file| format!("{}: ", file.display()));
        let made = Sample::new(&raw, source, &config.tables, SystemClock.now())
            .map_err(|error| fail(format!("{place}{error}"), FAILED))?;
        Ok(Self {
            id: made.id,
            revision: 1,
            source: source.to_owned(),
            lead: json!(made.lead),
            event: made.event,
        })
    }

    /// The newest revision of a lead that the running daemon has.
    pub(super) fn stored(api: &Api<'_>, id: &Uuid) -> Result<Self, ExitCode> {
        let path = format!("/leads/{}", encoded(&id.to_string()));
        let mut shown = api.get(&format!("{path}?reveal=true"))?;
        let raw = api.get(&format!("{path}/raw?reveal=true"))?;
        let newest = shown["revisions"].as_array_mut().and_then(Vec::pop);
        let Some(newest) = newest else {
            return Err(fail(format!("lead {id} has no revision"), FAILED));
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let source = text(&shown["source"]);
        let revision = newest["revision"].as_u64().unwrap_or(1);
        let received_at: Millis = text(&newest["received_at"])
            .parse()
            .map_or(0, |at: jiff::Timestamp| at.as_millisecond());
        let event = Event {
            kind: if revision > 1 {
                EventKind::Updated
            } else {
                EventKind::Created
            },
            id,
            revision: u32::try_from(revision).unwrap_or(u32::MAX),
            source: &source,
            received_at,
            lead: &newest["lead"].to_string(),
            labels: &newest["labels"].to_string(),
            raw: raw["raw"].as_str().unwrap_or_default(),
        }
        .json();
        Ok(Self {
            id: *id,
            revision,
            source,
            lead: newest["lead"].clone(),
            event,
        })
    }

    /// What the condition of `sink` says of it; `None` if the sink wants every lead.
    pub(super) fn route(&self, config: &Config, sink: &str) -> Result<Option<Part>, ExitCode> {
        let Some(when) = config.sinks.get(sink).and_then(|sink| sink.when.as_deref()) else {
            return Ok(None);
        };
        let engine = Engine::new(config.tables.clone());
        let part = route::explain(&engine, when, &self.lead, &self.source);
        part.map(Some)
            .map_err(|why| fail(format!("sinks.{sink}.when: {why}"), FAILED))
    }

    /// What `sink` would send of it.
    pub(super) fn sent(
        &self,
        global: &Global,
        config: &Config,
        plugins: &crate::plugin::Plugins,
        name: &str,
    ) -> Result<String, ExitCode> {
        let sink = &config.sinks[name];
        let plugin = plugins
            .get(&sink.plugin)
            .ok_or_else(|| fail(format!("no plugin {}", sink.plugin), FAILED))?;
        let made = plugin
            .create(&SinkConfig {
                name,
                settings: &sink.settings,
                tables: &config.tables,
            })
            .map_err(|problems| {
                let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
                fail(lines.join("; "), FAILED)
            })?
            .masking(config.secrets_of(name));
        let call = Call {
            id: Uuid::now_v7().to_string(),
            attempt: 1,
            timeout: sink.timeout,
            event: self.event.clone(),
            trace_id: String::new(),
            step_record: String::new(),
            keep: None,
        };
        let cannot = global
            .lang()
            .pick("this plugin cannot show what it sends", "该插件不支持预览");
        match made.render(call) {
            Ok(Some(text)) => Ok(text),
            Ok(None) => Err(fail(format!("{}: {cannot}", sink.plugin), FAILED)),
            Err(why) => Err(fail(format!("sinks.{name}: {why}"), FAILED)),
        }
    }
}

fn read(file: &Path) -> Result<String, ExitCode> {
    let read = || {
        if std::fs::metadata(file)?.len() > LARGEST {
            return Err(std::io::Error::other("larger than 16 MiB"));
        }
        std::fs::read_to_string(file)
    };
    read().map_err(|error| fail(format!("{}: {error}", file.display()), FAILED))
}
