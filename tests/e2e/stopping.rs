//! Stopping: which signals end the daemon, and what is still taken while it stops.

use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Instant;

use leadgate_tests::{Bare, Behaviour, Crm, SUCCESS, Setup, Shop, get, until, within};

/// A daemon with attempts in flight that the destination never answers.
fn hanging(crm: &Crm, patience: &str) -> (Bare, Child) {
    crm.behave(Behaviour::Hang);
    let sink = Setup::http_sink("crm", &crm.url()).replace("timeout = \"2s\"", "timeout = \"60s\"");
    let bare = Bare::new(&Setup {
        server: format!("shutdown_timeout = \"{patience}\"\n"),
        rest: sink,
        ..Setup::default()
    });
    let log = std::fs::File::create(bare.folder().join("log")).expect("a log");
    let mut child = bare.run(Stdio::from(log));
    bare.wait_ready(&mut child);
    bare.shop().give(1..=4);
    until("they are in flight", || crm.received().len() >= 4);
    (bare, child)
}

fn log(bare: &Bare) -> String {
    std::fs::read_to_string(bare.folder().join("log")).expect("the log")
}

fn says_stopping(bare: &Bare) -> bool {
    get(bare.admin(), "/readyz", &[])
        .is_ok_and(|answer| answer.status == 503 && answer.body.contains("stopping"))
}

#[test]
fn pushes_are_taken_until_what_is_in_flight_has_ended() {
    let crm = Crm::start();
    let (bare, mut child) = hanging(&crm, "5s");
    let began = Instant::now();
    bare.signal(&child, "TERM");
    until("it says that it stops", || says_stopping(&bare));
    let mut taken: u64 = 100;
    // As long as attempts are waited for, pushes are taken; then the listener closes.
    while let Ok(answer) = bare.shop().push(Shop::lead(taken)) {
        assert_eq!(answer.body, SUCCESS, "never a failure while it stops");
        taken += 1;
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(
        taken > 110,
        "only {} pushes in {:?}",
        taken - 100,
        began.elapsed()
    );
    assert_eq!(bare.ended(&mut child), Some(0));
    let mut again = bare.run(Stdio::null());
    bare.wait_ready(&mut again);
    let token = [("authorization", "Bearer e2e-admin-token")];
    let stats = get(bare.admin(), "/api/v1/stats", &token).expect("answered");
    assert_eq!(stats.json()["leads"]["stored"], 4 + taken - 100);
    bare.signal(&again, "KILL");
    bare.ended(&mut again);
}

#[test]
fn a_second_signal_ends_at_once_and_leaves_what_is_in_flight_waiting() {
    let crm = Crm::start();
    let (bare, mut child) = hanging(&crm, "10m");
    bare.signal(&child, "TERM");
    until("it says that it stops", || says_stopping(&bare));
    bare.signal(&child, "INT");
    assert_eq!(bare.ended(&mut child), Some(130), "{}", log(&bare));
    assert!(log(&bare).contains("second signal"), "{}", log(&bare));
    crm.behave(Behaviour::Take);
    let mut again = bare.run(Stdio::null());
    bare.wait_ready(&mut again);
    until("all four are delivered", || crm.taken() == 4);
    let token = [("authorization", "Bearer e2e-admin-token")];
    until("their ends are recorded", || {
        let stats = get(bare.admin(), "/api/v1/stats", &token).expect("answered");
        stats.json()["sinks"]["crm"]["delivered"] == 4
    });
    let list = get(bare.admin(), "/api/v1/deliveries", &token).expect("answered");
    for one in list.json()["items"].as_array().expect("items") {
        assert_eq!(
            one["attempts"], 1,
            "nothing was recorded of the first: {one}"
        );
    }
    assert_eq!(bare.terminate(again), Some(0));
}

#[test]
fn a_hangup_reloads_and_other_signals_are_said_and_nothing_ends() {
    let crm = Crm::start();
    let bare = Bare::new(&Setup::with_crm(&crm.url()));
    let file = std::fs::File::create(bare.folder().join("log")).expect("a log");
    let mut child = bare.run(Stdio::from(file));
    bare.wait_ready(&mut child);
    for name in ["HUP", "USR1", "USR2", "PIPE"] {
        bare.signal(&child, name);
    }
    until("the signals are said", || {
        log(&bare).matches("signal ignored").count() == 2
            && log(&bare).contains("configuration reloaded")
    });
    bare.shop().give(1..=3);
    until("they are delivered", || crm.taken() == 3);
    assert!(log(&bare).contains("SIGHUP"), "{}", log(&bare));
    assert!(TcpStream::connect(bare.public()).is_ok());
    assert!(!within(std::time::Duration::ZERO, || {
        child.try_wait().expect("waits").is_some()
    }));
    assert_eq!(bare.terminate(child), Some(0));
}

#[test]
fn the_first_line_says_what_was_started() {
    let crm = Crm::start();
    let bare = Bare::new(&Setup::with_crm(&crm.url()));
    let start = || {
        let file = std::fs::File::create(bare.folder().join("log")).expect("a log");
        let mut child = bare.run(Stdio::from(file));
        bare.wait_ready(&mut child);
        until("it has said so", || log(&bare).contains("leadgate started"));
        let text = log(&bare);
        let line = text.lines().find(|line| line.contains("leadgate started"));
        let said: serde_json::Value = serde_json::from_str(line.expect("the line")).expect("JSON");
        (child, said, text)
    };
    let (child, said, text) = start();
    let folder = bare.folder().display().to_string();
    assert_eq!(said["configuration"], format!("{folder}/leadgate.toml"));
    assert_eq!(said["outbox"], format!("{folder}/store"));
    assert_eq!(
        (&said["sources"], &said["sinks"]),
        (&"shop".into(), &"crm".into())
    );
    assert_eq!(said["encrypted"], false);
    assert!(said["version"].is_string() && said["public"].is_string());
    assert!(text.contains("began a new, empty outbox"), "{text}");
    crm.behave(Behaviour::Refuse(400, ""));
    bare.shop().give(1..=3);
    until("they are dead", || {
        let token = [("authorization", "Bearer e2e-admin-token")];
        let stats = get(bare.admin(), "/api/v1/stats", &token).expect("answered");
        stats.json()["sinks"]["crm"]["dead"] == 3
    });
    assert_eq!(bare.terminate(child), Some(0));
    let (child, said, text) = start();
    assert_eq!((&said["dead"], &said["pending"]), (&3.into(), &0.into()));
    assert!(!text.contains("began a new"), "{text}");
    assert_eq!(bare.terminate(child), Some(0));
}
