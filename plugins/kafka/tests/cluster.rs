//! The sink against librdkafka's mock cluster, which speaks Kafka on real sockets.
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use leadgate_plugin::{Delivery, Host, Outcome, OutcomeKind, Sink, Tables, testing};
use leadgate_sink_kafka::KafkaSink;
use leadgate_tests::Kafka;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Error};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(10);
/// Long enough for librdkafka, which looks for late records once a second.
const SHORT: Duration = Duration::from_secs(2);

fn sink(kafka: &Kafka, more: &Value) -> KafkaSink {
    let mut all = json!({"brokers": [kafka.address()], "topic": "leads"});
    let more = more.as_object().expect("a table").clone();
    all.as_object_mut().expect("a table").extend(more);
    let settings = serde_json::from_value(all).expect("settings");
    testing::create::<KafkaSink>(&settings, Host::detached("kafka", Tables::new())).expect("valid")
}

async fn deliver(sink: &KafkaSink, id: &str, timeout: Duration) -> Outcome {
    let event = json!({
        "event": "lead.created", "id": "L",
        "lead": {"name": "张三", "phone": "13567658911", "store_id": 7, "record_id": 371_009},
    });
    let delivery = Delivery::new(id, 1, timeout, event.to_string());
    let outcome = sink.deliver(&delivery).await;
    let shown = format!("{outcome:?}");
    for private in ["张三", "13567658911", "371009"] {
        assert!(!shown.contains(private), "{shown}");
    }
    outcome
}

/// How it ended, and what was given as receipt.
fn end(outcome: &Outcome) -> (OutcomeKind, String) {
    (outcome.kind, outcome.receipt.clone())
}

fn delivered(offset: u32) -> (OutcomeKind, String) {
    (OutcomeKind::Delivered, format!("leads[0]@{offset}"))
}

#[tokio::test]
async fn a_record_arrives_with_key_headers_and_id() {
    let kafka = Kafka::start("leads");
    let more = json!({
        "headers": {"x-who": "{{ name }}"}, "body": {"name": "{{ name }}", "store": "{{ store_id }}"},
    });
    let sink = sink(&kafka, &more);
    assert_eq!(end(&deliver(&sink, "d1", WAIT).await), delivered(0));
    assert_eq!(end(&deliver(&sink, "d2", WAIT).await), delivered(1));
    let records = kafka.read("leads", 2);
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(records[0].key.as_deref(), Some("371009"));
    assert_eq!(records[0].value, r#"{"name":"张三","store":7}"#);
    assert_eq!(
        records[0].headers,
        [
            header("x-who", "张三"),
            header("leadgate-delivery-id", "d1")
        ]
    );
    assert_eq!(records[1].headers[1], header("leadgate-delivery-id", "d2"));
}

/// Alone, each record would wait for others until its time is over.
#[tokio::test]
async fn a_batch_is_handed_over_at_once_and_a_bad_record_harms_no_other() {
    let kafka = Kafka::start("leads");
    let more = json!({
        "body": {"name": "{{ name }}"},
        "options": {"batch.num.messages": 3, "linger.ms": 100_000, "message.max.bytes": 1000},
    });
    let sink = sink(&kafka, &more);
    let ids = ["d1", "bad", "d2", "d3"];
    let timeout = Duration::from_secs(240);
    let deliveries = ids.map(|id| {
        let name = if id == "bad" {
            "三".repeat(1000)
        } else {
            "张三".to_owned()
        };
        let lead = json!({"name": name, "record_id": 1});
        let event = json!({"event": "lead.created", "id": "L", "lead": lead});
        Delivery::new(id, 1, timeout, event.to_string())
    });
    let outcomes = sink.deliver_batch(&deliveries);
    let outcomes = tokio::time::timeout(Duration::from_secs(60), outcomes).await;
    let outcomes = outcomes.expect("sent as soon as there are three");
    let kinds: Vec<_> = outcomes.iter().map(|outcome| outcome.kind).collect();
    let [well, bad] = [OutcomeKind::Delivered, OutcomeKind::Rejected];
    assert_eq!(kinds, [well, bad, well, well]);
    assert_eq!(outcomes[1].rule, "kafka-10");
    let records = kafka.read("leads", 3);
    for (record, id) in records.iter().zip(["d1", "d2", "d3"]) {
        let header = ("leadgate-delivery-id".to_owned(), id.to_owned());
        assert!(record.headers.contains(&header), "{id}");
    }
}

#[tokio::test]
async fn what_librdkafka_repeats_by_itself_adds_nothing() {
    let kafka = Kafka::start("leads");
    let sink = sink(&kafka, &json!({}));
    assert_eq!(end(&deliver(&sink, "d1", WAIT).await), delivered(0));
    let errors = [
        Error::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Error::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    ];
    kafka.cluster.request_errors(Api::Produce, &errors);
    let outcome = deliver(&sink, "d2", WAIT).await;
    assert_eq!(end(&outcome), delivered(1), "{outcome:?}");
    assert_eq!(kafka.count("leads"), 2);
}

#[tokio::test]
async fn what_the_broker_refuses_is_told_apart() {
    for (error, kind, rule) in [
        (
            Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            OutcomeKind::Rejected,
            "kafka-10",
        ),
        (
            Error::RD_KAFKA_RESP_ERR_INVALID_RECORD,
            OutcomeKind::Rejected,
            "kafka-87",
        ),
        (
            Error::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            OutcomeKind::Reauth,
            "kafka-29",
        ),
    ] {
        let kafka = Kafka::start("leads");
        let sink = sink(&kafka, &json!({}));
        kafka.cluster.request_errors(Api::Produce, &[error]);
        let outcome = deliver(&sink, "d1", WAIT).await;
        assert_eq!(outcome.kind, kind, "{outcome:?}");
        assert_eq!(outcome.rule, rule);
        let next = deliver(&sink, "d2", WAIT).await;
        assert_eq!(end(&next), delivered(0), "it goes on: {next:?}");
    }
}

#[tokio::test]
async fn a_record_that_is_too_large_is_a_dead_letter() {
    let kafka = Kafka::start("leads");
    let more = json!({"options": {"message.max.bytes": 1000}, "body": {"text": "x".repeat(2000)}});
    let outcome = deliver(&sink(&kafka, &more), "d1", WAIT).await;
    assert_eq!(outcome.kind, OutcomeKind::Rejected, "{outcome:?}");
    assert_eq!(outcome.rule, "kafka-10");
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_a_dead_letter() {
    let kafka = Kafka::start("leads");
    let unknown = Error::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    kafka.cluster.topic_error("nowhere", unknown).expect("set");
    let outcome = deliver(&sink(&kafka, &json!({"topic": "nowhere"})), "d1", WAIT).await;
    assert_eq!(outcome.kind, OutcomeKind::Rejected, "{outcome:?}");
    assert_eq!(outcome.rule, "no-topic");
}

#[tokio::test]
async fn a_cluster_that_is_away_is_tried_again_and_used_when_it_is_back() {
    let kafka = Kafka::start("leads");
    let sink = sink(
        &kafka,
        &json!({"options": {"reconnect.backoff.max.ms": 100}}),
    );
    assert_eq!(end(&deliver(&sink, "d1", SHORT).await), delivered(0));
    kafka.cluster.broker_down(1).expect("down");
    // What was handed over when nobody knew that it is away may have been sent; once it is known,
    // nothing is.
    let first = deliver(&sink, "d2", SHORT).await;
    let is_tried_again = matches!(
        (first.kind, first.retry_after),
        (OutcomeKind::Ambiguous | OutcomeKind::Retry, None)
    );
    assert!(is_tried_again, "{first:?}");
    let second = deliver(&sink, "d2", SHORT).await;
    assert_eq!(
        (second.kind, second.retry_after),
        (OutcomeKind::Retry, None),
        "{second:?}"
    );
    kafka.cluster.broker_up(1).expect("up");
    let begun = Instant::now();
    let mut back = deliver(&sink, "d2", WAIT).await;
    while back.kind != OutcomeKind::Delivered && begun.elapsed() < WAIT * 3 {
        back = deliver(&sink, "d2", WAIT).await;
    }
    assert_eq!(end(&back), delivered(1), "{back:?}");
    assert_eq!(kafka.count("leads"), 2);
}

#[tokio::test]
async fn a_producer_that_does_not_recover_is_made_anew() {
    let kafka = Kafka::start("leads");
    let sink = sink(&kafka, &json!({}));
    assert_eq!(end(&deliver(&sink, "d1", WAIT).await), delivered(0));
    let errors = [Error::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER];
    kafka.cluster.request_errors(Api::Produce, &errors);
    let outcome = deliver(&sink, "d2", WAIT).await;
    assert_eq!(
        (outcome.kind, outcome.retry_after),
        (OutcomeKind::Retry, None),
        "{outcome:?}"
    );
    assert_eq!(outcome.rule, "kafka-fatal");
    let again = deliver(&sink, "d2", WAIT).await;
    assert_eq!(end(&again), delivered(1), "{again:?}");
    assert_eq!(kafka.count("leads"), 2);
}
