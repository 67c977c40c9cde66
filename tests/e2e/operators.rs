//! Operators: what goes wrong, found and repaired with the commands, as a person would.

use leadgate_tests::{Behaviour, Crm, Daemon, SAMPLE, SUCCESS, Setup, output, until};
use serde_json::Value;

/// A command that must succeed, with `--json`.
fn json(daemon: &Daemon, args: &[&str]) -> Value {
    let (code, stdout, stderr) = daemon.command_with(&[args, &["--json"]].concat(), "");
    assert_eq!(code, 0, "{args:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("not JSON: {stdout}"))
}

fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("items");
    let ids = items.iter().map(|item| item["id"].as_str().expect("an id"));
    ids.map(str::to_owned).collect()
}

#[test]
fn dead_letters_are_seen_retried_one_by_one_and_together_or_given_up() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(400, ""));
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..7);
    until("all are refused", || daemon.stat("/sinks/crm/dead") == 6);

    let list = json(
        &daemon,
        &["outbox", "deliveries", "--state", "dead", "--limit", "4"],
    );
    assert_eq!(ids(&list).len(), 4);
    assert!(list["next"].is_string());
    let list = json(&daemon, &["outbox", "deliveries", "--sink", "crm", "--all"]);
    let ids = ids(&list);
    assert_eq!(ids.len(), 6);
    let (code, table, _) = daemon.command_with(&["outbox", "deliveries", "--lang", "zh-CN"], "");
    let rows = table
        .lines()
        .filter(|line| ids.iter().any(|id| line.starts_with(id)));
    assert_eq!((code, rows.count()), (0, 6), "{table}");
    assert!(
        table.contains("目的地") && table.contains("死信") && !table.contains("dead"),
        "{table}"
    );
    assert!(!table.contains("13567658911") && !table.contains("张三"));
    let (code, shown, _) = daemon.command_with(&["outbox", "show", &ids[0]], "");
    assert_eq!(code, 0);
    assert!(shown.contains("the destination answered 400"), "{shown}");

    let failures = json(&daemon, &["outbox", "failures", "--sink", "crm"]);
    let group = failures["items"][0]["id"].as_str().expect("a group");
    assert_eq!(failures["items"][0]["dead"], 6, "{failures}");
    let (code, table, _) = daemon.command_with(&["outbox", "failures", "--lang", "zh-CN"], "");
    assert_eq!(code, 0);
    assert!(table.contains("分组") && table.contains(group), "{table}");
    for (filter, count) in [
        (vec!["--group", group, "--order", "newest"], 6),
        (vec!["--reason", "rejected", "--since", "1h"], 6),
        (vec!["--source", "shop", "--until", "1h"], 0),
        (vec!["--orphaned"], 0),
    ] {
        let list = json(&daemon, &[&["outbox", "deliveries"], &filter[..]].concat());
        assert_eq!(
            list["items"].as_array().map(Vec::len),
            Some(count),
            "{filter:?}"
        );
    }
    let nobody = ["outbox", "retry", "--group", "0011223344556677"];
    let none = json(&daemon, &nobody);
    assert_eq!(
        (&none["count"], &none["done"]),
        (&0.into(), &0.into()),
        "{none}"
    );

    crm.behave(Behaviour::Take);
    let (code, stdout, said) = daemon.command_with(&["outbox", "retry", &ids[0], "--json"], "");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("the same fields"), "as before: {said}");
    let retried: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(retried["id"], ids[0].as_str());
    let now = retried["preview"]["now"].as_str().expect("a request");
    assert!(
        now.starts_with("POST http://") && !now.contains("13567658911"),
        "{now}"
    );
    until("the one is delivered", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    assert_eq!(
        json(&daemon, &["outbox", "show", &ids[0]])["state"],
        "delivered"
    );
    let (code, _, stderr) = daemon.command_with(&["outbox", "retry", &ids[0]], "");
    assert_eq!(code, 1);
    assert!(stderr.contains("force"), "{stderr}");
    json(&daemon, &["outbox", "retry", &ids[0], "--force"]);
    until("it is delivered again", || crm.taken() == 2);

    assert_eq!(
        json(&daemon, &["outbox", "cancel", &ids[1]])["state"],
        "cancelled"
    );
    assert_eq!(daemon.command_with(&["outbox", "cancel", &ids[1]], "").0, 1);

    let bulk = ["outbox", "retry", "--sink", "crm", "--group", group];
    let (code, stdout, stderr) = daemon.command_with(&bulk, "");
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(
        stderr.contains("retry, 4 targets") && stderr.contains("--yes"),
        "{stderr}"
    );
    assert!(
        stderr.contains("POST http://") && !stderr.contains("13567658911"),
        "{stderr}"
    );
    assert_eq!(daemon.stat("/sinks/crm/dead"), 4, "nothing happened yet");
    let outcome = json(&daemon, &[&bulk[..], &["--yes", "--rate", "1000"]].concat());
    assert_eq!(
        (&outcome["state"], &outcome["done"]),
        (&"done".into(), &4.into())
    );
    until("all are delivered", || {
        daemon.stat("/sinks/crm/dead") == 0 && crm.taken() == 6
    });
    assert_eq!(daemon.stat("/sinks/crm/cancelled"), 1);
    let again = json(&daemon, &[&bulk[..], &["--yes"]].concat());
    assert_eq!(again["done"], 0);
}

#[test]
fn leads_of_a_condition_are_erased_by_a_job_after_a_rehearsal() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..5);
    until("they are delivered", || {
        daemon.stat("/sinks/crm/delivered") == 4
    });
    let erase = [
        "leads",
        "erase",
        "--when",
        "record_id <= 3",
        "--rate",
        "1000",
    ];
    let plan = json(&daemon, &[&erase[..], &["--dry-run"]].concat());
    assert_eq!(
        (&plan["state"], &plan["count"]),
        (&"planned".into(), &3.into()),
        "{plan}"
    );
    assert_eq!(daemon.command_with(&erase, "").0, 2, "it asks");
    assert_eq!(daemon.stat("/leads/stored"), 4);
    let done = json(&daemon, &[&erase[..], &["--yes"]].concat());
    assert_eq!(done["done"], 3, "{done}");
    assert_eq!(daemon.stat("/leads/stored"), 1);
    let (code, _, said) = daemon.command_with(&["leads", "erase", "--yes"], "");
    assert_eq!(code, 2, "of whom? {said}");
}

#[test]
fn a_paused_sink_stays_paused_over_a_restart_and_delivers_when_resumed() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let (code, stdout, _) = daemon.command_with(&["sink", "pause", "crm"], "");
    assert_eq!((code, stdout.as_str()), (0, "crm: paused\n"));
    daemon.shop().give(1..4);
    assert_eq!(daemon.terminate(), Some(0));
    daemon.restart();
    let sinks = json(&daemon, &["sink", "list"]);
    assert_eq!(sinks["items"][0]["paused"], true, "{sinks}");
    assert_eq!(sinks["items"][0]["pending"], 3);
    let (_, table, _) = daemon.command_with(&["sink", "list"], "");
    assert!(table.contains("yes"), "{table}");
    let metrics = daemon.admin("/metrics").body;
    assert!(metrics.contains("leadgate_sink_paused{sink=\"crm\"} 1"));
    assert_eq!(crm.received().len(), 0);
    json(&daemon, &["sink", "resume", "crm"]);
    until("all are delivered", || {
        daemon.stat("/sinks/crm/delivered") == 3
    });
    let (code, _, stderr) = daemon.command_with(&["sink", "pause", "cmr"], "");
    assert_eq!(code, 1);
    assert!(stderr.contains("did you mean `crm`?"), "{stderr}");
}

#[test]
fn a_lead_is_found_by_its_phone_which_stays_off_the_command_line_and_the_log() {
    let crm = Crm::start();
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..2);
    until("it is delivered", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    let find = ["leads", "find", "--phone", "-", "--json"];
    let (code, stdout, stderr) = daemon.command_with(&find, "135 6765 8911\n");
    assert_eq!(code, 0, "{stderr}");
    let found: Value = serde_json::from_str(&stdout).expect("JSON");
    let lead = ids(&found).remove(0);
    assert_eq!(found["items"][0]["sinks"]["crm"], "delivered");
    for by in [
        ["--record-id", "1"],
        ["--order-num", "100000"],
        ["--nick", "张三淘宝"],
        ["--phone", "8911"],
    ] {
        let found = json(&daemon, &[&["leads", "find"][..], &by].concat());
        assert_eq!(ids(&found), [lead.as_str()], "{by:?}");
    }
    assert_eq!(
        daemon
            .command_with(&["leads", "find", "--openid", "none"], "")
            .0,
        1
    );
    assert_eq!(daemon.command_with(&["leads", "find"], "").0, 2);
    assert_eq!(ids(&json(&daemon, &["leads", "list"])), [lead.as_str()]);
    let of_day = ["leads", "list", "--since", "1d", "--order", "oldest"];
    assert_eq!(ids(&json(&daemon, &of_day)), [lead.as_str()]);
    let before = ["leads", "list", "--until", "2020-01-01"];
    assert!(ids(&json(&daemon, &before)).is_empty());

    let (code, masked, _) = daemon.command_with(&["leads", "show", &lead], "");
    assert_eq!(code, 0);
    assert!(
        masked.contains("135****8911") && masked.contains("delivered"),
        "{masked}"
    );
    assert!(
        !masked.contains("13567658911") && !masked.contains("张三"),
        "{masked}"
    );
    let (_, revealed, _) = daemon.command_with(&["leads", "show", &lead, "--reveal"], "");
    assert!(
        revealed.contains("13567658911") && revealed.contains("张三"),
        "{revealed}"
    );
    daemon.terminate();
    let log = daemon.log();
    assert!(
        log.contains("lead was revealed") && log.contains(&lead),
        "{log}"
    );
    for hidden in ["67658911", "6765 8911", "张三"] {
        assert!(!log.contains(hidden), "{hidden}: {log}");
    }
}

#[test]
fn what_is_in_quarantine_is_looked_at_and_released_or_discarded() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let shop = daemon.shop();
    let stale = shop.request_at(SAMPLE.as_bytes(), "2020-01-01 00:00:00".to_owned());
    assert_eq!(shop.send(&stale).expect("answered").body, SUCCESS);
    assert_eq!(shop.push("{\"phone\":").expect("answered").body, SUCCESS);
    let list = json(&daemon, &["quarantine", "list"]);
    let ids = ids(&list);
    assert_eq!(list["items"][0]["reason"], "stale", "{list}");
    let (_, hidden, _) = daemon.command_with(&["quarantine", "show", &ids[0]], "");
    assert!(
        hidden.contains("stale") && !hidden.contains("13567658911"),
        "{hidden}"
    );
    let (_, shown, _) = daemon.command_with(&["quarantine", "show", &ids[0], "--reveal"], "");
    assert!(shown.contains("13567658911"), "{shown}");

    let released = json(&daemon, &["quarantine", "release", &ids[0]]);
    assert_eq!(released["duplicate"], false);
    until("it is delivered", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    assert_eq!(crm.received()[0].record_id(), 371_009);
    let (code, _, stderr) = daemon.command_with(&["quarantine", "release", &ids[0]], "");
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(
        daemon
            .command_with(&["quarantine", "discard", &ids[1], "--yes"], "")
            .0,
        0
    );
    assert_eq!(daemon.stat("/leads/in_quarantine"), 0);
    assert_eq!(daemon.stat("/leads/stored"), 1);
}

#[test]
fn operators_commands_tell_a_daemon_that_is_not_there_from_bad_usage() {
    let url = format!("http://127.0.0.1:{}", leadgate_tests::free_port());
    for args in [
        &["sink", "list"][..],
        &["outbox", "deliveries"],
        &["leads", "list"],
        &["outbox", "retry", "--sink", "crm", "--yes"],
    ] {
        let args = [args, &["--url", &url]].concat();
        assert_eq!(output(&args, &[]).status.code(), Some(75), "{args:?}");
    }
    for args in [
        &["outbox", "retry"][..],
        &["outbox", "retry", "--sink", "crm", "--force"],
        &["outbox", "retry", "--rate", "0", "--sink", "crm"],
        &["quarantine", "discard"],
        &["leads", "erase", "--phone", "1", "--source", "shop"],
        &["leads", "export"],
        &["leads", "find", "--phone", "1", "--nick", "2"],
    ] {
        assert_eq!(output(args, &[]).status.code(), Some(2), "{args:?}");
    }
}
