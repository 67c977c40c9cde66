//! Answers that cannot be read, as a server really gives them: none of them is ever taken for
//! delivered, nor for "not there".

use leadgate_plugin::testing;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use tokio::task::JoinHandle;

use super::presets::given;
use super::*;

/// A server that answers each connection with these bytes and closes it.
struct Raw {
    url: String,
    task: JoinHandle<()>,
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn raw(answer: Vec<u8>) -> Raw {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = Arc::new(answer);
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                // The whole request, else the close would be a reset.
                let mut read = Vec::new();
                while !is_whole(&read) {
                    let Ok(1..) = stream.read_buf(&mut read).await else {
                        return;
                    };
                }
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    Raw { url, task }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// A 200 with more headers and a body.
fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn length(body: &[u8]) -> String {
    format!("content-length: {}", body.len())
}

/// The two usual rules.
fn usual(url: &str) -> Settings {
    settings_of(json!({"url": url, "classify": [
        {"when": "status == 200 and body.code == 0", "outcome": "delivered", "name": "ok"},
        {"when": "status == 200 and body.code != 0", "outcome": "rejected", "name": "refused"},
    ]}))
}

/// What the usual rules make of it.
async fn usually(answer: Vec<u8>) -> Outcome {
    let server = raw(answer).await;
    sink(usual(&server.url))
        .expect("valid")
        .deliver(&delivery())
        .await
}

fn gzip(text: &[u8]) -> Vec<u8> {
    // Stored blocks need no compressor.
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for (number, block) in text.chunks(60_000).enumerate() {
        let last = (number + 1) * 60_000 >= text.len();
        let length = u16::try_from(block.len()).expect("short");
        packed.push(u8::from(last));
        packed.extend(length.to_le_bytes());
        packed.extend((!length).to_le_bytes());
        packed.extend(block);
    }
    let mut crc = u32::MAX;
    for byte in text {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    packed.extend((!crc).to_le_bytes());
    packed.extend(u32::try_from(text.len()).expect("short").to_le_bytes());
    packed
}

const REFUSAL: &[u8] = br#"{"code":500,"msg":"no"}"#;

#[tokio::test]
async fn a_refusal_is_read_however_it_is_written() {
    let marked = [b"\xef\xbb\xbf", REFUSAL].concat();
    let big = [
        br#"{"log":""#,
        "x".repeat(70_000).as_bytes(),
        br#"","code":500}"#,
    ]
    .concat();
    let packed = gzip(&big);
    let gzipped = format!("content-encoding: gzip\r\n{}", length(&packed));
    let chunked = [b"17\r\n", REFUSAL, b"\r\n0\r\n\r\n"].concat();
    for answer in [
        ok(&length(REFUSAL), REFUSAL),
        ok(&length(&marked), &marked),
        ok(&length(&big), &big),
        ok(&gzipped, &packed),
        ok("transfer-encoding: chunked", &chunked),
        ok("connection: close", REFUSAL),
    ] {
        let outcome = usually(answer).await;
        assert_eq!(outcome.rule, "refused", "{outcome:?}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_ambiguous_and_says_why() {
    let big = [
        br#"{"log":""#,
        "x".repeat(300_000).as_bytes(),
        br#"","code":500}"#,
    ]
    .concat();
    let packed = gzip(REFUSAL);
    let torn = &packed[..packed.len() - 12];
    let mut wrong = packed.clone();
    let last = wrong.len() - 6;
    wrong[last] ^= 1;
    let gzipped = |body: &[u8]| format!("content-encoding: gzip\r\n{}", length(body));
    let cut = br#"{"msg":"no""#;
    for (answer, why) in [
        (
            ok("content-length: 500", cut),
            "the answer ended after 11 of 500 bytes",
        ),
        (
            ok("transfer-encoding: chunked", b"b\r\n{\"msg\":\"no\"\r\n"),
            "the answer ended after 11 bytes, before its end",
        ),
        (
            ok(&length(&big), &big),
            "the answer of 300021 bytes is longer than 256 KiB",
        ),
        (
            ok(&gzipped(&gzip(&big)), &gzip(&big)),
            "the answer is longer than 256 KiB",
        ),
        (
            ok(&gzipped(torn), torn),
            "the answer is packed (gzip), and the packing is broken or ends early",
        ),
        (
            ok(&gzipped(&wrong), &wrong),
            "the answer is packed (gzip), and the packing is broken or ends early",
        ),
        (
            ok("content-length: 0", b""),
            "the answer is empty, not JSON",
        ),
        (
            ok("connection: close", cut),
            "the answer is not JSON although its content-type says so",
        ),
        (
            ok(&length(b"\xd5\xc5"), b"\xd5\xc5"),
            "the answer is no UTF-8, and names no other charset",
        ),
    ] {
        let outcome = usually(answer).await;
        assert_eq!(
            (outcome.kind.as_str(), outcome.rule.as_str()),
            ("ambiguous", "unreadable"),
            "{outcome:?}"
        );
        let said = format!("the destination answered 200 OK, and {why}: ");
        assert!(outcome.reason.starts_with(&said), "{}", outcome.reason);
    }
}

#[tokio::test]
async fn a_body_that_stops_is_an_answer_that_could_not_be_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream
            .write_all(&ok("content-length: 9", b"{\"code\""))
            .await;
        std::future::pending::<()>().await;
    });
    let short = Delivery::new("d", 1, Duration::from_millis(300), EVENT);
    let outcome = sink(usual(&url)).expect("valid").deliver(&short).await;
    assert_eq!(outcome.rule, "unreadable", "{outcome:?}");
    assert!(
        outcome.reason.contains("stopped after 7 bytes"),
        "{outcome:?}"
    );
    served.abort();
}

/// A body that no rule can be judged by.
fn unreadable() -> impl Strategy<Value = Vec<u8>> {
    let cut = "[ -~]{0,60}".prop_map(|text| {
        let promised = text.len() + 100;
        ok(&format!("content-length: {promised}"), text.as_bytes())
    });
    let chunk = "[a-z{}\":,]{1,90}".prop_map(|text| {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        ok("transfer-encoding: chunked", chunk.as_bytes())
    });
    let page = "<(!doctype html|html|h1)>.{0,40}"
        .prop_map(|text| ok(&length(text.as_bytes()), text.as_bytes()));
    let text = "[a-z]{0,20}[{\\[][a-z :]{0,20}"
        .prop_map(|text| ok(&length(text.as_bytes()), text.as_bytes()));
    let bytes =
        proptest::collection::vec(128_u8..=191, 1..40).prop_map(|body| ok(&length(&body), &body));
    let long = (262_200_usize..300_000).prop_map(|count| {
        let body = format!(
            "{{\"code\":0,\"errcode\":0,\"errorCode\":0,\"x\":\"{}\"}}",
            "x".repeat(count)
        );
        ok(&length(body.as_bytes()), body.as_bytes())
    });
    let packed = (1_usize..20).prop_map(|lost| {
        let body = gzip(br#"{"code":0,"errcode":0,"errorCode":0,"id":1}"#);
        let body = &body[..body.len() - lost];
        ok(&format!("content-encoding: gzip\r\n{}", length(body)), body)
    });
    let foreign = Just(ok("content-encoding: br\r\ncontent-length: 2", b"{}"));
    prop_oneof![cut, chunk, page, text, bytes, long, packed, foreign]
}

/// Presets whose destinations say in a 200 what they did not take, with a place for a URL.
const TALKING: [&str; 9] = [
    "feishu-bot",
    "dingtalk-robot",
    "wecom-robot",
    "slack",
    "hubspot",
    "frappe",
    "odoo",
    "feishu-bitable",
    "tryton",
];

async fn by_preset(preset: &str, answer: Vec<u8>) -> (Outcome, usize) {
    let server = raw(answer).await;
    let mut given = given(preset);
    given["url"] = json!(server.url);
    if preset == "feishu-bitable" {
        given["auth"] = json!({"kind": "bearer", "token": "TOKEN"});
    }
    let written = serde_json::from_value(given).expect("a table");
    let sink =
        testing::create::<HttpSink>(&written, Host::detached("crm", Tables::new())).expect("good");
    let delivery = Delivery::new(
        "d",
        1,
        Duration::from_secs(10),
        super::presets::event().to_string(),
    );
    let outcome = sink.deliver(&delivery).await;
    let requests = outcome.request.lines().count();
    (outcome, requests)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_could_not_be_read_is_never_delivered_and_never_not_there(
        answer in unreadable(), preset in 0..TALKING.len(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let outcome = usually(answer.clone()).await;
            prop_assert_eq!(outcome.kind.as_str(), "ambiguous", "{:?}", outcome);
            let (outcome, requests) = by_preset(TALKING[preset], answer).await;
            // A look is asked again; nothing is made after it.
            let steps = outcome.rule.contains('/');
            let wanted = if steps { "retry" } else { "ambiguous" };
            prop_assert_eq!(outcome.kind.as_str(), wanted, "{}: {:?}", TALKING[preset], outcome);
            prop_assert_eq!(requests, 1, "{:?}", outcome);
            Ok(())
        })?;
    }
}

/// The README's example of steps, its settings as JSON.
fn readme() -> Value {
    let text = include_str!("../../README.md");
    let section = text.split("## Several steps").nth(1).expect("the section");
    let example = section
        .split("```toml")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let example: toml::Table = toml::from_str(example.expect("an example")).expect("TOML");
    let settings = serde_json::to_value(&example["sinks"]["crm"]["settings"]);
    settings.expect("JSON")
}

#[tokio::test]
async fn the_readmes_customer_is_looked_for_and_made_only_if_the_crm_says_it_is_not_there() {
    for (look, made, kind) in [
        ("[]", "GET POST POST", "delivered"),
        (r#"[{"id":3}]"#, "GET POST", "delivered"),
        ("\u{feff}[{\"id\":3}]", "GET POST", "delivered"),
        ("<!doctype html><form action=login>", "GET", "retry"),
        ("", "GET", "retry"),
        ("null", "GET", "retry"),
        (r#"{"error":"not logged in"}"#, "GET", "retry"),
        ("[{\"id\":3}", "GET", "retry"),
    ] {
        let server = super::server::start(move |request| {
            let look = if request.starts_with("GET") {
                look
            } else {
                r#"{"id":7}"#
            };
            (200, look.to_owned())
        })
        .await;
        let mut given = readme();
        given["url"] = json!(server.url);
        given["auth"]["token"] = json!("TOKEN");
        let delivery = Delivery::new(
            "d",
            1,
            Duration::from_secs(10),
            super::presets::event().to_string(),
        );
        let outcome = sink(settings_of(given))
            .expect("valid")
            .deliver(&delivery)
            .await;
        let requests = server.requests();
        let methods: Vec<_> = requests
            .iter()
            .filter_map(|one| one.split(' ').next())
            .collect();
        assert_eq!(methods.join(" "), made, "{look}: {outcome:?}");
        assert_eq!(outcome.kind.as_str(), kind, "{look}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_look_without_rules_of_its_own_does_not_take_a_web_page_for_nobody() {
    for look in ["<html>login</html>", "", "[{\"id\":3}"] {
        let server = super::server::start(move |_| (200, look.to_owned())).await;
        let given = json!({"url": server.url, "steps": [
            {"name": "look", "method": "GET", "extract": {"id": "{{ body[0].id if body else none }}"}},
            {"name": "make", "when": "steps.look.id is none"},
        ]});
        let outcome = sink(settings_of(given))
            .expect("valid")
            .deliver(&delivery())
            .await;
        assert_eq!(
            (outcome.kind, outcome.retry_after),
            (OutcomeKind::Retry, None),
            "{outcome:?}"
        );
        assert_eq!(outcome.rule, "look/unreadable");
        assert!(
            outcome.reason.contains("nobody knows its `id`"),
            "{outcome:?}"
        );
        assert_eq!(server.requests().len(), 1);
    }
    // What was made and not told is in doubt, not refused.
    let server = super::server::start(|_| (201, "<html>".to_owned())).await;
    let given = json!({"url": server.url, "steps": [
        {"name": "make", "extract": {"id": "{{ body.id }}"}}, {"name": "lead"},
    ]});
    let outcome = sink(settings_of(given))
        .expect("valid")
        .deliver(&delivery())
        .await;
    assert_eq!(
        (outcome.kind, outcome.rule.as_str()),
        (OutcomeKind::Ambiguous, "make/unreadable")
    );
}

#[tokio::test]
async fn a_token_in_an_answer_that_cannot_be_read_is_not_a_token_that_is_refused() {
    let auth = |url: &str| json!({"kind": "token_request", "token_url": url, "token": "{{ body.t }}", "ok_when": "body.code == 0"});
    let gbk = encoding_rs::GBK
        .encode(r#"{"code":0,"t":"t1","msg":"成功"}"#)
        .0
        .into_owned();
    let good = ok(&length(&gbk), &gbk);
    let good = String::from_utf8_lossy(&good[..good.len() - gbk.len()])
        .replace("json", "json; charset=gbk")
        .into_bytes();
    let good = [good, gbk].concat();
    let page = b"<html>login</html>";
    for (answer, rule, reason) in [
        (
            ok(&length(page), page),
            "token-unreadable",
            "the token endpoint answered 200, and the answer is a web page, not JSON: a login or an error page?",
        ),
        (
            ok("content-length: 90", b"{\"code\":0"),
            "token-unreadable",
            "the token endpoint answered 200, and the answer ended after 9 of 90 bytes",
        ),
        (
            ok("content-length: 10", b"{\"code\":0}"),
            "token",
            "the token endpoint answered 200, and there is no token where `auth` looks for it",
        ),
        (
            ok("content-length: 2", b"{}"),
            "token",
            "the token endpoint answered 200, and `auth.ok_when` does not hold for what is in it",
        ),
        (good, "status-2xx", ""),
    ] {
        let tokens = raw(answer).await;
        let server = super::server::start(|_| (200, "{}".to_owned())).await;
        let given = json!({"url": server.url, "auth": auth(&tokens.url)});
        let outcome = sink(settings_of(given))
            .expect("valid")
            .deliver(&delivery())
            .await;
        assert_eq!(
            (outcome.rule.as_str(), outcome.reason.as_str()),
            (rule, reason)
        );
    }
}

#[tokio::test]
async fn a_redirect_says_where_to_and_what_that_looks_like() {
    for (place, said) in [
        (
            "https://sso.example/login?next=%2F&token=t0p",
            "302 Found to https://sso.example/login; that looks like a login page",
        ),
        (
            "/new/13567658911?x=1",
            "302 Found to /new/***; redirects are not followed",
        ),
    ] {
        let head = format!("HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n");
        let outcome = usually(head.into_bytes()).await;
        assert_eq!(outcome.rule, "redirect", "{outcome:?}");
        assert!(outcome.reason.contains(said), "{}", outcome.reason);
        assert!(!outcome.reason.contains("t0p"), "{}", outcome.reason);
    }
}
