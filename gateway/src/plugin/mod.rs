//! Plugins: the code behind sinks, whether linked into this binary or loaded from a library.
//!
//! [`Plugins`] knows them by name, [`Sink`] is one configured instance that takes attempts.
//! Only [`loader`] touches the C ABI, and [`process`] keeps processes in which it does so;
//! everything above them is safe and does not see which. A library is never unloaded: its
//! threads may still run.

mod aliases;
mod calls;
mod callsites;
pub(crate) mod elf;
mod events;
mod file;
mod isolation;
#[allow(unreachable_pub, reason = "`place` passes it on, under its own names")]
mod loader;
mod mask;
mod own;
#[doc(hidden)]
pub mod process;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use leadgate_plugin::child::Sandbox;
use serde_json::Value;

pub use leadgate_plugin::{Health, Outcome, OutcomeKind};

pub use self::isolation::{Listed, Plugin, Sink};
pub(crate) use self::loader::examiner;
pub(crate) use self::mask::without;
pub use self::own::Own;
pub use self::process::{Children, Status};
use crate::config::{self, Catalogue, Isolation, Problem};
use crate::lead::Tables;

/// Serves a plugin in this process until standard input ends; `args` are those behind the
/// command's name.
pub fn host(args: impl Iterator<Item = std::ffi::OsString>) -> std::io::Result<()> {
    process::host::run(args)
}

/// Becomes a program of another hand, in the sandbox that `args` say, or gives the reason why
/// not; see [`leadgate_plugin::child::launch`].
pub fn launch(args: impl Iterator<Item = std::ffi::OsString>) -> std::io::Error {
    match loader::close_inherited() {
        Ok(()) => leadgate_plugin::child::launch(args),
        Err(error) => error,
    }
}

/// First-party plugins that are linked in only with the Cargo feature of their name.
const OPTIONAL: &[&str] = &["sql", "nats", "amqp", "kafka"];

/// What a sink is made from.
pub struct SinkConfig<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its settings, secrets resolved.
    pub settings: &'a Value,
    /// All lookup tables.
    pub tables: &'a Tables,
}

/// One attempt, as given to a plugin.
#[derive(Clone)]
pub struct Call {
    /// The delivery's id: the idempotency key.
    pub id: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The host stops waiting after this.
    pub timeout: std::time::Duration,
    /// The event (JSON).
    pub event: Vec<u8>,
    /// 32 hex digits.
    pub trace_id: String,
    /// What the plugin kept of this delivery in an earlier attempt.
    pub step_record: String,
    /// Told what the plugin keeps now.
    pub keep: Option<Keep>,
}

/// Takes a plugin's step record of a delivery, at most [`leadgate_plugin::abi::JOURNAL_MAX`] bytes.
/// Does not wait.
pub type Keep = Arc<dyn Fn(String) + Send + Sync>;

/// What a sink's plugin keeps from one run to the next. Keys and lengths were checked.
pub trait SinkState: Send + Sync {
    /// What is kept under `key`.
    fn get(&self, key: &str) -> Option<Vec<u8>>;

    /// Keeps a value, or forgets it; whether it is on disk. Blocks.
    fn set(&self, key: &str, value: Option<Vec<u8>>) -> bool;
}

/// How a walk to a destination ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connected {
    /// All steps went well.
    Ok,
    /// A step failed.
    Failed,
    /// The plugin cannot tell.
    Unsupported,
    /// The plugin panicked.
    Panicked,
}

/// One step on the way to a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `dns`, `tcp`, `tls`, `login`, `token` or another short word.
    pub name: String,
    /// Whether it went well.
    pub ok: bool,
    /// Why it failed, or what was found.
    pub note: String,
    /// How long it took.
    pub took: std::time::Duration,
}

/// Why a plugin cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not protected.
    #[error("{0} can be changed by other users; run `chmod go-w` on it")]
    Writable(PathBuf),
    /// It, or a folder on the way to it, is somebody else's.
    #[error(
        "{path} belongs to user {owner}, who could change it; it must belong to root or to the user that runs leadgate"
    )]
    Foreign {
        /// Which file or folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// The file is not the one that was configured.
    #[error(
        "{path} has sha256 {found}, the configuration says {wanted}; check where the file comes from, then update `sha256`"
    )]
    Changed {
        /// Which file.
        path: PathBuf,
        /// Configured.
        wanted: String,
        /// Read.
        found: String,
    },
    /// The system refused to load it.
    #[error("{path} cannot be loaded: {why}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// What the dynamic linker said.
        why: String,
    },
    /// It is not a plugin of that name.
    #[error("{path} does not export `{symbol}`; {}", exported(.exports))]
    Symbol {
        /// Which file.
        path: PathBuf,
        /// The function looked for.
        symbol: String,
        /// Names of the plugins that it does export.
        exports: Vec<String>,
    },
    /// Its process says no, in words of its own.
    #[error("{0}")]
    Refused(String),
    /// Its process failed before it had said what it is.
    #[error("plugin `{name}`: its process {fate}, while it was loaded and described")]
    Process {
        /// The plugin's name.
        name: String,
        /// How it failed.
        fate: String,
    },
    /// It is one, but does not fit this gateway.
    #[error("plugin `{name}`: {why}")]
    Unfit {
        /// The plugin's name.
        name: String,
        /// What does not fit.
        why: String,
    },
}

/// What a library has instead of what was looked for.
fn exported(names: &[String]) -> String {
    if names.is_empty() {
        return "it exports nothing that begins with `leadgate_plugin_`, so it is no plugin"
            .to_owned();
    }
    let names: Vec<_> = names.iter().map(|name| name.replace('_', "-")).collect();
    format!("the plugin in it is called {}", names.join(", "))
}

/// Looks at a library's file, its folders and links as before it is loaded.
pub(crate) fn guard(path: &Path) -> Result<(), LoadError> {
    file::Held::open(path, None).map(drop)
}

/// All plugins that this process can use, by name. Clones know the same plugins.
#[derive(Clone)]
pub struct Plugins {
    by_name: BTreeMap<String, Plugin>,
    /// Of those that were made known.
    added: BTreeMap<String, Added>,
    /// Of those that never said what they are.
    unknown: BTreeMap<String, Added>,
    /// What runs, if this is to take its place.
    running: Option<Arc<Self>>,
    /// Those that are as they were in what runs, because only a restart changes them.
    postponed: Vec<String>,
    children: Children,
    patient: bool,
}

/// From what a plugin was made known.
#[derive(Clone, PartialEq, Eq)]
struct Added {
    config: config::Plugin,
    /// Of the library's file; `None` if there is none.
    sha256: Option<String>,
}

impl Plugins {
    /// Those linked into the binary.
    pub fn builtin() -> Result<Self, LoadError> {
        let linked = loader::linked()?;
        let by_name = linked
            .into_iter()
            .map(|plugin| (plugin.name().to_owned(), Plugin::in_process(plugin, None)))
            .collect();
        Ok(Self {
            by_name,
            added: BTreeMap::new(),
            unknown: BTreeMap::new(),
            running: None,
            postponed: Vec::new(),
            children: Children::default(),
            patient: false,
        })
    }

    /// Those linked into the binary, for a configuration that is to take the place of this one:
    /// what is made known and is as it was, file and all, is the same plugin.
    pub fn again(&self) -> Result<Self, LoadError> {
        let running = Self {
            running: None,
            ..self.clone()
        };
        Ok(Self {
            running: Some(Arc::new(running)),
            children: self.children.clone(),
            ..Self::builtin()?
        })
    }

    /// Libraries in this process that changed: they are as they were until a restart.
    pub fn postponed(&self) -> &[String] {
        &self.postponed
    }

    /// Whether both have the same plugin of that name.
    pub fn same(&self, other: &Self, name: &str) -> bool {
        match (self.get(name), other.get(name)) {
            (Some(one), Some(two)) => one.is(two),
            (one, two) => one.is_none() && two.is_none(),
        }
    }

    /// The same, for a daemon that is to run whatever a library does: one whose process fails
    /// before it has said what it is, is there all the same, and its sinks are made when that
    /// ends.
    #[must_use]
    pub fn patient(mut self) -> Self {
        self.patient = true;
        self
    }

    /// The processes of sinks.
    pub fn children(&self) -> &Children {
        &self.children
    }

    /// Makes the library at `path` known as plugin `name`, after checking the file. Its code
    /// runs in processes of its own.
    pub fn open(&mut self, name: &str, path: &Path, sha256: Option<&str>) -> Result<(), LoadError> {
        self.add(
            name,
            &config::Plugin {
                path: Some(path.to_owned()),
                sha256: sha256.map(str::to_owned),
                isolation: Isolation::Process,
                sandbox: Sandbox::default(),
            },
        )
    }

    /// Makes a plugin known, or has a linked one run elsewhere.
    pub fn add(&mut self, name: &str, plugin: &config::Plugin) -> Result<(), LoadError> {
        let sha256 = plugin.sha256.as_deref();
        let library = plugin.path.as_deref().map(|path| (path, sha256));
        if library.is_none() && plugin.isolation == Isolation::InProcess {
            // It is linked, and runs here already.
            return Ok(());
        }
        let file = library.map(|(path, sha256)| file::Held::open(path, sha256)?.sha256());
        let found = Added {
            config: plugin.clone(),
            sha256: file.transpose()?,
        };
        if let Some(known) = self.kept(name, &found) {
            self.by_name.insert(name.to_owned(), known);
            return Ok(());
        }
        let opened = process::Plugin::open(name, library, &plugin.sandbox, &self.children);
        let mut known = true;
        let added = match (opened, library) {
            (Ok(first), Some((path, sha256))) if plugin.isolation == Isolation::InProcess => {
                let here = loader::open(name, file::Held::open(path, sha256)?)?;
                Plugin::in_process(here, Some(first))
            }
            (Ok(there), _) => Plugin::process(there),
            (Err(error @ LoadError::Process { .. }), Some(library))
                if plugin.isolation == Isolation::Process =>
            {
                // It is looked at again whenever the configuration is.
                known = false;
                match self.still_unknown(name, &found) {
                    Some(running) => running,
                    None if self.patient => Plugin::process(process::Plugin::unknown(
                        name,
                        library,
                        &plugin.sandbox,
                        &self.children,
                    )?),
                    None => return Err(error),
                }
            }
            (Err(error), _) => return Err(error),
        };
        is_schema(added.schema()).map_err(|why| LoadError::Unfit {
            name: name.to_owned(),
            why,
        })?;
        let among = if known {
            &mut self.added
        } else {
            &mut self.unknown
        };
        among.insert(name.to_owned(), found);
        self.by_name.insert(name.to_owned(), added);
        Ok(())
    }

    /// The plugin of that name that runs, if it is this one and never said what it is: what the
    /// start put up with is no mistake of who changes something else.
    fn still_unknown(&self, name: &str, found: &Added) -> Option<Plugin> {
        let running = self.running.as_ref()?;
        let same = running.unknown.get(name) == Some(found);
        running.get(name).filter(|_| same).cloned()
    }

    /// The plugin of that name that runs, if it is this one, or has to stay.
    fn kept(&mut self, name: &str, found: &Added) -> Option<Plugin> {
        let running = self.running.clone()?;
        let known = running.get(name)?;
        let before = running.added.get(name)?;
        // The system takes no other version of a library that a process has.
        let stays = |added: &Added| {
            added.config.path.is_some() && added.config.isolation == Isolation::InProcess
        };
        if before == found {
            self.added.insert(name.to_owned(), found.clone());
        } else if stays(before) && stays(found) {
            self.postponed.push(name.to_owned());
            self.added.insert(name.to_owned(), before.clone());
        } else {
            return None;
        }
        Some(known.clone())
    }

    /// The plugin called `name`.
    pub fn get(&self, name: &str) -> Option<&Plugin> {
        self.by_name.get(name)
    }

    /// All of them by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Plugin)> {
        self.by_name
            .iter()
            .map(|(name, plugin)| (name.as_str(), plugin))
    }
}

impl Catalogue for Plugins {
    fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    fn left_out(&self) -> Vec<String> {
        let left_out = OPTIONAL.iter().filter(|name| self.get(name).is_none());
        left_out.map(|name| (*name).to_owned()).collect()
    }

    fn meant(&self, name: &str) -> Option<(String, Option<String>)> {
        // A preset is known by the schema of the plugin that has it.
        let owner = self
            .by_name
            .iter()
            .find(|(_, plugin)| has_preset(plugin.schema(), name));
        if let Some((plugin, _)) = owner {
            return Some((plugin.clone(), Some(name.to_owned())));
        }
        let (plugin, preset) = aliases::meant(name)?;
        Some((plugin.to_owned(), preset.map(str::to_owned)))
    }

    fn schema(&self, plugin: &str) -> Option<Value> {
        self.get(plugin).map(|plugin| plugin.schema().clone())
    }

    fn check(&self, plugin: &str, sink: &str, settings: &Value, tables: &Tables) -> Vec<Problem> {
        let Some(plugin) = self.get(plugin) else {
            return Vec::new();
        };
        plugin.check(&SinkConfig {
            name: sink,
            settings,
            tables,
        })
    }

    fn load(&mut self, name: &str, plugin: &config::Plugin) -> Result<(), String> {
        self.add(name, plugin).map_err(|error| error.to_string())
    }
}

/// Says what keeps this from being a JSON Schema of settings.
fn is_schema(schema: &Value) -> Result<(), String> {
    if !schema.is_object() {
        return Err("its settings schema is not a JSON object".to_owned());
    }
    jsonschema::meta::validate(schema)
        .map_err(|error| format!("its settings schema is no JSON Schema: {}", error.masked()))
}

/// Whether a schema of settings has a `preset` that may be `name`.
fn has_preset(schema: &Value, name: &str) -> bool {
    fn names(schema: &Value, node: &Value, name: &str, left: usize) -> bool {
        let Some(left) = left.checked_sub(1) else {
            return false;
        };
        let referred = node["$ref"]
            .as_str()
            .and_then(|reference| schema.pointer(reference.strip_prefix('#')?));
        node["const"] == name
            || node["enum"]
                .as_array()
                .is_some_and(|list| list.iter().any(|one| one == name))
            || referred.is_some_and(|node| names(schema, node, name, left))
            || ["anyOf", "oneOf"].iter().any(|cases| {
                let cases = node[*cases].as_array().into_iter().flatten();
                cases
                    .into_iter()
                    .any(|case| names(schema, case, name, left))
            })
    }
    names(schema, &schema["properties"]["preset"], name, 8)
}

#[cfg(test)]
mod tests;
