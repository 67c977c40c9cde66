//! The sink without a database: settings, templates, and servers that are no help.
//! What real databases say is tested end to end.

use std::time::Duration;

use leadgate_plugin::{Delivery, Host, OutcomeKind, Sink, Tables, testing};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::{Settings, SqlSink};

fn settings(more: &Value) -> Settings {
    let mut all = json!({
        "url": "postgres://u:t0psecret@localhost/shop",
        "statement": "insert into leads values (:id, :name)",
        "values": {"id": "{{ record_id }}", "name": "{{ name }}"},
    });
    for (key, value) in more.as_object().expect("a table") {
        all[key] = value.clone();
    }
    serde_json::from_value(all).expect("settings")
}

fn host() -> Host {
    Host::detached("db", Tables::new())
}

fn sink(more: &Value) -> SqlSink {
    testing::create::<SqlSink>(&settings(more), host()).expect("good settings")
}

/// Path, range, message.
fn problems(more: &Value) -> Vec<(String, Option<std::ops::Range<usize>>, String)> {
    let problems = testing::check::<SqlSink>(&settings(more), &host()).into_iter();
    let all: Vec<_> = problems
        .map(|one| (one.path, one.range, one.message))
        .collect();
    assert!(!format!("{all:?}").contains("t0psecret"), "{all:?}");
    all
}

fn delivery(name: &Value) -> Delivery {
    let event = json!({
        "event": "lead.created", "id": "L", "revision": 1, "source": "shop", "received_at": "T",
        "labels": {}, "raw": "{}", "lead": {"record_id": 7, "name": name, "other": {}},
    });
    Delivery::new("D1", 1, Duration::from_millis(400), event.to_string())
}

#[test]
fn all_mistakes_are_found_at_once() {
    assert_eq!(problems(&json!({})), []);
    let found = problems(&json!({
        "url": "postgres://u:t0psecret@h/d?sslmode=prefer",
        "statement": "insert into leads values (:id, :nam) ;;",
        "values": {"id": "{{ record_idd }}", "name": "{{ name }}"},
        "ca": "/nowhere/ca.pem",
    }));
    let places: Vec<_> = found
        .iter()
        .map(|(path, range, _)| (path.as_str(), range.clone()))
        .collect();
    assert_eq!(
        places,
        [
            ("/url", None),
            ("/statement", Some(31..35)),
            ("/values/name", None),
            ("/values/id", Some(3..13)),
            ("/ca", None),
        ]
    );
}

#[test]
fn a_file_of_certificates_needs_a_connection_that_is_encrypted() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    let made = rcgen::generate_simple_self_signed(["db".to_owned()]).expect("a certificate");
    std::fs::write(&ca, made.cert.pem()).expect("writes");
    assert_eq!(
        problems(&json!({"url": "mysql://u:t0psecret@db/d", "ca": ca})),
        []
    );
    let found = problems(&json!({"ca": ca}));
    assert_eq!(found[0].0, "/ca");
    assert!(found[0].2.contains("not encrypted"), "{found:?}");
}

#[test]
fn render_shows_what_would_be_bound() {
    let sink = sink(&json!({"values": {"id": 1.5, "name": ["{{ name }}", null]}}));
    let text = sink.render(&delivery(&json!("张三"))).expect("renders");
    let expected = "PostgreSQL at localhost:5432/shop:\ninsert into leads values (:id, :name)\n\n\
                    :id = 1.5\n:name = [\"张三\",null]";
    assert_eq!(text.as_deref(), Some(expected));
}

#[tokio::test]
async fn what_a_template_cannot_make_is_a_dead_letter_before_anything_is_sent() {
    let sink = sink(&json!({"values": {"id": "{{ other.no ~ name }}", "name": ""}}));
    let outcome = sink.deliver(&delivery(&json!("张三"))).await;
    assert_eq!(outcome.kind, OutcomeKind::Rejected);
    assert_eq!(
        (outcome.rule.as_str(), outcome.reason.as_str()),
        (
            "template",
            "settings.values.id: there is no such value for this lead; use `| default(…)` if that may be: `other.no ~ name`"
        )
    );
}

#[tokio::test]
async fn where_nobody_listens_it_is_tried_again() {
    for scheme in ["postgres", "mysql"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let sink = sink(&json!({"url": format!("{scheme}://u:t0psecret@{address}/d")}));
        let outcome = sink.deliver(&delivery(&json!("张三"))).await;
        assert_eq!(
            (outcome.kind, outcome.retry_after),
            (OutcomeKind::Retry, None),
            "{outcome:?}"
        );
        assert_eq!(outcome.rule, "connection");
        assert!(outcome.reason.contains("refused"), "{outcome:?}");
        assert!(outcome.request.ends_with(&format!("{address}/d")));
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_ends_the_attempt_in_time_and_others_wait_for_their_turn() {
    for scheme in ["postgres", "mysql"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let server = tokio::spawn(async move {
            let (mut only, _) = listener.accept().await.expect("a connection");
            let mut heard = Vec::new();
            let _ = only.read_to_end(&mut heard).await;
            heard
        });
        let sink = sink(&json!({
            "url": format!("{scheme}://u:t0psecret@{address}/d"), "connections": 1,
        }));
        let sooner = delivery(&json!("张三"));
        let later = Delivery::new("D2", 1, sooner.timeout() * 2, sooner.event_bytes());
        let (first, second) = tokio::join!(sink.deliver(&later), sink.deliver(&sooner));
        assert_eq!(
            (first.rule.as_str(), second.rule.as_str()),
            ("timeout", "not-processed")
        );
        for outcome in [first, second] {
            assert_eq!(
                (outcome.kind, outcome.retry_after),
                (OutcomeKind::Retry, None),
                "{outcome:?}"
            );
        }
        let heard = server.await.expect("ended");
        assert!(!String::from_utf8_lossy(&heard).contains("t0psecret"));
    }
}
