//! What the host offers a sink.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::State;
use crate::export::HostHandle;
use crate::testing::Log;

/// Lookup tables of the configuration: table → code → label.
pub type Tables = BTreeMap<String, BTreeMap<String, String>>;

/// How important a log event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    state: Option<State>,
    launcher: Option<Arc<Path>>,
    /// Of a test.
    recorded: Option<Log>,
}

impl Host {
    pub(crate) fn new(sink: String, tables: Tables, handle: Option<HostHandle>) -> Self {
        Self {
            sink: sink.into(),
            tables: Arc::new(tables),
            state: handle.and_then(HostHandle::state),
            launcher: handle.and_then(HostHandle::launcher).map(Arc::from),
            handle,
            recorded: None,
        }
    }

    /// A host that logs nowhere, for a sink's own tests.
    pub fn detached(sink: &str, tables: Tables) -> Self {
        Self::new(sink.to_owned(), tables, None)
    }

    /// The same name and tables, and nothing that it could do: no log, no state.
    pub(crate) fn for_a_look(&self) -> Self {
        Self {
            sink: Arc::clone(&self.sink),
            tables: Arc::clone(&self.tables),
            handle: None,
            state: None,
            launcher: None,
            recorded: None,
        }
    }

    /// The same, telling a test what is logged.
    pub(crate) fn recorded(self, log: Log) -> Self {
        Self {
            recorded: Some(log),
            ..self
        }
    }

    /// The same with a state, for tests of what a sink keeps.
    #[must_use]
    pub fn with_state(self, state: State) -> Self {
        Self {
            state: Some(state),
            ..self
        }
    }

    /// What the sink keeps from one run to the next; `None` where it is made for a look only
    /// (`check`, `render`), and with a host that has no such thing.
    pub fn state(&self) -> Option<&State> {
        self.state.as_ref()
    }

    /// The same with a launcher, for tests of what a sink starts.
    #[must_use]
    pub fn with_launcher(self, program: &Path) -> Self {
        Self {
            launcher: Some(Arc::from(program)),
            ..self
        }
    }

    /// The host's program that starts others in a sandbox, for
    /// `child::Command::sandboxed` (with the feature `child`); `None` with a host that cannot.
    pub fn launcher(&self) -> Option<&Path> {
        self.launcher.as_deref()
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
        if let Some(log) = &self.recorded {
            log.add(level, message, fields);
        }
    }
}
