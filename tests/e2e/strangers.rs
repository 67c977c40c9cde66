//! Strangers: what holding, parking and garbage cost, and what the log says of it.

use std::time::Duration;

use leadgate_tests::{Daemon, REFUSED, SAMPLE, SUCCESS, Setup, Shop, Wire, post, until};
use serde_json::json;

/// Everything that comes on a connection until it ends.
fn all_of(daemon: &Daemon, request: &[u8]) -> String {
    use std::io::{Read, Write};
    let mut socket = std::net::TcpStream::connect(daemon.public()).expect("connects");
    let patience = Some(Duration::from_secs(20));
    socket.set_read_timeout(patience).expect("a timeout");
    socket.write_all(request).expect("sends");
    let mut all = Vec::new();
    let _ = socket.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn garbage_behind_a_push_is_answered_in_json_and_nothing_follows_a_close() {
    let daemon = Daemon::start(Setup::default());
    let push = |record: u64| {
        let body = Shop::lead(record);
        daemon.shop().request(body.as_bytes())
    };
    let answers = all_of(&daemon, &[push(1), b"GARBAGE\r\n\r\n".to_vec()].concat());
    assert!(answers.contains(SUCCESS), "{answers}");
    assert!(answers.contains("\"errCode\":\"bad-request\""), "{answers}");
    assert!(!answers.contains("content-length: 0"), "{answers}");
    let answers = all_of(
        &daemon,
        &[push(2), push(3), b"GARBAGE\r\n\r\n".to_vec()].concat(),
    );
    assert_eq!(answers.matches(SUCCESS).count(), 2, "{answers}");
    assert!(answers.contains("bad-request"), "{answers}");
    let closing = String::from_utf8(push(4)).expect("text");
    let closing = closing.replacen("host:", "connection: close\r\nhost:", 1);
    let answers = all_of(&daemon, &[closing.into_bytes(), push(5)].concat());
    assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
    let answers = all_of(
        &daemon,
        b"HEAD /healthz HTTP/1.1\r\nhost: t\r\n\r\nGET /healthz HTTP/1.1\r\nhost: t\r\n\r\nGARBAGE\r\n\r\n",
    );
    assert_eq!(answers.matches("200 OK").count(), 2, "{answers}");
    assert_eq!(
        answers.matches("{\"status\":\"ok\"}").count(),
        1,
        "{answers}"
    );
    assert!(answers.contains("bad-request"), "{answers}");
}

#[test]
fn silent_half_and_bodiless_connections_go_for_those_who_push() {
    let daemon = Daemon::start(Setup {
        server: "max_connections = 32\nheader_timeout = \"60s\"\nbody_timeout = \"60s\"\n"
            .to_owned(),
        ..Setup::default()
    });
    let mut held: Vec<Wire> = Vec::new();
    for number in 0..200 {
        let mut wire = Wire::open(daemon.public()).expect("connects");
        let begun: &[u8] = match number % 3 {
            0 => b"",
            1 => b"POST /tmall/leads HTTP/1.1\r\nhost: t\r\nx: ",
            _ => b"POST /tmall/leads HTTP/1.1\r\nhost: t\r\ncontent-length: 50\r\n\r\n{",
        };
        // It may have been closed for another already.
        let _ = wire.send(begun);
        held.push(wire);
    }
    // Nothing of this may wait for a timeout of a minute.
    until("honest pushes are answered", || {
        let pushed = Wire::open(daemon.public()).and_then(|mut wire| {
            wire.patience(Duration::from_secs(5))?;
            wire.send(&daemon.shop().request(SAMPLE.as_bytes()))?;
            wire.answer()
        });
        pushed.is_ok_and(|answer| answer.body == SUCCESS)
    });
    let metrics = daemon.metrics();
    let evicted = metrics
        .lines()
        .find_map(|line| {
            line.strip_prefix("leadgate_ingest_connections_closed_total{reason=\"evicted\"} ")
        })
        .and_then(|count| count.parse::<u64>().ok());
    assert!(evicted > Some(0), "{metrics}");
    assert!(
        daemon
            .log()
            .matches("connections closed to make room")
            .count()
            <= 2,
        "{}",
        daemon.log()
    );
}

#[test]
fn parked_bodies_share_a_budget_and_small_pushes_pass() {
    let daemon = Daemon::start(Setup {
        server: "max_body_memory = \"1MiB\"\nbody_timeout = \"60s\"\n".to_owned(),
        ..Setup::default()
    });
    let mut parked = Vec::new();
    let part = vec![b'x'; 200 << 10];
    for _ in 0..12 {
        let mut wire = Wire::open(daemon.public()).expect("connects");
        wire.send(b"POST /tmall/leads HTTP/1.1\r\nhost: t\r\ncontent-length: 262144\r\n\r\n")
            .expect("sends");
        // One that was refused is closed while it sends.
        let _ = wire.send(&part);
        parked.push(wire);
    }
    // Which of them depends on who comes first: room is made by doubling.
    let number = |name: &str| {
        let metrics = daemon.metrics();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name));
        value.and_then(|value| value.trim().parse::<u64>().ok())
    };
    until("most of them are refused", || {
        number("leadgate_ingest_requests_total{result=\"overloaded\",source=\"shop\"}") >= Some(6)
    });
    assert!(number("leadgate_ingest_body_bytes") <= Some(1 << 20));
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    drop(parked);
    let large = SAMPLE.replacen(
        '{',
        &format!("{{\"remark\":\"{}\",", "好".repeat(60_000)),
        1,
    );
    until("a large push passes when they are gone", || {
        daemon
            .shop()
            .push(&large)
            .is_ok_and(|answer| answer.body == SUCCESS)
    });
}

#[test]
fn refused_pushes_are_summed_with_a_hint_and_counted_from_zero() {
    let daemon = Daemon::start(Setup::default());
    let metrics = daemon.metrics();
    for result in [
        "accepted",
        "duplicate",
        "bad_signature",
        "stale",
        "invalid",
        "overloaded",
        "error",
    ] {
        let line =
            format!("leadgate_ingest_requests_total{{result=\"{result}\",source=\"shop\"}} 0");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert!(
        metrics.contains("leadgate_last_lead_received_timestamp_seconds{source=\"shop\"} 0"),
        "{metrics}"
    );
    let wrong = Shop::new(daemon.public(), "/tmall/leads", "another secret");
    for record in 0..30 {
        assert_eq!(
            wrong.push(Shop::lead(record)).expect("answered").body,
            REFUSED
        );
    }
    let log = daemon.log();
    assert_eq!(log.matches("pushes refused").count(), 1, "{log}");
    assert!(
        log.contains("wrong_sign") && log.contains("app_secret"),
        "{log}"
    );
    let packed = post(
        daemon.public(),
        "POST",
        "/tmall/leads?sign=0123456789ABCDEF0123456789ABCDEF",
        &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ],
        b"\x1f\x8b",
    );
    assert_eq!(packed.expect("answered").body, REFUSED);
    until("the reason is in the log", || {
        daemon.log().contains("unsupported_content_encoding")
    });
    let metrics = daemon.metrics();
    assert!(
        metrics.contains(
            "leadgate_ingest_requests_total{result=\"bad_signature\",source=\"shop\"} 31"
        ),
        "{metrics}"
    );
    assert!(!daemon.log().contains("13567658911"));
}

#[test]
fn probes_are_no_pushes_and_a_slash_at_the_end_loses_no_lead() {
    let daemon = Daemon::start(Setup::default());
    for (method, path) in [
        ("GET", "/healthz"),
        ("HEAD", "/healthz"),
        ("GET", "/tmall/leads"),
        ("HEAD", "/tmall/leads"),
    ] {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n");
        let answer = all_of(&daemon, request.as_bytes());
        assert!(
            answer.starts_with("HTTP/1.1 200 OK"),
            "{method} {path}: {answer}"
        );
        let body = answer.split_once("\r\n\r\n").expect("a head").1;
        assert_eq!(
            body.is_empty(),
            method == "HEAD",
            "{method} {path}: {answer}"
        );
    }
    assert_eq!(daemon.stat("/leads/refused"), 0);
    let slash = Shop::new(daemon.public(), "/tmall/leads/", "e2e-app-secret");
    assert_eq!(slash.push(SAMPLE).expect("answered").body, SUCCESS);
    assert_eq!(daemon.stat("/leads/accepted"), 1);
    let astray = Shop::new(daemon.public(), "/tmall/lead", "e2e-app-secret");
    for record in 0..5 {
        let answer = astray.push(Shop::lead(record)).expect("answered");
        assert_eq!(
            (answer.status, &answer.json()["result"]["success"]),
            (404, &json!(false))
        );
    }
    let stranger = Shop::new(daemon.public(), "/tmall/lead", "another secret");
    assert_eq!(stranger.push(SAMPLE).expect("answered").status, 404);
    let log = daemon.log();
    assert_eq!(
        log.matches("a path that is not configured").count(),
        1,
        "{log}"
    );
    assert!(
        log.contains("configured") && log.contains("/tmall/leads"),
        "{log}"
    );
    let metrics = daemon.metrics();
    assert!(
        metrics
            .contains("leadgate_ingest_requests_total{result=\"unknown_path\",source=\"shop\"} 5"),
        "{metrics}"
    );
}
