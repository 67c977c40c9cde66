//! A sink that unwraps what went wrong, and what went wrong names the person.
#![allow(clippy::unwrap_used, reason = "that is the fault")]

use leadgate_plugin::{Delivery, Host, Outcome, Problems, Sink};

/// No settings.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

/// Unwraps at the first attempt of each delivery, in a thread of its own at the second, and takes
/// the lead at the third.
pub struct Unwraps;

/// As a client of some database would say it.
fn insert(phone: &str) -> Result<(), String> {
    Err(format!("duplicate key: ({phone}) already exists"))
}

impl Sink for Unwraps {
    type Settings = Settings;
    type Parts = Self;

    fn prepare(_: &Settings, _: &Host) -> Result<Self, Problems> {
        Ok(Self)
    }

    fn new(parts: Self, _: Host) -> Result<Self, Problems> {
        Ok(parts)
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let phone = delivery.event().ok().and_then(|event| event.lead.phone);
        let phone = phone.unwrap_or_default();
        match delivery.attempt() {
            1 => insert(&phone).unwrap(),
            2 => {
                let thread = std::thread::spawn(move || insert(&phone).unwrap());
                if thread.join().is_err() {
                    return Outcome::retry(None, "a thread of ours panicked").rule("thread");
                }
            }
            _ => {}
        }
        Outcome::delivered("at last")
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_unwraps, Unwraps);
