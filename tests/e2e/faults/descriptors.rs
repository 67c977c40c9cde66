//! Descriptors: the process has none left, and gets some back.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use leadgate_tests::{Crm, Daemon, Load, PATIENCE, SUCCESS, Setup, Wire, counted, until};

/// Descriptors left to the daemon for connections and files.
const ROOM: usize = 20;
/// Connections held open, far more than there is room for.
const CONNECTIONS: usize = 200;

#[test]
fn without_descriptors_the_daemon_survives_and_answers_once_it_has_some_again() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let mut acknowledged = BTreeSet::new();
    let mut push = |daemon: &Daemon, record: u64, patience: Duration| {
        let body = Load::lead(record);
        let taken = Wire::open(daemon.public())
            .and_then(|mut wire| {
                wire.patience(patience)?;
                wire.send(&daemon.shop().request(body.as_bytes()))?;
                wire.answer()
            })
            .is_ok_and(|answer| answer.body == SUCCESS);
        if taken {
            acknowledged.insert(record);
        }
        taken
    };
    for record in 1..=20 {
        assert!(push(&daemon, record, PATIENCE));
    }
    let pid = daemon.pid().to_string();
    let open = || {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .expect("its descriptors")
            .count()
    };
    let limit = open() + ROOM;
    let status = Command::new("prlimit")
        .args(["--pid", &pid])
        .arg(format!("--nofile={limit}"))
        .status()
        .expect("prlimit runs");
    assert!(status.success(), "the limit is set");
    let held: Vec<_> = (0..CONNECTIONS)
        .map(|_| Wire::open(daemon.public()).expect("the kernel connects"))
        .collect();
    until("no descriptor is left", || open() >= limit);
    assert!(
        !push(&daemon, 21, Duration::from_millis(500)),
        "there is no descriptor for it"
    );
    assert!(daemon.runs(), "it survives");
    drop(held);
    let mut record = 21;
    until("it answers again", || {
        record += 1;
        push(&daemon, record, Duration::from_secs(2))
    });
    for record in record + 1..=record + 20 {
        assert!(push(&daemon, record, PATIENCE));
    }
    assert!(daemon.runs());
    assert_eq!(daemon.readiness(), 200);
    until("nothing waits any more", || {
        daemon.stat("/sinks/crm/pending") + daemon.stat("/sinks/crm/retrying") == 0
    });
    let delivered = crm.deliveries();
    let lost = acknowledged
        .iter()
        .filter(|record| !delivered.contains_key(record))
        .count();
    let lines = daemon.log().lines().count();
    counted(format_args!(
        "limit {limit}, log lines {lines}, acknowledged {}, lost {lost}",
        acknowledged.len()
    ));
    assert_eq!(lost, 0);
    assert!(lines < 200, "the log is not flooded: {lines} lines");
}
