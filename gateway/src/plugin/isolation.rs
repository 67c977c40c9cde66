//! Isolation: a plugin's code runs in this process, or in processes of its own; what uses plugins
//! does not see which.
//!
//! A library that is to run here is still described, checked and asked for a sink in a process
//! first: what ends that one would end this.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use leadgate_plugin::Secret;
use leadgate_plugin::child::SandboxReport;
use serde_json::Value;

use super::{Call, Connected, Health, Outcome, SinkConfig, SinkState, Step, loader, process};
use crate::config::{Isolation, Problem};

/// A plugin that can be used. Clones are the same plugin.
#[derive(Clone)]
pub struct Plugin(Isolated);

#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "there are few of them")]
enum Isolated {
    InProcess {
        plugin: loader::Plugin,
        /// The same in processes, to try everything there first.
        first: Option<process::Plugin>,
    },
    Process(process::Plugin),
}

impl Plugin {
    pub(super) fn in_process(plugin: loader::Plugin, first: Option<process::Plugin>) -> Self {
        Self(Isolated::InProcess { plugin, first })
    }

    pub(super) fn process(plugin: process::Plugin) -> Self {
        Self(Isolated::Process(plugin))
    }

    /// Whether both are the same code in the same place.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (
                Isolated::InProcess { plugin, first },
                Isolated::InProcess {
                    plugin: other,
                    first: others,
                },
            ) => match (first, others) {
                (Some(one), Some(two)) => one.is(two),
                // Linked in: there is one of that name.
                (None, None) => plugin.name() == other.name(),
                _ => false,
            },
            (Isolated::Process(one), Isolated::Process(two)) => one.is(two),
            _ => false,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match &self.0 {
            Isolated::InProcess { plugin, .. } => plugin.name(),
            Isolated::Process(plugin) => plugin.name(),
        }
    }

    /// Its own version.
    pub fn version(&self) -> &str {
        match &self.0 {
            Isolated::InProcess { plugin, .. } => plugin.version(),
            Isolated::Process(plugin) => &plugin.described().version,
        }
    }

    /// The ABI it was built for, e.g. `1.0`.
    pub fn abi(&self) -> String {
        match &self.0 {
            Isolated::InProcess { plugin, .. } => plugin.abi(),
            Isolated::Process(plugin) => plugin.described().abi.clone(),
        }
    }

    /// Who made it; may be empty.
    pub fn vendor(&self) -> &str {
        match &self.0 {
            Isolated::InProcess { plugin, .. } => plugin.vendor(),
            Isolated::Process(plugin) => &plugin.described().vendor,
        }
    }

    /// What it is for, in a sentence; may be empty.
    pub fn description(&self) -> &str {
        match &self.0 {
            Isolated::InProcess { plugin, .. } => plugin.description(),
            Isolated::Process(plugin) => &plugin.described().description,
        }
    }

    /// Where more is said of it; may be empty.
    pub fn url(&self) -> &str {
        match &self.0 {
            Isolated::InProcess { plugin, .. } => plugin.url(),
            Isolated::Process(plugin) => &plugin.described().url,
        }
    }

    /// Whether its code came from a library, and is not linked in.
    pub fn is_library(&self) -> bool {
        match &self.0 {
            Isolated::InProcess { plugin, .. } => plugin.is_library(),
            Isolated::Process(plugin) => plugin.path().is_some(),
        }
    }

    /// The library's file, as the configuration named it.
    pub fn path(&self) -> Option<PathBuf> {
        match &self.0 {
            Isolated::InProcess { first, .. } => first.as_ref()?.path(),
            Isolated::Process(plugin) => plugin.path(),
        }
    }

    /// Where its code runs.
    pub fn isolation(&self) -> Isolation {
        match &self.0 {
            Isolated::InProcess { .. } => Isolation::InProcess,
            Isolated::Process(_) => Isolation::Process,
        }
    }

    /// Which parts of the sandbox held when it was described; none for one that runs here.
    pub fn sandbox(&self) -> Option<&SandboxReport> {
        match &self.0 {
            Isolated::InProcess { .. } => None,
            Isolated::Process(plugin) => Some(&plugin.described().sandbox),
        }
    }

    /// JSON Schema of its settings.
    pub fn schema(&self) -> &Value {
        match &self.0 {
            Isolated::InProcess { plugin, .. } => plugin.schema(),
            Isolated::Process(plugin) => plugin.schema(),
        }
    }

    /// What it can beyond delivering: `check`, `render`, and the ids of its extensions.
    pub fn abilities(&self) -> Vec<String> {
        match &self.0 {
            Isolated::InProcess { plugin, .. } => {
                plugin.abilities().into_iter().map(str::to_owned).collect()
            }
            Isolated::Process(plugin) => plugin.described().abilities.clone(),
        }
    }

    /// Deliveries that it takes in one call, if it takes several.
    pub fn batch(&self) -> Option<usize> {
        match &self.0 {
            Isolated::InProcess { plugin, .. } => plugin.batch(),
            Isolated::Process(plugin) => plugin.described().batch,
        }
    }

    /// What is wrong with these settings beyond the schema; nothing is opened.
    pub fn check(&self, sink: &SinkConfig<'_>) -> Vec<Problem> {
        match &self.0 {
            Isolated::InProcess {
                first: Some(first), ..
            }
            | Isolated::Process(first) => first.check(sink),
            Isolated::InProcess { plugin, .. } => plugin.check(sink),
        }
    }

    /// Makes a sink for a look: it keeps nothing from one run to the next.
    pub fn create(&self, sink: &SinkConfig<'_>) -> Result<Sink, Vec<Problem>> {
        match &self.0 {
            Isolated::InProcess { plugin, first } => {
                if let Some(first) = first {
                    drop(first.create(sink)?);
                }
                plugin.create(sink).map(IsolatedSink::InProcess).map(Sink)
            }
            Isolated::Process(plugin) => plugin.create(sink).map(IsolatedSink::Process).map(Sink),
        }
    }

    /// Makes a sink, with where it keeps what it must know in the next run. Must be called
    /// inside a tokio runtime. A process that fails while it makes the sink is no error: it is
    /// started again.
    pub fn create_with(
        &self,
        sink: &SinkConfig<'_>,
        state: Option<Arc<dyn SinkState>>,
    ) -> Result<Sink, Vec<Problem>> {
        match &self.0 {
            Isolated::InProcess { plugin, first } => {
                if let Some(first) = first {
                    drop(first.create(sink)?);
                }
                let made = plugin.create_with(sink, state);
                made.map(IsolatedSink::InProcess).map(Sink)
            }
            Isolated::Process(plugin) => {
                let made = plugin.create_with(sink, state)?;
                Ok(Sink(IsolatedSink::Process(made)))
            }
        }
    }
}

/// One configured instance of a plugin. Clones are the same instance.
#[derive(Clone)]
pub struct Sink(IsolatedSink);

#[derive(Clone)]
enum IsolatedSink {
    InProcess(loader::Sink),
    Process(process::Sink),
}

impl Sink {
    /// The same, which takes these secrets of its settings out of whatever its plugin says.
    #[must_use]
    pub fn masking(self, secrets: &[Secret]) -> Self {
        Self(match self.0 {
            IsolatedSink::InProcess(sink) => IsolatedSink::InProcess(sink.masking(secrets)),
            IsolatedSink::Process(sink) => IsolatedSink::Process(sink.masking(secrets)),
        })
    }

    /// The same, whose process, if it has one, is looked after from now on, and not only from
    /// its first attempt on. Must be called inside a tokio runtime.
    #[must_use]
    pub fn kept(self) -> Self {
        if let IsolatedSink::Process(sink) = &self.0 {
            sink.keep();
        }
        self
    }

    /// Makes one attempt. Gives [`leadgate_plugin::OutcomeKind::Ambiguous`] when the plugin did
    /// not complete it in time; a late completion is dropped.
    pub async fn deliver(&self, call: Call) -> Outcome {
        match &self.0 {
            IsolatedSink::InProcess(sink) => sink.deliver(call).await,
            IsolatedSink::Process(sink) => sink.deliver(call).await,
        }
    }

    /// How it is, by what its plugin says and by whether its process runs; `None` if nobody can
    /// tell.
    pub async fn health(&self) -> Option<Health> {
        match &self.0 {
            IsolatedSink::InProcess(sink) => sink.health().await,
            IsolatedSink::Process(sink) => sink.health().await,
        }
    }

    /// What `deliver` would send; `None` if the plugin cannot tell.
    pub fn render(&self, call: Call) -> Result<Option<String>, String> {
        match &self.0 {
            IsolatedSink::InProcess(sink) => sink.render(call),
            IsolatedSink::Process(sink) => sink.render(&call),
        }
    }

    /// Walks to the destination without a lead and tells each step. Blocks, at most for about
    /// `timeout` if the plugin keeps to it.
    pub fn connect(&self, timeout: Duration, each: &mut dyn FnMut(Step)) -> Connected {
        match &self.0 {
            IsolatedSink::InProcess(sink) => sink.connect(timeout, each),
            IsolatedSink::Process(sink) => sink.connect(timeout, each),
        }
    }
}

/// What is known of a plugin without it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The ABI it was built for.
    pub abi: String,
    /// Who made it.
    pub vendor: String,
    /// What it is for.
    pub description: String,
    /// Where more is said of it.
    pub url: String,
    /// The library's file.
    pub path: Option<PathBuf>,
    /// Where its code runs.
    pub isolation: &'static str,
    /// Which parts of the sandbox held when it was described.
    pub sandbox: Option<SandboxReport>,
    /// What it can beyond delivering.
    pub abilities: Vec<String>,
    /// Deliveries that it takes in one call, if it takes several.
    pub batch: Option<usize>,
}

impl Plugin {
    /// What is known of it.
    pub fn listed(&self) -> Listed {
        Listed {
            name: self.name().to_owned(),
            version: self.version().to_owned(),
            abi: self.abi(),
            vendor: self.vendor().to_owned(),
            description: self.description().to_owned(),
            url: self.url().to_owned(),
            path: self.path(),
            isolation: self.isolation().as_str(),
            sandbox: self.sandbox().cloned(),
            abilities: self.abilities(),
            batch: self.batch(),
        }
    }
}
