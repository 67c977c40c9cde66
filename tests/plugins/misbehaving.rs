//! Sinks that behave badly, as one library.

use leadgate_plugin::{Delivery, Host, Outcome, Problems, Sink};

/// No settings.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

/// Panics at every attempt.
pub struct Panicking;

impl Sink for Panicking {
    type Settings = Settings;
    type Parts = Self;

    fn prepare(_: &Settings, _: &Host) -> Result<Self, Problems> {
        Ok(Self)
    }

    fn new(parts: Self, _: Host) -> Result<Self, Problems> {
        Ok(parts)
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        // As a careless `unwrap` would, with all that it has in its hands.
        panic!(
            "attempt {} panics on purpose: {}",
            delivery.attempt(),
            String::from_utf8_lossy(delivery.event_bytes())
        );
    }
}

/// Blocks its thread at every attempt, without having said that it would.
pub struct Hanging;

impl Sink for Hanging {
    type Settings = Settings;
    type Parts = Self;
    const BLOCKING: bool = true;

    fn prepare(_: &Settings, _: &Host) -> Result<Self, Problems> {
        Ok(Self)
    }

    fn new(parts: Self, _: Host) -> Result<Self, Problems> {
        Ok(parts)
    }

    async fn deliver(&self, _: &Delivery) -> Outcome {
        loop {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        }
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_panicking, Panicking);
leadgate_plugin::export_sink!(leadgate_plugin_hanging, Hanging);
