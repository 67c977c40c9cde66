//! Reloads: a changed configuration is taken up while leads come.

use std::collections::BTreeMap;

use leadgate_tests::{Behaviour, Crm, Daemon, Pushing, Setup, until};
use serde_json::{Value, json};

const RELOADS: usize = 100;

/// The daemon, and its configuration as it was.
struct Words {
    daemon: Daemon,
    base: String,
}

impl Words {
    fn of(setup: Setup) -> Self {
        let daemon = Daemon::start(setup);
        let path = daemon.folder().join("leadgate.toml");
        let base = std::fs::read_to_string(path).expect("reads");
        Self { daemon, base }
    }

    fn write(&self, text: &str) {
        let path = self.daemon.folder().join("leadgate.toml");
        std::fs::write(path, text).expect("writes");
    }

    /// Changes the configuration and reloads: the answer's status and body.
    fn reload(&self, text: &str) -> (u16, Value) {
        self.write(text);
        let answer = self.daemon.post("/reload", &json!({}));
        (answer.status, answer.json())
    }

    /// The same, which must succeed.
    fn apply(&self, text: &str) -> Value {
        let (status, answer) = self.reload(text);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    fn signal(&self, name: &str) {
        let pid = self.daemon.pid().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &pid])
            .status();
        assert!(sent.expect("kill runs").success());
    }
}

/// Requests that were taken, by record.
fn taken(crm: &Crm) -> BTreeMap<u64, usize> {
    let mut taken = BTreeMap::new();
    for one in crm.received().iter().filter(|one| one.taken) {
        *taken.entry(one.record_id()).or_default() += 1;
    }
    taken
}

#[test]
fn a_hundred_reloads_under_load_lose_nothing_double_nothing_and_refuse_nothing() {
    let (crm, other, hanging) = (Crm::start(), Crm::start(), Crm::start());
    hanging.behave(Behaviour::Hang);
    let words = Words::of(Setup::with_crm(&crm.url()));
    let base = &words.base;
    let other_sink = Setup::http_sink("other", &other.url());
    let slow_sink = Setup::http_sink("slow", &hanging.url());
    let with = |more: &str| format!("{base}\n{more}");
    let changed = base.replace("concurrency = 8", "concurrency = 3");
    let pushing = Pushing::start(&words.daemon.shop(), 1);
    let mut refused = 0;
    for round in 0..RELOADS {
        pushing.more(4);
        match round % 6 {
            0 => drop(words.apply(&with(&other_sink))),
            1 => drop(words.apply(&format!("{changed}\n{other_sink}"))),
            2 => drop(words.apply(&with(&slow_sink))),
            3 => {
                let broken = with("[sinks.broken]\nplugin = \"htpp\"\n");
                let (status, answer) = words.reload(&broken);
                assert_eq!(status, 422, "{answer}");
                let report = answer["report"].as_str().expect("a report");
                assert!(report.contains("did you mean `http`?"), "{report}");
                refused += 1;
            }
            4 => drop(words.apply(&with(&slow_sink.replace(&hanging.url(), &other.url())))),
            _ => drop(words.apply(base)),
        }
    }
    words.apply(base);
    pushing.more(4);
    let ends = pushing.stop();
    println!(
        "{RELOADS} reloads, {refused} of them of a broken configuration: {} pushes acknowledged, {} refused",
        ends.acknowledged.len(),
        ends.refused.len()
    );
    assert_eq!(ends.refused, Vec::<String>::new());
    let left = |state: &str| words.daemon.stat(&format!("/sinks/crm/{state}"));
    until("the CRM has all", || {
        left("pending") + left("retrying") == 0
    });
    let taken = taken(&crm);
    for record in &ends.acknowledged {
        assert_eq!(taken.get(record), Some(&1), "record {record}");
    }
    assert_eq!(taken.len(), ends.acknowledged.len());
    let metrics = words.daemon.metrics();
    for (result, count) in [("refused", refused), ("applied", RELOADS - refused + 1)] {
        let line = format!("leadgate_config_reloads_total{{result=\"{result}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}");
    }
    let again = words.daemon.post("/reload", &json!({})).json();
    assert_eq!(again["applied"], json!([]), "{again}");
}

#[test]
fn a_destination_that_hangs_does_not_keep_its_own_repair() {
    let (hanging, crm) = (Crm::start(), Crm::start());
    hanging.behave(Behaviour::Hang);
    let mut setup = Setup::with_crm(&hanging.url());
    setup.rest = setup
        .rest
        .replace("concurrency = 8", "concurrency = 1")
        .replace("timeout = \"2s\"", "timeout = \"50s\"");
    let words = Words::of(setup);
    words.daemon.shop().give(1..6);
    until("one is under way", || hanging.received().len() == 1);
    let stuck = hanging.received()[0].record_id();
    let answer = words.apply(&words.base.replace(&hanging.url(), &crm.url()));
    let applied = answer["applied"][0].as_str().expect("a key");
    assert!(applied.starts_with("sinks.crm"), "{answer}");
    // Those that waited do not wait for the one that hangs.
    until("the others are delivered", || taken(&crm).len() == 4);
    assert!(!taken(&crm).contains_key(&stuck));
    words.daemon.shop().give(6..8);
    until("new ones are delivered", || taken(&crm).len() == 6);
    assert_eq!(
        hanging.received().len(),
        1,
        "nothing new went to the old one"
    );
}

#[test]
fn a_hangup_signal_reloads_and_a_mistake_changes_nothing_and_is_said_with_its_place() {
    let (crm, other) = (Crm::start(), Crm::start());
    let words = Words::of(Setup::with_crm(&crm.url()));
    let moved = words.base.replace(&crm.url(), &other.url());
    words.write(&moved);
    words.signal("HUP");
    until("it is reloaded", || {
        words.daemon.log().contains("configuration reloaded")
    });
    words.daemon.shop().give([1]);
    until("the other has it", || other.taken() == 1);

    let mistaken = moved.replace("timeout = \"2s\"", "timeout = \"2 parsecs\"");
    words.write(&mistaken);
    let (code, stdout, stderr) = words.daemon.command(&["reload"]);
    assert_eq!((code, stdout.as_str()), (78, ""), "{stderr}");
    let mut lines = mistaken.lines();
    let line = 1 + lines
        .position(|line| line.contains("parsecs"))
        .expect("is there");
    let place = format!("leadgate.toml:{line}:");
    assert!(
        stderr.contains(&place) && stderr.contains("───"),
        "{place}: {stderr}"
    );
    let (_, _, checked) = words.daemon.command(&["check"]);
    let mut said = checked.lines();
    let said = said.find(|line| line.contains(&place)).expect("a place");
    assert!(stderr.contains(said), "as `check` says it: {checked}");
    words.daemon.shop().give([2]);
    until("what ran goes on", || other.taken() == 2);

    words.write(&moved.replace("concurrency = 8", "concurrency = 2"));
    let (code, stdout, _) = words.daemon.command(&["reload"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("sinks.crm.concurrency"), "{stdout}");
    let elsewhere = moved.replacen("listen = \"127.0.0.1:", "listen = \"127.0.0.2:", 1);
    let answer = words.apply(&elsewhere);
    assert_eq!(
        answer["needs_restart"],
        json!(["server.listen"]),
        "{answer}"
    );
}
