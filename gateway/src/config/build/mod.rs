//! Building: from what was written to what the gateway uses, and the checks that need
//! more than one key at once.

mod listeners;
mod outbox;
mod plugins;
mod sources;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::ops::Range;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::diagnostic::{Diagnostic, Place, Severity, Text};
use super::document::Document;
use super::schema::dotted;
use super::{Catalogue, Config, Log, LogFormat, Purpose, raw};

pub(super) const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Builds the configuration from `root`, the document without what is wrong in it. Problems are
/// added; with errors among them the result is not to be used.
pub(super) fn build(
    root: &Value,
    document: &Document,
    purpose: Purpose<'_>,
    catalogue: &mut dyn Catalogue,
    problems: &mut Vec<Diagnostic>,
) -> Config {
    let mut build = Build {
        document,
        purpose,
        problems,
    };
    let server: raw::Server = build.read(root, "/server").unwrap_or_default();
    let server = build.server(&server);
    let admin: raw::Admin = build.read(root, "/admin").unwrap_or_default();
    let admin = build.admin(admin);
    build.listeners(&server, &admin);
    let outbox: raw::Outbox = build.read(root, "/outbox").unwrap_or_default();
    // One engine so far; the schema has refused any other name.
    let (None | Some(raw::Engine::Sled)) = outbox.engine;
    let outbox = build.outbox(outbox);
    let log: raw::Log = build.read(root, "/log").unwrap_or_default();
    let tables = build.read(root, "/tables").unwrap_or_default();
    let plugins = build.plugins(root, catalogue);
    build.shared_folder(&outbox, &plugins);
    let sources = build.sources(root);
    let sinks = build.sinks(root, &tables, catalogue);
    Config {
        server,
        admin,
        outbox,
        log: Log {
            level: log.level.unwrap_or_else(|| "info".to_owned()),
            format: log.format.unwrap_or_else(|| {
                if std::io::stderr().is_terminal() {
                    LogFormat::Human
                } else {
                    LogFormat::Json
                }
            }),
        },
        sources,
        sinks,
        sink_secrets: BTreeMap::new(),
        written: BTreeMap::new(),
        plugins,
        tables,
        revision: None,
    }
}

pub(super) struct Build<'a> {
    pub(super) document: &'a Document,
    pub(super) purpose: Purpose<'a>,
    pub(super) problems: &'a mut Vec<Diagnostic>,
}

impl Build<'_> {
    pub(super) fn error(
        &mut self,
        code: &'static str,
        message: Text,
        help: Text,
        place: Option<Place>,
    ) {
        self.problems
            .push(Diagnostic::error(code, message).help(help).at(place));
    }

    pub(super) fn warn(
        &mut self,
        code: &'static str,
        message: Text,
        help: Text,
        place: Option<Place>,
    ) {
        self.problems
            .push(Diagnostic::warning(code, message).help(help).at(place));
    }

    pub(super) fn value(&self, at: &str) -> Option<Place> {
        self.document.value_place(at)
    }

    /// Where `part` of the text `value` at `at` is.
    pub(super) fn part(&self, at: &str, value: &str, part: Option<&Range<usize>>) -> Option<Place> {
        self.document.part_place(at, value, part)
    }

    /// The section or entry at `at`; `None` if there is none, or if what is left of it does not
    /// suffice.
    pub(super) fn read<T: DeserializeOwned>(&mut self, root: &Value, at: &str) -> Option<T> {
        let value = root.pointer(at)?;
        match serde_path_to_error::deserialize(value) {
            Ok(read) => Some(read),
            Err(error) => {
                // Whatever the schema let pass, the types read; else the schema is mistaken.
                if self
                    .problems
                    .iter()
                    .all(|one| one.severity == Severity::Warning)
                {
                    let key = error.path().to_string();
                    let at = format!("{at}/{}", key.replace('.', "/"));
                    let message = format!("`{}`: {}", dotted(&at), error.inner());
                    let place = self.value(&at);
                    self.error(
                        "config::invalid_value",
                        Text::plain(message),
                        Text::default(),
                        place,
                    );
                }
                None
            }
        }
    }

    /// Whether the key at `at` has a value that can be used.
    pub(super) fn has(&self, at: &str) -> bool {
        self.document.root.pointer(at).is_some() && self.document.is_good(at)
    }

    pub(super) fn key(&self, at: &str) -> Option<Place> {
        self.document.key_place(at)
    }
}

/// Names of the entries of a section.
pub(super) fn entries(root: &Value, section: &str) -> Vec<String> {
    let entries = root.get(section).and_then(Value::as_object);
    entries.map_or_else(Vec::new, |entries| entries.keys().cloned().collect())
}
