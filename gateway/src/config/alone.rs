//! Settings alone: a file with nothing but the settings of one sink, for trying a plugin.
//!
//! Read as the same settings in `leadgate.toml` would be: variables and secrets resolved, checked
//! by the plugin's schema, paths seen from the file's folder.

use std::path::Path;

use leadgate_plugin::Secret;
use serde_json::Value;

use super::build::Build;
use super::diagnostic::{Diagnostic, Text};
use super::document::Document;
use super::{Catalogue, Environment, Purpose, Report, absolute, advice, resolve, secrets};
use crate::lead::Tables;

/// Settings of one sink.
pub struct Alone {
    /// Valid by the schema, secrets resolved.
    pub settings: Value,
    /// The secrets in them.
    pub secrets: Vec<Secret>,
}

/// Reads the settings in `file` for a sink of `plugin`, which has the plugin's name. The report
/// has an error if there are none.
pub fn load_settings(
    file: &Path,
    plugin: &str,
    environment: &Environment<'_>,
    catalogue: &dyn Catalogue,
) -> (Option<Alone>, Report) {
    let mut problems: Vec<Diagnostic> = Vec::new();
    let file = absolute(file);
    let nowhere = Text::new(
        "give a TOML or JSON file with the sink's settings",
        "请给出含目的地设置的 TOML 或 JSON 文件",
    );
    let mut document = Document::settings(&file, plugin, plugin, &nowhere, &mut problems);
    let places = secrets::Places::of(&document.root);
    document.secret = places.pointers();
    resolve::resolve(&mut document, environment, &mut problems);
    let secrets = places.values(&document.root, environment).remove(plugin);
    advice::placeholders(&document, &mut problems);
    let given = document.root["sinks"][plugin]["settings"].clone();
    let mut build = Build {
        document: &document,
        purpose: Purpose::Everything,
        problems: &mut problems,
    };
    let settings = build.settings(plugin, plugin, &given, &Tables::new(), catalogue);
    let report = Report::of(document, problems, &file);
    let settings = (!report.has_errors()).then(|| Alone {
        settings,
        secrets: secrets.unwrap_or_default(),
    });
    (settings, report)
}
