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
