//! Configured: what runs, as operators see it. Replaced as a whole by a reload.

use std::collections::BTreeMap;
use std::path::PathBuf;

use leadgate_plugin::Secret;

use crate::clock::Millis;
use crate::config::{Config, Revision};
use crate::lead::Tables;
use crate::plugin::{Listed, Plugins};

/// What operators see of the configuration that runs.
pub struct Configured {
    /// All configured sinks: their plugins, by name.
    pub sinks: BTreeMap<String, String>,
    /// Names of all configured sources.
    pub sources: Vec<String>,
    /// All lookup tables.
    pub tables: Tables,
    /// What the files were that it was read from.
    pub revision: Option<Revision>,
    /// Since when it runs.
    pub loaded_at: Millis,
    /// The folder of the outbox.
    pub outbox: PathBuf,
    /// Whether what it holds is encrypted.
    pub encrypted: bool,
    /// All plugins, as they were when it was read.
    pub plugins: Vec<Listed>,
    /// The token of the API.
    pub token: Option<Secret>,
    /// Whether the API is open without one.
    pub open: bool,
}

impl Configured {
    /// What is seen of `config`, which runs since `loaded_at`.
    pub fn of(config: &Config, plugins: &Plugins, loaded_at: Millis) -> Self {
        let sinks = config.sinks.iter();
        let sinks = sinks.map(|(name, sink)| (name.clone(), sink.plugin.clone()));
        Self {
            sinks: sinks.collect(),
            sources: config.sources.keys().cloned().collect(),
            tables: config.tables.clone(),
            revision: config.revision.clone(),
            loaded_at,
            outbox: config.outbox.path.clone(),
            encrypted: !config.outbox.keys.is_empty(),
            plugins: plugins.iter().map(|(_, plugin)| plugin.listed()).collect(),
            token: config.admin.token.clone(),
            open: config.admin.allow_without_token,
        }
    }

    /// The source that test leads come from; empty if there is none.
    pub(super) fn source(&self) -> &str {
        self.sources.first().map_or("", String::as_str)
    }
}
