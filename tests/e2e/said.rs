//! What is said: by the log, of the start, of pushes that are refused and of dead letters; and by
//! commands, of the configuration that runs.

use leadgate_tests::{Behaviour, Crm, Daemon, Setup, Shop, until};
use serde_json::Value;

/// The events that say this.
fn events(daemon: &Daemon, message: &str) -> Vec<Value> {
    let mut events = daemon.events();
    events.retain(|event| event["message"] == message);
    events
}

/// The configuration's text is another from now on.
fn edit(daemon: &Daemon, from: &str, to: &str) {
    let file = daemon.folder().join("leadgate.toml");
    let text = std::fs::read_to_string(&file).expect("reads");
    assert!(text.contains(from), "{text}");
    std::fs::write(&file, text.replace(from, to)).expect("writes");
}

/// A command that ends well: what it printed, and what it said beside that.
fn done(daemon: &Daemon, args: &[&str]) -> (String, String) {
    let (code, out, err) = daemon.command(args);
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    (out, err)
}

#[test]
fn the_start_is_one_line_with_what_runs_and_what_waits() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(503, ""));
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    until("it is said", || {
        !events(&daemon, "leadgate started").is_empty()
    });
    let mut infos = daemon.events();
    infos.retain(|event| event["level"] == "INFO");
    let [start] = &infos[..] else {
        panic!("one line: {infos:?}");
    };
    let system = daemon.admin("/api/v1/system").json();
    assert_eq!(start["revision"], system["revision"]);
    assert_eq!(start["version"], system["version"]);
    assert_eq!(
        (&start["sources"], &start["sinks"]),
        (&"shop".into(), &"crm".into())
    );
    assert!(
        start["bytes"].as_u64().is_some_and(|bytes| bytes > 0),
        "{start}"
    );
    for (field, value) in [("pending", 0), ("orphaned", 0), ("expiring", 0)] {
        assert_eq!(start[field], value, "{field}: {start}");
    }
    assert_eq!(start["paused"], "");

    done(&daemon, &["sink", "pause", "crm"]);
    daemon.shop().give(1..=3);
    daemon.terminate();
    edit(&daemon, "sinks.crm", "sinks.other");
    daemon.restart();
    until("it is said again", || {
        events(&daemon, "leadgate started").len() == 2
    });
    let start = &events(&daemon, "leadgate started")[1];
    assert_eq!(
        (&start["pending"], &start["orphaned"]),
        (&3.into(), &3.into())
    );
    assert_eq!(start["paused"], "crm");
    assert_eq!(daemon.stat("/orphaned"), 3);
    let orphaned = "leadgate_outbox_orphaned_deliveries{sink=\"crm\"} 3";
    assert!(daemon.metrics().contains(orphaned));
}

#[test]
fn the_first_push_that_is_refused_is_said_with_its_application_and_others_are_counted() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..=1);
    let stranger = Shop::new(daemon.public(), "/tmall/leads", "another-secret");
    for record in 2..=6 {
        stranger.push(Shop::lead(record)).expect("answered");
    }
    daemon.terminate();
    let refused = events(&daemon, "pushes refused");
    let counts: Vec<_> = refused
        .iter()
        .map(|event| event["count"].as_u64())
        .collect();
    assert_eq!(counts, [Some(1), Some(4)]);
    for event in &refused {
        assert_eq!(event["level"], "INFO");
        assert_eq!(event["source"], "shop");
        assert_eq!(event["reason"], "wrong_sign", "{event}");
        assert_eq!(event["app_key"], "23456789");
    }
}

#[test]
fn dead_letters_are_summed_up_by_rule() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(422, ""));
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..=50);
    until("all are dead", || daemon.stat("/sinks/crm/dead") == 50);
    daemon.terminate();
    let dead = events(&daemon, "deliveries became dead letters");
    let counts: Vec<_> = dead.iter().map(|event| event["count"].as_u64()).collect();
    assert_eq!(counts, [Some(1), Some(49)]);
    for event in &dead {
        assert_eq!(
            (&event["sink"], &event["reason"]),
            (&"crm".into(), &"rejected".into())
        );
        assert!(
            event["rule"].as_str().is_some_and(|rule| !rule.is_empty()),
            "{event}"
        );
    }
}

#[test]
fn commands_say_which_configuration_runs_and_that_the_files_are_another() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(422, ""));
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..=1);
    until("it is dead", || daemon.stat("/sinks/crm/dead") == 1);
    let revision = daemon.admin("/api/v1/system").json()["revision"].clone();
    let revision = revision.as_str().expect("a revision");
    for args in [&["sink", "list"][..], &["outbox", "stats"]] {
        let (out, _) = done(&daemon, args);
        assert!(out.contains(revision), "{args:?}: {out}");
    }
    let list = daemon.admin("/api/v1/deliveries").json();
    let [id, lead] = ["id", "lead"].map(|key| list["items"][0][key].as_str().expect("one"));
    let (out, _) = done(&daemon, &["outbox", "show", id]);
    assert!(out.contains(revision), "{out}");
    let (_, err) = done(&daemon, &["render", "--sink", "crm", "--id", lead]);
    assert!(!err.contains("was changed since"), "{err}");

    edit(&daemon, "concurrency = 8", "concurrency = 9");
    for args in [
        &["render", "--sink", "crm", "--id", lead][..],
        &["outbox", "retry", id, "--yes"],
    ] {
        let (_, err) = done(&daemon, args);
        assert!(
            err.contains("was changed since the daemon loaded it"),
            "{args:?}: {err}"
        );
    }
    edit(&daemon, "sinks.crm", "sinks.other");
    let (out, err) = done(&daemon, &["reload"]);
    assert!(!out.contains(revision), "{out}");
    assert!(err.contains("orphaned, because crm"), "{err}");
}
