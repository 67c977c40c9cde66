//! `leadgate plugin list`: the plugins that sinks can use.
//!
//! A plugin that cannot be used is listed with the reason, not an end of the list. No secret
//! is resolved for it, and no sink's settings are looked at.

mod shown;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use leadgate_plugin::child::SandboxReport;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::{FAILED, Global, check, client, fail, finish, out};
use crate::config::{self, Catalogue, Isolation, Problem, Purpose};
use crate::lead::Tables;
use crate::plugin::Plugins;

pub(super) fn run(global: &Global) -> ExitCode {
    finish(list(global))
}

/// Where a plugin is from.
enum Origin {
    BuiltIn,
    Library {
        path: PathBuf,
        /// Of the file as it is now, in hex.
        sha256: Option<String>,
        /// Why it cannot be used.
        failure: Option<String>,
    },
    /// A first-party plugin that this build has not.
    LeftOut,
}

struct Listed {
    name: String,
    version: String,
    abi: String,
    /// Who made it, what it is for, and where more is said; each may be empty.
    about: [String; 3],
    origin: Origin,
    /// Where its code runs, and what holds it there.
    isolation: Isolation,
    sandbox: Option<SandboxReport>,
    sinks: Vec<String>,
    /// The processes of its sinks, as the running daemon has them.
    processes: Vec<Value>,
}

fn list(global: &Global) -> Result<(), ExitCode> {
    let plugins = Plugins::builtin().map_err(|error| fail(error, FAILED))?;
    let built_in: Vec<String> = plugins.names();
    let mut patient = Patient {
        plugins,
        failures: BTreeMap::new(),
    };
    // Without a configuration only the built-in ones are there to list.
    let file = check::located(global)?;
    let (mut libraries, mut used) = (BTreeMap::new(), BTreeMap::<String, Vec<String>>::new());
    let mut processes: Vec<Value> = Vec::new();
    if global.config.is_some() || file.exists() {
        let config = check::load_for(Purpose::Plugins, global, &mut patient)?;
        libraries = config.plugins;
        for (sink, of) in config.sinks {
            used.entry(of.plugin).or_default().push(sink);
        }
        processes = running(global);
    }
    let mut all: Vec<Listed> = Vec::new();
    let mut add = |name: &str, origin: Origin, plugins: &Plugins| {
        let plugin = plugins.get(name);
        let about = plugin.map(|plugin| [plugin.vendor(), plugin.description(), plugin.url()]);
        let library = libraries.get(name);
        let of_it = processes.iter().filter(|one| one["plugin"] == name);
        all.push(Listed {
            name: name.to_owned(),
            version: plugin.map_or_else(String::new, |plugin| plugin.version().to_owned()),
            abi: plugin.map_or_else(String::new, crate::plugin::Plugin::abi),
            about: about.unwrap_or_default().map(str::to_owned),
            origin,
            isolation: library.map_or(Isolation::InProcess, |library| library.isolation),
            sandbox: plugin.and_then(|plugin| plugin.sandbox().cloned()),
            sinks: used.get(name).cloned().unwrap_or_default(),
            processes: of_it.cloned().collect(),
        });
    };
    for name in &built_in {
        add(name, Origin::BuiltIn, &patient.plugins);
    }
    for (name, library) in &libraries {
        // A built-in one that runs elsewhere is listed already.
        let Some(path) = library.path.clone() else {
            continue;
        };
        let sha256 = sha256(&path).ok();
        let failure = patient.failures.remove(name);
        let origin = Origin::Library {
            path,
            sha256,
            failure,
        };
        add(name, origin, &patient.plugins);
    }
    for name in patient.plugins.left_out() {
        add(&name, Origin::LeftOut, &patient.plugins);
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    if global.json {
        let all: Vec<_> = all.iter().map(Listed::json).collect();
        out::json(&Value::from(all));
    } else {
        outln!("{}", shown::table(&all, global.lang()).trim_end());
    }
    Ok(())
}

/// The processes of sinks that the running daemon keeps; none if it cannot be asked.
fn running(global: &Global) -> Vec<Value> {
    let plugins = client::quietly(global, "/plugins").unwrap_or_default();
    let items = plugins["items"].as_array().into_iter().flatten();
    items.flat_map(processes_of).collect()
}

/// The processes of one plugin in the daemon's answer, each with its plugin and its sink.
fn processes_of(plugin: &Value) -> Vec<Value> {
    let sinks = plugin["sinks"].as_array().into_iter().flatten();
    let processes = sinks.filter_map(|sink| {
        let mut process = sink["process"].as_object()?.clone();
        process.insert("plugin".to_owned(), plugin["name"].clone());
        process.insert("sink".to_owned(), sink["name"].clone());
        Some(Value::Object(process))
    });
    processes.collect()
}

impl Listed {
    fn json(&self) -> Value {
        let (origin, path, sha256, error) = match &self.origin {
            Origin::BuiltIn => ("built-in", None, None, None),
            Origin::LeftOut => ("left-out", None, None, None),
            Origin::Library {
                path,
                sha256,
                failure,
            } => ("library", Some(path), sha256.as_ref(), failure.as_ref()),
        };
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        json!({
            "name": self.name,
            "version": known(&self.version),
            "abi": known(&self.abi),
            "vendor": known(&self.about[0]),
            "description": known(&self.about[1]),
            "url": known(&self.about[2]),
            "isolation": self.isolation.as_str(),
            "sandbox": self.sandbox.as_ref().map(|report| &report.parts),
            "processes": self.processes,
            "origin": origin,
            "builtin": origin == "built-in",
            "path": path,
            "sha256": sha256,
            "sinks": self.sinks,
            "error": error,
        })
    }
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            length => hash.update(&piece[..length]),
        }
    }
    let digest = hash.finalize();
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.map(|half| char::from(b"0123456789abcdef"[usize::from(half)]));
    Ok(digits.collect())
}

/// A catalogue that remembers why a library cannot be used and goes on.
struct Patient {
    plugins: Plugins,
    failures: BTreeMap<String, String>,
}

impl Catalogue for Patient {
    fn names(&self) -> Vec<String> {
        self.plugins.names()
    }

    fn left_out(&self) -> Vec<String> {
        self.plugins.left_out()
    }

    fn schema(&self, plugin: &str) -> Option<Value> {
        self.plugins.schema(plugin)
    }

    fn check(&self, plugin: &str, sink: &str, settings: &Value, tables: &Tables) -> Vec<Problem> {
        self.plugins.check(plugin, sink, settings, tables)
    }

    fn load(&mut self, name: &str, plugin: &config::Plugin) -> Result<(), String> {
        if let Err(why) = self.plugins.load(name, plugin) {
            self.failures.insert(name.to_owned(), why);
        }
        Ok(())
    }
}
