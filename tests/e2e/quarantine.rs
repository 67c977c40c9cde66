//! The quarantine: what a stranger cannot do to it, and what a person can do with it.

use leadgate_tests::{Crm, Daemon, SAMPLE, SUCCESS, Setup, Wire, until};
use serde_json::Value;

fn json(daemon: &Daemon, args: &[&str]) -> Value {
    let (code, stdout, stderr) = daemon.command(&[args, &["--json"]].concat());
    assert_eq!(code, 0, "{args:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("not JSON: {stdout}"))
}

fn source(more: &str) -> String {
    format!(
        "kind = \"tmall\"\npath = \"/tmall/leads\"\napp_secret = [\"e2e-app-secret\"]\n{more}\n"
    )
}

/// A push that was signed at another time, as the bytes of its request.
fn stale(daemon: &Daemon, body: &str, timestamp: &str) -> Vec<u8> {
    let shop = daemon.shop();
    shop.request_at(body.as_bytes(), timestamp.to_owned())
}

#[test]
fn one_captured_push_is_kept_once_however_it_is_cut_and_labelled() {
    let daemon = Daemon::start(Setup::default());
    let body = r#"{"record_id":7,"phone":"13800138000","remark":"xxxxxxxxxxxxxxxxxxxx"}"#;
    let captured = String::from_utf8(stale(&daemon, body, "2020-01-01 00:00:00")).expect("text");
    let (head, _) = captured.split_once("\r\n\r\n").expect("a head");
    let target = head.split(' ').nth(1).expect("a target");
    let (path, query) = target.split_once('?').expect("a query");
    let push = |query: &str, content_type: &str, body: &str| {
        let request = format!(
            "POST {path}?{query} HTTP/1.1\r\nhost: t\r\ncontent-type: {content_type}\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut wire = Wire::open(daemon.public()).expect("connects");
        wire.send(request.as_bytes()).expect("sends");
        wire.answer().expect("answered").body
    };
    for label in 0..20 {
        let content_type = format!("application/json;n={label}");
        assert_eq!(push(query, &content_type, body), SUCCESS);
    }
    assert_eq!(push(query, "text/plain;charset=utf-8", body), SUCCESS);
    // The same signed text with its border elsewhere: a parameter takes part of the body.
    let (timestamp, sign) = query.split_once("&sign=").expect("a sign");
    assert!(
        timestamp.ends_with("2020-01-01+00%3A00%3A00"),
        "{timestamp}"
    );
    let rest = &body[1..];
    let cut = format!("{timestamp}%7B&sign={sign}");
    assert_eq!(push(&cut, "application/json", rest), SUCCESS);
    assert_eq!(daemon.stat("/leads/in_quarantine"), 1);
}

#[test]
fn beyond_its_ceiling_a_source_gets_the_failure_answer_and_is_counted() {
    let mut daemon = Daemon::start(Setup {
        source: source("quarantine = { max_entries = 3 }"),
        ..Setup::default()
    });
    for record in 1..=10 {
        let body = SAMPLE.replace("371009", &record.to_string());
        let answer = daemon
            .shop()
            .send(&stale(&daemon, &body, "2020-01-01 00:00:00"))
            .expect("answered");
        if record <= 3 {
            assert_eq!(answer.body, SUCCESS);
        } else {
            assert_eq!(
                (answer.status, &answer.json()["result"]["errCode"]),
                (500, &"quarantine-full".into())
            );
        }
    }
    let seen = |daemon: &Daemon| {
        let list = json(daemon, &["quarantine", "list"]);
        (
            list["items"].as_array().map(Vec::len),
            list["counts"][0]["not_kept"].clone(),
        )
    };
    assert_eq!(seen(&daemon), (Some(3), 7.into()));
    let metrics = daemon.metrics();
    let line = "leadgate_ingest_requests_total{result=\"quarantine_full\",source=\"shop\"} 7";
    assert!(metrics.contains(line), "{metrics}");
    let (_, _, said) = daemon.command(&["quarantine", "list"]);
    assert!(said.contains("7 more pushes were not kept"), "{said}");
    assert_eq!(daemon.log().matches("quarantine is full").count(), 1);
    assert_eq!(
        daemon.shop().push(SAMPLE).expect("answered").body,
        SUCCESS,
        "what needs no quarantine is taken"
    );
    daemon.kill();
    daemon.restart();
    assert_eq!(seen(&daemon), (Some(3), 7.into()), "the count is durable");
    let id = json(&daemon, &["quarantine", "list"])["items"][0]["id"].clone();
    let id = id.as_str().expect("an id");
    assert_eq!(daemon.command(&["quarantine", "discard", id, "--yes"]).0, 0);
    let more = stale(
        &daemon,
        "{\"phone\":\"13800138000\"}",
        "2020-01-01 00:00:00",
    );
    assert_eq!(daemon.shop().send(&more).expect("answered").body, SUCCESS);
}

#[test]
fn a_wrong_clock_is_one_alarm_and_all_its_pushes_are_released_at_once() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    for record in 1..=12 {
        let body = SAMPLE.replace("371009", &record.to_string());
        let push = stale(&daemon, &body, "2026-01-01 00:00:00");
        assert_eq!(daemon.shop().send(&push).expect("answered").body, SUCCESS);
    }
    let log = daemon.log();
    assert!(
        log.contains("every push is stale by the same step"),
        "{log}"
    );
    assert!(
        log.contains("the push says 2026-01-01 00:00:00, this machine"),
        "{log}"
    );
    assert!(
        log.lines().filter(|line| line.contains("stale")).count() <= 3,
        "once, then counted: {log}"
    );
    let metrics = daemon.metrics();
    let difference = metrics
        .lines()
        .find_map(|line| {
            line.strip_prefix("leadgate_push_clock_difference_seconds{source=\"shop\"} ")
        })
        .expect("the metric");
    assert!(difference.starts_with('-'), "{difference}");
    let list = json(&daemon, &["quarantine", "list", "--reason", "stale"]);
    let first = &list["items"][0];
    assert!(
        first["clock_difference_seconds"].as_i64() < Some(-600),
        "{first}"
    );
    assert_eq!(first["pushed_at"], "2025-12-31T16:00:00.000Z");
    // What somebody else left there stays where it is.
    assert_eq!(daemon.shop().push("[1]").expect("answered").body, SUCCESS);
    let bulk = [
        "quarantine",
        "release",
        "--reason",
        "stale",
        "--source",
        "shop",
    ];
    let (code, _, said) = daemon.command(&bulk);
    assert_eq!(code, 2, "no terminal to ask on: {said}");
    assert!(said.contains("release, 12 targets"), "{said}");
    assert!(
        said.contains("reason stale") && said.contains("for the sinks: crm"),
        "{said}"
    );
    assert_eq!(daemon.stat("/leads/in_quarantine"), 13);
    let done = json(&daemon, &[&bulk[..], &["--yes"]].concat());
    assert_eq!(
        (&done["state"], &done["done"]),
        (&"done".into(), &12.into())
    );
    until("they are delivered", || {
        daemon.stat("/sinks/crm/delivered") == 12
    });
    assert_eq!(daemon.stat("/leads/in_quarantine"), 1);
    assert_eq!(daemon.command(&["quarantine", "release"]).0, 2, "of what?");
}

#[test]
fn a_push_by_which_nobody_can_be_reached_is_not_released_blindly() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    assert_eq!(daemon.shop().push("[1,2]").expect("answered").body, SUCCESS);
    let list = json(&daemon, &["quarantine", "list"]);
    let id = list["items"][0]["id"].as_str().expect("an id").to_owned();
    let (_, shown, _) = daemon.command(&["quarantine", "show", &id]);
    assert!(shown.contains("nobody could be reached"), "{shown}");
    let (code, _, said) = daemon.command(&["quarantine", "release", &id]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("for the sinks: crm"), "{said}");
    assert_eq!(
        daemon.command(&["quarantine", "discard", &id]).0,
        2,
        "it asks"
    );
    let many = [
        "quarantine",
        "release",
        "--reason",
        "not_an_object",
        "--yes",
    ];
    let skipped = json(&daemon, &many);
    assert_eq!(
        (&skipped["done"], &skipped["skipped_because"]["unreachable"]),
        (&0.into(), &1.into())
    );
    assert_eq!(skipped["skipped_ids"][0]["id"], id.as_str());
    assert_eq!(daemon.stat("/leads/in_quarantine"), 1);
    assert!(crm.received().is_empty());
    let (code, _, said) = daemon.command(&["quarantine", "release", &id, "--yes"]);
    assert_eq!(code, 0, "{said}");
    until("it is delivered", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
}
