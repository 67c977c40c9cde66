//! Plugins: libraries that fit, that do not, and that misbehave.

use std::path::Path;

use leadgate_tests::{Crm, Daemon, Setup, c_plugin, library, output, until};

fn sink(name: &str, plugin: &str, path: &Path) -> String {
    format!(
        "[plugins.{plugin}]\npath = \"{}\"\n[sinks.{name}]\nplugin = \"{plugin}\"\ntimeout = \"500ms\"\n\
         retry = {{ first = \"10ms\", max = \"20ms\", max_attempts = 3, max_age = \"1h\" }}\n\
         breaker = {{ failures = 0 }}\n",
        path.display()
    )
}

/// What lets the plugin's processes write there, which they may nowhere else.
fn may_write(plugin: &str, folder: &Path) -> String {
    format!(
        "[plugins.{plugin}.sandbox]\nwrite = [\"{}\"]\n",
        folder.display()
    )
}

#[test]
fn a_panicking_plugin_costs_its_attempts_and_nothing_else() {
    let crm = Crm::start();
    let rest = sink("bad", "panicking", &library()) + &Setup::http_sink("crm", &crm.url());
    let daemon = Daemon::start(Setup {
        rest,
        ..Setup::default()
    });
    daemon.shop().give(1..=5);
    until("the panics are dead letters", || {
        daemon.stat("/sinks/bad/dead") == 5
    });
    until("the other sink has all", || {
        daemon.stat("/sinks/crm/delivered") == 5
    });
    let metrics = daemon.admin("/metrics").body;
    assert!(
        metrics.contains("leadgate_plugin_panics_total{plugin=\"panicking\"} 15"),
        "{metrics}"
    );
}

#[test]
fn a_hanging_plugin_is_ambiguous_and_slows_nobody() {
    let crm = Crm::start();
    let rest = sink("bad", "hanging", &library()) + &Setup::http_sink("crm", &crm.url());
    let daemon = Daemon::start(Setup {
        rest,
        ..Setup::default()
    });
    daemon.shop().give(1..=3);
    until("the other sink has all", || {
        daemon.stat("/sinks/crm/delivered") == 3
    });
    until("the hanging ones are dead letters", || {
        daemon.stat("/sinks/bad/dead") == 3
    });
    let metrics = daemon.admin("/metrics").body;
    assert!(
        metrics.contains("leadgate_delivery_attempts_total{outcome=\"ambiguous\",sink=\"bad\"} 9"),
        "{metrics}"
    );
}

#[test]
fn a_plugin_in_c_delivers_through_the_header_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = c_plugin("GOOD");
    let out = folder.path().join("out.jsonl");
    let rest = sink("erp", "c_sink", &library)
        + &format!("[sinks.erp.settings]\npath = \"{}\"\n", out.display())
        + &may_write("c_sink", folder.path());
    let daemon = Daemon::start(Setup {
        rest,
        ..Setup::default()
    });
    daemon.shop().give(1..=3);
    until("delivered", || daemon.stat("/sinks/erp/delivered") == 3);
    let text = std::fs::read_to_string(&out).expect("the plugin wrote");
    assert_eq!(text.lines().count(), 3);
    assert!(
        daemon.log().contains("c sink was made"),
        "the host logs for it:\n{}",
        daemon.log()
    );
}

#[test]
fn a_plugin_of_an_older_minor_is_loaded_and_delivers() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = c_plugin("OLDER");
    let out = folder.path().join("out.jsonl");
    let rest = sink("erp", "c_sink", &library)
        + &format!("[sinks.erp.settings]\npath = \"{}\"\n", out.display())
        + &may_write("c_sink", folder.path());
    let daemon = Daemon::start(Setup {
        rest,
        ..Setup::default()
    });
    daemon.shop().give(1..=2);
    until("delivered", || daemon.stat("/sinks/erp/delivered") == 2);
    let info = daemon.admin("/metrics").body;
    assert!(info.contains("abi=\"1.0\""), "{info}");
}

#[test]
fn completing_twice_is_logged_and_harms_nobody() {
    let library = c_plugin("TWICE");
    let rest = sink("erp", "c_sink", &library) + "[sinks.erp.settings]\npath = \"/dev/null\"\n";
    let daemon = Daemon::start(Setup {
        rest,
        ..Setup::default()
    });
    daemon.shop().give(1..=3);
    until("delivered", || daemon.stat("/sinks/erp/delivered") == 3);
    until("it was noticed", || {
        daemon.log().contains("plugin completed an attempt twice")
    });
}

#[test]
fn a_library_that_does_not_fit_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = [
        (
            "WRONG_MAGIC",
            "does not begin with the leadgate magic number",
        ),
        (
            "WRONG_MAJOR",
            "it was built for plugin ABI 2.3, this leadgate speaks 1.3",
        ),
        (
            "TOO_SMALL",
            "ABI 1.0 needs 112: it lacks `settings_schema`, `check`",
        ),
        ("NO_DELIVER", "has no `deliver` function"),
        ("WRONG_NAME", "its name is `other`"),
        ("NULL_DESCRIPTOR", "its descriptor is null"),
        ("NO_SYMBOL", "does not export `leadgate_plugin_c_sink`"),
    ];
    for (define, reason) in cases {
        let library = c_plugin(define);
        let config = folder.path().join("leadgate.toml");
        let text = format!(
            "[sources.s]\nkind = \"tmall\"\npath = \"/x\"\napp_secret = \"x\"\n{}",
            sink("erp", "c_sink", &library)
        );
        std::fs::write(&config, text).expect("writes");
        for command in ["check", "run"] {
            let output = output(&[command, "--config", config.to_str().expect("text")], &[]);
            assert_eq!(output.status.code(), Some(78), "{command} {define}");
            let said = String::from_utf8_lossy(&output.stderr)
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            let said = said.replace("│ ", "");
            assert!(said.contains(reason), "{define}: {said}");
        }
    }
}
