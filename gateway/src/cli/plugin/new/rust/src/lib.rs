//! The `my-erp` plugin: hands each lead to my ERP.
//!
//! It is a whole plugin already: each lead becomes a line in a file. Put your system where the
//! file is; what is around it stays.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use leadgate_plugin::serde_json::{Value, json};
use leadgate_plugin::{Delivery, Host, Level, Outcome, Problem, Problems, Sink};

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
    use leadgate_plugin::OutcomeKind;
    use leadgate_plugin::testing::{self, Recorder};

    use super::*;

    /// The outcomes of leads of many kinds, and what was written.
    fn delivered(store_id: Option<i64>) -> (Vec<OutcomeKind>, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leads.jsonl");
        let settings = Settings {
            path: path.clone(),
            store_id,
        };
        let recorder = Recorder::new("erp");
        let sink: MyErpSink = testing::create(&settings, recorder.host()).unwrap();
        let deliver = |delivery| testing::deliver(&sink, &delivery).kind;
        let outcomes = testing::deliveries().into_iter().map(deliver).collect();
        assert!(!recorder.shows_a_person());
        (outcomes, std::fs::read_to_string(path).unwrap_or_default())
    }

    #[test]
    fn each_lead_becomes_a_line() {
        let (outcomes, lines) = delivered(None);
        assert_eq!(outcomes, [OutcomeKind::Delivered; 4]);
        assert_eq!(lines.lines().count(), 4);
        for line in lines.lines() {
            let line: Value = leadgate_plugin::serde_json::from_str(line).unwrap();
            assert_eq!(line["record_id"], 371009);
        }
    }

    #[test]
    fn leads_of_other_shops_are_refused() {
        let (outcomes, lines) = delivered(Some(1));
        assert_eq!(
            (outcomes, lines.as_str()),
            (vec![OutcomeKind::Rejected; 4], "")
        );
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            path: folder.path().to_owned(),
            store_id: None,
        };
        let problems = testing::check::<MyErpSink>(&settings, &Recorder::new("erp").host());
        let paths: Vec<_> = problems.into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, ["/path"]);
    }
}
