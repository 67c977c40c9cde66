//! Crashes: a library in the daemon's own process can end it, but not for ever; and nothing of
//! the daemon is there for a library to bind to by mistake.

use std::process::Command;

use leadgate_tests::{Crm, Daemon, Setup, Shop, binary, misbehaving, until};
use serde_json::Value;

#[test]
fn a_library_that_ends_the_daemon_is_named_and_the_second_time_it_starts_paused() {
    let crm = Crm::start();
    let library = misbehaving("segfault_in_deliver");
    let rest = format!(
        "[plugins.segfault_in_deliver]\npath = \"{}\"\nisolation = \"in-process\"\n\
         [sinks.erp]\nplugin = \"segfault_in_deliver\"\n\
         [sinks.erp.settings]\nfaulty_attempts = 1000\n{}",
        library.display(),
        Setup::http_sink("crm", &crm.url()),
    );
    let mut daemon = Daemon::start(Setup {
        rest,
        ..Setup::default()
    });
    // The answer may be lost with the daemon; the lead is in the outbox before that.
    let _ = daemon.shop().push(Shop::lead(1));
    until("the daemon dies", || !daemon.runs());
    if daemon.try_restart().is_none() {
        until("it dies of the same delivery once more", || !daemon.runs());
    }
    daemon.restart();
    let log = daemon.log();
    assert_eq!(
        log.matches("while this sink was at work\",\"sink\":\"erp\"")
            .count(),
        2,
        "{log}"
    );
    assert!(log.contains("sink starts paused"), "{log}");

    // What is received from now on reaches everybody else.
    daemon.shop().give(2..=5);
    // What was on its way in a crash came twice.
    until("the other sink has all", || {
        daemon.stat("/sinks/crm/delivered") == 5
    });
    assert!(crm.taken() >= 5);
    let (code, list, _) = daemon.command(&["sink", "list", "--json"]);
    assert_eq!(code, 0);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let items = list["items"].as_array().expect("items");
    let erp = items
        .iter()
        .find(|item| item["name"] == "erp")
        .expect("erp");
    assert_eq!(erp["paused"], true, "{erp}");
    assert_eq!(erp["crash"]["in_a_row"], 2, "{erp}");
    assert_eq!(erp["holds"][0]["crashes"], 2, "{erp}");
    assert_eq!(erp["pending"], 5, "{erp}");
    let crm_item = items
        .iter()
        .find(|item| item["name"] == "crm")
        .expect("crm");
    assert_eq!(
        crm_item["paused"], false,
        "what is linked in is never paused for it"
    );
    for (lang, words) in [
        ("en", "erp: at work when leadgate crashed, 2 in a row"),
        ("zh-CN", "erp：leadgate 崩溃时正在投递，已连续 2 次"),
    ] {
        let (_, table, _) = daemon.command(&["--lang", lang, "sink", "list"]);
        assert!(table.contains(words), "{table}");
    }

    // A stop that is whole ends the row.
    assert_eq!(daemon.terminate(), Some(0));
    daemon.restart();
    let list = daemon.command(&["sink", "list", "--json"]).1;
    assert!(!list.contains("in_a_row"), "{list}");
    assert!(daemon.runs(), "still paused, by its cause");
    assert_eq!(daemon.stat("/sinks/erp/pending"), 5);
}

#[test]
fn a_kill_under_load_pauses_nothing() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    for round in 0..3 {
        daemon.shop().give(round * 5 + 1..=round * 5 + 5);
        daemon.kill();
        daemon.restart();
    }
    until("all are delivered", || {
        daemon.stat("/sinks/crm/delivered") == 15
    });
    let list = daemon.command(&["sink", "list", "--json"]).1;
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list["items"][0]["paused"], false, "{list}");
    assert!(!daemon.log().contains("sink starts paused"));
}

#[test]
fn a_sink_of_a_stopped_outbox_is_paused_with_a_note_and_resumed() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    assert_eq!(daemon.terminate(), Some(0));
    let (code, said, error) = daemon.command(&["sink", "pause", "crm", "--note", "CRM 今晚迁移"]);
    assert_eq!(code, 0, "{error}");
    assert!(said.contains("the daemon is stopped"), "{said}");
    let (code, _, error) = daemon.command(&["sink", "pause", "cmr"]);
    assert_eq!(code, 1);
    assert!(error.contains("there is no sink `cmr`"), "{error}");
    let long = "长".repeat(201);
    let (code, _, error) = daemon.command(&["sink", "pause", "crm", "--note", &long]);
    assert_eq!(code, 2, "{error}");

    daemon.restart();
    daemon.shop().give(1..=2);
    let (_, table, _) = daemon.command(&["sink", "list"]);
    assert!(table.contains("crm: paused, CRM 今晚迁移"), "{table}");
    assert_eq!(crm.taken(), 0);
    assert_eq!(daemon.terminate(), Some(0));
    let (code, said, error) = daemon.command(&["sink", "resume", "crm"]);
    assert_eq!(code, 0, "{error}");
    assert!(said.contains("ended: the pause"), "{said}");
    daemon.restart();
    until("both are delivered", || crm.taken() == 2);
}

#[test]
fn the_daemon_exports_no_symbol_that_a_library_could_bind_to() {
    let output = Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(binary())
        .output()
        .expect("nm comes with the C compiler");
    assert!(output.status.success());
    let symbols = String::from_utf8_lossy(&output.stdout);
    let names: Vec<_> = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(names, [""; 0], "a library's own would be replaced by these");
}
