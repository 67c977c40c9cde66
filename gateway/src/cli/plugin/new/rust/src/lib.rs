//! The `my-erp` plugin: hands each lead to my ERP.
//!
//! It is a whole plugin already: each lead becomes a line in a file. Put your system where the
//! file is; what is around it stays.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use leadgate_plugin::{Delivery, Host, Level, Outcome, Problem, Problems, Sink};
use serde_json::{Value, json};

/// Settings of the `my-erp` plugin. These comments become the schema that merchants read.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// File to which each lead is added as a line.
    #[schemars(extend("format" = "path"))]
    path: PathBuf,
    /// Shop whose leads are taken; all if absent.
    store_id: Option<i64>,
}

/// The settings, understood.
pub struct Parts {
    path: PathBuf,
    store_id: Option<i64>,
}

/// A sink, as a merchant has configured it.
pub struct MyErpSink {
    parts: Parts,
    host: Host,
}

impl Sink for MyErpSink {
    type Settings = Settings;
    type Parts = Parts;

    // Writing a file blocks. With an async client instead, leave this line out.
    const BLOCKING: bool = true;

    fn prepare(settings: &Settings, _: &Host) -> Result<Parts, Problems> {
        let mut problems = Problems::default();
        if settings.path.is_dir() {
            let problem = Problem::at("/path", "this is a folder");
            problems.push(problem.help("name a file in it, such as leads.jsonl"));
        }
        problems.into_result(Parts {
            path: settings.path.clone(),
            store_id: settings.store_id,
        })
    }

    fn new(parts: Parts, host: Host) -> Result<Self, Problems> {
        Ok(Self { parts, host })
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let Ok(event) = delivery.event() else {
            return Outcome::rejected("the event cannot be read").rule("event");
        };
        let wanted = self.parts.store_id;
        if wanted.is_some() && event.lead.store_id != wanted {
            return Outcome::rejected("the lead is another shop's").rule("other-shop");
        }
        // The delivery's id is the same at each attempt: by it a destination knows what it has.
        let record = json!({
            "delivery": delivery.id(),
            "record_id": event.lead.record_id,
            "name": event.lead.name,
            "phone": event.lead.phone,
        });
        match self.add(&record) {
            Ok(()) => Outcome::delivered("written"),
            Err(error) => {
                let fields = json!({ "error": error.kind().to_string() });
                self.host
                    .log(Level::Warn, "the file could not be written", &fields);
                Outcome::retry(None, "the file could not be written").rule("file")
            }
        }
    }
}

impl MyErpSink {
    /// Adds a line, in one piece.
    fn add(&self, record: &Value) -> std::io::Result<()> {
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(&self.parts.path)?;
        file.write_all(format!("{record}\n").as_bytes())?;
        file.sync_data()
    }
}

leadgate_plugin::export_sink!(leadgate_plugin_my_erp, MyErpSink);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use leadgate_plugin::{OutcomeKind, Tables, testing};

    use super::*;

    const EVENT: &str = r#"{"event":"lead.created","id":"01937f4e-8a6b-7c3d-9e2f-0123456789ab",
        "revision":1,"source":"shop","received_at":"2026-11-28T08:00:00Z","labels":{},"raw":"",
        "lead":{"record_id":371009,"name":"张三","phone":"13567658911","store_id":7,"other":{}}}"#;

    fn sink(path: PathBuf, store_id: Option<i64>) -> Result<MyErpSink, Problems> {
        let settings = Settings { path, store_id };
        testing::create(&settings, Host::detached("erp", Tables::new()))
    }

    #[tokio::test]
    async fn a_lead_becomes_a_line_if_it_is_of_the_shop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leads.jsonl");
        let delivery = Delivery::new("d1", 1, Duration::from_secs(5), EVENT);
        for (store_id, kind) in [
            (None, OutcomeKind::Delivered),
            (Some(7), OutcomeKind::Delivered),
            (Some(8), OutcomeKind::Rejected),
        ] {
            let sink = sink(path.clone(), store_id).unwrap();
            assert_eq!(sink.deliver(&delivery).await.kind, kind);
        }
        let lines = std::fs::read_to_string(path).unwrap();
        assert_eq!(lines.lines().count(), 2, "{lines}");
        assert!(lines.contains("371009"), "{lines}");
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let problems = sink(folder.path().to_owned(), None).err().unwrap();
        let paths: Vec<_> = problems.into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, ["/path"]);
    }
}
