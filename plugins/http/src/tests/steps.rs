//! Several steps: what each sends, what a retry sends again, and how mistakes are found.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::*;

/// Look for a customer, make one if there is none, make a lead of it.
fn crm(url: &str) -> Value {
    json!({
        "url": format!("{url}/api/"),
        "headers": {"x-key": "topsecret"},
        "classify": [
            {"when": "body.busy == true", "outcome": "throttled", "after": "9s", "name": "busy"},
            {"when": "status in [200, 201]", "outcome": "delivered", "name": "taken"},
        ],
        "steps": [
            {
                "name": "look", "method": "GET", "url": "/party?phone={{ phone }}",
                "extract": {"id": "{{ body[0].id if body else none }}"},
            },
            {
                "name": "party", "when": "steps.look.id is none", "url": "/party",
                "body": {"name": "{{ name }}"}, "extract": {"id": "{{ body.id }}"},
            },
            {
                "name": "lead", "url": "/party/{{ steps.look.id or steps.party.id }}/lead",
                "method": "PUT",
                "body": {"party": "{{ steps.look.id or steps.party.id }}", "reference": "{{ record_id }}"},
                "classify": [{"when": "status == 409", "outcome": "duplicate", "name": "there"}],
            },
        ],
    })
}

fn lines(requests: &[String]) -> Vec<String> {
    let first = |request: &String| request.lines().next().unwrap_or_default().to_owned();
    requests.iter().map(first).collect()
}

async fn attempt(sink: &HttpSink, delivery: &Delivery) -> Outcome {
    sink.deliver(delivery).await
}

#[tokio::test]
async fn each_step_sees_what_the_ones_before_gave() {
    let server = server::start(|request| {
        let body = match request.split(' ').next() {
            Some("GET") => "[]",
            Some("POST") => r#"{"id":7}"#,
            _ => r#"{"id":"lead-9"}"#,
        };
        (200, body.to_owned())
    })
    .await;
    let sink = sink(settings_of(crm(&server.url))).expect("valid");
    let outcome = attempt(&sink, &delivery()).await;
    let receipt = "lead-9".to_owned();
    assert_eq!(
        (outcome.kind, &outcome.receipt),
        (OutcomeKind::Delivered, &receipt)
    );
    assert_eq!(outcome.rule, "lead/taken");
    let requests = server.requests();
    assert_eq!(
        lines(&requests),
        [
            "GET /api/party?phone=13567658911 HTTP/1.1",
            "POST /api/party HTTP/1.1",
            "PUT /api/party/7/lead HTTP/1.1"
        ]
    );
    assert!(
        requests[2].ends_with(r#"{"party":7,"reference":371009}"#),
        "{}",
        requests[2]
    );
    for (request, key) in requests.iter().zip(["look", "party", "lead"]) {
        assert!(request.contains("x-key: topsecret"), "{request}");
        assert!(
            request.contains(&format!("idempotency-key: 0198-delivery-{key}")),
            "{request}"
        );
    }
    let sent: Vec<_> = outcome.request.lines().collect();
    assert_eq!(sent.len(), 3, "{sent:?}");
    assert!(sent[1].starts_with("party: POST http://"), "{sent:?}");
    assert!(!outcome.request.contains("13567658911"), "{sent:?}");
}

#[tokio::test]
async fn a_step_whose_condition_does_not_hold_is_not_sent() {
    let server = server::start(|request| {
        let found = request.starts_with("GET");
        (200, if found { r#"[{"id":3}]"# } else { "{}" }.to_owned())
    })
    .await;
    let sink = sink(settings_of(crm(&server.url))).expect("valid");
    attempt(&sink, &delivery()).await;
    assert_eq!(
        lines(&server.requests()),
        [
            "GET /api/party?phone=13567658911 HTTP/1.1",
            "PUT /api/party/3/lead HTTP/1.1"
        ]
    );
}

#[tokio::test]
async fn a_retry_goes_on_behind_the_steps_that_are_done_and_looks_again() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let server = server::start(move |request| match request.split(' ').next() {
        Some("GET") => (200, "[]".to_owned()),
        Some("POST") => (201, r#"{"id":7}"#.to_owned()),
        _ if counted.fetch_add(1, Ordering::Relaxed) == 0 => (503, String::new()),
        _ => (200, r#"{"id":9}"#.to_owned()),
    })
    .await;
    let settings = settings_of(crm(&server.url));
    let first = delivery();
    let broken = attempt(&sink(settings.clone()).expect("valid"), &first).await;
    assert!(broken.kind == OutcomeKind::Retry, "{broken:?}");
    assert_eq!(broken.rule, "lead/status-5xx");
    assert!(broken.reason.starts_with("step `lead`: "), "{broken:?}");
    let record = first.step_record();
    assert!(
        !record.contains("look") && !record.contains("topsecret"),
        "{record}"
    );

    // Another process, with what the gateway kept.
    let second = delivery();
    second.keep(&record).expect("short");
    let done = attempt(&sink(settings).expect("valid"), &second).await;
    let receipt = "9".to_owned();
    assert_eq!(
        (done.kind, &done.receipt),
        (OutcomeKind::Delivered, &receipt)
    );
    assert!(
        done.request.contains("party: done in an earlier attempt"),
        "{done:?}"
    );
    let lines = lines(&server.requests());
    let count = |method: &str| lines.iter().filter(|line| line.starts_with(method)).count();
    assert_eq!(
        (count("GET"), count("POST"), count("PUT")),
        (2, 1, 2),
        "{lines:?}"
    );
}

#[tokio::test]
async fn what_is_all_done_is_not_sent_again() {
    let server = server::start(|_| (200, r#"{"id":7}"#.to_owned())).await;
    let settings = settings_of(json!({
        "url": server.url,
        "steps": [{"name": "make", "body": {"a": "{{ name }}"}}],
    }));
    let sink = sink(settings).expect("valid");
    let delivery = delivery();
    // A crash between the answer and the end of the attempt.
    attempt(&sink, &delivery).await;
    let outcome = attempt(&sink, &delivery).await;
    let receipt = "7".to_owned();
    assert_eq!(
        (outcome.kind, &outcome.receipt),
        (OutcomeKind::Delivered, &receipt)
    );
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_rules_of_a_step_come_before_those_of_the_sink() {
    let server = server::start(|request| match request.split(' ').next() {
        Some("GET") => (200, r#"[{"id":3}]"#.to_owned()),
        _ => (409, r#"{"busy":true}"#.to_owned()),
    })
    .await;
    let sink = sink(settings_of(crm(&server.url))).expect("valid");
    let outcome = attempt(&sink, &delivery()).await;
    assert_eq!(
        (outcome.kind, outcome.rule.as_str()),
        (OutcomeKind::Duplicate, "lead/there")
    );

    let server = server::start(|_| (500, r#"{"busy":true}"#.to_owned())).await;
    let sink = super::sink(settings_of(crm(&server.url))).expect("valid");
    let outcome = attempt(&sink, &delivery()).await;
    let after = Some(Duration::from_secs(9));
    assert_eq!(
        (outcome.kind, outcome.retry_after, outcome.rule.as_str()),
        (OutcomeKind::Throttled, after, "look/busy")
    );
    assert_eq!(
        server.requests().len(),
        1,
        "nothing follows a step that was not taken"
    );
}

#[tokio::test]
async fn a_look_without_an_answer_is_tried_again_and_never_held() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    // Takes every connection and closes it when the request has come.
    let served = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    let broken = attempt(&sink(settings_of(crm(&url))).expect("valid"), &delivery()).await;
    assert_eq!(
        (broken.kind, broken.retry_after),
        (OutcomeKind::Retry, None),
        "{broken:?}"
    );
    assert_eq!(broken.rule, "look/connection-lost");
    let makes = json!({"url": url, "steps": [{"name": "make"}]});
    let broken = attempt(&sink(settings_of(makes)).expect("valid"), &delivery()).await;
    assert_eq!(broken.kind, OutcomeKind::Ambiguous, "{broken:?}");
    served.abort();
}

#[tokio::test]
async fn an_answer_without_what_it_should_give_is_a_matter_for_a_person() {
    let server = server::start(|request| {
        let empty = request.starts_with("GET");
        (
            200,
            if empty {
                "[]"
            } else {
                r#"{"phone":"13567658911"}"#
            }
            .to_owned(),
        )
    })
    .await;
    let sink = sink(settings_of(crm(&server.url))).expect("valid");
    let outcome = attempt(&sink, &delivery()).await;
    assert_eq!(
        (outcome.kind, outcome.rule.as_str()),
        (OutcomeKind::Rejected, "party/extract")
    );
    assert!(
        outcome
            .reason
            .starts_with("step `party`: the answer gives no `id`")
            && !outcome.reason.contains("13567658911"),
        "{}",
        outcome.reason
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_lead_that_no_step_wants_is_not_taken_for_delivered() {
    let settings = settings_of(json!({
        "url": "http://127.0.0.1:1",
        "steps": [{"name": "make", "when": "record_id == 1"}],
    }));
    let outcome = attempt(&sink(settings).expect("valid"), &delivery()).await;
    assert_eq!(
        (outcome.kind, outcome.rule.as_str()),
        (OutcomeKind::Rejected, "no-step")
    );
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_only_its_step_sent_again() {
    let server = server::start(|request| {
        let line = request.lines().next().unwrap_or_default();
        if line.contains("/token") {
            return (200, r#"{"t":"one"}"#.to_owned());
        }
        let (_, body) = request.split_once("\r\n\r\n").unwrap_or_default();
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        match (line.contains("/b"), body["access"].as_str()) {
            (true, Some("one")) => (401, String::new()),
            (_, Some(_)) => (200, r#"{"id":1}"#.to_owned()),
            _ => (400, String::new()),
        }
    })
    .await;
    let settings = settings_of(json!({
        "url": server.url,
        "auth": {"kind": "token_request", "token_url": format!("{}/token", server.url),
            "token": "{{ body.t }}", "token_body": "access"},
        "steps": [{"name": "a", "url": "/a"}, {"name": "b", "url": "/b", "body": {"x": 1}}],
    }));
    let outcome = attempt(&sink(settings).expect("valid"), &delivery()).await;
    // The second token is no better: that is the end of it.
    assert_eq!(
        (outcome.kind, outcome.rule.as_str()),
        (OutcomeKind::Reauth, "b/status-401")
    );
    assert_eq!(
        lines(&server.requests()),
        [
            "GET /token HTTP/1.1",
            "POST /a HTTP/1.1",
            "POST /b HTTP/1.1",
            "GET /token HTTP/1.1",
            "POST /b HTTP/1.1"
        ]
    );
    assert!(!outcome.request.contains("one") && !outcome.response.contains("one"));
}

#[test]
fn a_look_shows_every_step_with_stand_ins() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sink = sink(settings_of(crm("https://crm.example"))).expect("valid");
    let text = sink.render(&delivery()).expect("renders").expect("can");
    let expected = [
        "# 1. look\nGET https://crm.example/api/party?phone=13567658911\n",
        "# 2. party, when steps.look.id is none\nPOST https://crm.example/api/party\n",
        "# 3. lead\nPUT https://crm.example/api/party/steps.look.id/lead\n",
        "\"party\": \"steps.look.id\"",
    ];
    for part in expected {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("topsecret"), "{text}");
}

#[test]
fn more_than_the_step_record_holds_is_refused() {
    let steps = |count: usize| {
        let one =
            |number| json!({"name": format!("s{number}"), "extract": {"id": "{{ body.id }}"}});
        let steps: Vec<_> = (0..count).map(one).collect();
        problems(&settings_of(
            json!({"url": "https://crm.example", "steps": steps}),
        ))
    };
    assert!(steps(6).is_empty());
    let found: Vec<_> = steps(7).into_iter().collect();
    assert_eq!(found[0].path, "/steps", "{found:?}");
}

#[tokio::test]
async fn what_nobody_reads_of_the_last_answer_may_be_missing() {
    let server = server::start(|_| (200, "{}".to_owned())).await;
    let settings = settings_of(json!({
        "url": server.url,
        "steps": [{"name": "make", "extract": {"id": "{{ body.id }}"}}],
    }));
    let outcome = attempt(&sink(settings).expect("valid"), &delivery()).await;
    assert!(outcome.kind == OutcomeKind::Delivered, "{outcome:?}");
}

#[test]
fn mistakes_in_steps_are_found_with_their_place() {
    let mut given = crm("https://crm.example/{{ name }}");
    let problems_of = |given: &Value| -> Vec<(String, String)> {
        let found = problems(&settings_of(given.clone())).into_iter();
        found
            .map(|problem| (problem.path, problem.message))
            .collect()
    };
    assert_eq!(problems_of(&given)[0].0, "/url");

    given = crm("https://crm.example");
    given["body"] = json!({"a": 1});
    given["steps"][0]["url"] = json!("/party?phone={{ phnoe }}");
    given["steps"][1]["when"] = json!("steps.lead.id is none");
    given["steps"][1]["extract"] = json!({"Id": "{{ body.id }}"});
    given["steps"][2]["name"] = json!("look");
    given["steps"][2]["body"] = json!({"party": "{{ steps.look.number }}"});
    let found = problems_of(&given);
    let places: Vec<_> = found.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(
        places,
        [
            "/body",
            "/steps/0/url",
            "/steps/1/when",
            "/steps/1/extract/Id",
            "/steps/2/name",
            "/steps/2/url",
            "/steps/2/body/party"
        ],
        "{found:?}"
    );
    let url = problems(&settings_of(given));
    let url = url.into_iter().nth(1).expect("found");
    assert_eq!(
        (url.help.as_str(), url.range),
        ("did you mean `phone`?", Some(16..21))
    );
}
