//! In the daemon's own process, where a merchant asks for it: what can be contained, is.
//!
//! Not contained: a wild pointer, an abort, an exit, a stack or memory used up, descriptors
//! closed, what is printed, and what the process may read. README says so.

use std::collections::BTreeMap;

use leadgate_tests::{Crm, Daemon, Setup, counted, library, until};

use super::{Scene, Stage};

const HERE: &str = "isolation = \"in-process\"";

fn stage(plugin: &'static str, settings: &str) -> Stage {
    let scene = Scene {
        plugin: HERE,
        settings,
        sink: "timeout = \"500ms\"",
        ..Scene::default()
    };
    Stage::set(plugin, scene)
}

/// What every fault here must leave as it was.
fn ends_well(mut stage: Stage, said: &str) {
    stage.others_have_all();
    assert!(stage.daemon.runs(), "{}: the daemon runs", stage.plugin);
    assert_eq!(stage.daemon.readiness(), 200);
    stage.nothing_personal_is_shown();
    assert_eq!(
        stage.daemon.terminate(),
        Some(0),
        "{}: it stops",
        stage.plugin
    );
    counted(format!("in process, {}: {said}", stage.plugin));
}

#[test]
fn garbage_is_no_outcome() {
    // Six kinds of garbage, chosen by the attempt's number.
    let mut stage = stage("returns_garbage", "faulty_attempts = 6");
    stage.give(2);
    stage.all_are_delivered();
    let metrics = stage.daemon.metrics();
    let attempts: BTreeMap<_, _> = ["ambiguous", "retry", "delivered"]
        .into_iter()
        .map(|outcome| {
            let name =
                format!("leadgate_delivery_attempts_total{{outcome=\"{outcome}\",sink=\"bad\"}} ");
            let count = metrics.lines().find_map(|line| line.strip_prefix(&name));
            (
                outcome,
                count.map_or(0, |count| count.parse::<u64>().expect("a number")),
            )
        })
        .collect();
    // No struct, one without a kind, and a kind that does not exist say nothing.
    let expected = BTreeMap::from([("ambiguous", 6), ("retry", 6), ("delivered", 2)]);
    assert_eq!(attempts, expected, "{metrics}");
    ends_well(stage, "6 of 12 attempts were ambiguous, 6 were tried again");
}

#[test]
fn an_attempt_that_is_never_completed_is_ambiguous() {
    let mut stage = stage("never_completes", "");
    stage.give(3);
    stage.all_are_delivered();
    ends_well(stage, "3 leads delivered at their second attempt");
}

#[test]
fn a_completion_that_comes_too_late_is_not_another_attempts() {
    let mut stage = stage("completes_late", "");
    stage.give(3);
    stage.all_are_delivered();
    ends_well(stage, "3 leads delivered at their second attempt");
}

#[test]
fn a_second_completion_is_dropped_and_told() {
    let mut stage = stage("completes_twice", "");
    stage.give(3);
    stage.all_are_delivered();
    assert_eq!(stage.receipts(), ["first", "first", "first"]);
    until("it is told", || {
        stage.daemon.log().contains("completed an attempt twice")
    });
    ends_well(stage, "3 leads delivered, the first outcome counted");
}

#[test]
fn a_gigabyte_is_cut_before_it_is_copied() {
    let mut stage = stage("answers_a_gigabyte", "");
    stage.give(1);
    stage.all_are_delivered();
    ends_well(stage, "1 lead delivered at its second attempt");
}

/// The daemon stops, so the sink goes; what its plugin says of an attempt then means nothing.
#[test]
fn a_completion_when_the_sink_goes_is_dropped() {
    let mut stage = stage("completes_after_destroy", "");
    stage.give(3);
    stage.all_are_delivered();
    ends_well(stage, "3 leads delivered, the daemon stopped cleanly");
}

/// A panic of a Rust plugin: file and line, never the message, which may be a lead.
#[test]
fn a_panic_costs_its_attempt_and_shows_nobody() {
    let crm = Crm::start();
    let bad = format!(
        "[plugins.panicking]\npath = \"{}\"\n{HERE}\n[sinks.bad]\nplugin = \"panicking\"\n\
         retry = {{ first = \"10ms\", max = \"10ms\", max_attempts = 3, max_age = \"1h\" }}\n\
         breaker = {{ failures = 0 }}\n",
        library().display()
    );
    let daemon = Daemon::start(Setup {
        rest: bad + &Setup::http_sink("crm", &crm.url()),
        ..Setup::default()
    });
    daemon.shop().give(1..=3);
    until("the panics are dead letters", || {
        daemon.stat("/sinks/bad/dead") == 3 && daemon.stat("/sinks/crm/delivered") == 3
    });
    let log = daemon.log();
    assert!(log.contains("misbehaving.rs"), "the place is told:\n{log}");
    for personal in super::PERSONAL {
        assert!(!log.contains(personal), "the log shows a person");
    }
    counted("in process, panicking: 9 attempts of 3 leads, the place told, nobody shown");
}
