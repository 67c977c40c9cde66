//! The sink against a real RabbitMQ.
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use leadgate_plugin::{Delivery, Host, Outcome, OutcomeKind, Sink, Tables, testing};
use leadgate_sink_amqp::AmqpSink;
use leadgate_tests::{Authority, Certificate, Rabbit, free_port};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(10);

fn sink(broker: &Rabbit, more: &Value) -> AmqpSink {
    let mut all = json!({
        "url": broker.url(), "exchange": "leads", "routing_key": "new.{{ store_id }}",
    });
    let more = more.as_object().expect("a table").clone();
    all.as_object_mut().expect("a table").extend(more);
    let settings = serde_json::from_value(all).expect("settings");
    testing::create::<AmqpSink>(&settings, Host::detached("amqp", Tables::new())).expect("valid")
}

fn delivery(id: &str, store: u32, timeout: Duration) -> Delivery {
    let event = json!({
        "event": "lead.created", "id": "L", "lead": {"name": "张三", "phone": "13567658911", "store_id": store},
    });
    Delivery::new(id, 1, timeout, event.to_string())
}

async fn deliver(sink: &AmqpSink, id: &str, store: u32) -> Outcome {
    deliver_within(sink, id, store, WAIT).await
}

async fn deliver_within(sink: &AmqpSink, id: &str, store: u32, timeout: Duration) -> Outcome {
    let outcome = sink.deliver(&delivery(id, store, timeout)).await;
    let shown = format!("{outcome:?}");
    for private in ["张三", "13567658911", "t0p", "new.7"] {
        assert!(!shown.contains(private), "{shown}");
    }
    outcome
}

/// How it ended, and what was given as receipt.
fn end(outcome: &Outcome) -> (OutcomeKind, String) {
    (outcome.kind, outcome.receipt.clone())
}

fn delivered() -> (OutcomeKind, String) {
    (OutcomeKind::Delivered, "confirmed".to_owned())
}

/// Attempts until one does not end in doubt: the one that finds the connection lost cannot
/// know what it sent.
async fn settled(sink: &AmqpSink, id: &str) -> Outcome {
    let begun = Instant::now();
    let mut outcome = deliver(sink, id, 7).await;
    while outcome.kind == OutcomeKind::Ambiguous && begun.elapsed() < WAIT {
        outcome = deliver(sink, id, 7).await;
    }
    outcome
}

#[tokio::test]
#[ignore = "needs RabbitMQ; run tests/run"]
async fn a_message_arrives_with_its_id_and_one_without_a_queue_comes_back() {
    let broker = Rabbit::start("");
    broker.bind("leads", "crm", "new.7", &json!({}));
    let more = json!({
        "headers": {"x-who": "{{ name }}", "x-city": "{{ none }}"},
        "body": {"name": "{{ name }}", "store": "{{ store_id }}"},
    });
    let kept = sink(&broker, &more);
    let outcome = deliver(&kept, "d1", 7).await;
    assert_eq!(end(&outcome), delivered(), "{outcome:?}");
    let message = broker.take("crm");
    assert_eq!(
        message,
        json!({
            "exchange": "leads", "routing_key": "new.7", "message_id": "d1", "delivery_mode": 2,
            "content_type": "application/json", "headers": {"x-who": "张三"},
            "body": r#"{"name":"张三","store":7}"#,
        })
    );
    let outcome = deliver(&kept, "d2", 8).await;
    assert_eq!(outcome.kind, OutcomeKind::Rejected, "{outcome:?}");
    assert_eq!(outcome.rule, "no-route");
    let passing = sink(&broker, &json!({"persistent": false}));
    assert_eq!(end(&deliver(&passing, "d3", 7).await), delivered());
    assert_eq!(broker.take("crm")["delivery_mode"], 1);
    let direct = sink(&broker, &json!({"exchange": "", "routing_key": "crm"}));
    assert_eq!(end(&deliver(&direct, "d4", 7).await), delivered());
    assert_eq!(broker.take("crm")["message_id"], "d4");

    // Many at once: each that has no queue comes back to its own attempt.
    let many: Vec<_> = (0..60)
        .map(|number| delivery(&format!("m{number}"), 7 + number % 2, WAIT))
        .collect();
    let mut tasks = tokio::task::JoinSet::new();
    let shared = std::sync::Arc::new(kept);
    for one in many {
        let shared = std::sync::Arc::clone(&shared);
        tasks.spawn(async move { (one.id().to_owned(), shared.deliver(&one).await) });
    }
    for (id, outcome) in tasks.join_all().await {
        let number: u32 = id[1..].parse().expect("a number");
        let expected = if number.is_multiple_of(2) {
            delivered()
        } else {
            (OutcomeKind::Rejected, String::new())
        };
        assert_eq!(end(&outcome), expected, "{id}: {outcome:?}");
    }
    assert_eq!(broker.count("crm"), 30);
}

#[tokio::test]
#[ignore = "needs RabbitMQ; run tests/run"]
async fn what_the_broker_refuses_is_told_apart() {
    let broker = Rabbit::start("max_message_size = 2000");
    let full = json!({"x-max-length": 1, "x-overflow": "reject-publish"});
    broker.bind("leads", "crm", "new.7", &full);
    let good = sink(&broker, &json!({}));
    assert_eq!(end(&deliver(&good, "d1", 7).await), delivered());
    let nack = deliver(&good, "d2", 7).await;
    assert_eq!(
        (nack.kind, nack.retry_after),
        (OutcomeKind::Retry, None),
        "{nack:?}"
    );
    assert_eq!(nack.rule, "nack");

    let nowhere = sink(&broker, &json!({"exchange": "laeds"}));
    let nowhere = deliver(&nowhere, "d3", 7).await;
    assert_eq!(nowhere.kind, OutcomeKind::Rejected, "{nowhere:?}");
    assert_eq!(nowhere.rule, "amqp-404");
    assert!(
        nowhere.reason.contains("no exchange 'laeds'"),
        "{nowhere:?}"
    );
    let large = sink(&broker, &json!({"body": {"text": "x".repeat(3000)}}));
    let large = deliver(&large, "d4", 7).await;
    assert_eq!(large.kind, OutcomeKind::Rejected, "{large:?}");
    assert_eq!(large.rule, "amqp-406");
    // A channel that was closed for that is not used again.
    assert_eq!(deliver(&good, "d5", 7).await.rule, "nack");

    broker.control(&["add_user", "guest2", "t0p"]);
    let as_guest = json!({"url": format!("amqp://guest2:t0p@{}", broker.address())});
    let outcome = deliver(&sink(&broker, &as_guest), "d6", 7).await;
    assert_eq!(
        outcome.kind,
        OutcomeKind::Reauth,
        "no right to the virtual host: {outcome:?}"
    );
    broker.control(&["set_permissions", "guest2", "", "", ""]);
    let outcome = deliver(&sink(&broker, &as_guest), "d7", 7).await;
    assert_eq!(outcome.kind, OutcomeKind::Reauth, "{outcome:?}");
    assert_eq!(outcome.rule, "amqp-403");
    for url in [
        "amqp://leads:t0pwrong@ADDRESS",
        "amqp://leads:t0psecret@ADDRESS/nowhere",
    ] {
        let url = url.replace("ADDRESS", &broker.address());
        let outcome = deliver(&sink(&broker, &json!({"url": url})), "d8", 7).await;
        assert_eq!(outcome.kind, OutcomeKind::Reauth, "{outcome:?}");
        assert_eq!(outcome.rule, "login");
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ; run tests/run"]
async fn a_broker_that_is_silent_full_or_away_is_told_apart_and_used_again() {
    let mut broker = Rabbit::start("");
    broker.bind("leads", "crm", "new.7", &json!({}));
    let sink = sink(&broker, &json!({}));
    assert_eq!(end(&deliver(&sink, "d1", 7).await), delivered());

    broker.freeze(true);
    let silent = deliver_within(&sink, "d2", 7, Duration::from_millis(700)).await;
    assert_eq!(silent.kind, OutcomeKind::Ambiguous, "{silent:?}");
    assert_eq!(silent.rule, "timeout");
    broker.freeze(false);
    assert_eq!(end(&deliver(&sink, "d2", 7).await), delivered());

    broker.control(&["set_vm_memory_high_watermark", "absolute", "1"]);
    let begun = Instant::now();
    let mut blocked = deliver_within(&sink, "d3", 7, Duration::from_secs(1)).await;
    while blocked.rule != "blocked" && begun.elapsed() < WAIT {
        blocked = deliver_within(&sink, "d3", 7, Duration::from_secs(1)).await;
    }
    assert_eq!(
        (blocked.kind, blocked.retry_after),
        (OutcomeKind::Retry, None),
        "{blocked:?}"
    );
    broker.control(&["set_vm_memory_high_watermark", "0.9"]);
    let begun = Instant::now();
    let mut free = deliver(&sink, "d4", 7).await;
    while free.rule == "blocked" && begun.elapsed() < WAIT {
        free = deliver(&sink, "d4", 7).await;
    }
    assert_eq!(end(&free), delivered(), "{free:?}");

    let before = broker.count("crm");
    broker.stop();
    let away = settled(&sink, "d5").await;
    assert_eq!(
        (away.kind, away.retry_after),
        (OutcomeKind::Retry, None),
        "{away:?}"
    );
    broker.restart();
    assert_eq!(broker.count("crm"), before, "persistent messages survive");
    assert_eq!(end(&settled(&sink, "d5").await), delivered());
    assert_eq!(broker.count("crm"), before + 1);
}

#[tokio::test]
#[ignore = "needs RabbitMQ; run tests/run"]
async fn tls_needs_a_broker_that_is_trusted() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path
    };
    let ca = write("ca.pem", &authority.pem());
    let both = write("both.pem", &authority.certificate(&["localhost"]).pem);
    let port = free_port();
    let both = both.display();
    let broker = Rabbit::start(&format!(
        "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\n\
         ssl_options.certfile = {both}\nssl_options.keyfile = {both}\nssl_options.verify = verify_none",
        ca.display()
    ));
    broker.bind("leads", "crm", "new.7", &json!({}));
    let url = format!("amqps://leads:t0psecret@localhost:{port}");
    let trusting = sink(&broker, &json!({"url": url, "ca": ca}));
    let outcome = deliver(&trusting, "d1", 7).await;
    assert_eq!(end(&outcome), delivered(), "{outcome:?}");
    let outcome = deliver(&sink(&broker, &json!({"url": url})), "d2", 7).await;
    assert_eq!(
        (outcome.kind, outcome.retry_after),
        (OutcomeKind::Retry, None),
        "{outcome:?}"
    );
    assert!(outcome.reason.contains("`ca` names"), "{outcome:?}");
    assert_eq!(broker.count("crm"), 1);
}

#[tokio::test]
#[ignore = "needs RabbitMQ; run tests/run"]
async fn a_broker_that_vouches_for_itself_is_trusted_if_it_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path
    };
    let certificate = Certificate::of_itself(&["localhost"], true);
    let ours = write("ours.pem", certificate.public());
    let other = Certificate::of_itself(&["localhost"], true);
    let other = write("other.pem", other.public());
    let both = write("both.pem", &certificate.pem);
    let (port, both) = (free_port(), both.display());
    let broker = Rabbit::start(&format!(
        "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.certfile = {both}\n\
         ssl_options.keyfile = {both}\nssl_options.verify = verify_none"
    ));
    broker.bind("leads", "crm", "new.7", &json!({}));
    let url = |host: &str| format!("amqps://leads:t0psecret@{host}:{port}");
    let trusting = sink(&broker, &json!({"url": url("localhost"), "ca": ours}));
    for id in ["d1", "d2"] {
        let outcome = deliver(&trusting, id, 7).await;
        assert_eq!(end(&outcome), delivered(), "{outcome:?}");
    }
    for (host, ca, why) in [
        ("localhost", &other, "name this very certificate as `ca`"),
        ("127.0.0.1", &ours, "not for the name in `url`"),
    ] {
        let doubting = sink(&broker, &json!({"url": url(host), "ca": ca}));
        let outcome = deliver(&doubting, "d3", 7).await;
        assert_eq!(
            (outcome.kind, outcome.retry_after),
            (OutcomeKind::Retry, None),
            "{outcome:?}"
        );
        assert!(outcome.reason.contains(why), "{outcome:?}");
    }
    assert_eq!(broker.count("crm"), 2);
}
