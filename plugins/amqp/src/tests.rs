//! The sink without a broker: settings, and what would be sent.

use std::time::Duration;

use leadgate_plugin::{OutcomeKind, Tables, testing};
use serde_json::{Value, json};

use super::*;

const ID: &str = "01980000-0000-7000-8000-000000000001-amqp";

fn settings(more: &Value) -> Settings {
    let mut all = json!({
        "url": "amqp://leads:t0psecret@127.0.0.1:1", "exchange": "leads", "routing_key": "new.{{ store_id }}",
    });
    let more = more.as_object().expect("a table").clone();
    all.as_object_mut().expect("a table").extend(more);
    serde_json::from_value(all).expect("settings")
}

fn host() -> Host {
    Host::detached("amqp", Tables::new())
}

fn delivery() -> Delivery {
    let event = json!({
        "event": "lead.created", "id": "L", "revision": 1, "source": "shop", "received_at": "T",
        "lead": {"name": "张三", "phone": "13567658911", "store_id": 7, "remark": "x".repeat(300), "other": {}},
        "labels": {}, "raw": "{}",
    });
    Delivery::new(ID, 1, Duration::from_secs(1), event.to_string())
}

#[test]
fn wrong_settings_are_named_all_at_once() {
    let long = "x".repeat(256);
    for (more, expected) in [
        (json!({}), &[][..]),
        (json!({"url": "amqps://rabbit.x.example"}), &[]),
        (
            json!({"url": "amqp://u:t0p@localhost/%2f?heartbeat=5"}),
            &[],
        ),
        (json!({"url": "amqp://u:t0p@rabbit.x.example"}), &["/url"]),
        (
            json!({"url": "amqp://u:t0p@rabbit.x.example", "allow_plain": true}),
            &[],
        ),
        (json!({"url": "https://u:t0p@x"}), &["/url"]),
        (json!({"url": "amqps://u:t0p"}), &["/url"]),
        (json!({"url": "amqps://u:t0p@/vhost"}), &["/url"]),
        (json!({"url": "amqps://u:t0p@x/"}), &["/url"]),
        (json!({"url": "amqps://u:t0p@[::1]/v"}), &["/url"]),
        (json!({"url": "amqps:t0p"}), &["/url"]),
        (json!({"url": "t0p"}), &["/url"]),
        (
            json!({"exchange": long, "routing_key": long}),
            &["/exchange", "/routing_key"],
        ),
        (json!({"exchange": "", "routing_key": "leads"}), &[]),
        (
            json!({"routing_key": "{{ nmae }}", "headers": {"": "x", "a": "{{ phon }}"}, "body": ["{{ nmae }}"], "ca": "/nowhere"}),
            &["/routing_key", "/headers/a", "/body/0", "/headers/", "/ca"],
        ),
    ] {
        let problems = testing::check::<AmqpSink>(&settings(&more), &host());
        let shown = format!("{problems:?}");
        assert!(!shown.contains("t0p"), "{shown}");
        let places: Vec<_> = problems.into_iter().map(|one| one.path).collect();
        assert_eq!(places, expected, "{more}: {shown}");
    }
}

#[test]
fn a_file_of_certificates_is_read_and_needs_a_connection_that_is_encrypted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path
    };
    let good = leadgate_tests::Certificate::of_itself(&["x.example"], true);
    let (good, empty) = (file("good.pem", good.public()), file("empty.pem", ""));
    for (url, ca, expected) in [
        ("amqps://u:t0p@x.example", &good, None),
        (
            "amqps://u:t0p@x.example",
            &empty,
            Some("no certificate in it"),
        ),
        (
            "amqp://u:t0p@localhost",
            &good,
            Some("without TLS nobody shows a certificate"),
        ),
    ] {
        let more = json!({"url": url, "ca": ca});
        let problems = testing::check::<AmqpSink>(&settings(&more), &host());
        let found = problems.into_iter().next();
        assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
        if let (Some(found), Some(expected)) = (found, expected) {
            assert_eq!(found.path, "/ca");
            assert!(found.message.ends_with(expected), "{found:?}");
        }
    }
}

#[test]
fn a_look_shows_the_message_without_the_login() {
    let more = json!({"headers": {"x-store": "{{ store_id }}"}, "body": {"who": "{{ name }}"}});
    let sink = testing::create::<AmqpSink>(&settings(&more), host()).expect("valid");
    let shown = Sink::render(&sink, &delivery()).expect("renders");
    assert_eq!(
        shown.as_deref(),
        Some(
            "publish to exchange `leads` with key `new.7` at 127.0.0.1:1 (/):\n\
             message_id: 01980000-0000-7000-8000-000000000001-amqp\nx-store: 7\n\n{\"who\":\"张三\"}"
        )
    );
}

#[tokio::test]
async fn what_a_lead_cannot_fill_is_a_dead_letter_that_does_not_show_it() {
    for (more, expected) in [
        (
            json!({"routing_key": "{{ remark }}"}),
            "settings.routing_key: longer than the 255 bytes that AMQP has room for",
        ),
        (
            json!({"body": {"a": ["{{ other.vip }}"]}}),
            "settings.body.a.0: there is no such value for this lead; use `| default(…)` if that may be: `other.vip`",
        ),
    ] {
        let sink = testing::create::<AmqpSink>(&settings(&more), host()).expect("valid");
        let outcome = sink.deliver(&delivery()).await;
        assert_eq!(outcome.kind, OutcomeKind::Rejected, "{outcome:?}");
        assert_eq!(
            (outcome.rule.as_str(), outcome.reason.as_str()),
            ("template", expected)
        );
    }
}

#[tokio::test]
async fn without_a_broker_it_is_tried_again_and_nothing_was_sent() {
    let sink = testing::create::<AmqpSink>(&settings(&json!({})), host()).expect("valid");
    let outcome = sink.deliver(&delivery()).await;
    assert_eq!(
        (outcome.kind, outcome.retry_after),
        (OutcomeKind::Retry, None),
        "{outcome:?}"
    );
    assert!(outcome.reason.contains("refused"), "{outcome:?}");
    assert_eq!(
        outcome.request,
        "publish to exchange `leads` with key `new.{{ store_id }}`"
    );
}

#[test]
fn the_example_in_the_configuration_is_good() {
    let example = include_str!("../../../config/sinks.d/examples/amqp.toml");
    let example = example.replace("env:AMQP_URL", "amqps://u:p@rabbit.shop.example/leads");
    let example: toml::Table = toml::from_str(&example).expect("TOML");
    let given = example["sinks"]["amqp"]["settings"].clone();
    let settings: Settings = given.try_into().expect("settings");
    let problems = testing::check::<AmqpSink>(&settings, &host());
    assert!(problems.is_empty(), "{problems:?}");
}
