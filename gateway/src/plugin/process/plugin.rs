//! A plugin whose code runs in other processes only: one for each question about it, and one for
//! each of its sinks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use leadgate_plugin::child::Sandbox;
use serde_json::{Value, json};

use super::super::file::Held;
use super::super::{LoadError, SinkConfig, SinkState};
use super::children::Children;
use super::fault::Fault;
use super::frame::Kind;
use super::keeper::{Keeper, NotMade};
use super::link::Spec;
use super::message::{self, Described, Settings, Told};
use super::sink::{Sink, process_fault};
use super::voice::Voice;
use crate::config::Problem;

/// A plugin in processes of its own. Clones are the same plugin.
#[derive(Clone)]
pub struct Plugin {
    spec: Arc<Spec>,
    described: Arc<Described>,
    children: Children,
}

/// For log and process list, where there is no sink.
const NO_SINK: &str = "-";

impl Plugin {
    /// Has a process say what the library is, or the linked plugin of that name.
    pub(in crate::plugin) fn open(
        name: &str,
        library: Option<(&Path, Option<&str>)>,
        sandbox: &Sandbox,
        children: &Children,
    ) -> Result<Self, LoadError> {
        let library = library.map(|(path, sha256)| {
            let held = Held::open(path, sha256)?;
            Ok((held, sha256.map(str::to_owned)))
        });
        let spec = Arc::new(Spec {
            name: name.to_owned(),
            library: library.transpose()?,
            sandbox: sandbox.clone(),
        });
        let voice = Voice::new(NO_SINK, name);
        voice.open(Arc::default());
        let link = spec.start(NO_SINK, &voice).map_err(|fault| match fault {
            Fault::Unusable(why) => LoadError::Refused(why),
            fault => LoadError::Process {
                name: name.to_owned(),
                fate: fault.to_string(),
            },
        })?;
        Ok(Self {
            spec,
            described: Arc::new(link.described),
            children: children.clone(),
        })
    }

    /// The same, of which nothing is known, because its process fails before it has said
    /// anything. Its sinks are made when that ends.
    pub(in crate::plugin) fn unknown(
        name: &str,
        library: (&Path, Option<&str>),
        sandbox: &Sandbox,
        children: &Children,
    ) -> Result<Self, LoadError> {
        let (path, sha256) = library;
        let held = Held::open(path, sha256)?;
        Ok(Self {
            spec: Arc::new(Spec {
                name: name.to_owned(),
                library: Some((held, sha256.map(str::to_owned))),
                sandbox: sandbox.clone(),
            }),
            described: Arc::new(Described {
                protocol: super::frame::PROTOCOL,
                version: String::new(),
                abi: String::new(),
                vendor: String::new(),
                description: String::new(),
                url: String::new(),
                schema: json!({ "type": "object" }),
                abilities: Vec::new(),
                batch: None,
                sandbox: leadgate_plugin::child::SandboxReport::default(),
            }),
            children: children.clone(),
        })
    }

    /// Whether both are clones of one.
    pub(in crate::plugin) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.spec, &other.spec)
    }

    pub(in crate::plugin) fn name(&self) -> &str {
        &self.spec.name
    }

    pub(in crate::plugin) fn path(&self) -> Option<PathBuf> {
        let (held, _) = self.spec.library.as_ref()?;
        Some(held.path().to_owned())
    }

    pub(in crate::plugin) fn described(&self) -> &Described {
        &self.described
    }

    pub(in crate::plugin) fn schema(&self) -> &Value {
        &self.described.schema
    }

    /// What is wrong with these settings beyond the schema; in a process of its own.
    pub(in crate::plugin) fn check(&self, sink: &SinkConfig<'_>) -> Vec<Problem> {
        if !self.described.abilities.iter().any(|one| one == "check") {
            return Vec::new();
        }
        let voice = Voice::new(sink.name, self.name());
        let asked = self.spec.start(sink.name, &voice).and_then(|mut link| {
            link.ask(
                "check the settings",
                &voice,
                None,
                |out| message::json(out, Kind::Check, 0, &settings(sink, false)),
                |frame| match frame.kind {
                    Kind::Checked => Some(message::read::<Vec<Told>>(frame.body)),
                    _ => None,
                },
            )
        });
        match asked {
            Ok(Ok(told)) => told.into_iter().map(Problem::from).collect(),
            Ok(Err(broken)) => vec![problem(&Fault::Contract(broken))],
            Err(fault) => vec![problem(&fault)],
        }
    }

    /// Makes a sink for a look.
    pub(in crate::plugin) fn create(&self, sink: &SinkConfig<'_>) -> Result<Sink, Vec<Problem>> {
        let keeper = self.keeper(sink, None);
        match keeper.make() {
            Ok(link) => Ok(Sink::new(keeper, self.children.clone(), Ok(link))),
            Err(NotMade::Problems(problems)) => Err(self.hinted(problems)),
            Err(NotMade::Fault(fault)) => Err(vec![problem(&fault)]),
        }
    }

    /// A plugin that finds a file it must not see can only say that it cannot be opened.
    fn hinted(&self, mut problems: Vec<Problem>) -> Vec<Problem> {
        if self.spec.sandbox.files {
            for one in problems.iter_mut().filter(|one| one.help.is_empty()) {
                let name = self.name();
                one.help = format!(
                    "the plugin's process reaches no files but those in [plugins.{name}.sandbox]: read = [\"…\"], write = [\"…\"]"
                );
                one.chinese.help = format!(
                    "插件进程只能访问 [plugins.{name}.sandbox] 中列出的文件：read = [\"…\"]，write = [\"…\"]"
                );
            }
        }
        problems
    }

    /// Makes a sink that is kept from the start. That its process fails is no reason not to: it
    /// is started again. Inside a tokio runtime.
    pub(in crate::plugin) fn create_with(
        &self,
        sink: &SinkConfig<'_>,
        state: Option<Arc<dyn SinkState>>,
    ) -> Result<Sink, Vec<Problem>> {
        let keeper = self.keeper(sink, state);
        let made = match keeper.make() {
            Ok(link) => Ok(link),
            Err(NotMade::Fault(fault)) if !fault.is_refusal() => Err(fault),
            Err(NotMade::Fault(fault)) => return Err(vec![problem(&fault)]),
            Err(NotMade::Problems(problems)) => return Err(self.hinted(problems)),
        };
        Ok(Sink::new(keeper, self.children.clone(), made))
    }

    fn keeper(&self, sink: &SinkConfig<'_>, state: Option<Arc<dyn SinkState>>) -> Arc<Keeper> {
        let mut create = Vec::new();
        let settings = settings(sink, state.is_some());
        message::json(&mut create, Kind::Create, 0, &settings);
        Keeper::new(
            sink.name,
            Arc::clone(&self.spec),
            create,
            state,
            Voice::new(sink.name, self.name()),
            self.children.counters.clone(),
        )
    }
}

fn settings(sink: &SinkConfig<'_>, state: bool) -> Settings {
    Settings {
        sink: sink.name.to_owned(),
        settings: sink.settings.clone(),
        tables: sink.tables.clone(),
        state,
    }
}

/// A process that failed, as a problem of the settings: they are what it failed on.
fn problem(fault: &Fault) -> Problem {
    Problem::at("", process_fault(fault)).chinese(format!("插件进程出错：{fault}"), "")
}
