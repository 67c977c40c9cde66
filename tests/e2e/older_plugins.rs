//! Plugins that were built against the headers of older minor versions.

use leadgate_tests::{Daemon, Setup, c_plugin_of, until};

/// The headers lie in `plugins/headers`, as they were when each version was the newest.
#[test]
fn a_plugin_built_against_an_older_minor_delivers_in_process_and_in_a_process_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    for version in ["1.0", "1.1", "1.2"] {
        let library = c_plugin_of(version);
        for isolation in ["in-process", "process"] {
            let out = folder.path().join(format!("{version}-{isolation}.jsonl"));
            let daemon = Daemon::start(Setup {
                rest: format!(
                    "[plugins.c_sink]\npath = \"{}\"\nisolation = \"{isolation}\"\nsandbox = {{ write = [\"{}\"] }}\n\
                     [sinks.erp]\nplugin = \"c_sink\"\n[sinks.erp.settings]\npath = \"{}\"\n",
                    library.display(),
                    folder.path().display(),
                    out.display()
                ),
                ..Setup::default()
            });
            daemon.shop().give(1..=3);
            until("all are delivered", || {
                daemon.stat("/sinks/erp/delivered") == 3
            });
            let text = std::fs::read_to_string(&out).expect("the plugin wrote");
            assert_eq!(text.lines().count(), 3, "{version} {isolation}");
            let metrics = daemon.admin("/metrics").body;
            assert!(
                metrics.contains(&format!("abi=\"{version}\"")),
                "{version} {isolation}: {metrics}"
            );
            drop(daemon);
        }
    }
}
