//! What a plugin in a child can reach, use up and say.

use std::net::TcpListener;
use std::path::Path;

use leadgate_tests::{counted, until};

use super::{Scene, Stage};

/// Every place of the daemon's that a plugin might look into: each word of the receipt is one.
#[test]
fn the_daemons_secrets_and_files_are_not_there() {
    let scene = Scene {
        settings: "file = \"@FOLDER@/store/db\"\nname = \"LEADGATE_ZOO_SECRET\"",
        environment: &[("LEADGATE_ZOO_SECRET", "only the daemon knows")],
        ..Scene::default()
    };
    let mut stage = Stage::set("spies", scene);
    // A file of the outbox by its real name, for what the plugin tries to open.
    let store = stage.daemon.folder().join("store");
    std::fs::write(store.join("db"), "a file in the outbox's folder").unwrap_or_default();
    stage.give(1);
    stage.all_are_delivered();
    let receipts = stage.receipts();
    let found: Vec<_> = receipts[0]
        .split(' ')
        .filter(|word| !word.ends_with("=0"))
        .collect();
    assert!(receipts[0].contains("environment=0"), "{receipts:?}");
    assert!(found.is_empty(), "it reached {found:?}");
    assert!(stage.daemon.runs());
    counted(format!("spies: {}", receipts[0]));
}

/// The same plugin finds all of it in the daemon's own process: the search itself works.
#[test]
fn in_process_all_of_it_is_there() {
    let scene = Scene {
        plugin: "isolation = \"in-process\"",
        settings: "file = \"@FOLDER@/store/db\"\nname = \"LEADGATE_ZOO_SECRET\"",
        environment: &[("LEADGATE_ZOO_SECRET", "only the daemon knows")],
        ..Scene::default()
    };
    let mut stage = Stage::set("spies", scene);
    let store = stage.daemon.folder().join("store");
    std::fs::write(store.join("db"), "a file in the outbox's folder").unwrap_or_default();
    stage.give(1);
    stage.all_are_delivered();
    let receipt = stage.receipts().remove(0);
    for place in [
        "environment",
        "outbox-read",
        "outbox-listed",
        "configuration",
    ] {
        assert!(
            receipt.contains(&format!("{place}=1")),
            "{place}: {receipt}"
        );
    }
}

#[test]
fn only_ports_that_were_named_are_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    for (allowed, expected) in [(port, "connected"), (port ^ 1, "errno=13")] {
        let sandbox = format!("[plugins.connects.sandbox]\nconnect = [{allowed}]");
        let settings = format!("port = {port}");
        let scene = Scene {
            plugin: &sandbox,
            settings: &settings,
            ..Scene::default()
        };
        let mut stage = Stage::set("connects", scene);
        stage.give(1);
        stage.all_are_delivered();
        assert_eq!(stage.receipts(), [expected], "with {allowed} allowed");
    }
}

/// The numbers of the processes that are called so.
fn processes_called(name: &str) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let called = all.filter(|entry| {
        let comm = std::fs::read_to_string(entry.path().join("comm"));
        comm.is_ok_and(|comm| comm.trim() == name)
    });
    called
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

#[test]
fn processes_that_it_starts_do_not_outlive_the_daemon() {
    let name = format!("lg-zoo-{}", std::process::id() % 100_000);
    let settings = format!("name = \"{name}\"");
    let scene = Scene {
        settings: &settings,
        ..Scene::default()
    };
    let mut stage = Stage::set("spawns_processes", scene);
    stage.give(2);
    stage.others_have_all();
    stage.all_are_delivered();
    let receipts = stage.receipts();
    let during = processes_called(&name).len();
    assert_eq!(stage.daemon.terminate(), Some(0));
    let gone = leadgate_tests::within(std::time::Duration::from_secs(20), || {
        processes_called(&name).is_empty()
    });
    let left = processes_called(&name);
    for process in &left {
        // They are this test's own.
        let kill = std::process::Command::new("kill")
            .arg(process.to_string())
            .status();
        kill.expect("kill runs");
    }
    assert!(gone, "{} processes outlive the daemon", left.len());
    counted(format!(
        "spawns_processes: {receipts:?}, {during} while the daemon ran, none after"
    ));
}

#[test]
fn threads_that_it_starts_are_its_own() {
    let mut stage = Stage::set("spawns_threads", Scene::default());
    let threads = |pid: u32| {
        let tasks = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"));
        tasks.expect("its threads").count()
    };
    let before = threads(stage.daemon.pid());
    stage.give(4);
    stage.others_have_all();
    stage.all_are_delivered();
    let after = threads(stage.daemon.pid());
    assert!(after < before + 100, "{before} threads became {after}");
    counted(format!(
        "spawns_threads: {:?}, {} threads of the daemon's",
        stage.receipts(),
        after
    ));
}

/// What it uses up is its child's: the daemon grows by less than one of its steps.
#[test]
fn a_leak_ends_with_its_child() {
    let scene = Scene {
        sink: "concurrency = 1",
        ..Scene::default()
    };
    let scene = Scene { sink: "", ..scene };
    let mut stage = Stage::set("leaks", scene);
    let resident = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("a number")
    };
    let before = resident(stage.daemon.pid());
    // 64 MiB each: more than any child may have.
    while stage.faults().is_empty() {
        assert!(stage.given < 200, "the child may have 12 GiB");
        stage.give(5);
        stage.others_have_all();
        let given = stage.given;
        until("it has tried them", || {
            !stage.faults().is_empty() || stage.daemon.stat("/sinks/bad/delivered") == given
        });
    }
    stage.all_are_delivered();
    let grown = resident(stage.daemon.pid()).saturating_sub(before);
    assert!(grown < 64 * 1024, "the daemon grew by {grown} KiB");
    let told = stage.told();
    assert!(!told.is_empty(), "it is told");
    counted(format!(
        "leaks: {} attempts of 64 MiB, {:?}; the daemon grew by {} MiB",
        stage.given,
        stage.faults(),
        grown / 1024
    ));
}

#[test]
fn an_answer_of_a_gigabyte_costs_its_attempt() {
    let mut stage = Stage::set("answers_a_gigabyte", Scene::default());
    stage.give(3);
    stage.others_have_all();
    stage.all_are_delivered();
    let peak = std::fs::read_to_string(format!("/proc/{}/status", stage.daemon.pid()))
        .expect("its status");
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let peak = peak.expect("a number") / 1024;
    assert!(peak < 400, "the daemon had {peak} MiB");
    counted(format!(
        "answers_a_gigabyte: {:?}; the daemon had {peak} MiB at most",
        stage.faults()
    ));
}

/// All that it says is read, so that it never waits for a reader; and nothing of it that is a
/// person's is shown.
#[test]
fn what_it_prints_shows_nobody() {
    let mut stage = Stage::set("talks", Scene::default());
    stage.give(5);
    stage.others_have_all();
    stage.all_are_delivered();
    stage.nothing_personal_is_shown();
    let events = stage.daemon.events();
    let printed: Vec<_> = events
        .iter()
        .filter(|event| event["plugin"] == "talks" && event["sink"] == "bad")
        .collect();
    assert!(
        !printed.is_empty(),
        "what it prints is in the log, by sink and plugin"
    );
    let log = stage.daemon.log();
    assert!(
        log.len() < 1 << 20,
        "10 MiB were printed, {} KiB logged",
        log.len() / 1024
    );
    assert_eq!(stage.daemon.stdout(), "", "the daemon's stdout is its own");
    counted(format!(
        "talks: 10 MiB printed, {} events and {} KiB logged",
        printed.len(),
        log.len() / 1024
    ));
}

/// Both halves of a fork go on; the lead counts once, and nothing is confused by the other half.
#[test]
fn a_fork_in_an_attempt_confuses_nobody() {
    let mut stage = Stage::set("forks", Scene::default());
    stage.give(5);
    stage.others_have_all();
    stage.all_are_delivered();
    stage.give(5);
    stage.all_are_delivered();
    assert_eq!(stage.daemon.terminate(), Some(0));
    counted(format!(
        "forks: 10 leads delivered, {} faults told",
        stage.told().len()
    ));
}

/// With its descriptors closed a child cannot answer: it is replaced.
#[test]
fn a_child_that_closes_its_descriptors_is_replaced() {
    let mut stage = Stage::set("closes_descriptors", Scene::default());
    stage.give(5);
    stage.others_have_all();
    stage.all_are_delivered();
    assert!(!stage.told().is_empty(), "{}", stage.daemon.log());
    counted(format!("closes_descriptors: {:?}", stage.faults()));
}

/// Bytes of its own in the child's channel to the daemon: no frame, and the child is replaced.
#[test]
fn a_child_that_writes_into_the_channel_is_replaced() {
    let mut stage = Stage::set("speaks_for_the_child", Scene::default());
    stage.give(5);
    stage.others_have_all();
    stage.all_are_delivered();
    assert!(!stage.told().is_empty(), "{}", stage.daemon.log());
    counted(format!("speaks_for_the_child: {:?}", stage.faults()));
}
