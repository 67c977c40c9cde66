//! The sink against real programs: what they answer, how they misbehave, how they live and end.

mod examples;
mod life;
mod misbehaving;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leadgate_plugin::testing::create;
use leadgate_plugin::{Delivery, Host, Outcome, OutcomeKind, Tables};
use serde_json::{Value, json};

use super::*;

const EVENT: &str = r#"{"event":"lead.created","id":"e1","lead":{"name":"张三","phone":"13567658911","phone_e164":"+8613567658911"}}"#;

/// Begins every script: how it reads a line and takes the id out of it.
const HEAD: &str = "#!/bin/sh\n\
    take() { IFS= read -r line || return 1; id=${line#'{\"id\":\"'}; id=${id%%'\"'*}; }\n\
    say() { printf '%s\\n' \"$1\"; }\n\
    answer() { say \"{\\\"id\\\":\\\"$id\\\",\\\"outcome\\\":\\\"$1\\\"}\"; }\n\
    receipt() { say \"{\\\"id\\\":\\\"$id\\\",\\\"outcome\\\":\\\"delivered\\\",\\\"receipt\\\":\\\"$1\\\"}\"; }\n";

/// A folder of a sink's own with one script in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Self(folder);
        place.write("program", &format!("{HEAD}{script}\n"));
        place
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("sets");
        path
    }

    fn settings(&self, more: Value) -> Settings {
        let mut settings = json!({"command": ["./program"], "folder": self.path()});
        if let Value::Object(more) = more {
            settings.as_object_mut().expect("a table").extend(more);
        }
        serde_json::from_value(settings).expect("fits the schema")
    }

    fn sink(&self, more: Value) -> ExecSink {
        let host = Host::detached("erp", Tables::new());
        create::<ExecSink>(&self.settings(more), host).expect("good settings")
    }
}

fn sink_of(script: &str) -> (Place, ExecSink) {
    let place = Place::new(script);
    let sink = place.sink(Value::Null);
    (place, sink)
}

/// An attempt with more time than anything here takes.
fn delivery(id: &str) -> Delivery {
    timed(id, 30_000)
}

fn timed(id: &str, timeout_ms: u64) -> Delivery {
    Delivery::new(id, 1, Duration::from_millis(timeout_ms), EVENT)
}

fn is(outcome: &Outcome, kind: OutcomeKind, rule: &str) {
    assert_eq!(
        (outcome.kind, outcome.rule.as_str()),
        (kind, rule),
        "{outcome:?}"
    );
}

/// Waits for a condition, for as long as a busy machine may take.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let ends = std::time::Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(std::time::Instant::now() < ends, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has ended.
    !stat.is_empty() && !stat.contains(") Z ")
}
