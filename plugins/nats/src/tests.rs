//! The sink without a server: settings, and what would be sent.

use std::time::Duration;

use leadgate_plugin::{OutcomeKind, Tables, testing};
use serde_json::{Value, json};

use super::*;

const ID: &str = "01980000-0000-7000-8000-000000000001-nats";
const SEED: &str = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";

fn settings(more: &Value) -> Settings {
    let mut all = json!({"servers": ["nats://127.0.0.1:1"], "subject": "leads.{{ store_id }}"});
    let more = more.as_object().expect("a table").clone();
    all.as_object_mut().expect("a table").extend(more);
    serde_json::from_value(all).expect("settings")
}

fn host() -> Host {
    Host::detached("nats", Tables::new())
}

fn delivery() -> Delivery {
    let event = json!({
        "event": "lead.created", "id": "L", "revision": 1, "source": "shop", "received_at": "T",
        "lead": {"name": "张三", "phone": "13567658911", "store_id": 7, "city_name": null, "other": {}},
        "labels": {}, "raw": "{}",
    });
    Delivery::new(ID, 1, Duration::from_secs(1), event.to_string())
}

#[test]
fn wrong_settings_are_named_all_at_once() {
    let credentials = include_str!("../tests/data/leads.creds");
    for (more, expected) in [
        (json!({}), &[][..]),
        (
            json!({"servers": ["localhost", "nats://[::1]:4222", "tls://nats.x.example"]}),
            &[],
        ),
        (json!({"servers": ["nats.x.example"]}), &["/servers/0"]),
        (
            json!({"servers": ["nats.x.example"], "allow_plain": true}),
            &[],
        ),
        (
            json!({"servers": [], "subject": "a..b"}),
            &["/servers", "/subject"],
        ),
        (
            json!({"servers": ["tls://x", "http://x", "ws://x", "nats://", "tls://u:t0p@x"]}),
            &["/servers/1", "/servers/2", "/servers/3", "/servers/4"],
        ),
        (json!({"user": "me"}), &["/user"]),
        (json!({"password": "t0p"}), &["/password"]),
        (json!({"user": "me", "password": "t0p"}), &[]),
        (json!({"token": "t0p"}), &[]),
        (
            json!({"token": "t0p", "user": "me", "password": "t0p"}),
            &["/user"],
        ),
        (json!({"nkey": format!("{SEED}\n")}), &[]),
        (json!({"nkey": "UANQDPB2RUOE4ETUA26CNX7F"}), &["/nkey"]),
        (json!({"credentials": credentials}), &[]),
        (
            json!({"credentials": credentials.replace("SUANQDPB", "SUANQDPC")}),
            &["/credentials"],
        ),
        (
            json!({"credentials": "/etc/leads.creds"}),
            &["/credentials"],
        ),
        (json!({"ca": "/nowhere/ca.pem"}), &["/ca"]),
        (
            json!({"ca": concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")}),
            &["/ca"],
        ),
        (
            json!({"headers": {"": "x", "Nats-Msg-Id": "x", "a b": "x", "x-city": "{{ city_nmae }}"}, "body": {"a": "{{ nmae }}"}}),
            &[
                "/headers/x-city",
                "/body/a",
                "/headers/",
                "/headers/Nats-Msg-Id",
                "/headers/a b",
            ],
        ),
    ] {
        let problems = testing::check::<NatsSink>(&settings(&more), &host());
        let shown = format!("{problems:?}");
        assert!(!shown.contains("t0p"), "{shown}");
        let places: Vec<_> = problems.into_iter().map(|one| one.path).collect();
        assert_eq!(places, expected, "{more}: {shown}");
    }
}

#[test]
fn a_look_shows_the_message_without_the_login() {
    let more = json!({
        "token": "t0psecret", "headers": {"x-store": "{{ store_id }}"}, "body": {"who": "{{ name }}"},
    });
    let sink = testing::create::<NatsSink>(&settings(&more), host()).expect("valid");
    let shown = Sink::render(&sink, &delivery()).expect("renders");
    assert_eq!(
        shown.as_deref(),
        Some(
            "publish to leads.7 at 127.0.0.1:1:\nNats-Msg-Id: 01980000-0000-7000-8000-000000000001-nats\n\
             x-store: 7\n\n{\"who\":\"张三\"}"
        )
    );
}

#[tokio::test]
async fn what_a_lead_cannot_fill_is_a_dead_letter_that_does_not_show_it() {
    for (more, expected) in [
        (
            json!({"subject": "leads.{{ city_name }}"}),
            "settings.subject: what the lead gives for `{{ city_name }}`: a part of a subject must not be empty",
        ),
        (
            json!({"body": {"a": ["{{ other.vip }}"]}}),
            "settings.body.a.0: there is no such value for this lead; use `| default(…)` if that may be: `other.vip`",
        ),
    ] {
        let sink = testing::create::<NatsSink>(&settings(&more), host()).expect("valid");
        let outcome = sink.deliver(&delivery()).await;
        assert_eq!(outcome.kind, OutcomeKind::Rejected, "{outcome:?}");
        assert_eq!(
            (outcome.rule.as_str(), outcome.reason.as_str()),
            ("template", expected)
        );
    }
}

#[tokio::test]
async fn without_a_server_it_is_tried_again_and_nothing_was_sent() {
    let sink = testing::create::<NatsSink>(&settings(&json!({})), host()).expect("valid");
    let outcome = sink.deliver(&delivery()).await;
    assert_eq!(
        (outcome.kind, outcome.retry_after),
        (OutcomeKind::Retry, None),
        "{outcome:?}"
    );
    assert!(outcome.reason.contains("refused"), "{outcome:?}");
    assert_eq!(outcome.request, "publish to leads.{{ store_id }}");
}

#[test]
fn the_example_in_the_configuration_is_good() {
    let example = include_str!("../../../config/sinks.d/examples/nats.toml");
    let example: toml::Table = toml::from_str(example).expect("TOML");
    let given = example["sinks"]["nats"]["settings"].clone();
    let settings: Settings = given.try_into().expect("settings");
    let problems = testing::check::<NatsSink>(&settings, &host());
    assert!(problems.is_empty(), "{problems:?}");
}
