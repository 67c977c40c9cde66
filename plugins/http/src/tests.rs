//! The sink against a scripted server on loopback.

mod auth;
mod connect;
mod connections;
mod destination;
mod digest;
mod http2;
mod outcomes;
mod preset_steps;
mod presets;
mod server;
mod step_answers;
mod steps;
mod tls;
mod unread;

use leadgate_plugin::template::Scope;
use leadgate_plugin::{OutcomeKind, Secret, Tables, testing};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::endpoint::Endpoint;

const EVENT: &str = r#"{"event":"lead.created","id":"L","revision":1,"source":"shop","received_at":"T",
"lead":{"name":"张三","phone":"13567658911","record_id":371009},"labels":{},"raw":"{}"}"#;

/// Answers one request with `answer` (closes the connection if empty) and gives what it read.
async fn server(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!(
        "http://{}/leads?key=hidden",
        listener.local_addr().expect("an address")
    );
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut read = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).await.expect("reads");
            read.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&read).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .and_then(|length| length.parse::<usize>().ok());
                if body.len() >= length.unwrap_or(0) {
                    stream.write_all(answer.as_bytes()).await.expect("writes");
                    return text;
                }
            }
            assert!(count > 0, "the request broke off");
        }
    });
    (url, served)
}

fn settings(url: &str) -> Settings {
    settings_of(serde_json::json!({
        "url": url,
        "headers": {"x-key": "topsecret"},
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }))
}

fn settings_of(given: Value) -> Settings {
    serde_json::from_value(given).expect("settings")
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "tests make the settings where they give them"
)]
fn sink(settings: Settings) -> Result<HttpSink, Problems> {
    let host = Host::detached("crm", Tables::new());
    HttpSink::new(read(&settings, &host)?, host)
}

fn problems(settings: &Settings) -> Problems {
    let read = read(settings, &Host::detached("crm", Tables::new()));
    read.err().unwrap_or_default()
}

fn delivery() -> Delivery {
    Delivery::new("0198-delivery", 1, Duration::from_secs(5), EVENT)
}

async fn outcome(answer: &'static str) -> Outcome {
    let (url, served) = server(answer).await;
    let outcome = sink(settings(&url))
        .expect("valid")
        .deliver(&delivery())
        .await;
    served.await.expect("served");
    outcome
}

#[tokio::test]
async fn whatever_a_lead_says_it_is_sent_as_it_came_and_stays_out_of_the_outcome() {
    for delivery in testing::deliveries() {
        let (url, served) = server("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
        let outcome = sink(settings(&url))
            .expect("valid")
            .deliver(&delivery)
            .await;
        let request = served.await.expect("served");
        let (head, body) = request.split_once("\r\n\r\n").expect("a body");
        assert_eq!(body.as_bytes(), delivery.event_bytes());
        assert!(!head.to_lowercase().contains("x-injected"), "{head}");
        assert_eq!(outcome.kind, OutcomeKind::Retry, "{outcome:?}");
        assert!(!testing::shows_a_person(&format!("{outcome:?}")));
    }
}

#[tokio::test]
async fn what_was_not_taken_is_recorded_by_its_fields_and_never_by_what_they_say() {
    let body = serde_json::json!({
        "who": "{{ name }}", "id": "{{ record_id }}", "from": "tmall", "vip": true,
        "tags": ["a", "b", "c", "d"], "note": "",
    });
    for (answer, shape) in [
        (
            "HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n",
            r#" {"from":"text","id":"number","note":"","tags":["text","text","text"],"vip":true,"who":"text"}"#,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""),
    ] {
        let (url, served) = server(answer).await;
        let given = serde_json::json!({ "url": url, "body": body });
        let sink = sink(settings_of(given)).expect("valid");
        let outcome = sink.deliver(&delivery()).await;
        let sent = served.await.expect("served");
        let length = sent.split_once("\r\n\r\n").expect("a body").1.len();
        let url = url.replace("?key=hidden", "");
        assert_eq!(
            outcome.request,
            format!("POST {url} ({length} bytes){shape}")
        );
    }
}

#[tokio::test]
async fn the_event_is_sent_as_it_is_signed_and_with_a_stable_key() {
    let (url, served) =
        server("HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"id\":\"crm-1\"}").await;
    let outcome = sink(settings(&url))
        .expect("valid")
        .deliver(&delivery())
        .await;
    assert_eq!(
        (outcome.kind, outcome.receipt.as_str()),
        (OutcomeKind::Delivered, "crm-1")
    );
    assert!(!outcome.request.contains("hidden"), "{}", outcome.request);
    let request = served.await.expect("served");
    assert!(
        request.starts_with("POST /leads?key=hidden HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.ends_with(EVENT), "{request}");
    for header in [
        "idempotency-key: 0198-delivery",
        "webhook-id: 0198-delivery",
        "x-key: topsecret",
    ] {
        assert!(request.contains(header), "{request}");
    }
}

#[tokio::test]
async fn answers_are_classified() {
    let retry = |outcome: &Outcome| outcome.kind == OutcomeKind::Retry;
    let busy = outcome("HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(
        (busy.kind, busy.retry_after),
        (OutcomeKind::Retry, Some(Duration::from_secs(7)))
    );
    assert!(retry(
        &outcome("HTTP/1.1 408 Slow\r\ncontent-length: 0\r\n\r\n").await
    ));
    let limited =
        outcome("HTTP/1.1 429 Limit\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(
        (limited.kind, limited.retry_after),
        (OutcomeKind::Throttled, Some(Duration::from_secs(3)))
    );
    let unauthorized = outcome("HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(unauthorized.kind, OutcomeKind::Reauth);
    let bad =
        outcome("HTTP/1.1 400 Bad\r\ncontent-length: 20\r\n\r\n{\"phone\":\"13567658911").await;
    assert_eq!(bad.kind, OutcomeKind::Rejected);
    assert!(!format!("{bad:?}").contains("13567658911"), "{bad:?}");
    let moved =
        outcome("HTTP/1.1 307 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
            .await;
    assert_eq!(
        (moved.kind, moved.rule.as_str()),
        (OutcomeKind::Rejected, "redirect")
    );
    let lost = outcome("").await;
    assert_eq!(lost.kind, OutcomeKind::Ambiguous);
}

#[tokio::test]
async fn nobody_listening_is_a_retry() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let outcome = sink(settings(&format!("http://{address}/")))
        .expect("valid")
        .deliver(&delivery())
        .await;
    assert!(outcome.kind == OutcomeKind::Retry, "{outcome:?}");
    assert_eq!(outcome.rule, "connect");
}

#[tokio::test]
async fn no_answer_in_time_is_ambiguous() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let short = Delivery::new("d", 1, Duration::from_millis(200), EVENT);
    let outcome = sink(settings(&url)).expect("valid").deliver(&short).await;
    assert_eq!(
        (outcome.kind, outcome.rule.as_str()),
        (OutcomeKind::Ambiguous, "timeout")
    );
}

#[test]
fn a_template_makes_the_body_and_render_shows_it_without_secrets() {
    let mut settings = settings("https://crm.example/leads");
    settings.body = Some(
        serde_json::json!({"phone": "{{ phone }}", "ref": "{{ record_id }}", "key": "{{ delivery_id }}"}),
    );
    let text = sink(settings)
        .expect("valid")
        .render(&delivery())
        .expect("renders")
        .expect("can render");
    assert!(
        text.starts_with("POST https://crm.example/leads?")
            || text.starts_with("POST https://crm.example/leads\n")
    );
    assert!(text.contains("\"ref\": 371009"), "{text}");
    assert!(
        text.contains("x-key: ***") && !text.contains("topsecret"),
        "{text}"
    );
}

#[test]
fn every_problem_of_the_settings_is_found_at_once() {
    let mut settings = settings("ftp://crm.example/{{ name }}");
    settings.method = Some("DELETE".to_owned());
    settings.secret = Some(Secret::new("???"));
    settings.headers.insert("Host".to_owned(), Secret::new("x"));
    settings
        .headers
        .insert("bad name".to_owned(), Secret::new("x"));
    settings.body = Some(serde_json::json!({"a": "{{ phonee }}"}));
    let problems = problems(&settings);
    let mut paths: Vec<_> = problems.into_iter().map(|problem| problem.path).collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "/body/a",
            "/headers/Host",
            "/headers/bad name",
            "/method",
            "/secret",
            "/url"
        ]
    );
}

#[test]
fn credentials_in_a_url_are_refused_without_being_shown() {
    let settings = settings("https://user:hunter2@crm.example/");
    let problems = problems(&settings);
    assert!(!problems.is_empty() && !format!("{problems:?}").contains("hunter2"));
}

#[tokio::test]
async fn rules_see_the_whole_answer_and_nothing_of_the_lead_is_kept() {
    let server = server::start(|_| (200, r#"{"errcode":40001,"errmsg":"张三 13567658911 exists, key topsecret","phone":"13567658911"}"#.to_owned())).await;
    let settings = settings_of(serde_json::json!({
        "url": format!("{}/hook/a1b2c3d4e5f6a7b8c9d0/{{{{ name }}}}", server.url),
        "query": {"key": "topsecret", "who": "{{ phone | mask }}", "none": "{{ none }}"},
        "headers": {"x-key": "topsecret", "x-name": "{{ name }}"},
        "body": {"n": "{{ record_id }}"}, "body_as": "form",
        "classify": [{"when": "status == 200 and body.errcode != 0", "outcome": "rejected", "reason": "{{ body.errmsg }}"}],
    }));
    let outcome = sink(settings).expect("valid").deliver(&delivery()).await;
    assert_eq!(
        (&outcome.kind, outcome.rule.as_str()),
        (&OutcomeKind::Rejected, "rule-1")
    );
    assert_eq!(outcome.reason, "*** *** exists, key ***");
    for hidden in ["13567658911", "张三", "topsecret", "a1b2c3", "%E5"] {
        assert!(!format!("{outcome:?}").contains(hidden), "{outcome:?}");
    }
    assert!(outcome.response.contains("40001"), "{outcome:?}");
    let request = server.requests().remove(0);
    assert!(request.starts_with("POST /hook/a1b2c3d4e5f6a7b8c9d0/%E5%BC%A0%E4%B8%89?key=topsecret&who=135%2A%2A%2A%2A8911 HTTP/1.1"), "{request}");
    assert!(
        request.contains("content-type: application/x-www-form-urlencoded")
            && request.ends_with("\r\n\r\nn=371009"),
        "{request}"
    );
}

#[tokio::test]
async fn a_lead_cannot_add_headers() {
    let server = server::start(|_| (200, String::new())).await;
    let settings = settings_of(
        serde_json::json!({"url": server.url, "headers": {"x-note": "{{ other.note }}"}}),
    );
    let event = EVENT.replace(
        "\"name\"",
        "\"other\":{\"note\":\"a\\r\\nx-evil: 1\"},\"name\"",
    );
    let delivery = Delivery::new("d", 1, Duration::from_secs(5), event);
    let outcome = sink(settings).expect("valid").deliver(&delivery).await;
    assert_eq!(
        (outcome.kind, outcome.rule.as_str()),
        (OutcomeKind::Rejected, "template")
    );
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_name_of_a_private_address_is_not_connected_to() {
    let server = server::start(|_| (200, String::new())).await;
    let port = server.url.rsplit(':').next().expect("a port").to_owned();
    // `localhost` itself is refused by `check`; a name that resolves to it only then.
    let settings = |url: String| settings_of(serde_json::json!({"url": url, "deny_private": true}));
    let problems = problems(&settings(server.url.clone()));
    assert!(
        format!("{problems:?}").contains("private address"),
        "{problems:?}"
    );
    let mut built = sink(settings(format!("http://crm.example:{port}/"))).expect("valid");
    let text = format!("http://localhost:{port}/");
    built.parts.steps[0].draft.endpoint =
        Endpoint::new(&text, &built.parts.engine, &Scope::EVENT).expect("valid");
    let outcome = built.deliver(&delivery()).await;
    assert_eq!(outcome.rule, "connect", "{outcome:?}");
    assert!(outcome.reason.contains("deny_private"), "{outcome:?}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_robot_is_signed_in_its_query() {
    let server = server::start(|_| (200, r#"{"errcode":0}"#.to_owned())).await;
    let settings = settings_of(serde_json::json!({
        "url": format!("{}/robot/send?access_token=t", server.url),
        "body": {"msgtype": "text", "text": {"content": "{{ name }} {{ phone | mask }}"}},
        "sign": {"kind": "dingtalk", "secret": "SECx"},
    }));
    sink(settings).expect("valid").deliver(&delivery()).await;
    let request = server.requests().remove(0);
    let line = request.lines().next().expect("a line");
    assert!(
        line.starts_with("POST /robot/send?access_token=t&timestamp=1")
            && line.contains("&sign=")
            && line.contains("%3D HTTP/1.1"),
        "{line}"
    );
}

#[tokio::test]
async fn a_get_has_no_body() {
    let server = server::start(|_| (200, String::new())).await;
    let settings = settings_of(
        serde_json::json!({"url": format!("{}/l?id={{{{ record_id }}}}", server.url), "method": "GET"}),
    );
    sink(settings).expect("valid").deliver(&delivery()).await;
    let request = server.requests().remove(0);
    assert!(
        request.starts_with("GET /l?id=371009 HTTP/1.1") && request.ends_with("\r\n\r\n"),
        "{request}"
    );
}
