//! The checked configuration: what the rest of the gateway is built from.
//!
//! [`load`] reads all files, and gives either a [`Config`] in which values are valid, secrets
//! resolved and names exist, or a [`Report`] of everything that is wrong with them. Knows
//! plugins only through [`Catalogue`].

mod admin_only;
mod advice;
mod build;
mod diagnostic;
mod document;
mod fallback;
mod http_advice;
mod literal;
mod locate;
mod model;
mod purpose;
mod rate;
mod raw;
mod resolve;
mod schema;
mod secrets;
mod sinks;

use std::path::Path;

use serde_json::Value;

pub use admin_only::{AdminTarget, load_admin};
pub use advice::{CHAT_RATE, CHATS};
pub use diagnostic::{Diagnostic, Report, Severity};
pub use locate::{Untrusted, examine, locate};
pub use model::*;
pub use purpose::Purpose;
pub use resolve::Environment;
pub use schema::schema;

use self::diagnostic::Text;
use self::document::Document;

/// A problem that a plugin found in its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer into the settings; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
    /// The same two in Chinese, where the plugin said them so.
    pub chinese: leadgate_plugin::Chinese,
    /// Where in the text at `path`, in bytes; `None` is all of it.
    pub range: Option<std::ops::Range<usize>>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = schema::dotted(&format!("/settings{}", self.path));
        write!(formatter, "{place}: {}", self.message)
    }
}

/// The plugins, as far as a configuration must know them.
pub trait Catalogue {
    /// Names of all plugins that can be used.
    fn names(&self) -> Vec<String>;
    /// Names of first-party plugins that this leadgate was built without.
    fn left_out(&self) -> Vec<String>;
    /// JSON Schema of a plugin's settings; `None` if there is no such plugin.
    fn schema(&self, plugin: &str) -> Option<Value>;
    /// What is wrong with settings beyond their schema.
    fn check(&self, plugin: &str, sink: &str, settings: &Value, tables: &Tables) -> Vec<Problem>;
    /// Loads a library as plugin `name`; says why not.
    fn load(&mut self, name: &str, plugin: &Plugin) -> Result<(), String>;
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
    let mut document = Document::read(file, &mut problems);
    purpose.cut(&mut document, &mut problems);
    let folder = file.parent().unwrap_or(Path::new(""));
    let places = secrets::Places::of(&document.root);
    let skip = resolve::resolve(&mut document, environment, folder, &mut problems);
    let secret = places.pointers();
    let sink_secrets = places.values(&document.root, environment);
    schema::check(&document, &skip, &mut problems);
    // Whatever the schema let pass, the types read; a failure here is the schema's mistake.
    let config = match serde_path_to_error::deserialize::<_, raw::Root>(&document.root) {
        Ok(root) => {
            let ground = build::Ground {
                document: &document,
                skip: &skip,
                secret: &secret,
                purpose,
            };
            let built = build::build(root, &ground, catalogue, &mut problems);
            Some(Config {
                sink_secrets,
                ..built
            })
        }
        Err(error) => {
            if problems.iter().all(|one| one.severity == Severity::Warning) {
                let at = format!("/{}", error.path().to_string().replace('.', "/"));
                let message = format!("`{}`: {}", error.path(), error.inner());
                let problem = Diagnostic::error("config::invalid_value", Text::plain(message));
                problems.push(problem.at(document.value_place(&at)));
            }
            None
        }
    };
    if purpose != Purpose::Everything {
        // Advice about the whole is for those who see the whole.
        problems.retain(|one| one.severity == Severity::Error);
    }
    problems.sort_by_key(|one| {
        one.place
            .as_ref()
            .map(|place| (place.file, place.range.start))
    });
    let report = Report {
        diagnostics: problems,
        sources: document.sources,
    };
    (config.filter(|_| !report.has_errors()), report)
}

#[cfg(test)]
mod tests;
