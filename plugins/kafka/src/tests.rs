//! The sink without a cluster: settings, and what would be sent.

use std::time::Duration;

use leadgate_plugin::{OutcomeKind, Tables, testing};
use serde_json::{Value, json};

use super::*;

const ID: &str = "01980000-0000-7000-8000-000000000001-kafka";

fn settings(more: &Value) -> Settings {
    let mut all = json!({"brokers": ["127.0.0.1:1"], "topic": "leads"});
    let more = more.as_object().expect("a table").clone();
    all.as_object_mut().expect("a table").extend(more);
    serde_json::from_value(all).expect("settings")
}

fn host() -> Host {
    Host::detached("kafka", Tables::new())
}

fn delivery(record_id: &Value) -> Delivery {
    let event = json!({
        "event": "lead.created", "id": "L", "revision": 1, "source": "shop", "received_at": "T",
        "lead": {"name": "张三", "phone": "13567658911", "store_id": 7, "record_id": record_id, "other": {}},
        "labels": {}, "raw": "{}",
    });
    Delivery::new(ID, 1, Duration::from_secs(1), event.to_string())
}

#[test]
fn wrong_settings_are_named_all_at_once() {
    for (more, expected) in [
        (json!({}), &[][..]),
        (
            json!({"brokers": ["localhost", "[::1]:9092", "127.0.0.1"]}),
            &[],
        ),
        (
            json!({"brokers": ["10.0.0.1:9092", "kafka.x.example"]}),
            &["/brokers/0", "/brokers/1"],
        ),
        (
            json!({"brokers": ["kafka.x.example:9092"], "allow_plain": true}),
            &[],
        ),
        (
            json!({"brokers": ["", ":9092", "localhost:0", "localhost:x", "a b:1", "localhost:1,evil:2"]}),
            &[
                "/brokers/0",
                "/brokers/1",
                "/brokers/2",
                "/brokers/3",
                "/brokers/4",
                "/brokers/5",
            ],
        ),
        (json!({"brokers": [], "topic": ""}), &["/brokers", "/topic"]),
        (json!({"topic": "leads.{{ store_id }}"}), &["/topic"]),
        (json!({"topic": "leads/new"}), &["/topic"]),
        (json!({"topic": ".."}), &["/topic"]),
        (json!({"username": "me"}), &["/username"]),
        (json!({"password": "t0p"}), &["/password"]),
        (json!({"username": "me", "password": "t0p"}), &[]),
        (
            json!({"options": {"compression.codec": "lz4", "linger.ms": 5, "socket.keepalive.enable": true}}),
            &[],
        ),
        (
            json!({"options": {"acks": 1, "enable.idempotence": false, "linger.ms": "soon", "sasl.password": "t0p"}}),
            &[
                "/options/acks",
                "/options/enable.idempotence",
                "/options/linger.ms",
                "/options/sasl.password",
            ],
        ),
        (
            json!({"key": "{{ nmae }}", "headers": {"leadgate-delivery-id": "x", "a": "{{ phon }}"}, "body": "{{ nmae }}"}),
            &[
                "/key",
                "/headers/a",
                "/body",
                "/headers/leadgate-delivery-id",
            ],
        ),
    ] {
        let problems = testing::check::<KafkaSink>(&settings(&more), &host());
        let shown = format!("{problems:?}");
        assert!(!shown.contains("t0p"), "{shown}");
        let places: Vec<_> = problems.into_iter().map(|one| one.path).collect();
        assert_eq!(places, expected, "{more}: {shown}");
    }
}

#[test]
fn brokers_that_the_cluster_names_are_judged_like_those_in_the_settings() {
    let cluster = |more: &Value| Cluster::new(&settings(more)).expect("valid");
    let hosts = ["127.0.0.1", "kafka2.x.example"];
    let strict = cluster(&json!({}));
    assert_eq!(strict.forbidden(hosts).as_deref(), Some("kafka2.x.example"));
    assert_eq!(strict.forbidden(["localhost", "::1"]), None);
    assert_eq!(
        cluster(&json!({"allow_plain": true})).forbidden(hosts),
        None
    );
}

#[test]
fn every_allowed_option_is_one_of_librdkafka() {
    let good = json!({"options": {
        "batch.num.messages": 1, "batch.size": 1000, "broker.address.family": "v4", "broker.address.ttl": 1000,
        "client.id": "x", "compression.codec": "snappy", "connections.max.idle.ms": 0, "linger.ms": 1,
        "message.max.bytes": 2_000_000, "metadata.max.age.ms": 1000, "partitioner": "murmur2_random",
        "queue.buffering.max.kbytes": 1024, "queue.buffering.max.messages": 10, "reconnect.backoff.max.ms": 1000,
        "reconnect.backoff.ms": 100, "request.timeout.ms": 1000, "socket.connection.setup.timeout.ms": 1000,
        "socket.keepalive.enable": true, "socket.nagle.disable": true, "socket.receive.buffer.bytes": 0,
        "socket.send.buffer.bytes": 0, "socket.timeout.ms": 1000, "topic.metadata.refresh.interval.ms": 1000,
    }});
    let settings = settings(&good);
    assert_eq!(settings.options.len(), crate::cluster::ALLOWED.len());
    let problems = testing::check::<KafkaSink>(&settings, &host());
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn a_look_shows_the_record_without_the_login() {
    let more = json!({
        "username": "me", "password": "t0psecret", "headers": {"x-store": "{{ store_id }}"}, "body": {"who": "{{ name }}"},
    });
    let sink = testing::create::<KafkaSink>(&settings(&more), host()).expect("valid");
    for (record_id, key) in [(json!(371_009), "371009"), (Value::Null, "L")] {
        let shown = Sink::render(&sink, &delivery(&record_id)).expect("renders");
        let expected = format!(
            "produce to leads with key {key} at 127.0.0.1:1:\n\
             leadgate-delivery-id: {ID}\nx-store: 7\n\n{{\"who\":\"张三\"}}"
        );
        assert_eq!(shown, Some(expected));
    }
}

#[tokio::test]
async fn what_a_lead_cannot_fill_is_a_dead_letter_that_does_not_show_it() {
    let sink = testing::create::<KafkaSink>(&settings(&json!({"key": "{{ other.vip }}"})), host())
        .expect("valid");
    let outcome = sink.deliver(&delivery(&json!(1))).await;
    assert_eq!(outcome.kind, OutcomeKind::Rejected, "{outcome:?}");
    assert_eq!(outcome.rule, "template");
    assert_eq!(
        outcome.reason,
        "settings.key: there is no such value for this lead; use `| default(…)` if that may be: `other.vip`"
    );
}

#[tokio::test]
async fn without_a_broker_it_is_tried_again_and_nothing_was_sent() {
    let sink = testing::create::<KafkaSink>(&settings(&json!({})), host()).expect("valid");
    let outcome = sink.deliver(&delivery(&json!(1))).await;
    assert_eq!(
        (outcome.kind, outcome.retry_after),
        (OutcomeKind::Retry, None),
        "{outcome:?}"
    );
    assert_eq!(outcome.rule, "connection");
    assert_eq!(outcome.request, "produce to leads");
}

#[test]
fn the_example_in_the_configuration_is_good() {
    let example = include_str!("../../../config/sinks.d/examples/kafka.toml");
    let example: toml::Table = toml::from_str(example).expect("TOML");
    let given = example["sinks"]["kafka"]["settings"].clone();
    let settings: Settings = given.try_into().expect("settings");
    let problems = testing::check::<KafkaSink>(&settings, &host());
    assert!(problems.is_empty(), "{problems:?}");
}
