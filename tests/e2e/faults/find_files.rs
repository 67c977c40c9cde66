//! Find files: only the files by which leads are found cannot be written.
//!
//! Nothing that a push waits for depends on them. Leads are found all the same, and the files are
//! made once the disk takes them.

use std::collections::BTreeSet;
use std::time::Duration;

use leadgate_tests::{Crm, Daemon, Errno, Fault, Load, SUCCESS, Setup, counted, until, within};
use serde_json::json;

use super::segments;

/// One that could not be written is tried again after half a minute.
const AGAIN: Duration = Duration::from_secs(120);

fn push(daemon: &Daemon, record: u64) {
    let answer = daemon.shop().push(Load::lead(record)).expect("answered");
    assert_eq!(answer.body, SUCCESS, "{}", daemon.log());
}

/// How many of these records are not found by their number, or not known when pushed again.
fn not_found(daemon: &Daemon, records: u64) -> u64 {
    let known = daemon.stat("/leads/duplicate");
    let missing = (1..=records).filter(|record| {
        let search = json!({ "by": "record_id", "value": record.to_string() });
        let answer = daemon.post("/leads/search", &search);
        assert_eq!(answer.status, 200, "{}", answer.body);
        push(daemon, *record);
        answer.json()["items"].as_array().map(Vec::len) != Some(1)
    });
    let missing = missing.count() as u64;
    missing + records - (daemon.stat("/leads/duplicate") - known)
}

fn goes_on(fault: Fault) {
    let crm = Crm::start();
    let setup = segments::roomy(Setup::with_crm(&crm.url()));
    let mut daemon = Daemon::start(setup.under_shim());
    daemon.only(&["journal/*.find*"]);
    daemon.inject(fault);
    let mut pushed = 0;
    let mut more = |daemon: &Daemon| {
        pushed += 1;
        push(daemon, pushed);
        pushed
    };
    let long = segments::fill_one(&daemon, || {
        more(&daemon);
    });
    until("it is said", || {
        daemon.log().contains("find file could not be made")
    });
    let all = more(&daemon);
    let file = daemon.folder().join("store/journal/00000001.find");
    assert!(!file.exists());
    let without = not_found(&daemon, all);
    assert_eq!(
        daemon.readiness(),
        200,
        "nobody has to send pushes elsewhere"
    );
    daemon.heal();
    assert!(
        within(AGAIN, || daemon
            .log()
            .contains("find file was written at last")),
        "{}",
        daemon.log()
    );
    assert!(file.exists());
    let with = not_found(&daemon, all);
    daemon.kill();
    daemon.restart();
    let after = not_found(&daemon, all);
    let delivered = || crm.deliveries().into_keys().collect::<BTreeSet<u64>>();
    until("all are delivered", || delivered().len() as u64 == all);
    counted(format_args!(
        "acknowledged {all} and {long} long ones, without the file not found {without}, with it \
         {with}, after a kill {after}, lost 0"
    ));
    assert_eq!((without, with, after), (0, 0, 0));
}

#[test]
fn without_room_for_a_find_file_leads_are_found_and_it_is_made_later() {
    goes_on(Fault::Write {
        errno: Errno::NoSpace,
        skip: 0,
        count: 0,
    });
}

#[test]
fn a_find_file_that_the_disk_refuses_is_made_later() {
    goes_on(Fault::Write {
        errno: Errno::Io,
        skip: 0,
        count: 0,
    });
}

#[test]
fn a_find_file_that_cannot_be_synced_is_made_later() {
    goes_on(Fault::Sync {
        errno: Errno::Io,
        skip: 0,
        count: 0,
    });
}
