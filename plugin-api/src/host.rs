//! What the host offers a sink.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::export::HostHandle;

/// Lookup tables of the configuration: table → code → label.
pub type Tables = BTreeMap<String, BTreeMap<String, String>>;

/// How important a log event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A person must act.
    Error,
    /// Degraded.
    Warn,
    /// Life cycle.
    Info,
    /// Each attempt.
    Debug,
}

/// The host, as one sink sees it. Cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Host {
    sink: Arc<str>,
    tables: Arc<Tables>,
    handle: Option<HostHandle>,
}

impl Host {
    pub(crate) fn new(sink: String, tables: Tables, handle: Option<HostHandle>) -> Self {
        Self {
            sink: sink.into(),
            tables: Arc::new(tables),
            handle,
        }
    }

    /// A host that logs nowhere, for a sink's own tests.
    pub fn detached(sink: &str, tables: Tables) -> Self {
        Self::new(sink.to_owned(), tables, None)
    }

    /// Name of the sink in the configuration.
    pub fn sink(&self) -> &str {
        &self.sink
    }

    /// The merchant's lookup tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Writes a log event: a short English phrase and fields. Never personal data or secrets.
    pub fn log(&self, level: Level, message: &str, fields: &Value) {
        if let Some(handle) = &self.handle {
            handle.log(level, message, &fields.to_string());
        }
    }
}
