//! Authentication against a loopback server that gives tokens and refuses old ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;

/// A server at which only the token `t{good}` is good; `/token` gives `t1`, `t2` and so on.
async fn server(good: usize) -> super::server::Server {
    let given = AtomicUsize::new(0);
    super::server::start(move |request| {
        if request.starts_with("POST /token") {
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            let answer = json!({"code": 0, "access_token": format!("t{number}"), "expires_in": 7200, "refresh_token": format!("r{number}")});
            return (200, answer.to_string());
        }
        if request.contains(&format!("Bearer t{good}\r\n")) || request.contains(&format!("access_token=t{good} ")) {
            (200, r#"{"id":"crm-1"}"#.to_owned())
        } else {
            (401, r#"{"error":"expired"}"#.to_owned())
        }
    })
    .await
}

fn sink_with(server: &super::server::Server, mut auth: Value) -> HttpSink {
    auth["token_url"] = json!(format!("{}/token", server.url));
    sink(settings_of(
        json!({"url": format!("{}/leads", server.url), "auth": auth}),
    ))
    .expect("valid")
}

fn credentials() -> Value {
    json!({"kind": "oauth2_client_credentials", "client_id": "me", "client_secret": "s3cret!", "scope": "leads"})
}

fn count(server: &super::server::Server, path: &str) -> usize {
    let line = format!("POST {path}");
    server
        .requests()
        .iter()
        .filter(|request| request.starts_with(&line))
        .count()
}

/// What becomes of so many deliveries that are attempted at the same time.
async fn at_once(count: usize, sink: HttpSink) -> Vec<Outcome> {
    let sink = Arc::new(sink);
    let attempts: Vec<_> = (0..count)
        .map(|_| {
            let sink = Arc::clone(&sink);
            tokio::spawn(async move { sink.deliver(&delivery()).await })
        })
        .collect();
    let mut outcomes = Vec::with_capacity(count);
    for attempt in attempts {
        outcomes.push(attempt.await.expect("ran"));
    }
    outcomes
}

#[tokio::test]
async fn one_token_serves_all_and_is_fetched_once() {
    let server = server(1).await;
    for outcome in at_once(20, sink_with(&server, credentials())).await {
        assert_eq!(
            (outcome.kind, outcome.receipt.as_str()),
            (OutcomeKind::Delivered, "crm-1"),
            "{outcome:?}"
        );
    }
    assert_eq!(
        (count(&server, "/token"), count(&server, "/leads")),
        (1, 20)
    );
    let token = server.requests().remove(0);
    assert!(
        token.ends_with(
            "grant_type=client_credentials&scope=leads&client_id=me&client_secret=s3cret%21"
        ),
        "{token}"
    );
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_for_all_and_the_lead_delivered() {
    let server = server(2).await;
    for outcome in at_once(10, sink_with(&server, credentials())).await {
        assert!(outcome.kind == OutcomeKind::Delivered, "{outcome:?}");
    }
    assert_eq!(count(&server, "/token"), 2);
}

#[tokio::test]
async fn a_second_refusal_is_not_the_token_and_is_said() {
    let server = server(99).await;
    let sink = sink_with(&server, credentials());
    let outcome = sink.deliver(&delivery()).await;
    assert_eq!(
        (outcome.kind, outcome.rule.as_str()),
        (OutcomeKind::Reauth, "status-401")
    );
    assert!(!format!("{outcome:?}").contains("s3cret"), "{outcome:?}");
    assert_eq!((count(&server, "/token"), count(&server, "/leads")), (2, 2));
}

#[tokio::test]
async fn a_rule_can_ask_for_another_token_too() {
    let given = AtomicUsize::new(0);
    let server = super::server::start(move |request| {
        if request.starts_with("POST /token") {
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            return (
                200,
                json!({"code": 0, "tenant_access_token": format!("t-{number}"), "expire": 7200})
                    .to_string(),
            );
        }
        let code = if request.contains("authorization: Bearer t-2\r\n") {
            0
        } else {
            99_991_663
        };
        (200, json!({"code": code}).to_string())
    })
    .await;
    let settings = settings_of(json!({
        "url": format!("{}/records", server.url),
        "auth": {
            "kind": "token_request", "token_url": format!("{}/token", server.url),
            "body": {"app_id": "cli", "app_secret": "s3cret!"}, "token": "{{ body.tenant_access_token }}",
            "expires_in": "{{ body.expire }}", "ok_when": "body.code == 0",
        },
        "classify": [
            {"when": "body.code == 0", "outcome": "delivered"},
            {"when": "body.code == 99991663", "outcome": "reauth"},
        ],
    }));
    let outcome = sink(settings).expect("valid").deliver(&delivery()).await;
    assert!(outcome.kind == OutcomeKind::Delivered, "{outcome:?}");
    let token = server.requests().remove(0);
    assert!(
        token.ends_with(r#"{"app_id":"cli","app_secret":"s3cret!"}"#),
        "{token}"
    );
}

#[tokio::test]
async fn a_token_endpoint_that_refuses_or_fails_sends_no_lead() {
    for (status, body, kind, reason) in [
        (
            400,
            r#"{"error":"invalid_client","error_description":"s3cret! is wrong"}"#,
            OutcomeKind::Reauth,
            "the token endpoint answered 400 invalid_client",
        ),
        (
            503,
            "",
            OutcomeKind::Retry,
            "the token endpoint answered 503",
        ),
        (
            200,
            r#"{"code":7}"#,
            OutcomeKind::Reauth,
            "the token endpoint answered 200 7",
        ),
    ] {
        let server = super::server::start(move |_| (status, body.to_owned())).await;
        let sink = sink_with(&server, credentials());
        let outcome = sink.deliver(&delivery()).await;
        assert_eq!(
            (outcome.kind, outcome.retry_after, outcome.reason.as_str()),
            (kind, None, reason)
        );
        // The next one is not let through to an endpoint that has just failed.
        sink.deliver(&delivery()).await;
        assert_eq!((count(&server, "/token"), count(&server, "/leads")), (1, 0));
    }
}

#[tokio::test]
async fn a_refresh_token_that_was_replaced_is_not_used_again() {
    let server = server(2).await;
    let auth = json!({"kind": "oauth2_refresh_token", "client_id": "me", "client_secret": "s3cret!", "refresh_token": "r0", "client_basic": true, "token_query": "access_token"});
    let outcome = sink_with(&server, auth).deliver(&delivery()).await;
    assert!(outcome.kind == OutcomeKind::Delivered, "{outcome:?}");
    let requests = server.requests();
    let tokens: Vec<_> = requests
        .iter()
        .filter(|request| request.starts_with("POST /token"))
        .collect();
    assert!(
        tokens[0].ends_with("grant_type=refresh_token&refresh_token=r0")
            && tokens[0].contains("authorization: Basic bWU6czNjcmV0IQ=="),
        "{}",
        tokens[0]
    );
    assert!(
        tokens[1].ends_with("grant_type=refresh_token&refresh_token=r1"),
        "{}",
        tokens[1]
    );
    assert!(
        requests
            .last()
            .is_some_and(|last| last.starts_with("POST /leads?access_token=t2 "))
    );
}

#[tokio::test]
async fn users_and_assertions_get_tokens_as_well() {
    let server = server(1).await;
    let auth = json!({"kind": "oauth2_password", "client_id": "me", "client_secret": "x", "username": "u", "password": "p&w"});
    assert_eq!(
        sink_with(&server, auth).deliver(&delivery()).await.kind,
        OutcomeKind::Delivered
    );
    assert!(
        server.requests()[0].ends_with(
            "grant_type=password&password=p%26w&username=u&client_id=me&client_secret=x"
        )
    );

    let server = super::auth::server(1).await;
    let auth = json!({"kind": "oauth2_jwt_bearer", "client_id": "me", "subject": "u@example", "audience": "https://login.example", "private_key": crate::jwt::TEST_KEY});
    assert_eq!(
        sink_with(&server, auth).deliver(&delivery()).await.kind,
        OutcomeKind::Delivered
    );
    assert!(server.requests()[0].contains(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=eyJ"
    ));
}

#[tokio::test]
async fn fixed_ways_are_sent_and_never_shown() {
    for (auth, sent) in [
        (
            json!({"kind": "basic", "username": "me", "password": "topsecret"}),
            "authorization: Basic bWU6dG9wc2VjcmV0\r\n",
        ),
        (
            json!({"kind": "bearer", "token": "topsecret"}),
            "authorization: Bearer topsecret\r\n",
        ),
        (
            json!({"kind": "header", "name": "x-api-key", "value": "topsecret"}),
            "x-api-key: topsecret\r\n",
        ),
        (
            json!({"kind": "query", "name": "key", "value": "topsecret"}),
            "POST /?key=topsecret HTTP",
        ),
    ] {
        let server = super::server::start(|_| (200, String::new())).await;
        let settings = settings_of(json!({"url": server.url, "auth": auth}));
        let sink = sink(settings).expect("valid");
        let outcome = sink.deliver(&delivery()).await;
        assert!(
            server.requests()[0].contains(sent),
            "{}",
            server.requests()[0]
        );
        let shown = sink.render(&delivery()).expect("renders").expect("can");
        for text in [format!("{outcome:?}"), shown] {
            assert!(
                !text.contains("topsecret") && !text.contains("bWU6"),
                "{text}"
            );
        }
    }
}

#[test]
fn what_a_kind_needs_and_what_it_does_not_know_is_said_at_once() {
    for (auth, places) in [
        (json!({"kind": "none", "token": "x"}), vec!["/auth/token"]),
        (json!({"kind": "basic", "username": "x"}), vec!["/auth"]),
        (
            json!({"kind": "bearer", "token": "x\n", "scope": "y"}),
            vec!["/auth/scope", "/auth/token"],
        ),
        (
            json!({"kind": "header", "name": "a b", "value": "x"}),
            vec!["/auth/name"],
        ),
        (
            json!({"kind": "oauth2_client_credentials", "token_url": "https://{{ name }}/"}),
            vec!["/auth", "/auth", "/auth/token_url"],
        ),
        (
            json!({"kind": "token_request", "token_url": "https://a.example/", "token": "{{ bdy.t }}"}),
            vec!["/auth/token"],
        ),
        (
            json!({"kind": "oauth2_jwt_bearer", "token_url": "https://a.example/", "client_id": "a", "subject": "b", "private_key": "c"}),
            vec!["/auth/private_key"],
        ),
    ] {
        let settings = settings_of(json!({"url": "https://crm.example/", "auth": auth}));
        let problems = problems(&settings);
        let mut found: Vec<_> = problems.into_iter().map(|problem| problem.path).collect();
        found.sort();
        assert_eq!(found, places, "{auth}");
    }
    let settings = settings_of(
        json!({"url": "https://crm.example/", "headers": {"Authorization": "x"}, "auth": {"kind": "bearer", "token": "y"}}),
    );
    let problems = problems(&settings);
    assert!(format!("{problems:?}").contains("`auth` sets this header already"));
}

#[tokio::test]
async fn who_waits_for_a_token_in_vain_has_sent_nothing() {
    // Accepts, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!(
        "http://{}/token",
        listener.local_addr().expect("an address")
    );
    let mut auth = credentials();
    auth["token_url"] = json!(url);
    let sink = Arc::new(
        sink(settings_of(
            json!({"url": "http://127.0.0.1:1/", "auth": auth}),
        ))
        .expect("valid"),
    );
    let short = || Delivery::new("d", 1, Duration::from_millis(300), EVENT);
    let (first, second) = (short(), short());
    let (first, second) = futures(sink.deliver(&first), sink.deliver(&second)).await;
    for outcome in [first, second] {
        assert_eq!(
            (outcome.kind, outcome.retry_after, outcome.rule.as_str()),
            (OutcomeKind::Retry, None, "token-timeout")
        );
    }
}

async fn futures(
    one: impl Future<Output = Outcome>,
    other: impl Future<Output = Outcome>,
) -> (Outcome, Outcome) {
    tokio::join!(one, other)
}
