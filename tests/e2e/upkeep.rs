//! Upkeep: backups, damage and moving, with the real binary.

use std::collections::BTreeSet;
use std::io::{Seek, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use leadgate_tests::{Behaviour, Crm, Daemon, Load, SUCCESS, Setup, Shop, binary, output, until};
use serde_json::Value;

/// sled writes its file in segments of this size.
const SEGMENT: usize = 512 << 10;

fn outbox(daemon: &Daemon, args: &[&str]) -> Output {
    let config = daemon.folder().join("leadgate.toml");
    let config = config.to_str().expect("text");
    output(&[&["outbox"], args, &["--config", config]].concat(), &[])
}

fn succeeded(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}{errors}");
    text
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// Puts another store in the place of the daemon's.
fn replace(daemon: &Daemon, with: &Path) {
    let store = daemon.folder().join("store");
    std::fs::rename(&store, daemon.folder().join("old")).expect("moves the old one");
    std::fs::rename(with, store).expect("moves the new one");
}

fn taken(crm: &Crm) -> BTreeSet<u64> {
    let received = crm.received();
    let taken = received.iter().filter(|one| one.taken);
    taken.map(leadgate_tests::Received::record_id).collect()
}

#[test]
fn a_backup_under_load_restores_what_was_acknowledged() {
    let crm = Crm::start();
    crm.behave(Behaviour::Hang);
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let load = Load::start(&daemon.shop());
    until("there is something", || load.count() >= 200);
    let file = daemon.folder().join("backup");
    let before = load.so_far();
    succeeded(&outbox(&daemon, &["backup", "--to", path(&file)]));
    let mode = std::fs::metadata(&file)
        .expect("is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let in_use = outbox(&daemon, &["verify"]);
    assert_eq!(in_use.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&in_use.stderr).contains("in use"));
    load.stop();
    daemon.kill();
    let to = daemon.folder().join("restored");
    succeeded(&outbox(
        &daemon,
        &["restore", "--from", path(&file), "--to", path(&to)],
    ));
    replace(&daemon, &to);
    succeeded(&outbox(&daemon, &["verify"]));
    crm.behave(Behaviour::Take);
    daemon.restart();
    until("all acknowledged before the backup are delivered", || {
        before.is_subset(&taken(&crm))
    });
}

#[test]
fn an_index_is_made_anew_by_hand_or_by_the_daemon_and_nothing_is_lost() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(400, ""));
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..=5);
    until("all are refused", || daemon.stat("/sinks/crm/dead") == 5);
    let refused = outbox(&daemon, &["rebuild"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("in use") && said.contains("by itself"),
        "{said}"
    );

    daemon.terminate();
    let index = daemon.folder().join("store/index");
    std::fs::remove_dir_all(&index).expect("there is an index");
    let told = succeeded(&outbox(&daemon, &["rebuild", "--json"]));
    let report: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        (&report["leads"], &report["deliveries"], &report["dead"]),
        (&5.into(), &5.into(), &5.into()),
        "{report}"
    );

    std::fs::remove_dir_all(&index).expect("it was made again");
    crm.behave(Behaviour::Take);
    daemon.restart();
    until("the daemon knows all again", || {
        daemon.stat("/sinks/crm/dead") == 5
    });
    let retry = ["retry", "--sink", "crm", "--yes", "--rate", "1000"];
    until("the index is made", || {
        outbox(&daemon, &retry).status.code() == Some(0)
    });
    until("all are delivered", || taken(&crm).len() == 5);
}

#[test]
fn a_damaged_store_is_refused_named_and_salvaged() {
    let crm = Crm::start();
    // Attempts are few: one segment holds all, and a start reads the newest.
    let slow = Crm::start();
    slow.behave(Behaviour::Hang);
    let mut daemon = Daemon::start(Setup::with_crm(&slow.url()));
    daemon.shop().give(1..=300);
    daemon.terminate();
    succeeded(&outbox(&daemon, &["verify"]));
    let db = daemon.folder().join("store/journal/00000001.seg");
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&db)
        .expect("opens");
    // Behind the end of what was written last a byte is nobody's.
    let length = file.metadata().expect("is there").len();
    let harmful = [300_000, 100_000, 450_000]
        .into_iter()
        .flat_map(|place| (place..length).step_by(SEGMENT))
        .find(|at| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, *at).expect("reads");
            file.write_all_at(&[!byte[0]], *at).expect("writes");
            let harmful = outbox(&daemon, &["verify"]).status.code() == Some(1);
            if !harmful {
                file.write_all_at(&byte, *at).expect("writes");
            }
            harmful
        });
    assert!(harmful.is_some(), "some place is in use");
    let before = std::fs::read(&db).expect("reads");

    let config = daemon.folder().join("leadgate.toml");
    let run = output(&["run", "--config", path(&config)], &[]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(
        said.contains("is damaged") && said.contains("salvage"),
        "{said}"
    );
    assert!(!said.contains("panicked"), "{said}");
    let verify = outbox(&daemon, &["verify", "--json"]);
    assert_eq!(verify.status.code(), Some(1));
    let verdict: Value = serde_json::from_slice(&verify.stdout).expect("JSON");
    assert!(verdict["found"].as_u64() > Some(0), "{verdict}");
    assert!(verdict["problems"][0]["key"].is_string());

    let to = daemon.folder().join("saved");
    let saved = succeeded(&outbox(&daemon, &["salvage", "--to", path(&to), "--json"]));
    let saved: Value = serde_json::from_str(&saved).expect("JSON");
    let count = |what: &str| saved[what].as_u64().expect("a number");
    assert!(count("leads") > 200, "{saved}");
    let losses = saved["losses"].as_array().expect("a list").iter();
    let orphans = losses.filter(|loss| loss["what"] == "no delivery of it is left");
    assert_eq!(
        count("deliveries") + orphans.count() as u64,
        count("leads"),
        "a lead that nobody delivers is named: {saved}"
    );
    assert!(
        std::fs::read(&db).expect("reads") == before,
        "the damaged store is untouched"
    );
    replace(&daemon, &to);
    succeeded(&outbox(&daemon, &["verify"]));
    let text = std::fs::read_to_string(&config).expect("reads");
    std::fs::write(&config, text.replace(&slow.url(), &crm.url())).expect("writes");
    daemon.restart();
    until("the rest is delivered", || {
        taken(&crm).len() as u64 >= count("deliveries")
    });
}

#[test]
fn a_folder_gets_only_what_is_new_from_the_daemon_and_without_it() {
    let crm = Crm::start();
    crm.behave(Behaviour::Hang);
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..=10);
    let to = daemon.folder().join("daily");
    let new = format!("{}/", path(&to));
    let back_up = |daemon: &Daemon, to: &str| -> Value {
        let said = succeeded(&outbox(daemon, &["backup", "--to", to, "--json"]));
        serde_json::from_str(&said).expect("JSON")
    };
    let first = back_up(&daemon, &new);
    assert_eq!((&first["copied"], &first["kept"]), (&1.into(), &0.into()));
    daemon.shop().give(11..=20);
    let second = back_up(&daemon, path(&to));
    assert_eq!(
        (&second["copied"], &second["removed"]),
        (&1.into(), &1.into())
    );
    daemon.terminate();
    let said = succeeded(&outbox(&daemon, &["backup", "--to", path(&to)]));
    assert!(said.contains("the backup is whole"), "{said}");
    let same = back_up(&daemon, path(&to));
    // The backup before left its entry in the audit log, which the journal knows of.
    assert_eq!((&same["copied"], &same["kept"]), (&1.into(), &0.into()));
    // Nothing else's folder, and nothing of another outbox.
    let other = outbox(&daemon, &["backup", "--to", path(daemon.folder())]);
    assert_eq!(other.status.code(), Some(1));
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(said.contains("holds no backup"), "{said}");
    let restored = daemon.folder().join("restored");
    let said = succeeded(&outbox(
        &daemon,
        &["restore", "--from", path(&to), "--to", path(&restored)],
    ));
    assert!(said.contains("leads: 20"), "{said}");
    replace(&daemon, &restored);
    crm.behave(Behaviour::Take);
    daemon.restart();
    until("all are delivered", || taken(&crm).len() == 20);
}

#[test]
fn an_export_makes_the_same_outbox_elsewhere() {
    let dead = format!("http://127.0.0.1:{}", leadgate_tests::free_port());
    let mut from = Daemon::start(Setup::with_crm(&dead));
    from.shop().give(1..=20);
    let online = succeeded(&outbox(&from, &["export"]));
    from.terminate();
    let lines = succeeded(&outbox(&from, &["export"]));
    let leads = |text: &str| {
        let lines = text.lines();
        lines.filter(|line| !line.starts_with("{\"audit\"")).count()
    };
    assert_eq!((leads(&online), leads(&lines)), (21, 21));
    let mut to = Daemon::start(Setup::with_crm(&dead));
    to.terminate();
    let mut input = tempfile::tempfile().expect("a file");
    input.write_all(lines.as_bytes()).expect("writes");
    input.rewind().expect("rewinds");
    let import = Command::new(binary())
        .args(["outbox", "import", "-", "--json", "--config"])
        .arg(to.folder().join("leadgate.toml"))
        .stdin(Stdio::from(input))
        .output()
        .expect("runs");
    let done: Value = serde_json::from_str(&succeeded(&import)).expect("JSON");
    assert_eq!(
        (&done["leads"], &done["deliveries"]),
        (&20.into(), &20.into())
    );
    succeeded(&outbox(&to, &["verify"]));
    succeeded(&outbox(&to, &["rekey"]));
    to.restart();
    succeeded(&outbox(&to, &["rekey"]));
    let waiting = |daemon: &Daemon| {
        daemon.stat("/sinks/crm/pending")
            + daemon.stat("/sinks/crm/retrying")
            + daemon.stat("/sinks/crm/in_flight")
    };
    // Counted in three questions, between which a delivery may move.
    until("all wait there", || waiting(&to) == 20);
    assert_eq!(to.stat("/leads/accepted"), 20);
    assert_eq!(
        to.shop().push(Shop::lead(3)).expect("answered").body,
        SUCCESS
    );
    assert_eq!(to.stat("/leads/duplicate"), 1, "a re-push is known");
}

#[test]
fn a_restore_says_what_goes_out_and_holds_it_if_asked_to() {
    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let crm = Crm::start();
    crm.behave(Behaviour::Hang);
    let mut daemon = Daemon::start(Setup {
        outbox: format!("key = \"{KEY}\"\n"),
        ..Setup::with_crm(&crm.url())
    });
    daemon.shop().give(1..=20);
    let file = daemon.folder().join("backup");
    succeeded(&outbox(&daemon, &["backup", "--to", path(&file)]));
    daemon.kill();
    let to = daemon.folder().join("restored");
    let restore = |to: &Path, more: &[&str]| {
        let args = ["restore", "--from", path(&file), "--to", path(to)];
        outbox(&daemon, &[&args[..], more].concat())
    };
    let said = succeeded(&restore(&to, &[]));
    for part in [
        "leads: 20",
        "deliveries that wait: 20",
        "crm 20",
        "has the key",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let held = daemon.folder().join("held");
    let said = succeeded(&restore(&held, &["--paused", "--json"]));
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&said["leads"], &said["waiting"]), (&20.into(), &20.into()));
    assert_eq!(said["key"], "configured");
    assert!(
        said["goes_out"]
            .as_object()
            .is_some_and(serde_json::Map::is_empty)
    );
    assert!(said["newest_at"].is_string(), "{said}");
    // Another key: said by restore, by check and by verify, also while nobody has opened it.
    let config = daemon.folder().join("leadgate.toml");
    let text = std::fs::read_to_string(&config).expect("reads");
    std::fs::write(&config, text.replace("key = \"0001", "key = \"ffff")).expect("writes");
    let third = daemon.folder().join("third");
    let wrong = restore(&third, &[]);
    assert_eq!(wrong.status.code(), Some(1));
    let wrong = String::from_utf8_lossy(&wrong.stdout).into_owned();
    assert!(wrong.contains("does not have the key"), "{wrong}");
    let check = output(&["check", "--config", path(&config)], &[]);
    let why = String::from_utf8_lossy(&check.stderr).into_owned();
    assert_eq!(check.status.code(), Some(78), "{why}");
    assert!(
        why.contains("2627b523") && why.contains("outbox.key"),
        "{why}"
    );
    assert_eq!(outbox(&daemon, &["verify"]).status.code(), Some(1));
    std::fs::write(&config, text).expect("writes");
    replace(&daemon, &held);
    let before = crm.received().len();
    crm.behave(Behaviour::Take);
    daemon.restart();
    let sinks = daemon.admin("/api/v1/sinks").json();
    assert_eq!(sinks["items"][0]["paused"], true, "{sinks}");
    let waiting = ["pending", "retrying"].map(|state| daemon.stat(&format!("/sinks/crm/{state}")));
    assert_eq!(waiting.iter().sum::<u64>(), 20);
    assert_eq!(crm.received().len(), before, "nothing goes out by itself");
    let resumed = output(&["sink", "resume", "crm", "--config", path(&config)], &[]);
    assert_eq!(resumed.status.code(), Some(0));
    until("all are delivered", || taken(&crm).len() == 20);
}

#[test]
fn an_export_and_a_backup_are_said_with_who_asked_and_how_much() {
    let dead = format!("http://127.0.0.1:{}", leadgate_tests::free_port());
    let daemon = Daemon::start(Setup::with_crm(&dead));
    daemon.shop().give(1..=7);
    succeeded(&outbox(&daemon, &["export"]));
    let file = daemon.folder().join("backup");
    succeeded(&outbox(&daemon, &["backup", "--to", path(&file)]));
    succeeded(&outbox(&daemon, &["rekey"]));
    let line = |what: &str| {
        let mut found = None;
        until(what, || {
            let log = daemon.log();
            let line = log.lines().find(|line| line.contains(what));
            found = line.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
            found.is_some()
        });
        let line = found.expect("the line");
        assert_eq!(line["level"], "INFO");
        // By the socket, as commands on the daemon's machine come.
        assert_eq!(line["span"]["via"], "socket", "{line}");
        let who = line["span"]["who"].as_str().unwrap_or_default();
        assert!(who.starts_with("uid:"), "{line}");
        line
    };
    assert_eq!(line("leads were exported")["leads"], 7);
    assert!(line("backup was made")["records"].as_u64() > Some(7));
    assert!(line("records were sealed")["records"].is_u64());
}
