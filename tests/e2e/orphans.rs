//! Orphans: what a sink that is gone still had to do is seen, counted and moved.

use leadgate_tests::{Behaviour, Crm, Daemon, Setup, until};
use serde_json::{Value, json};

const EACH: u64 = 1_000;

#[test]
fn what_waits_or_is_dead_for_a_sink_that_is_gone_is_moved_to_another_and_none_is_lost() {
    let (old, new) = (Crm::start(), Crm::start());
    old.behave(Behaviour::Refuse(400, ""));
    let daemon = Daemon::start(Setup {
        rest: Setup::http_sink("old", &old.url()),
        ..Setup::default()
    });
    daemon.shop().give(1..=EACH);
    until("all are dead letters", || {
        daemon.stat("/sinks/old/dead") == EACH
    });
    assert_eq!(daemon.command(&["sink", "pause", "old"]).0, 0);
    daemon.shop().give(EACH + 1..=2 * EACH);
    assert_eq!(daemon.stat("/sinks/old/pending"), EACH);

    let path = daemon.folder().join("leadgate.toml");
    let text = std::fs::read_to_string(&path).expect("reads");
    let renamed = text
        .replace("sinks.old", "sinks.new")
        .replace(&old.url(), &new.url());
    std::fs::write(&path, renamed).expect("writes");
    let (code, stdout, stderr) = daemon.command(&["reload"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("sinks.old") && stdout.contains("sinks.new"),
        "{stdout}"
    );
    let stats = daemon.stats();
    let sink = &stats["sinks"]["old"];
    assert_eq!(sink["orphaned"], json!(true), "{stats}");
    assert_eq!(
        (&sink["pending"], &sink["dead"]),
        (&json!(EACH), &json!(EACH))
    );
    let metrics = daemon.metrics();
    let line = format!(
        "leadgate_outbox_orphaned_deliveries{{sink=\"old\"}} {}\n",
        2 * EACH
    );
    assert!(metrics.contains(&line), "{metrics}");
    let (code, table, _) = daemon.command(&["outbox", "deliveries", "--orphaned", "--limit", "3"]);
    assert_eq!(code, 0);
    assert!(table.contains("old"), "{table}");
    // A new sink gets what was before it only when a person asks for that.
    daemon.shop().give([3 * EACH]);
    until("the new one works", || new.taken() == 1);

    let args = [
        "leads",
        "replay",
        "--from-orphaned",
        "old",
        "--to",
        "new",
        "--rate",
        "1000",
        "--json",
    ];
    let (code, stdout, stderr) = daemon.command(&args);
    assert_eq!((code, stdout.as_str()), (2, ""), "it asks first: {stderr}");
    assert!(
        stderr.contains("2,000") || stderr.contains("2000"),
        "{stderr}"
    );
    assert_eq!(new.taken(), 1, "nothing happened yet");
    let (code, stdout, stderr) = daemon.command(&[&args[..], &["--yes"]].concat());
    assert_eq!(code, 0, "{stderr}");
    let job: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(job["state"], json!("done"), "{job}");
    assert_eq!(job["done"], json!(2 * EACH), "{job}");
    until("all have come", || new.taken() as u64 == 2 * EACH + 1);
    let deliveries = new.deliveries();
    let once = |record: &u64| deliveries.get(record).is_some_and(|ids| ids.len() == 1);
    assert!((1..=2 * EACH).all(|record| once(&record)));
    let sink = &daemon.stats()["sinks"]["old"];
    let left = |state: &str| sink[state].as_u64().unwrap_or(0);
    assert_eq!(left("pending") + left("dead"), 0, "{sink}");
    assert_eq!(old.taken(), 0);
}
