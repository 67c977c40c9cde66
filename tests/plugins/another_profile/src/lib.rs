//! A ledger: appends each event as a line to a file, and says in the receipt which line it was.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use leadgate_plugin::{Delivery, Host, Level, Outcome, Problem, Problems, Sink};

/// Where the ledger is.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file.
    path: String,
}

/// An open ledger, and how many lines it has from us.
pub struct Ledger(Mutex<(File, u64)>);

impl Sink for Ledger {
    type Settings = Settings;
    /// Where it is.
    type Parts = String;

    fn prepare(settings: &Settings, _: &Host) -> Result<String, Problems> {
        Ok(settings.path.clone())
    }

    fn new(path: String, host: Host) -> Result<Self, Problems> {
        let mut options = File::options();
        let file = options.create(true).append(true).open(&path);
        let file = file.map_err(|error| Problem::at("/path", error.to_string()))?;
        host.log(Level::Info, "ledger was opened", &serde_json::json!({}));
        Ok(Self(Mutex::new((file, 0))))
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let mut ledger = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let event = match delivery.event() {
            Ok(event) => event,
            Err(problem) => return Outcome::rejected(problem.to_string()),
        };
        let line = format!(
            "{} {}\n",
            event.id,
            String::from_utf8_lossy(delivery.event_bytes())
        );
        if let Err(error) = ledger.0.write_all(line.as_bytes()) {
            return Outcome::retry(None, error.to_string());
        }
        ledger.1 += 1;
        let _ = delivery.keep("written");
        Outcome::delivered(format!("line {}", ledger.1))
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_another_profile, Ledger);
