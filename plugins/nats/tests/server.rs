//! The sink against a real NATS server.
#![allow(missing_docs)]

use std::time::{Duration, Instant};

use leadgate_plugin::{Delivery, Host, Outcome, OutcomeKind, Sink, Tables, testing};
use leadgate_sink_nats::NatsSink;
use leadgate_tests::{Authority, Certificate, Nats};
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(10);
/// Of a user of the server below, made for tests.
const SEED: &str = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";

fn sink(server: &Nats, more: &Value) -> NatsSink {
    let mut all = json!({
        "servers": [format!("nats://{}", server.address())], "subject": "leads.{{ store_id }}",
    });
    let more = more.as_object().expect("a table").clone();
    all.as_object_mut().expect("a table").extend(more);
    let settings = serde_json::from_value(all).expect("settings");
    testing::create::<NatsSink>(&settings, Host::detached("nats", Tables::new())).expect("valid")
}

fn delivery(id: &str, store: u32, timeout: Duration) -> Delivery {
    let event = json!({
        "event": "lead.created", "id": "L", "lead": {"name": "张三", "phone": "13567658911", "store_id": store},
    });
    Delivery::new(id, 1, timeout, event.to_string())
}

async fn deliver(sink: &NatsSink, id: &str) -> Outcome {
    let outcome = sink.deliver(&delivery(id, 7, WAIT)).await;
    let shown = format!("{outcome:?}");
    for private in ["张三", "13567658911", "t0p", "leads.7"] {
        assert!(!shown.contains(private), "{shown}");
    }
    outcome
}

/// How it ended, and what was given as receipt.
fn end(outcome: &Outcome) -> (OutcomeKind, String) {
    (outcome.kind, outcome.receipt.clone())
}

fn delivered(receipt: &str) -> (OutcomeKind, String) {
    (OutcomeKind::Delivered, receipt.to_owned())
}

#[tokio::test]
#[ignore = "needs a NATS server; run tests/run"]
async fn a_lead_is_stored_once_however_often_it_is_sent() {
    let server = Nats::start();
    server.add_stream("LEADS", "leads.>", &json!({}));
    let sink = sink(
        &server,
        &json!({"headers": {"x-who": "{{ name }}"}, "body": {"name": "{{ name }}", "store": "{{ store_id }}"}}),
    );
    let first = deliver(&sink, "d1").await;
    assert_eq!(end(&first), delivered("LEADS seq 1"), "{first:?}");
    let again = deliver(&sink, "d1").await;
    assert_eq!(again.kind, OutcomeKind::Duplicate, "{again:?}");
    assert_eq!(again.response, "LEADS seq 1");
    let other = deliver(&sink, "d2").await;
    assert_eq!(end(&other), delivered("LEADS seq 2"), "{other:?}");
    assert_eq!(server.count("LEADS"), 2);
    let (subject, headers, body) = server.message("LEADS", 1);
    assert_eq!(subject, "leads.7");
    assert_eq!(body, r#"{"name":"张三","store":7}"#);
    let mut headers: Vec<_> = headers.trim_end().lines().collect();
    headers.sort_unstable();
    assert_eq!(headers, ["NATS/1.0", "Nats-Msg-Id: d1", "x-who: 张三"]);
}

#[tokio::test]
#[ignore = "needs a NATS server; run tests/run"]
async fn a_subject_without_a_stream_is_a_dead_letter_with_help() {
    let server = Nats::start();
    let outcome = deliver(&sink(&server, &json!({})), "d1").await;
    assert_eq!(outcome.kind, OutcomeKind::Rejected, "{outcome:?}");
    assert_eq!(outcome.rule, "no-stream");
    assert!(
        outcome.reason.starts_with("no stream is bound"),
        "{outcome:?}"
    );
}

#[tokio::test]
#[ignore = "needs a NATS server; run tests/run"]
async fn a_stream_that_comes_within_a_moment_is_waited_for() {
    let server = Nats::start();
    let sink = sink(&server, &json!({}));
    let delivery = delivery("d1", 7, WAIT);
    let (outcome, ()) = tokio::join!(sink.deliver(&delivery), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.add_stream("LEADS", "leads.>", &json!({}));
    });
    assert_eq!(end(&outcome), delivered("LEADS seq 1"), "{outcome:?}");
}

#[tokio::test]
#[ignore = "needs a NATS server; run tests/run"]
async fn what_jetstream_refuses_is_told_apart() {
    let server = Nats::start_with("max_payload: 4096", json!({}));
    let full = json!({"max_msgs": 1, "discard": "new"});
    server.add_stream("FULL", "leads.7", &full);
    server.add_stream("SMALL", "leads.8", &json!({"max_msg_size": 16}));
    let event = sink(&server, &json!({}));
    let first = deliver(&event, "d1").await;
    assert_eq!(end(&first), delivered("FULL seq 1"), "{first:?}");
    let second = deliver(&event, "d2").await;
    assert_eq!(
        (second.kind, second.retry_after),
        (OutcomeKind::Retry, None),
        "{second:?}"
    );
    assert_eq!(second.rule, "jetstream-10077");
    assert!(
        second.reason.contains("maximum messages exceeded"),
        "{second:?}"
    );
    let small = event.deliver(&delivery("d3", 8, WAIT)).await;
    assert_eq!(small.kind, OutcomeKind::Rejected, "{small:?}");
    assert_eq!(small.rule, "jetstream-10054");
    let large = sink(&server, &json!({"body": {"text": "x".repeat(5000)}}));
    let large = deliver(&large, "d4").await;
    assert_eq!(large.kind, OutcomeKind::Rejected, "{large:?}");
    assert_eq!(large.rule, "too-large");
}

#[tokio::test]
#[ignore = "needs a NATS server; run tests/run"]
async fn logins_and_permissions() {
    let users = "authorization { users: [\n\
        { user: admin, password: t0p-admin }\n\
        { user: leads, password: t0p, permissions: { publish: [\"leads.7\"], subscribe: \"_INBOX.>\" } }\n\
        { nkey: UAMMBNV2EYR65NYZZ7IAK5SIR5ODNTTERJOBOF4KJLMWI45YOXOSWULM }\n] }";
    let server = Nats::start_with(users, json!({"user": "admin", "pass": "t0p-admin"}));
    server.add_stream("LEADS", "leads.>", &json!({}));
    let login = |password: &str| sink(&server, &json!({"user": "leads", "password": password}));
    let good = deliver(&login("t0p"), "d1").await;
    assert_eq!(end(&good), delivered("LEADS seq 1"), "{good:?}");
    let seed = json!({"nkey": SEED});
    let key = deliver(&sink(&server, &seed), "d1").await;
    assert_eq!(key.kind, OutcomeKind::Duplicate, "{key:?}");
    for wrong in [login("t0p-not"), sink(&server, &json!({}))] {
        let outcome = deliver(&wrong, "d2").await;
        assert_eq!(outcome.kind, OutcomeKind::Reauth, "{outcome:?}");
        assert_eq!(outcome.rule, "login");
    }
    let begun = Instant::now();
    let forbidden = login("t0p").deliver(&delivery("d3", 8, WAIT)).await;
    assert_eq!(forbidden.kind, OutcomeKind::Reauth, "{forbidden:?}");
    assert_eq!(forbidden.rule, "forbidden");
    assert!(begun.elapsed() < WAIT / 2, "the deadline was waited for");
    assert_eq!(server.count("LEADS"), 1);
}

#[tokio::test]
#[ignore = "needs a NATS server; run tests/run"]
async fn a_credentials_file_logs_in() {
    let server = Nats::start_with(include_str!("data/operator.conf"), json!({}));
    let credentials = include_str!("data/leads.creds");
    let outcome = deliver(&sink(&server, &json!({"credentials": credentials})), "d1").await;
    assert_eq!(
        outcome.rule, "no-stream",
        "let in, and no stream there: {outcome:?}"
    );
    let token = credentials.lines().nth(1).expect("a token");
    let forged = credentials.replace(token, &format!("{}AAAA", &token[..token.len() - 4]));
    for wrong in [
        json!({"credentials": forged}),
        json!({"nkey": SEED}),
        json!({}),
    ] {
        let outcome = deliver(&sink(&server, &wrong), "d2").await;
        assert_eq!(outcome.kind, OutcomeKind::Reauth, "{outcome:?}");
    }
}

#[tokio::test]
#[ignore = "needs a NATS server; run tests/run"]
async fn a_server_that_is_away_is_tried_again_and_used_when_it_is_back() {
    let mut server = Nats::start();
    server.add_stream("LEADS", "leads.>", &json!({}));
    let sink = sink(&server, &json!({}));
    assert_eq!(deliver(&sink, "d1").await.rule, "stored");
    server.stop();
    let begun = Instant::now();
    let mut away = deliver(&sink, "d2").await;
    while away.kind == OutcomeKind::Ambiguous && begun.elapsed() < WAIT {
        // The attempt that finds the connection lost cannot know what it sent.
        away = deliver(&sink, "d2").await;
    }
    assert_eq!(
        (away.kind, away.retry_after),
        (OutcomeKind::Retry, None),
        "{away:?}"
    );
    server.restart();
    let back = deliver(&sink, "d2").await;
    assert_eq!(end(&back), delivered("LEADS seq 2"), "{back:?}");
}

#[tokio::test]
#[ignore = "needs a NATS server; run tests/run"]
async fn without_an_answer_it_is_ambiguous_and_the_repeat_adds_nothing() {
    let server = Nats::start();
    server.add_stream("LEADS", "leads.>", &json!({}));
    let sink = sink(&server, &json!({}));
    assert_eq!(deliver(&sink, "d1").await.rule, "stored");
    server.freeze(true);
    let silent = sink
        .deliver(&delivery("d2", 7, Duration::from_millis(500)))
        .await;
    assert_eq!(silent.kind, OutcomeKind::Ambiguous, "{silent:?}");
    assert_eq!(silent.rule, "timeout");
    server.freeze(false);
    let again = deliver(&sink, "d2").await;
    assert_eq!(
        again.kind,
        OutcomeKind::Duplicate,
        "it had been stored: {again:?}"
    );
    assert_eq!(server.count("LEADS"), 2);
}

#[tokio::test]
#[ignore = "needs a NATS server; run tests/run"]
async fn an_answer_that_is_cut_off_is_ambiguous() {
    let mut server = Nats::start();
    server.add_stream("LEADS", "leads.>", &json!({}));
    let sink = sink(&server, &json!({}));
    assert_eq!(deliver(&sink, "d1").await.rule, "stored");
    server.freeze(true);
    let delivery = delivery("d2", 7, WAIT);
    let begun = Instant::now();
    let (lost, ()) = tokio::join!(sink.deliver(&delivery), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.stop();
    });
    assert_eq!(lost.kind, OutcomeKind::Ambiguous, "{lost:?}");
    assert_eq!(lost.rule, "connection");
    assert!(begun.elapsed() < WAIT / 2, "the deadline was waited for");
}

#[tokio::test]
#[ignore = "needs a NATS server; run tests/run"]
async fn tls_needs_a_server_that_is_trusted() {
    let mut server = Nats::start();
    server.add_stream("LEADS", "leads.>", &json!({}));
    let authority = Authority::new();
    let folder = server.folder().to_owned();
    std::fs::write(folder.join("ca.pem"), authority.pem()).expect("writes");
    let both = authority.certificate(&["127.0.0.1"]).pem;
    std::fs::write(folder.join("server.pem"), both).expect("writes");
    let path = folder.join("server.pem");
    let path = path.display();
    server.restart_with(&format!(
        "tls {{ cert_file: \"{path}\", key_file: \"{path}\" }}"
    ));
    let address = format!("tls://{}", server.address());
    let trusting = json!({"servers": [address], "ca": folder.join("ca.pem")});
    let outcome = deliver(&sink(&server, &trusting), "d1").await;
    assert_eq!(end(&outcome), delivered("LEADS seq 1"), "{outcome:?}");
    let doubting = deliver(&sink(&server, &json!({"servers": [address]})), "d2").await;
    assert_eq!(
        (doubting.kind, doubting.retry_after),
        (OutcomeKind::Retry, None),
        "{doubting:?}"
    );
    assert!(doubting.reason.contains("`ca` names"), "{doubting:?}");
}

#[tokio::test]
#[ignore = "needs a NATS server; run tests/run"]
async fn a_server_that_vouches_for_itself_is_trusted_if_it_is_named() {
    let mut server = Nats::start();
    server.add_stream("LEADS", "leads.>", &json!({}));
    let folder = server.folder().to_owned();
    let named = |certificate: &Certificate, name: &str| {
        let path = folder.join(name);
        std::fs::write(&path, certificate.public()).expect("writes");
        path
    };
    let certificate = Certificate::of_itself(&["127.0.0.1"], true);
    let ours = named(&certificate, "ours.pem");
    let other = named(&Certificate::of_itself(&["127.0.0.1"], true), "other.pem");
    std::fs::write(folder.join("server.pem"), &certificate.pem).expect("writes");
    let path = folder.join("server.pem");
    let path = path.display();
    server.restart_with(&format!(
        "tls {{ cert_file: \"{path}\", key_file: \"{path}\" }}"
    ));
    let address = format!("tls://{}", server.address());
    let by_name = format!("tls://localhost:{}", server.port());
    let outcome = deliver(
        &sink(&server, &json!({"servers": [address], "ca": ours})),
        "d1",
    )
    .await;
    assert_eq!(end(&outcome), delivered("LEADS seq 1"), "{outcome:?}");
    for (address, ca, why) in [
        (&address, &other, "name this very certificate as `ca`"),
        (&by_name, &ours, "not for the name in `servers`"),
    ] {
        let more = json!({"servers": [address], "ca": ca});
        let outcome = deliver(&sink(&server, &more), "d2").await;
        assert_eq!(
            (outcome.kind, outcome.retry_after),
            (OutcomeKind::Retry, None),
            "{outcome:?}"
        );
        assert!(outcome.reason.contains(why), "{outcome:?}");
    }
}
