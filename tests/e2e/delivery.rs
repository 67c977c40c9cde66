//! Delivery: sinks that are down, slow, strict or absent.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use leadgate_tests::{Behaviour, Crm, Daemon, SAMPLE, SUCCESS, Setup, Shop, here, until};
use serde_json::json;

#[test]
fn a_sink_that_is_down_gets_everything_when_it_is_back() {
    let crm = Crm::start();
    let (address, url) = (crm.address(), crm.url());
    drop(crm);
    let daemon = Daemon::start(Setup::with_crm(&url));
    daemon.shop().give(1..21);
    until("attempts have failed", || {
        daemon.stat("/sinks/crm/retrying") == 20
    });
    let crm = Crm::start_at(address);
    until("all are delivered", || {
        daemon.stat("/sinks/crm/delivered") == 20
    });
    let records: BTreeSet<u64> = crm
        .received()
        .iter()
        .map(leadgate_tests::Received::record_id)
        .collect();
    assert_eq!(records, (1..21).collect());
    assert_eq!(
        daemon.stat("/sinks/crm/retrying") + daemon.stat("/sinks/crm/pending"),
        0
    );
}

#[test]
fn a_hanging_sink_slows_neither_another_sink_nor_the_receiver() {
    let (stuck, fine) = (Crm::start(), Crm::start());
    stuck.behave(Behaviour::Hang);
    let daemon = Daemon::start(Setup {
        rest: Setup::http_sink("stuck", &stuck.url()) + &Setup::http_sink("fine", &fine.url()),
        ..Setup::default()
    });
    daemon.shop().give(1..101);
    until("the other sink has all", || {
        daemon.stat("/sinks/fine/delivered") == 100
    });
    assert_eq!(daemon.stat("/sinks/stuck/delivered"), 0);
    assert!(
        daemon.stat("/sinks/stuck/in_flight") <= 8,
        "no more than its concurrency"
    );
}

#[test]
fn retries_keep_the_delivery_id_and_end_when_the_sink_takes_it() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(503, ""));
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..2);
    until("three attempts", || crm.received().len() >= 3);
    crm.behave(Behaviour::HangUp);
    let before = crm.received().len();
    until("an ambiguous attempt", || crm.received().len() > before);
    crm.behave(Behaviour::Take);
    until("delivered", || daemon.stat("/sinks/crm/delivered") == 1);
    let ids: BTreeSet<String> = crm
        .received()
        .iter()
        .map(leadgate_tests::Received::delivery)
        .collect();
    assert_eq!(ids.len(), 1, "one delivery, one id");
    let bodies: BTreeSet<String> = crm.received().into_iter().map(|one| one.body).collect();
    assert_eq!(bodies.len(), 1, "each attempt sends the same");
}

#[test]
fn a_refusal_is_a_dead_letter_and_so_are_used_up_attempts_and_held_ones() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(400, ""));
    let limited = Setup::http_sink("limited", &crm.url())
        .replace("max_attempts = 100000", "max_attempts = 3");
    let held = Setup::http_sink("held", &crm.url())
        .replace("timeout =", "on_ambiguous = \"hold\"\ntimeout =");
    let daemon = Daemon::start(Setup {
        rest: format!("{}{limited}{held}", Setup::http_sink("crm", &crm.url())),
        ..Setup::default()
    });
    daemon.shop().give(1..2);
    until("refused by all", || {
        ["crm", "limited", "held"]
            .iter()
            .all(|sink| daemon.stat(&format!("/sinks/{sink}/dead")) == 1)
    });
    crm.behave(Behaviour::Refuse(500, ""));
    daemon.shop().give(2..3);
    until("attempts are used up", || {
        daemon.stat("/sinks/limited/dead") == 2
    });
    crm.behave(Behaviour::HangUp);
    daemon.shop().give(3..4);
    until("held", || daemon.stat("/sinks/held/dead") >= 2);
    let metrics = daemon.admin("/metrics").body;
    for line in [
        "leadgate_dead_letters_total{reason=\"rejected\",sink=\"crm\"} 1",
        "leadgate_dead_letters_total{reason=\"max_attempts\",sink=\"limited\"}",
        "leadgate_dead_letters_total{reason=\"held\",sink=\"held\"}",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn a_throttling_sink_is_left_alone_for_as_long_as_it_asks() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(429, "retry-after: 2\r\n"));
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..2);
    until("throttled", || crm.received().len() == 1);
    let asked = std::time::Instant::now();
    crm.behave(Behaviour::Take);
    daemon.shop().give(2..3);
    until("both are delivered", || {
        daemon.stat("/sinks/crm/delivered") == 2
    });
    assert!(
        asked.elapsed() >= std::time::Duration::from_millis(1_500),
        "the whole sink waits"
    );
}

#[test]
fn conditions_and_templates_decide_what_goes_where() {
    let crm = Crm::start();
    let wanted = Setup::http_sink("crm", &crm.url()).replace(
        "timeout =",
        "when = \"record_id == 2 and city_name == '杭州'\"\ntimeout =",
    ) + "[sinks.crm.settings.body]\nref = \"{{ record_id }}\"\nwho = \"{{ name }}/{{ phone | mask }}\"\nlabel = \"{{ channel | lookup('channel') }}\"\n\
           [tables.channel]\n0 = \"旗舰店\"\n";
    let daemon = Daemon::start(Setup {
        rest: wanted,
        ..Setup::default()
    });
    daemon.shop().give(1..4);
    until("the one is delivered", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    assert_eq!(daemon.stat("/leads/accepted"), 3);
    assert_eq!(
        crm.received()[0].event(),
        json!({"ref": 2, "who": "张三/135****8911", "label": "旗舰店"})
    );
}

#[test]
fn the_file_sink_has_each_lead_once() {
    let rest =
        "[sinks.log]\nplugin = \"file\"\n[sinks.log.settings]\npath = \"@FOLDER@/leads.jsonl\"\n";
    let daemon = Daemon::start(Setup {
        rest: rest.to_owned(),
        ..Setup::default()
    });
    daemon.shop().give(1..51);
    until("all are delivered", || {
        daemon.stat("/sinks/log/delivered") == 50
    });
    let text = std::fs::read_to_string(daemon.folder().join("leads.jsonl")).expect("the file");
    let records: BTreeSet<u64> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON")["lead"]["record_id"]
                .as_u64()
        })
        .map(|record| record.expect("a number"))
        .collect();
    assert_eq!((records.len(), text.lines().count()), (50, 50));
}

/// What a program with an official library says of our webhooks, and of the same ones with
/// another body and with a signature of another delivery.
fn verified(program: &mut Command) -> String {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    daemon.shop().give(1..4);
    until("all are delivered", || crm.taken() == 4);
    let requests: Vec<_> = crm
        .received()
        .into_iter()
        .map(|one| json!({ "headers": one.headers, "body": one.body }))
        .collect();
    let mut verifier = program
        .arg("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/run has installed the library");
    let mut stdin = verifier.stdin.take().expect("piped");
    stdin
        .write_all(json!(requests).to_string().as_bytes())
        .expect("writes");
    drop(stdin);
    let output = verifier.wait_with_output().expect("ends");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
#[ignore = "needs the PyPI library standardwebhooks; run tests/run"]
fn the_official_library_accepts_our_webhooks() {
    let mut python = Command::new(here(".counterparts/venv/bin/python"));
    let said = verified(python.arg(here("counterparts/verify_webhooks.py")));
    assert_eq!(said, "accepted 4, tampered refused 8");
}

#[test]
#[ignore = "needs the npm library standardwebhooks; run tests/run"]
fn the_official_javascript_library_accepts_our_webhooks() {
    let mut node = Command::new("node");
    let said = verified(node.arg(here("counterparts/verify_webhooks.js")));
    assert_eq!(said, "accepted 4, tampered refused 8");
}

/// The sample lead with another address, which makes it another revision.
fn revision(record: u64, address: &str) -> String {
    let mut lead: serde_json::Value =
        serde_json::from_str(&Shop::lead(record)).expect("the sample is JSON");
    lead["address"] = json!(address);
    lead.to_string()
}

#[test]
fn a_breaker_opens_burns_no_attempts_and_closes_when_the_sink_is_back() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(503, ""));
    let sink = Setup::http_sink("crm", &crm.url())
        .replace("concurrency = 8", "concurrency = 1")
        .replace("failures = 0", "failures = 3, wait = \"1s\", max = \"1s\"")
        .replace("max_attempts = 100000", "max_attempts = 100");
    let daemon = Daemon::start(Setup {
        rest: sink,
        ..Setup::default()
    });
    daemon.shop().give(1..21);
    until("the breaker is open", || {
        let metrics = daemon.admin("/metrics").body;
        metrics.contains("leadgate_sink_circuit_open{sink=\"crm\"} 1")
    });
    let failed = crm.received().len();
    assert!(failed >= 3, "it takes three failures");
    until("a probe has been sent", || crm.received().len() > failed);
    crm.behave(Behaviour::Take);
    until("all are delivered", || {
        daemon.stat("/sinks/crm/delivered") == 20
    });
    let metrics = daemon.admin("/metrics").body;
    assert!(metrics.contains("leadgate_sink_circuit_open{sink=\"crm\"} 0"));
    assert_eq!(daemon.stat("/sinks/crm/dead"), 0);
    let wasted = crm.received().len() - 20;
    assert!(
        wasted < 20,
        "{wasted} attempts were wasted on a sink that was known to be down"
    );
}

#[test]
fn a_dead_letter_goes_to_the_fallback_sink() {
    let (crm, people) = (Crm::start(), Crm::start());
    crm.behave(Behaviour::Refuse(400, ""));
    let sink =
        Setup::http_sink("crm", &crm.url()).replace("timeout =", "on_dead = \"people\"\ntimeout =");
    // Its own condition never holds: it gets dead letters and nothing else.
    let fallback = Setup::http_sink("people", &people.url())
        .replace("timeout =", "when = \"false\"\ntimeout =");
    let daemon = Daemon::start(Setup {
        rest: sink + &fallback,
        ..Setup::default()
    });
    daemon.shop().give(1..3);
    until("the fallback has both", || {
        daemon.stat("/sinks/people/delivered") == 2
    });
    assert_eq!(daemon.stat("/sinks/crm/dead"), 2);
    crm.behave(Behaviour::Take);
    daemon.shop().give(3..4);
    until("the third is delivered", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    let records: BTreeSet<u64> = people
        .received()
        .iter()
        .map(leadgate_tests::Received::record_id)
        .collect();
    assert_eq!(records, [1, 2].into());
}

#[test]
fn the_newest_revision_takes_the_place_of_those_that_wait() {
    let crm = Crm::start();
    crm.behave(Behaviour::Hang);
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let push = |address: &str| {
        let answer = daemon.shop().push(revision(1, address));
        assert_eq!(answer.expect("answered").body, SUCCESS);
    };
    push("first");
    until("the first is on its way", || !crm.received().is_empty());
    push("second");
    push("third");
    crm.behave(Behaviour::Take);
    until("the newest is delivered", || {
        daemon.stat("/sinks/crm/delivered") >= 1
            && daemon.stat("/sinks/crm/pending") + daemon.stat("/sinks/crm/retrying") == 0
    });
    let addresses: Vec<String> = crm
        .received()
        .iter()
        .map(|one| {
            one.event()["lead"]["address"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    assert_eq!(addresses.first().map(String::as_str), Some("first"));
    assert_eq!(addresses.last().map(String::as_str), Some("third"));
    assert!(!addresses.contains(&"second".to_owned()), "{addresses:?}");
}
