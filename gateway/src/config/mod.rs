//! The checked configuration: what the rest of the gateway is built from.
//!
//! [`load`] reads all files, and gives either a [`Config`] in which values are valid, secrets
//! resolved and names exist, or a [`Report`] of everything that is wrong with them. Knows
//! plugins only through [`Catalogue`].

mod address;
mod admin_only;
mod advice;
mod alone;
mod build;
mod certificate;
mod contents;
mod diagnostic;
mod difference;
mod document;
mod edited;
mod encoding;
mod fallback;
mod http_advice;
mod literal;
mod literal_secret;
mod locate;
mod lookalike;
mod machine;
mod model;
mod paths;
mod placeholder;
mod purpose;
mod quantity;
mod rate;
mod raw;
mod reference;
mod resolve;
mod revision;
mod schema;
mod secrets;
mod sinks;
mod syntax;
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

pub use admin_only::{AdminTarget, load_admin};
pub use advice::{CHAT_RATE, CHATS};
pub use alone::{Alone, load_settings};
pub use certificate::Certificate;
pub use contents::Contents;
pub use diagnostic::{Diagnostic, Report, Severity};
pub use difference::Difference;
pub use edited::{Edited, Workbench};
/// What a plugin finds wrong in its settings.
pub use leadgate_plugin::Problem;
pub use locate::{Untrusted, examine, locate};
pub use model::{
    Admin, Breaker, Ceiling, Config, Isolation, Log, LogFormat, OnAmbiguous, OnUpdate, Outbox,
    Plugin, QuarantinePolicy, Rate, Retry, Server, Sink, Source, SourceKind, Tmall,
};
pub use purpose::Purpose;
pub use resolve::Environment;
pub use revision::Revision;
pub use schema::schema;
pub use written::Written;

use self::diagnostic::Text;
use self::document::Document;
use crate::lead::Tables;

/// The plugins, as far as a configuration must know them.
pub trait Catalogue {
    /// Names of all plugins that can be used.
    fn names(&self) -> Vec<String>;
    /// Names of first-party plugins that this leadgate was built without.
    fn left_out(&self) -> Vec<String>;
    /// What was probably meant by the name of a plugin that is not there: a plugin, and a preset
    /// of it if the name is one's.
    fn meant(&self, name: &str) -> Option<(String, Option<String>)> {
        let _ = name;
        None
    }
    /// JSON Schema of a plugin's settings; `None` if there is no such plugin.
    fn schema(&self, plugin: &str) -> Option<Value>;
    /// What is wrong with settings beyond their schema.
    fn check(&self, plugin: &str, sink: &str, settings: &Value, tables: &Tables) -> Vec<Problem>;
    /// Loads a library as plugin `name`; says why not.
    fn load(&mut self, name: &str, plugin: &Plugin) -> Result<(), String>;
}

/// `path` seen from the working directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Reads the configuration in `file` and the folders beside it. The report has only warnings
/// if there is a configuration, and at least one error if there is none.
pub fn load(
    file: &Path,
    environment: &Environment<'_>,
    catalogue: &mut dyn Catalogue,
) -> (Option<Config>, Report) {
    load_for(Purpose::Everything, file, environment, catalogue)
}

/// The same for a command that needs only a part; the rest is neither resolved nor loaded,
/// and has its defaults.
pub fn load_for(
    purpose: Purpose<'_>,
    file: &Path,
    environment: &Environment<'_>,
    catalogue: &mut dyn Catalogue,
) -> (Option<Config>, Report) {
    let mut problems = Vec::new();
    // What the files name is then found from any folder.
    let file = absolute(file);
    // Before they are read: what changes meanwhile is no longer this revision.
    let revision = Revision::of(&file).ok();
    let mut document = Document::read(&file, &locate::nowhere(&file, environment), &mut problems);
    let excerpts = match purpose {
        Purpose::Everything => document.excerpts(),
        _ => BTreeMap::new(),
    };
    purpose.cut(&mut document, &mut problems);
    let base = schema::base();
    let root = std::mem::take(&mut document.root);
    let mut renamed = schema::rename(&base, root, "", &document, &mut problems);
    document.root = std::mem::take(&mut renamed.value);
    let written = written::all(&document, excerpts);
    let places = secrets::Places::of(&document.root);
    document.secret = places.pointers();
    resolve::resolve(&mut document, environment, &mut problems);
    let sink_secrets = places.values(&document.root, environment);
    advice::placeholders(&document, &mut problems);
    renamed.value = document.root.clone();
    let mut root = schema::examine(&base, renamed, "", &document, &mut problems).value;
    paths::resolve(&base, &mut root, "", &document, &mut problems);
    let built = build::build(&root, &document, purpose, catalogue, &mut problems);
    let config = Config {
        sink_secrets,
        written,
        revision,
        ..built
    };
    let mut report = Report::of(document, problems, &file);
    let problems = &mut report.diagnostics;
    if purpose != Purpose::Everything {
        // Advice about the whole is for those who see the whole.
        problems.retain(|one| one.severity == Severity::Error);
    }
    problems.sort_by_key(|one| {
        one.place
            .as_ref()
            .map(|place| (place.file, place.range.start))
    });
    let good = !report.has_errors();
    (good.then_some(config), report)
}

impl Config {
    /// The hash of its revision; empty if it has none.
    pub fn revision_hash(&self) -> Arc<str> {
        let hash = self.revision.as_ref().map(|revision| &*revision.hash);
        hash.unwrap_or_default().into()
    }
}

impl Report {
    /// What is said of `document`, once all of it was looked at; what is missing is missing from
    /// `file`.
    fn of(document: Document, mut problems: Vec<Diagnostic>, file: &Path) -> Self {
        document.without_followers(&mut problems);
        advice::join(&mut problems);
        for one in &mut problems {
            if one.place.is_none() && one.file.is_none() {
                one.file = Some(file.to_owned());
            }
        }
        let (sources, places) = document.into_places();
        Self {
            diagnostics: problems,
            sources,
            places,
            notes: Vec::new(),
        }
    }

    /// Adds what this machine has to say to a good configuration: its outbox, its ports.
    pub fn look_around(&mut self, config: &Config) {
        machine::look(config, self);
    }

    /// Adds that the outbox needs the key `id`, which is not among those configured.
    pub fn missing_key(&mut self, id: &str) {
        let message = Text::new(
            format!(
                "outbox.key: the outbox is encrypted with the key {id}, which is not among those configured"
            ),
            format!("outbox.key：发件箱用密钥 {id} 加密，配置中没有该密钥"),
        );
        let help = Text::new(
            "add that key to outbox.key, or leadgate cannot open the outbox",
            "请把该密钥加入 outbox.key，否则无法打开发件箱",
        );
        let error = Diagnostic::error("config::missing_key", message).help(help);
        self.add(error, "/outbox/key");
    }

    /// Adds why the plugin of `sink` refused to make it.
    pub fn refused(&mut self, sink: &str, problems: Vec<Problem>) {
        let settings = document::pointer(&document::pointer("/sinks", sink), "settings");
        for one in problems {
            let at = format!("{settings}{}", one.path);
            let message = Text::new(
                format!(
                    "{}: the plugin cannot make this sink: {}",
                    schema::dotted(&at),
                    one.message
                ),
                format!(
                    "{}：插件无法创建该目的地：{}",
                    schema::dotted(&at),
                    one.chinese.message
                ),
            );
            let help = Text::new(one.help, one.chinese.help);
            let error = Diagnostic::error("config::refused", message).help(help);
            self.add(error, &at);
        }
    }
}

#[cfg(test)]
mod tests;
