//! Languages: plugins that were not built beside the gateway deliver the document's sample lead.
//!
//! In C, in Rust by another toolchain with a profile of its own, and in Python; all of them from
//! source, in one daemon.

use std::path::Path;

use leadgate_tests::{
    Daemon, SAMPLE, SUCCESS, Setup, another_profile, another_toolchain, c_plugin, counted, here,
    until,
};

/// A sink of a library that appends to `PATH`, which must be allowed to.
fn library(name: &str, plugin: &str, library: &Path) -> String {
    format!(
        "[plugins.{plugin}]\npath = \"{}\"\n[plugins.{plugin}.sandbox]\nwrite = [\"@FOLDER@/out\"]\n\
         [sinks.{name}]\nplugin = \"{plugin}\"\n[sinks.{name}.settings]\npath = \"@FOLDER@/out/{name}\"\n",
        library.display()
    )
}

/// A daemon with these sinks has given each the sample lead; what the first two wrote.
fn delivered(sinks: &str, names: &[&str]) -> Vec<String> {
    let setup = Setup {
        rest: sinks.to_owned(),
        ..Setup::default()
    };
    let daemon = Daemon::start_on(setup, |folder| {
        std::fs::create_dir(folder.join("out")).expect("makes a folder");
    });
    let answer = daemon.shop().push(SAMPLE).expect("answered");
    assert_eq!(answer.body, SUCCESS);
    for name in names {
        until(&format!("{name} has delivered"), || {
            daemon.stat(&format!("/sinks/{name}/delivered")) == 1
        });
    }
    names
        .iter()
        .map(|name| {
            let written = std::fs::read_to_string(daemon.folder().join("out").join(name));
            let written = written.unwrap_or_else(|error| panic!("{name} wrote nothing: {error}"));
            assert!(
                written.contains("13567658911") && written.contains("张三"),
                "{name} has the lead: {written}"
            );
            written
        })
        .collect()
}

#[test]
fn c_and_rust_and_python_deliver_the_sample_lead() {
    let python = format!(
        "[sinks.python]\nplugin = \"exec\"\n[sinks.python.settings]\ncommand = [\"python3\", \"sink.py\", \"@FOLDER@/out/python\"]\n\
         folder = \"{}\"\n[sinks.python.settings.sandbox]\nwrite = [\"@FOLDER@/out\"]\n",
        here("plugins").display()
    );
    let sinks = library("c", "c_sink", &c_plugin("GOOD"))
        + &library("rust", "another_profile", &another_profile(None))
        + &python;
    delivered(&sinks, &["c", "rust", "python"]);
    counted("C, Rust with opt-level z and fat LTO, and Python delivered the sample lead");
}

#[test]
fn rust_of_another_toolchain_delivers_the_sample_lead() {
    let Some(toolchain) = another_toolchain() else {
        counted("not run: there is no other toolchain (`rustup toolchain list`)");
        return;
    };
    let sinks = library(
        "rust",
        "another_profile",
        &another_profile(Some(&toolchain)),
    );
    delivered(&sinks, &["rust"]);
    counted(format!(
        "Rust of the toolchain {toolchain} delivered the sample lead"
    ));
}
