//! Held: leads that a destination cannot digest, what holds a sink, and sinks that are gone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use leadgate_tests::{Behaviour, Crm, Daemon, Setup, Shop, output_with, until};
use serde_json::Value;

/// Runs a command against a daemon; gives exit code, stdout and stderr together.
fn run(daemon: &Daemon, args: &[&str]) -> (i32, String) {
    let config = daemon.folder().join("leadgate.toml");
    let config = ["--config", config.to_str().expect("text")];
    let output = output_with(&[args, &config].concat(), &[], "");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// A sink with the defaults of retries and breaker.
fn with_defaults(url: &str, timeout: &str) -> Setup {
    let sink = Setup::http_sink("crm", url);
    let kept: Vec<&str> = sink
        .lines()
        .filter(|line| {
            !["retry", "breaker", "concurrency", "timeout"]
                .iter()
                .any(|key| line.starts_with(key))
        })
        .collect();
    let sink = kept.join("\n").replace(
        "plugin = \"http\"",
        &format!("plugin = \"http\"\ntimeout = \"{timeout}\""),
    );
    Setup {
        rest: sink + "\n",
        ..Setup::default()
    }
}

#[test]
fn leads_that_the_destination_cannot_digest_do_not_stop_the_others() {
    type Kind = (&'static str, fn() -> Behaviour);
    let kinds: [Kind; 3] = [
        ("refused", || Behaviour::Refuse(500, "")),
        ("reset", || Behaviour::Reset),
        ("hanging", || Behaviour::Hang),
    ];
    for (kind, bad) in kinds {
        let crm = Crm::with_clerk(anywhere(), move |received| {
            if received.record_id() < 1_000 {
                bad()
            } else {
                Behaviour::Take
            }
        });
        let daemon = Daemon::start(with_defaults(&crm.url(), "3s"));
        daemon.shop().give(1..101);
        until("some are being tried", || {
            daemon.stat("/sinks/crm/retrying") + daemon.stat("/sinks/crm/in_flight") >= 4
        });
        for record in 1_001..1_011_u64 {
            let pushed = Instant::now();
            daemon.shop().give([record]);
            until("the good one is delivered", || {
                daemon.stat("/sinks/crm/delivered") == record - 1_000
            });
            let late = pushed.elapsed();
            assert!(late < Duration::from_secs(15), "{kind}: {late:?}");
        }
    }
}

#[test]
fn a_wait_that_the_destination_asked_for_is_shown_and_a_person_ends_it() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(429, "retry-after: 3600\r\n"));
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..2);
    until("it is shown", || {
        daemon.stats().pointer("/sinks/crm/holds/0/reason") == Some(&Value::from("destination"))
    });
    crm.behave(Behaviour::Take);
    daemon.shop().give(2..6);
    assert!(daemon.stats()["sinks"]["crm"]["holds"][0]["until"].is_string());
    let metrics = daemon.admin("/metrics").body;
    let line = "leadgate_sink_held{reason=\"destination\",sink=\"crm\"} 1";
    assert!(metrics.contains(line), "{metrics}");
    let (_, list) = run(&daemon, &["sink", "list"]);
    assert!(list.contains("destination until"), "{list}");
    assert!(
        list.lines().all(|line| line.chars().count() <= 80),
        "{list}"
    );
    let (_, list) = run(&daemon, &["outbox", "deliveries", "--json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let id = list["items"][1]["id"].as_str().expect("an id");
    let (code, said) = run(&daemon, &["outbox", "retry", id]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("leadgate sink resume crm"), "{said}");
    assert_eq!(crm.taken(), 0);
    let (code, said) = run(&daemon, &["sink", "resume", "crm"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("the wait that the destination asked for"),
        "{said}"
    );
    until("the others are delivered", || {
        daemon.stat("/sinks/crm/delivered") >= 4
    });
    let log = daemon.log();
    assert!(log.contains("the destination asked for a wait"), "{log}");
}

#[test]
fn a_sink_that_is_not_configured_any_more_is_shown_everywhere() {
    let crm = Crm::with_clerk(anywhere(), |received| {
        if received.record_id() <= 5 {
            Behaviour::Refuse(422, "")
        } else {
            Behaviour::Take
        }
    });
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..6);
    until("all are dead", || daemon.stat("/sinks/crm/dead") == 5);
    assert_eq!(run(&daemon, &["sink", "pause", "crm"]).0, 0);
    daemon.shop().give(6..16);
    let file = daemon.folder().join("leadgate.toml");
    let before = std::fs::read_to_string(&file).expect("it is there");
    let renamed = before.replace("[sinks.crm", "[sinks.crm2");
    assert_eq!(daemon.terminate(), Some(0));
    std::fs::write(&file, renamed).expect("writes");
    daemon.restart_plain();
    let stats = daemon.stats();
    assert_eq!(stats["sinks"]["crm"]["orphaned"], true, "{stats}");
    assert_eq!(stats["sinks"]["crm"]["dead"], 5);
    let metrics = daemon.admin("/metrics").body;
    assert!(
        metrics.contains("leadgate_outbox_orphaned_deliveries{sink=\"crm\"} 15"),
        "{metrics}"
    );
    assert!(
        metrics.contains("leadgate_outbox_orphaned_deliveries{sink=\"crm2\"} 0"),
        "{metrics}"
    );
    let (code, said) = run(&daemon, &["sink", "resume", "crm"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("is not configured any more") && said.contains("5 are dead"),
        "{said}"
    );
    let (_, list) = run(&daemon, &["outbox", "orphaned", "--all", "--json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(15), "{list}");
    let log = daemon.log();
    let orphans = log
        .lines()
        .find(|line| line.contains("a sink that is not configured"));
    assert!(
        orphans.is_some_and(|line| line.contains("\"dead\":5")),
        "{log}"
    );
}

#[test]
fn a_dead_letter_whose_lead_has_a_newer_delivered_revision_is_superseded() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(422, ""));
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give([7]);
    until("it is dead", || daemon.stat("/sinks/crm/dead") == 1);
    let (_, list) = run(&daemon, &["outbox", "deliveries", "--json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let id = list["items"][0]["id"].as_str().expect("an id");
    let (_, shown) = run(&daemon, &["outbox", "show", id]);
    assert!(
        shown.contains("request") && shown.contains("answer"),
        "{shown}"
    );
    assert!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
    crm.behave(Behaviour::Take);
    let newer = Shop::lead(7).replace("张三", "李四");
    daemon.shop().push(newer).expect("answered");
    until("the newer one is delivered", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    assert_eq!(daemon.stat("/sinks/crm/dead"), 0);
    assert_eq!(daemon.stat("/sinks/crm/superseded"), 1);
}
