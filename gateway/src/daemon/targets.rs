//! Targets: the configuration's sinks, made by their plugins.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sink_state::Rooms;
use crate::config::{Config, Contents, Problem};
use crate::delivery::{Destination, InFlight, Target};
use crate::plugin::{Plugins, SinkConfig};
use crate::telemetry::metrics::Metrics;

/// The sinks that were made, by name.
pub(super) type Made = BTreeMap<String, MadeSink>;

/// A sink as its plugin made it.
#[derive(Clone)]
pub(super) struct MadeSink {
    /// What takes its attempts.
    pub(super) destination: Arc<dyn Destination>,
    /// What was in the files that its settings name, just before.
    pub(super) contents: Arc<Contents>,
}

/// What sinks are made with.
pub(super) struct Workshop {
    pub(super) metrics: Metrics,
    pub(super) rooms: Rooms,
    /// Where the attempts are noted of what runs in this process.
    pub(super) in_flight: Option<Arc<InFlight>>,
}

impl Workshop {
    /// Has the plugin of the sink `name` make it. The plugins' own checks have passed before; what
    /// fails now is the world. Must be called inside a tokio runtime; blocks.
    pub(super) fn make(
        &self,
        config: &Config,
        plugins: &Plugins,
        name: &str,
    ) -> Result<MadeSink, Vec<Problem>> {
        let missing = || vec![Problem::at("", format!("there is no sink `{name}`"))];
        let sink = config.sinks.get(name).ok_or_else(missing)?;
        let missing = || vec![Problem::at("", format!("no plugin `{}`", sink.plugin))];
        let plugin = plugins.get(&sink.plugin).ok_or_else(missing)?;
        let of = SinkConfig {
            name,
            settings: &sink.settings,
            tables: &config.tables,
        };
        // Before they are read: what changes meanwhile is seen by the next reload.
        let contents = Arc::new(Contents::read(plugin.schema(), &sink.settings));
        let made = plugin.create_with(&of, Some(self.rooms.of(name)))?;
        let made = made.masking(config.secrets_of(name)).kept();
        self.metrics
            .delivery
            .plugin_info
            .with_label_values(&[plugin.name(), plugin.version(), &plugin.abi()])
            .set(1);
        Ok(MadeSink {
            destination: Arc::new(made),
            contents,
        })
    }

    /// The lane's target for a sink that was made.
    pub(super) fn target(
        &self,
        config: &Config,
        plugins: &Plugins,
        name: &str,
        made: &Made,
    ) -> Option<Target> {
        let sink = config.sinks.get(name)?;
        let plugin = plugins.get(&sink.plugin);
        let notes = self.in_flight.as_ref().zip(plugin);
        Some(Target {
            name: Arc::from(name),
            config: sink.clone(),
            sink: Arc::clone(&made.get(name)?.destination),
            revision: config.revision_hash(),
            notes: notes.map(|(file, plugin)| file.notes(plugin.is_library())),
        })
    }
}
