//! Faults while a lead is delivered, in a child: they cost attempts, and nothing else.

use leadgate_tests::counted;

use super::{Scene, Stage, takes};

/// A plugin whose first attempt at each lead has the fault. The fate is counted by its word, told
/// in these words, and told once for each time it befell a child.
fn costs_its_attempts(plugin: &'static str, fate: &str, words: &[&str], scene: Scene<'_>) {
    let mut stage = Stage::set(plugin, scene);
    stage.give(3);
    let noticed = takes("the fault is counted", || !stage.faults().is_empty());
    // While the sink is ill, leads are taken as ever, and the other sink has them.
    stage.give(5);
    stage.others_have_all();
    let recovered = takes("the sink has delivered all", || {
        stage.daemon.stat("/sinks/bad/delivered") == stage.given
    });
    let faults = stage.faults();
    assert_eq!(
        faults.keys().collect::<Vec<_>>(),
        [fate],
        "{plugin}: how its children ended"
    );
    let told = stage.told();
    assert_eq!(
        told.len() as u64,
        faults[fate],
        "{plugin}: each fault is told once: {told:#?}"
    );
    for event in &told {
        let said = event["fate"].as_str().expect("words");
        assert!(
            words.iter().any(|word| said.contains(word)),
            "{plugin}: {said}"
        );
        assert_eq!(event["sink"], "bad", "{event}");
    }
    assert!(stage.daemon.runs(), "{plugin}: the daemon runs");
    assert_eq!(stage.daemon.readiness(), 200, "{plugin}");
    stage.nothing_personal_is_shown();
    assert_eq!(
        stage.daemon.terminate(),
        Some(0),
        "{plugin}: the daemon stops"
    );
    counted(format!(
        "{plugin}: {} times, noticed within {noticed:.1?}, 8 leads delivered within {recovered:.1?} after that",
        faults[fate]
    ));
}

macro_rules! faults {
    ($($test:ident: $plugin:literal, $fate:literal, [$($words:literal),*];)*) => {
        $(
            #[test]
            fn $test() {
                costs_its_attempts($plugin, $fate, &[$($words),*], Scene::default());
            }
        )*
    };
}

faults! {
    a_wild_pointer: "segfault_in_deliver", "crashed", ["SIGSEGV"];
    an_abort: "aborts", "crashed", ["SIGABRT"];
    a_stack_without_end: "overflows_stack", "crashed", ["SIGSEGV", "SIGABRT"];
    a_kill_by_the_kernel: "kills_itself", "crashed", ["SIGKILL"];
    an_exit: "exits", "exited", ["exited with 0"];
    an_exit_at_once: "exits_at_once", "exited", ["exited with 3"];
    texts_that_are_nowhere: "returns_wild_pointers", "crashed", ["SIGSEGV"];
}

/// Nobody waits longer than the sink's `timeout`; a while later the child is ended.
#[test]
fn no_end() {
    costs_its_attempts("hangs_in_deliver", "hung", &["did not"], SHORT);
}

/// The same of a child that is idle: what it has been given is never given back.
#[test]
fn no_completion() {
    costs_its_attempts("never_completes", "hung", &["did not"], SHORT);
}

const SHORT: Scene<'static> = Scene {
    plugin: "",
    sink: "timeout = \"500ms\"",
    settings: "",
    environment: &[],
};

/// What is wrong with single outcomes ends no child: a kind of garbage in each of six attempts, a
/// completion that comes twice, too late, or when the sink goes.
#[test]
fn outcomes_that_are_none_cost_an_attempt_and_no_child() {
    for (plugin, settings) in [
        ("returns_garbage", "faulty_attempts = 6"),
        ("completes_twice", ""),
        ("completes_late", ""),
        ("completes_after_destroy", ""),
    ] {
        let scene = Scene { settings, ..SHORT };
        let mut stage = Stage::set(plugin, scene);
        stage.give(3);
        stage.others_have_all();
        stage.all_are_delivered();
        assert!(stage.faults().is_empty(), "{plugin}: {:?}", stage.faults());
        stage.nothing_personal_is_shown();
        assert_eq!(stage.daemon.terminate(), Some(0), "{plugin}");
        let told = stage.daemon.events().into_iter().filter(|event| {
            event["level"] == "ERROR"
                && event["message"]
                    .to_string()
                    .contains("completed an attempt")
        });
        let told = told.count();
        // One that comes when the sink goes may find nobody who could tell it.
        let expected = match plugin {
            "completes_twice" => told > 0,
            "completes_after_destroy" => true,
            _ => told == 0,
        };
        assert!(
            expected,
            "{plugin}: {told} were told:\n{}",
            stage.daemon.log()
        );
        counted(format!(
            "{plugin}: 3 leads delivered, {told} completions dropped, no child lost"
        ));
    }
}
