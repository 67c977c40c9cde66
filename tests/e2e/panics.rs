//! Panics of a library: where they were is in the log, what they say is nowhere.

use leadgate_tests::{Daemon, SAMPLE, SUCCESS, Setup, example, until};

/// The line of `plugins/unwraps.rs` that has this text.
fn place(text: &str) -> String {
    let source = include_str!("../plugins/unwraps.rs");
    let line = source.lines().position(|line| line.contains(text));
    format!("plugins/unwraps.rs:{}:", line.expect("it is there") + 1)
}

#[test]
fn a_panic_of_a_library_is_told_by_its_place_and_never_by_its_message() {
    let rest = format!(
        "[plugins.unwraps]\npath = \"{}\"\n[sinks.unwraps]\nplugin = \"unwraps\"\n\
         retry = {{ first = \"10ms\", max = \"10ms\", max_attempts = 5, max_age = \"1h\" }}\n",
        example("unwraps").display()
    );
    let mut daemon = Daemon::start(Setup {
        level: "trace",
        rest,
        ..Setup::default()
    });
    assert_eq!(daemon.shop().push(SAMPLE).expect("answered").body, SUCCESS);
    until("the third attempt was taken", || {
        daemon.stat("/sinks/unwraps/delivered") == 1
    });
    let metrics = daemon.metrics();
    daemon.terminate();
    let (log, out) = (daemon.log(), daemon.stdout());
    let told = |phrase: &str, place: &str| {
        let mut events = daemon.events().into_iter();
        events.any(|event| event["message"] == phrase && event.to_string().contains(place))
    };
    assert!(told("plugin panicked", &place("1 => insert")), "{log}");
    let other = place("thread::spawn");
    assert!(told("a thread of the plugin panicked", &other), "{log}");
    let panics = "leadgate_plugin_panics_total{plugin=\"unwraps\"} 1";
    assert!(metrics.contains(panics), "{metrics}");
    for text in [&log, &out, &metrics] {
        for personal in ["13567658911", "duplicate key", "张三", "stack backtrace"] {
            assert!(!text.contains(personal), "{personal} is in {text}");
        }
    }
}
