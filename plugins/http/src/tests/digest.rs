//! The digest: what goes together, who hears what of it, and what cannot be one.

use futures_util::future::join_all;
use leadgate_plugin::testing;
use serde_json::json;

use super::*;

fn lead(record: u64) -> Delivery {
    let event = json!({
        "event": "lead.created", "id": "L", "revision": 1, "source": "shop", "received_at": "T",
        "lead": {"name": format!("客人{record}"), "phone": "13567658911", "record_id": record},
        "labels": {}, "raw": "{}",
    });
    let id = format!("0198-{record}");
    Delivery::new(id, 1, Duration::from_secs(10), event.to_string())
}

fn robot(url: &str, every: &str) -> Value {
    json!({
        "url": url,
        "body": {"text": "{{ record_id }}"},
        "digest": {"every": every, "body": {
            "text": "{{ count }}:{% for lead in leads %} {{ lead.record_id }}{% endfor %}",
        }},
    })
}

fn texts(requests: &[String]) -> Vec<String> {
    let body = |request: &String| {
        let (_, body) = request.split_once("\r\n\r\n").unwrap_or_default();
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        body["text"]
            .as_str()
            .map_or_else(|| body["text"].to_string(), str::to_owned)
    };
    requests.iter().map(body).collect()
}

#[tokio::test]
async fn a_burst_is_the_first_lead_at_once_and_one_message_for_all_others() {
    let server = server::start(|_| (200, r#"{"id":"m"}"#.to_owned())).await;
    let sink = sink(settings_of(robot(&server.url, "300ms"))).expect("valid");
    let first = lead(1);
    let began = Instant::now();
    let done = sink.deliver(&first).await;
    assert!(done.kind == OutcomeKind::Delivered, "{done:?}");
    let leads: Vec<_> = (2..=6).map(lead).collect();
    let outcomes = join_all(leads.iter().map(|lead| sink.deliver(lead))).await;
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "the destination had its rest"
    );
    for outcome in &outcomes {
        assert!(outcome.kind == OutcomeKind::Delivered, "{outcome:?}");
        assert!(outcome.request.ends_with("for 5 leads"), "{outcome:?}");
    }
    let done = sink.deliver(&lead(7)).await;
    assert!(done.kind == OutcomeKind::Delivered, "{done:?}");
    let requests = server.requests();
    assert_eq!(texts(&requests), ["1", "5: 2 3 4 5 6", "7"]);
    assert!(requests[0].contains("idempotency-key: 0198-1\r\n"));
    assert!(
        requests[1].contains("idempotency-key: digest-"),
        "{}",
        requests[1]
    );
}

#[tokio::test]
async fn all_hear_what_became_of_the_message_and_nothing_of_them_is_kept() {
    let answer = r#"{"code":7,"msg":"客人3 13567658911 refused"}"#;
    let server = server::start(move |_| (429, answer.to_owned())).await;
    let sink = sink(settings_of(robot(&server.url, "100ms"))).expect("valid");
    let leads: Vec<_> = (1..=4).map(lead).collect();
    let outcomes = join_all(leads.iter().map(|lead| sink.deliver(lead))).await;
    for outcome in &outcomes {
        assert!(outcome.kind == OutcomeKind::Throttled, "{outcome:?}");
        let said = format!("{outcome:?}");
        assert!(
            !said.contains("客人") && !said.contains("13567658911"),
            "{said}"
        );
    }
    assert!(
        server.requests().len() <= 2,
        "all at once, or the first alone"
    );
}

#[tokio::test]
async fn a_digest_that_cannot_be_written_costs_no_lead() {
    let server = server::start(|_| (200, r#"{"id":"m"}"#.to_owned())).await;
    let mut given = robot(&server.url, "100ms");
    given["digest"]["body"] = json!({"text": "{% for lead in leads %}{{ lead.nmae }}{% endfor %}"});
    let sink = sink(settings_of(given)).expect("a mistake inside a loop shows only then");
    sink.deliver(&lead(1)).await;
    let leads = [lead(2), lead(3)];
    let outcomes = join_all(leads.iter().map(|lead| sink.deliver(lead))).await;
    for outcome in &outcomes {
        assert!(outcome.kind == OutcomeKind::Delivered, "{outcome:?}");
    }
    assert_eq!(texts(&server.requests()), ["1", "2", "3"]);
}

#[tokio::test]
async fn a_digest_that_is_refused_makes_no_dead_letters_of_all() {
    let server = server::start(|request| {
        let refused = request.contains("\"2: ") || request.contains("\"text\":3");
        (if refused { 400 } else { 200 }, r#"{"id":"m"}"#.to_owned())
    })
    .await;
    let sink = sink(settings_of(robot(&server.url, "100ms"))).expect("valid");
    sink.deliver(&lead(1)).await;
    let leads = [lead(2), lead(3)];
    let outcomes = join_all(leads.iter().map(|lead| sink.deliver(lead))).await;
    assert!(outcomes[0].kind == OutcomeKind::Delivered, "{outcomes:?}");
    assert_eq!(outcomes[1].kind, OutcomeKind::Rejected, "{outcomes:?}");
    assert_eq!(texts(&server.requests()), ["1", "2: 2 3", "2", "3"]);
}

#[test]
fn other_leads_are_another_message() {
    let id = |records: &[u64]| {
        let all: Vec<_> = records.iter().map(|record| lead(*record)).collect();
        crate::digest::message(&all).id().to_owned()
    };
    assert_eq!(id(&[1, 2]), id(&[1, 2]));
    assert_ne!(id(&[1, 2]), id(&[1, 3]));
    assert_ne!(id(&[1]), id(&[1, 2]));
}

#[tokio::test]
async fn a_rest_longer_than_the_attempt_slows_the_sink_down() {
    let server = server::start(|_| (200, r#"{"id":"m"}"#.to_owned())).await;
    let sink = sink(settings_of(robot(&server.url, "30s"))).expect("valid");
    sink.deliver(&lead(1)).await;
    let leads = [lead(2), lead(3)];
    let outcomes = join_all(leads.iter().map(|lead| sink.deliver(lead))).await;
    for outcome in &outcomes {
        assert_eq!(outcome.kind, OutcomeKind::Throttled, "{outcome:?}");
        assert!(
            outcome.retry_after > Some(Duration::from_secs(20)),
            "{outcome:?}"
        );
    }
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_cannot_be_a_digest_is_refused_with_its_place() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut given = robot("https://chat.example/hook", "3s");
        change(&mut given);
        let found = problems(&settings_of(given)).into_iter();
        found
            .map(|problem| format!("{problem} ({})", problem.help))
            .collect::<Vec<_>>()
    };
    assert_eq!(with(&|_| ()), Vec::<String>::new());
    for (change, problem) in [
        (
            (&|given: &mut Value| given["url"] = json!("https://chat.example/{{ record_id }}"))
                as &dyn Fn(&mut Value),
            "settings.digest: several leads cannot share a request whose URL, query or headers \
             are made of one (write them out, or remove `digest`)",
        ),
        (
            &|given| given["digest"]["every"] = json!("2m"),
            "settings.digest.every: longer than a lead should wait (at most 1m, and less than \
             half of the sink's `timeout`)",
        ),
        (
            &|given| {
                given["digest"]["body"] = Value::Null;
                given["body"] = Value::Null;
            },
            "settings.digest: `digest` needs a `body`: what is sent for several leads (a table \
             of templates over `count` and `leads`, or a `body` of the sink, whose texts are then \
             put one below the other)",
        ),
        (
            &|given| given["digest"]["body"]["text"] = json!("{{ cuont }}"),
            "settings.digest.body.text: unknown field `cuont` (did you mean `count`?)",
        ),
    ] {
        assert_eq!(with(change), [problem]);
    }
    let off = |given: &mut Value| {
        given["digest"] = json!({"every": "0s"});
        given["url"] = json!("https://chat.example/{{ record_id }}");
    };
    assert_eq!(with(&off), Vec::<String>::new(), "switched off");
}

/// What 钉钉's robot with the keyword 线索 answers.
fn robot_with_a_keyword(request: &str) -> (u16, String) {
    let taken = request.contains("线索");
    let code = if taken { 0 } else { 310_000 };
    (
        200,
        json!({"errcode": code, "errmsg": "keywords not in content"}).to_string(),
    )
}

fn dingtalk(url: &str, every: &str) -> Value {
    json!({
        "preset": "dingtalk-robot", "url": url,
        "body": {"text": {"content": "线索 {{ record_id }} {{ phone | mask }}"}},
        "digest": {"every": every},
    })
}

fn preset(given: Value) -> HttpSink {
    let written = serde_json::from_value(given).expect("a table");
    testing::create::<HttpSink>(&written, Host::detached("crm", Tables::new())).expect("good")
}

#[tokio::test]
async fn a_text_of_ones_own_is_that_of_the_digest_as_well() {
    let server = server::start(robot_with_a_keyword).await;
    let sink = preset(dingtalk(&server.url, "200ms"));
    let leads: Vec<_> = (1..=40).map(lead).collect();
    sink.deliver(&leads[0]).await;
    let outcomes = join_all(leads[1..].iter().map(|lead| sink.deliver(lead))).await;
    for outcome in &outcomes {
        assert_eq!(outcome.rule, "ok", "{outcome:?}");
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 2, "one alone, and one for all others");
    let (_, body) = requests[1].split_once("\r\n\r\n").expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let text = body["text"]["content"].as_str().expect("a text");
    assert!(
        text.starts_with("线索 2 135****8911\n\n线索 3 135****8911\n\n"),
        "{text}"
    );
    assert!(text.ends_with("线索 40 135****8911"), "{text}");
    assert_eq!(body["msgtype"], "text");
    assert!(!text.contains("客资"), "{text}");
    // A digest of one's own is the digest.
    let mut given = dingtalk(&server.url, "200ms");
    given["digest"]["body"] = json!({"text": {"content": "线索 {{ count }}"}});
    let sink = preset(given);
    sink.deliver(&leads[0]).await;
    join_all(leads[1..3].iter().map(|lead| sink.deliver(lead))).await;
    assert!(server.requests()[3].contains("\"线索 2\""));
}

#[tokio::test]
async fn what_replaces_a_refused_digest_keeps_its_pace() {
    let server = server::start(robot_with_a_keyword).await;
    let mut given = dingtalk(&server.url, "200ms");
    given["digest"]["body"] = json!({"text": {"content": "{{ count }}"}});
    let sink = preset(given);
    let leads: Vec<_> = (1..=6).map(lead).collect();
    let began = Instant::now();
    sink.deliver(&leads[0]).await;
    let outcomes = join_all(leads[1..].iter().map(|lead| sink.deliver(lead))).await;
    for outcome in &outcomes {
        assert_eq!(outcome.rule, "ok", "{outcome:?}");
    }
    assert_eq!(server.requests().len(), 7, "one, the digest, five alone");
    assert!(began.elapsed() >= Duration::from_millis(6 * 200));
    // And so do those that come after it: no other digest is tried for a while.
    let began = Instant::now();
    join_all(leads.iter().map(|lead| sink.deliver(lead))).await;
    assert_eq!(server.requests().len(), 13);
    assert!(began.elapsed() >= Duration::from_millis(5 * 200));
}

#[tokio::test]
async fn leads_whose_turn_comes_too_late_come_back_later_and_not_at_once() {
    let server = server::start(robot_with_a_keyword).await;
    let mut given = dingtalk(&server.url, "1s");
    given["digest"]["body"] = json!({"text": {"content": "{{ count }}"}});
    let sink = preset(given);
    let leads: Vec<_> = (1..=6)
        .map(|record| {
            let whole = lead(record);
            let timeout = Duration::from_millis(2800);
            Delivery::new(whole.id(), 1, timeout, whole.event_bytes())
        })
        .collect();
    sink.deliver(&leads[0]).await;
    let outcomes = join_all(leads[1..].iter().map(|lead| sink.deliver(lead))).await;
    let throttled = |outcome: &&Outcome| {
        outcome.kind == OutcomeKind::Throttled
            && outcome.rule == "digest"
            && outcome.retry_after > Some(Duration::ZERO)
    };
    let late = outcomes.iter().filter(throttled).count();
    assert_eq!(late + server.requests().len(), 7, "{outcomes:?}");
    assert!(late >= 3, "{outcomes:?}");
}
