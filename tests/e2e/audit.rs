//! The audit log with the real binary: what commands leave in it, and that somebody who can write
//! to the disk cannot take an entry away unnoticed.

use std::fs;
use std::path::PathBuf;

use leadgate_tests::{Crm, Daemon, Setup, until};
use serde_json::Value;

fn newest_file(daemon: &Daemon) -> PathBuf {
    let folder = daemon.folder().join("store").join("audit");
    let files = fs::read_dir(&folder).expect("there is a log");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("reads").path()).collect();
    files.sort();
    files.pop().expect("a file")
}

fn entries(daemon: &Daemon) -> Vec<Value> {
    let (code, said, errors) = daemon.command(&["audit", "list", "--all", "--json"]);
    assert_eq!(code, 0, "{errors}");
    let list: Value = serde_json::from_str(&said).expect("JSON");
    list["items"].as_array().expect("a list").clone()
}

#[test]
fn who_looked_at_whom_and_who_did_what_is_kept_over_restarts_and_names_nobody() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give([1]);
    until("it is delivered", || !crm.received().is_empty());
    let (code, found, _) = daemon.command(&["leads", "find", "--phone", "13567658911", "--json"]);
    assert_eq!(code, 0, "{found}");
    let found: Value = serde_json::from_str(&found).expect("JSON");
    let lead = found["items"][0]["id"].as_str().expect("an id").to_owned();
    let why = ["--reveal", "--note", "the customer calls"];
    let (code, ..) = daemon.command(&[&["leads", "show", &lead], &why[..]].concat());
    assert_eq!(code, 0);
    let refused = ["--reveal", "--note", "of 13567658911"];
    let (code, ..) = daemon.command(&[&["leads", "show", &lead], &refused[..]].concat());
    assert_eq!(code, 1, "it is kept for years");
    daemon.terminate();
    let (code, _, errors) = daemon.command(&["sink", "pause", "crm", "--note", "moves"]);
    assert_eq!(code, 0, "{errors}");
    daemon.restart();
    let entries = entries(&daemon);
    let said: Vec<[&str; 3]> = entries
        .iter()
        .map(|entry| ["action", "via", "result"].map(|name| entry[name].as_str().expect("text")))
        .collect();
    assert_eq!(
        said,
        [
            ["sink.pause", "offline", "done"],
            ["leads.reveal", "socket", "done"],
            ["leads.search", "socket", "done"],
        ]
    );
    assert_eq!(entries[1]["note"], "the customer calls");
    assert_eq!(entries[1]["target"], *lead);
    let all = serde_json::to_string(&entries).expect("JSON");
    assert!(!all.contains("8911"), "{all}");
    let (code, said, _) = daemon.command(&["audit", "verify"]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn an_entry_that_somebody_took_away_is_noticed_and_leads_come_all_the_same() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    for note in ["one", "two", "three"] {
        let (code, ..) = daemon.command(&["sink", "pause", "crm", "--note", note]);
        assert_eq!(code, 0);
    }
    daemon.terminate();
    let file = newest_file(&daemon);
    let whole = fs::read(&file).expect("reads");
    let spoilt = [
        // Its end, its beginning, all of it.
        &whole[..whole.len() - 40],
        &[&whole[..whole.len() / 3], &whole[whole.len() / 3 + 40..]].concat()[..],
        &[],
    ];
    for (number, spoilt) in (7..).zip(spoilt) {
        fs::write(&file, spoilt).expect("writes");
        let (code, said, errors) = daemon.command(&["outbox", "verify"]);
        assert_ne!(code, 0, "{said}{errors}");
        assert!(
            said.contains("audit") || errors.contains("audit"),
            "{said}{errors}"
        );
        daemon.restart();
        daemon.shop().give([number]);
        let (code, said, errors) = daemon.command(&["audit", "verify"]);
        assert_eq!(code, 1, "{said}{errors}");
        daemon.terminate();
        fs::write(&file, &whole).expect("writes");
    }
}
