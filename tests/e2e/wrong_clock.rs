//! A wrong clock: a daemon that runs a year ahead for a while removes nothing, says so, and
//! leaves nothing behind that makes the right clock look wrong.

use std::path::Path;

use leadgate_tests::{Behaviour, Crm, Daemon, Fault, Load, SUCCESS, Setup, until};

const DAY: i64 = 86_400;
const YEAR: i64 = 365 * DAY;
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

fn setup(crm: &Crm) -> Setup {
    Setup {
        source: "kind = \"tmall\"\npath = \"/tmall/leads\"\napp_secret = [\"e2e-app-secret\"]\n\
                 timestamp_tolerance = \"off\"\n"
            .to_owned(),
        ..Setup::with_crm(&crm.url())
    }
}

fn push(daemon: &Daemon, records: std::ops::RangeInclusive<u64>) {
    for record in records {
        let answer = daemon.shop().push(Load::lead(record)).expect("answered");
        assert_eq!(answer.body, SUCCESS);
    }
}

/// Twenty dead letters and forty delivered leads.
fn fill(crm: &Crm, daemon: &Daemon) {
    crm.behave(Behaviour::Refuse(422, ""));
    push(daemon, 1..=20);
    until("twenty are dead letters", || {
        daemon.stat("/sinks/crm/dead") == 20
    });
    crm.behave(Behaviour::Take);
    push(daemon, 21..=60);
    until("forty are delivered", || {
        daemon.stat("/sinks/crm/delivered") == 40
    });
}

/// What the daemon shows while its clock is a year ahead.
fn assert_held(daemon: &Daemon) {
    let loud = "the clock is 365 days ahead of the newest record; nothing is removed";
    until("it says so", || daemon.log().contains(loud));
    assert!(daemon.log().contains("\"level\":\"ERROR\""));
    let stats = daemon.stats();
    assert_eq!(stats["clock"]["state"], "ahead", "{stats}");
    let ahead = stats["clock"]["ahead_seconds"].as_i64().expect("a number");
    assert!((ahead - YEAR).abs() < DAY, "{stats}");
    let metrics = daemon.admin("/metrics").body;
    assert!(
        metrics.contains("leadgate_clock_ahead_seconds 315"),
        "{metrics}"
    );
}

fn assert_whole(daemon: &Daemon, stored: u64, crm: &Crm) {
    assert_eq!(daemon.stat("/leads/stored"), stored);
    assert_eq!(daemon.stat("/sinks/crm/dead"), 20);
    assert_eq!(daemon.stats()["clock"]["state"], "believed");
    let delivered = crm.deliveries().len();
    push(daemon, 21..=60);
    assert_eq!(daemon.stat("/leads/duplicate"), 40, "re-pushes are known");
    assert_eq!(crm.deliveries().len(), delivered);
}

#[test]
fn a_start_a_year_ahead_removes_nothing_and_the_right_clock_goes_on() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(setup(&crm).under_shim());
    fill(&crm, &daemon);
    assert_eq!(daemon.terminate(), Some(0));
    for round in 1..=2 {
        // The second time a little less: the first must not have made it look near.
        daemon.inject(Fault::Clock(YEAR - (round - 1) * 3600));
        daemon.restart();
        if round == 1 {
            assert_held(&daemon);
        } else {
            assert_eq!(daemon.stats()["clock"]["state"], "ahead");
        }
        let record = 60 + u64::try_from(round).expect("small");
        push(&daemon, record..=record);
        until("it is delivered all the same", || {
            daemon.stat("/sinks/crm/delivered") == 40 + u64::try_from(round).expect("small")
        });
        assert_eq!(daemon.terminate(), Some(0));
        daemon.inject(Fault::Clock(0));
        daemon.restart();
        assert_eq!(daemon.stats()["clock"]["state"], "believed");
        assert_eq!(daemon.stat("/leads/stored"), record);
        assert_eq!(daemon.terminate(), Some(0));
    }
    daemon.restart();
    assert_whole(&daemon, 62, &crm);
    push(&daemon, 70..=70);
    until("and new leads are delivered", || {
        daemon.stat("/sinks/crm/delivered") == 43
    });
}

#[test]
fn a_killed_daemon_that_ran_a_year_ahead_has_poisoned_nothing() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(setup(&crm).under_shim());
    fill(&crm, &daemon);
    daemon.kill();
    daemon.inject(Fault::Clock(YEAR));
    daemon.restart();
    assert_held(&daemon);
    push(&daemon, 61..=61);
    until("it is delivered", || {
        daemon.stat("/sinks/crm/delivered") == 41
    });
    daemon.kill();
    daemon.inject(Fault::Clock(0));
    daemon.restart();
    assert_whole(&daemon, 61, &crm);
}

#[test]
fn a_retry_is_no_dead_letter_of_age_after_a_start_a_year_ahead() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(503, ""));
    let mut daemon = Daemon::start(setup(&crm).under_shim());
    push(&daemon, 1..=5);
    until("each waits for a retry", || {
        daemon.stat("/sinks/crm/retrying") == 5
    });
    assert_eq!(daemon.terminate(), Some(0));
    daemon.inject(Fault::Clock(YEAR));
    let tried = crm.received().len();
    daemon.restart();
    until("they are tried again", || crm.received().len() > tried + 10);
    assert_eq!(daemon.stat("/sinks/crm/dead"), 0);
    crm.behave(Behaviour::Take);
    until("they are delivered", || {
        daemon.stat("/sinks/crm/delivered") == 5
    });
}

#[test]
#[ignore = "needs faketime; run tests/run"]
fn a_start_under_faketime_a_year_ahead_removes_nothing() {
    assert!(Path::new(LIBRARY).exists(), "faketime is not installed");
    let crm = Crm::start();
    let offset = "@FOLDER@/offset".to_owned();
    let mut setup = setup(&crm);
    for (name, value) in [
        ("LD_PRELOAD", LIBRARY.to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", offset),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ] {
        setup.environment.push((name.to_owned(), value));
    }
    let set = |folder: &Path, text: &str| {
        std::fs::write(folder.join("offset"), text).expect("writes");
    };
    let mut daemon = Daemon::start_on(setup, |folder| set(folder, "+0"));
    fill(&crm, &daemon);
    assert_eq!(daemon.terminate(), Some(0));
    set(daemon.folder(), "+31536000");
    daemon.restart();
    assert_held(&daemon);
    assert_eq!(daemon.stat("/leads/stored"), 60);
    assert_eq!(daemon.terminate(), Some(0));
    set(daemon.folder(), "+0");
    daemon.restart();
    assert_whole(&daemon, 60, &crm);
}
