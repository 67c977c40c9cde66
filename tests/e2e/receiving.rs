//! Receiving: what is said to whom, and what becomes of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leadgate_tests::{Crm, Daemon, REFUSED, SAMPLE, SUCCESS, Setup, Shop, Wire, post, until};
use serde_json::{Value, json};

/// Vectors that the official check accepts and leadgate chooses to refuse.
const REFUSED_BY_CHOICE: [&str; 5] = [
    "ctype-027",
    "form-047",
    "query-086",
    "sign-112",
    "charset-141",
];

#[test]
fn every_signature_vector_gets_its_verdict_over_a_real_socket() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../data/tmall-vectors.json"))
        .expect("the vectors are JSON");
    // Timestamps need the vector's clock; they are tested where it can be passed in.
    let on_the_wire = vectors
        .iter()
        .filter(|vector| vector["checks"] == json!(["sign"]));
    let mut by_secret: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for vector in on_the_wire {
        by_secret
            .entry(vector["secret"].as_str().expect("text"))
            .or_default()
            .push(vector);
    }
    let mut checked = 0;
    for (secret, vectors) in by_secret {
        let mut paths: Vec<&str> = vectors.iter().map(|vector| path(vector)).collect();
        paths.sort_unstable();
        paths.dedup();
        let sources = paths
            .iter()
            .enumerate()
            .skip(1)
            .map(|(number, path)| format!("[sources.more{number}]\n{}", source(path, secret)));
        let daemon = Daemon::start(Setup {
            source: source(paths[0], secret),
            rest: sources.collect::<String>(),
            ..Setup::default()
        });
        for vector in vectors {
            check(&daemon, vector);
            checked += 1;
        }
    }
    assert_eq!(checked, 76, "of {} vectors", vectors.len());
}

fn source(path: &str, secret: &str) -> String {
    format!(
        "kind = \"tmall\"\npath = \"{path}\"\ntimestamp_tolerance = \"off\"\napp_secret = [{}]\n",
        json!(secret)
    )
}

fn path(vector: &Value) -> &str {
    vector["path_and_query"]
        .as_str()
        .expect("text")
        .split('?')
        .next()
        .expect("a path")
}

fn check(daemon: &Daemon, vector: &Value) {
    let id = vector["id"].as_str().expect("text");
    let body = STANDARD
        .decode(vector["body"].as_str().unwrap_or_default())
        .expect("base64");
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n",
        vector["method"].as_str().expect("text"),
        vector["path_and_query"].as_str().expect("text"),
        body.len()
    );
    for header in vector["headers"].as_array().expect("a list") {
        let (name, value) = (
            header[0].as_str().expect("text"),
            header[1].as_str().expect("text"),
        );
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    let mut wire = Wire::open(daemon.public()).expect("connects");
    wire.send(&[head.as_bytes(), &body].concat())
        .expect("sends");
    let answer = wire
        .answer()
        .unwrap_or_else(|error| panic!("{id}: {error}"));
    if id == "query-103" {
        assert_eq!(answer.status, 405, "{id}: PUT is refused by method");
        assert_eq!(answer.json()["result"]["success"], false);
        return;
    }
    let accepted = vector["expect"] == "accept" && !REFUSED_BY_CHOICE.contains(&id);
    if REFUSED_BY_CHOICE.contains(&id) {
        assert_eq!(vector["strictness"], "may_reject", "{id}");
    }
    let expected = if accepted { SUCCESS } else { REFUSED };
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, expected),
        "{id}: {}",
        vector["why"]
    );
}

#[test]
fn a_push_is_answered_stored_and_delivered_with_its_fields() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let answer = daemon.shop().push(SAMPLE).expect("answered");
    assert_eq!((answer.status, answer.body.as_str()), (200, SUCCESS));
    assert!(
        answer
            .head
            .contains("content-type: application/json;charset=utf-8"),
        "{}",
        answer.head
    );
    until("the CRM has it", || crm.taken() == 1);
    let event = crm.received()[0].event();
    let sample: Value = serde_json::from_str(SAMPLE).expect("JSON");
    for (name, value) in sample.as_object().expect("an object") {
        let empty = value == "";
        assert_eq!(
            &event["lead"][name],
            if empty { &Value::Null } else { value },
            "{name}"
        );
    }
    assert_eq!(event["event"], "lead.created");
    assert_eq!(event["source"], "shop");
    assert_eq!(event["raw"], SAMPLE);
    assert_eq!(event["lead"]["phone_e164"], "+8613567658911");
}

#[test]
fn a_repeated_push_is_acknowledged_and_delivered_once() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    for _ in 0..5 {
        assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    }
    until("the lead is delivered", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    assert_eq!(daemon.stat("/leads/accepted"), 1);
    assert_eq!(daemon.stat("/leads/duplicate"), 4);
    assert_eq!(crm.received().len(), 1);
}

#[test]
fn changed_content_is_a_revision_and_older_content_is_history() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let changed = SAMPLE.replace("余杭区", "西湖区").replace(
        "\"gmt_modified\":\"2021-07-17 23:59:59\"",
        "\"gmt_modified\":\"2021-07-18 08:00:00\"",
    );
    let older = SAMPLE.replace("余杭区", "滨江区").replace(
        "\"gmt_modified\":\"2021-07-17 23:59:59\"",
        "\"gmt_modified\":\"2021-07-01 00:00:00\"",
    );
    let push = |lead| {
        assert_eq!(daemon.shop().push(lead).expect("answered").body, SUCCESS);
    };
    push(SAMPLE);
    // One that still waits would be superseded.
    until("the first is delivered", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    push(&changed);
    push(&older);
    until("both revisions are delivered", || {
        daemon.stat("/sinks/crm/delivered") == 2
    });
    let mut events: Vec<_> = crm
        .received()
        .iter()
        .map(leadgate_tests::Received::event)
        .collect();
    events.sort_by_key(|event| event["revision"].as_u64());
    assert_eq!(events.len(), 2, "the older one is kept and not delivered");
    assert_eq!(
        (&events[1]["event"], &events[1]["revision"]),
        (&json!("lead.updated"), &json!(2))
    );
    assert_eq!(events[1]["lead"]["area_name"], "西湖区");
    assert_eq!(events[0]["id"], events[1]["id"]);
    assert_eq!(daemon.stat("/leads/accepted"), 3);
}

#[test]
fn an_authentic_push_that_cannot_be_read_is_quarantined_and_acknowledged() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    for body in ["{\"record_id\":", "[1,2]", "{\"unheard\":1}", "不是 JSON"] {
        assert_eq!(
            daemon.shop().push(body).expect("answered").body,
            SUCCESS,
            "{body}"
        );
    }
    let stale = daemon
        .shop()
        .request_at(SAMPLE.as_bytes(), "2020-01-01 00:00:00".to_owned());
    assert_eq!(daemon.shop().send(&stale).expect("answered").body, SUCCESS);
    assert_eq!(daemon.stat("/leads/quarantined"), 5);
    assert_eq!(daemon.stat("/leads/accepted"), 0);
    assert_eq!(crm.received().len(), 0);
}

#[test]
fn rejecting_instead_of_quarantine_can_be_chosen() {
    let daemon = Daemon::start(Setup {
        source: "kind = \"tmall\"\npath = \"/tmall/leads\"\napp_secret = [\"old\", \"e2e-app-secret\"]\n\
                 on_stale = \"reject\"\non_invalid = \"reject\"\n"
            .to_owned(),
        ..Setup::default()
    });
    let stale = daemon
        .shop()
        .request_at(SAMPLE.as_bytes(), "2020-01-01 00:00:00".to_owned());
    assert_eq!(daemon.shop().send(&stale).expect("answered").body, REFUSED);
    assert_eq!(daemon.shop().push("{").expect("answered").body, REFUSED);
    assert_eq!(
        daemon.shop().push(SAMPLE).expect("answered").body,
        SUCCESS,
        "the second secret is taken"
    );
}

#[test]
fn several_shops_on_one_path_are_told_apart_by_their_keys() {
    let daemon = Daemon::start(Setup {
        source: "kind = \"tmall\"\npath = \"/tmall/leads\"\napp_key = \"11111111\"\napp_secret = \"first\"\n".to_owned(),
        rest: "[sources.second]\nkind = \"tmall\"\npath = \"/tmall/leads\"\napp_key = \"23456789\"\napp_secret = \"second\"\n"
            .to_owned(),
        ..Setup::default()
    });
    // The harness's shop says 23456789.
    let second = Shop::new(daemon.public(), "/tmall/leads", "second");
    assert_eq!(second.push(SAMPLE).expect("answered").body, SUCCESS);
    let first = Shop::new(daemon.public(), "/tmall/leads", "first");
    assert_eq!(
        first.push(SAMPLE).expect("answered").body,
        REFUSED,
        "right secret, wrong application"
    );
}

#[test]
fn every_path_answers_json() {
    let daemon = Daemon::start(Setup {
        server: "max_body = \"64KiB\"\nbody_timeout = \"300ms\"\n".to_owned(),
        ..Setup::default()
    });
    let large = vec![b'x'; 10 << 20];
    let cases: [(&str, &str, &[u8], u16); 6] = [
        ("POST", "/nowhere", b"{}", 404),
        ("GET", "/", b"", 404),
        ("PUT", "/tmall/leads", b"{}", 405),
        ("DELETE", "/tmall/leads", b"", 405),
        ("POST", "/tmall/leads", b"{}", 200),
        ("GET", "/tmall/leads?sign=%zz", b"", 200),
    ];
    for (method, path, body, status) in cases {
        let answer = post(
            daemon.public(),
            method,
            path,
            &[("content-type", "application/json")],
            body,
        )
        .expect(path);
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.json().is_object(), "{method} {path}");
        assert!(
            answer.head.contains("content-type: application/json"),
            "{}",
            answer.head
        );
    }
    // A body that announces itself too large is refused before it is sent.
    let mut wire = Wire::open(daemon.public()).expect("connects");
    wire.send(b"POST /tmall/leads HTTP/1.1\r\nhost: t\r\ncontent-length: 10485760\r\n\r\n")
        .expect("sends");
    let answer = wire.answer().expect("answered");
    assert_eq!(
        (answer.status, answer.json()["result"]["success"].clone()),
        (413, json!(false))
    );
    // One that does not is refused when it has become too large.
    let mut wire = Wire::open(daemon.public()).expect("connects");
    wire.send(b"POST /tmall/leads HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n")
        .expect("sends");
    for chunk in large.chunks(1 << 16).take(3) {
        let head = format!("{:x}\r\n", chunk.len());
        // The server may have answered and closed already.
        let _ = wire
            .send(head.as_bytes())
            .and_then(|()| wire.send(chunk))
            .and_then(|()| wire.send(b"\r\n"));
    }
    assert_eq!(wire.answer().expect("answered").status, 413);
    // Half a body, then nothing.
    let mut wire = Wire::open(daemon.public()).expect("connects");
    wire.send(b"POST /tmall/leads HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n{\"half\":")
        .expect("sends");
    let answer = wire.answer().expect("answered");
    assert_eq!(
        (answer.status, answer.json()["result"]["errCode"].clone()),
        (408, json!("body-timeout"))
    );
}

#[test]
fn what_is_no_request_yet_is_answered_in_json_as_well() {
    let daemon = Daemon::start(Setup {
        server: "header_timeout = \"1s\"\n".to_owned(),
        ..Setup::default()
    });
    let long = format!("GET /?{} HTTP/1.1\r\nhost: t\r\n\r\n", "a".repeat(200_000));
    let cases: [(&[u8], u16, &str); 4] = [
        (
            b"POST /tmall/leads HTTP/1.1\r\nhost: t\r\nx-slow: ",
            408,
            "header-timeout",
        ),
        (b"GARBAGE\r\n\r\n", 400, "bad-request"),
        (
            b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: x\r\n\r\n",
            400,
            "bad-request",
        ),
        (long.as_bytes(), 431, "headers-too-large"),
    ];
    for (bytes, status, code) in cases {
        let mut wire = Wire::open(daemon.public()).expect("connects");
        wire.send(bytes).expect("sends");
        let answer = wire.answer().expect(code);
        assert_eq!(
            (answer.status, &answer.json()["result"]["errCode"]),
            (status, &json!(code))
        );
        assert!(
            answer.head.contains("content-type: application/json"),
            "{}",
            answer.head
        );
    }
}
