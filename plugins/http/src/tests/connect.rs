//! The walk to a destination without a lead.

use std::time::Duration;

use leadgate_plugin::{Host, Probe, Sink, Step, Stop, Tables, testing};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::HttpSink;

async fn walked(settings: Value) -> (Result<(), Stop>, Vec<Step>) {
    let written = serde_json::from_value(settings).expect("settings");
    let sink = testing::create::<HttpSink>(&written, Host::detached("crm", Tables::new()))
        .expect("good settings");
    let probe = Probe::detached(Duration::from_secs(20));
    let ended = sink.connect(&probe).await;
    (ended, probe.steps())
}

fn told(steps: &[Step]) -> Vec<(&str, bool)> {
    steps
        .iter()
        .map(|step| (step.name.as_str(), step.ok))
        .collect()
}

/// A server that answers every request with `body`; gives its port and how many came.
async fn server(
    status: u16,
    body: &'static str,
) -> (u16, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("bound").port();
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 4096];
            if stream.read(&mut bytes).await.unwrap_or(0) == 0 {
                continue;
            }
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, asked)
}

#[tokio::test]
async fn a_plain_destination_is_reached_and_sent_nothing() {
    let (port, asked) = server(200, "{}").await;
    let (ended, steps) = walked(json!({"url": format!("http://127.0.0.1:{port}/leads")})).await;
    assert_eq!(ended, Ok(()));
    assert_eq!(told(&steps), [("dns", true), ("tcp", true)]);
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_server_without_tls_fails_at_that_step_with_a_reason() {
    let (port, _) = server(200, "{}").await;
    let (ended, steps) = walked(json!({"url": format!("https://127.0.0.1:{port}/leads")})).await;
    assert_eq!(ended, Err(Stop::Failed));
    assert_eq!(told(&steps), [("dns", true), ("tcp", true), ("tls", false)]);
    assert!(!steps[2].note.is_empty());
}

#[tokio::test]
async fn a_token_is_fetched_unless_it_costs_the_refresh_token() {
    let (port, _) = server(200, r#"{"access_token":"t","expires_in":60}"#).await;
    let (refusing, _) = server(401, r#"{"error":"invalid_client"}"#).await;
    let settings = |port: u16, kind: &str| {
        let mut auth = json!({
            "kind": kind, "token_url": format!("http://127.0.0.1:{port}/token"),
            "client_id": "me", "client_secret": "s3cret!",
        });
        if kind == "oauth2_refresh_token" {
            auth["refresh_token"] = "r0".into();
        }
        json!({"url": format!("http://127.0.0.1:{port}/leads"), "auth": auth})
    };
    let (ended, steps) = walked(settings(port, "oauth2_client_credentials")).await;
    assert_eq!(ended, Ok(()), "{steps:?}");
    assert_eq!(steps.last().map(|step| step.name.as_str()), Some("token"));
    let (ended, steps) = walked(settings(refusing, "oauth2_client_credentials")).await;
    assert_eq!(ended, Err(Stop::Failed));
    assert!(steps[2].note.contains("401 invalid_client"), "{steps:?}");
    let (ended, steps) = walked(settings(refusing, "oauth2_refresh_token")).await;
    assert_eq!(ended, Ok(()));
    assert!(steps[2].note.starts_with("not tried"), "{steps:?}");
}

#[tokio::test]
async fn the_way_through_a_proxy_begins_at_the_proxy() {
    let (port, asked) = server(200, "{}").await;
    let (ended, steps) = walked(json!({
        "url": "http://crm.invalid/leads", "proxy": format!("http://user:pass@127.0.0.1:{port}"),
    }))
    .await;
    assert_eq!(ended, Ok(()), "{steps:?}");
    assert_eq!(
        told(&steps),
        [("dns", true), ("tcp", true), ("proxy", true)]
    );
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(
        steps.iter().all(|step| !step.note.contains("pass")),
        "{steps:?}"
    );
}
