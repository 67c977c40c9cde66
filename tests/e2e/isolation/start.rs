//! Faults before there is a sink: while a library is loaded, described, or asked to make one.
//!
//! `leadgate check` names them, in time. The daemon starts all the same: a library must not keep
//! it from receiving.

use std::process::{Command, Stdio};
use std::time::Duration;

use leadgate_tests::{Crm, binary, counted, misbehaving, until, within};
use serde_json::Value;

use super::{Scene, Stage, takes};

/// `leadgate check` of a configuration with this plugin: exit code, and all that it said in one
/// line. Ended if it takes a minute.
fn checked(plugin: &str, scene: Scene<'_>) -> (Option<i32>, String) {
    let crm = Crm::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("leadgate.toml");
    let rest = scene.setup(plugin, &crm).rest;
    let text = format!(
        "[outbox]\npath = \"store\"\n[sources.s]\nkind = \"tmall\"\npath = \"/x\"\napp_secret = \"x\"\n{}",
        rest.replace("@FOLDER@", &folder.path().display().to_string())
    );
    std::fs::write(&file, text).expect("writes");
    let said = folder.path().join("said");
    let into = || {
        Stdio::from(
            std::fs::File::options()
                .create(true)
                .append(true)
                .open(&said)
                .expect("a file"),
        )
    };
    let mut child = Command::new(binary())
        .args(["check", "--config"])
        .arg(&file)
        .env("LEADGATE_LANG", "en")
        .stdin(Stdio::null())
        .stdout(into())
        .stderr(into())
        .spawn()
        .expect("runs");
    let ended = within(Duration::from_mins(1), || {
        child.try_wait().expect("waits").is_some()
    });
    if !ended {
        child.kill().expect("kills");
    }
    let status = child.wait().expect("waits");
    let said = std::fs::read_to_string(&said).expect("it said something");
    assert!(ended, "{plugin}: check does not end: {said}");
    let said = said.replace(['│', '╭', '─', '╰', '·'], " ");
    let words: Vec<_> = said.split_whitespace().collect();
    (status.code(), words.join(" "))
}

/// The sink `bad` as the daemon lists it.
fn listed(stage: &Stage) -> Value {
    let sinks = stage.daemon.admin("/api/v1/sinks").json();
    let items = sinks["items"].as_array().or(sinks.as_array()).cloned();
    let items = items.unwrap_or_else(|| panic!("a list: {sinks}"));
    let bad = items.into_iter().find(|sink| sink["name"] == "bad");
    bad.expect("it is there, whatever its plugin does")
}

/// A plugin that never comes as far as a sink: `check` says so, the daemon starts, receives and
/// delivers to others, and says of the sink why it waits.
fn starts_all_the_same(plugin: &'static str, words: &[&str]) {
    let scene = Scene::default();
    let (code, said) = checked(plugin, scene);
    assert_eq!(code, Some(78), "{plugin}: {said}");
    let names = |text: &str| words.iter().any(|word| text.contains(word));
    assert!(said.contains(plugin) && names(&said), "{plugin}: {said}");

    let mut stage = Stage::set(plugin, scene);
    stage.give(3);
    stage.others_have_all();
    until("the sink says why it waits", || {
        names(&listed(&stage).to_string())
    });
    let told = || {
        let events = stage.daemon.events().into_iter().filter(|event| {
            event["level"] != "INFO" && event["plugin"] == plugin && names(&event.to_string())
        });
        events.count()
    };
    until("the log says so", || told() > 0);
    // It is tried again, ever more seldom: a storm of the same words helps nobody.
    assert!(told() <= 6, "{plugin}: {}", stage.daemon.log());
    assert_eq!(stage.daemon.stat("/sinks/bad/delivered"), 0);
    assert!(stage.daemon.runs(), "{plugin}: the daemon runs");
    assert_eq!(stage.daemon.readiness(), 200, "{plugin}");
    stage.nothing_personal_is_shown();
    let stopped = takes("the daemon has stopped", || {
        assert_eq!(stage.daemon.terminate(), Some(0), "{plugin}: it stops");
        true
    });
    counted(format!(
        "{plugin}: 3 leads taken and delivered elsewhere; the daemon stopped within {stopped:.1?}"
    ));
}

macro_rules! faults {
    ($($test:ident: $plugin:literal, [$($words:literal),*];)*) => {
        $(
            #[test]
            fn $test() {
                starts_all_the_same($plugin, &[$($words),*]);
            }
        )*
    };
}

faults! {
    a_wild_pointer_while_it_is_loaded: "segfault_when_loaded", ["SIGSEGV"];
    a_wild_pointer_while_it_is_described: "segfault_in_describe", ["SIGSEGV"];
    no_end_while_it_is_described: "hangs_in_describe", ["within", "in time", "did not"];
    an_exit_while_it_is_described: "exits_in_describe", ["exited with 0"];
    a_wild_pointer_while_a_sink_is_made: "segfault_in_create", ["SIGSEGV"];
    no_end_while_a_sink_is_made: "hangs_in_create", ["within", "in time", "did not"];
}

/// Schemas that are none: `check` names what is wrong with them.
#[test]
fn a_schema_that_is_none_is_named() {
    for (plugin, words) in [
        ("schema_not_json", "its settings schema is not JSON"),
        (
            "schema_not_an_object",
            "its settings schema is not a JSON object",
        ),
        (
            "schema_not_a_schema",
            "its settings schema is no JSON Schema",
        ),
        ("schema_too_large", "its settings schema"),
    ] {
        let (code, said) = checked(plugin, Scene::default());
        assert_eq!(code, Some(78), "{plugin}: {said}");
        assert!(
            said.contains(plugin) && said.contains(words),
            "{plugin}: {said}"
        );
        assert!(said.len() < 16 * 1024, "{plugin}: {} bytes", said.len());
    }
}

/// What it needs and nobody has is said when it is looked at, in the linker's own words.
#[test]
fn a_function_that_is_nowhere_is_named_before_a_lead_comes() {
    let (code, said) = checked("lacks_a_function", Scene::default());
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("undefined symbol: a_function_that_no_library_has"),
        "{said}"
    );
}

/// A sink that was well when the daemon started, and whose every restart fails, until what makes
/// it fail is gone.
#[test]
fn a_sink_that_cannot_be_made_again_waits_until_it_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ill");
    let settings = format!("file = \"{}\"", file.display());
    let sandbox = format!(
        "[plugins.segfault_in_create_again.sandbox]\nwrite = [\"{}\"]",
        folder.path().display()
    );
    let scene = Scene {
        plugin: &sandbox,
        settings: &settings,
        ..Scene::default()
    };
    let mut stage = Stage::set("segfault_in_create_again", scene);
    stage.give(3);
    until("its restart has failed as well", || {
        stage.faults().values().sum::<u64>() >= 2
    });
    stage.give(2);
    stage.others_have_all();
    assert_eq!(stage.daemon.stat("/sinks/bad/delivered"), 0);
    assert!(file.exists(), "the plugin could write where it may");
    std::fs::remove_file(&file).expect("removes");
    // Its next attempts at the same leads are no first ones, and go well.
    let recovered = takes("the sink has delivered all", || {
        // What the leads that were given later do to it first is the same again.
        let _ = std::fs::remove_file(&file);
        stage.daemon.stat("/sinks/bad/delivered") == 5
    });
    assert!(misbehaving("segfault_in_create_again").exists());
    let faults = stage.faults();
    counted(format!(
        "segfault_in_create_again: {faults:?}, 5 leads delivered within {recovered:.1?} after it was mended"
    ));
}
