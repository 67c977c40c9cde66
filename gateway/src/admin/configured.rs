//! Configured: what runs, as operators see it. Replaced as a whole by a reload.

use std::collections::BTreeMap;
use std::path::PathBuf;

use leadgate_plugin::Secret;

use crate::clock::Millis;
use crate::config::{self, Config, OnUpdate, Revision, Written};
use crate::lead::Tables;
use crate::plugin::{Listed, Plugins};

/// A configured sink, as operators see it.
#[derive(Clone)]
pub struct ConfiguredSink {
    /// Name of its plugin.
    pub plugin: String,
    /// Which leads it wants; all of them without.
    pub when: Option<String>,
    /// What a newer revision does to an older one.
    pub on_update: OnUpdate,
    /// Since when this process knows it with that condition.
    pub since: Millis,
    /// All that is set of it but its plugin's settings, which have secrets in them.
    pub set: config::Sink,
    /// How it stands in the files, if they were read as a whole.
    pub written: Option<Written>,
}

/// What operators see of the configuration that runs.
#[derive(Clone)]
pub struct Configured {
    /// All configured sinks, by name.
    pub sinks: BTreeMap<String, ConfiguredSink>,
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
    /// The same, to try settings with.
    pub catalogue: Plugins,
    /// The token of the API.
    pub token: Option<Secret>,
    /// Whether the API is open without one.
    pub open: bool,
}

impl Configured {
    /// What is seen of `config`, which runs since `loaded_at`, in the place of what ran `before`.
    pub fn of(
        config: &Config,
        plugins: &Plugins,
        loaded_at: Millis,
        before: Option<&Self>,
    ) -> Self {
        let sinks = config.sinks.iter();
        let sinks = sinks.map(|(name, sink)| {
            let known = before.and_then(|before| before.sinks.get(name));
            let since = known.filter(|known| known.when == sink.when);
            let seen = ConfiguredSink {
                plugin: sink.plugin.clone(),
                when: sink.when.clone(),
                on_update: sink.on_update,
                since: since.map_or(loaded_at, |known| known.since),
                set: config::Sink {
                    settings: serde_json::Value::Null,
                    ..sink.clone()
                },
                written: config.written.get(name).cloned(),
            };
            (name.clone(), seen)
        });
        Self {
            sinks: sinks.collect(),
            sources: config.sources.keys().cloned().collect(),
            tables: config.tables.clone(),
            revision: config.revision.clone(),
            loaded_at,
            outbox: config.outbox.path.clone(),
            encrypted: !config.outbox.keys.is_empty(),
            plugins: plugins.iter().map(|(_, plugin)| plugin.listed()).collect(),
            catalogue: plugins.clone(),
            token: config.admin.token.clone(),
            open: config.admin.allow_without_token,
        }
    }

    /// The same with that token.
    #[cfg(test)]
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            sinks: self.sinks.clone(),
            sources: self.sources.clone(),
            tables: self.tables.clone(),
            revision: self.revision.clone(),
            loaded_at: self.loaded_at,
            outbox: self.outbox.clone(),
            encrypted: self.encrypted,
            plugins: Vec::new(),
            catalogue: self.catalogue.clone(),
            token: Some(Secret::new(token.to_owned())),
            open: self.open,
        }
    }

    /// The source that test leads come from; empty if there is none.
    pub(super) fn source(&self) -> &str {
        self.sources.first().map_or("", String::as_str)
    }
}
