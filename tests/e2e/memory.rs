//! Memory: plugins under tools that see every wrong access, in a host of C.
//!
//! The gateway's own side of the ABI is run under Miri; see `tests/run`.

use std::path::Path;
use std::process::Command;

use leadgate_tests::{
    another_profile, c_host, c_plugin, counted, misbehaving, output_of, sanitized,
};

/// What each tool lets the host deliver.
const DELIVERIES: &str = "200";

/// An event that holds more than ASCII, and one that holds next to nothing.
const EVENTS: &str = concat!(
    r#"{"event":"lead.created","id":"L1","revision":1,"source":"shop","received_at":"T","lead":{"record_id":1,"phone":"13567658911","name":"张三","other":{}},"labels":{},"raw":"{}"}"#,
    "\n",
    r#"{"event":"lead.updated","id":"L2","revision":2,"source":"shop","received_at":"T","lead":{"other":{}},"labels":{},"raw":""}"#,
    "\n",
);

/// Runs the host, under `tool` if it is not the host itself; gives its line.
fn hosted(tool: &mut Command, host: &Path, library: &Path, name: &str) -> String {
    let (told, written) =
        watched(tool, host, library, name).unwrap_or_else(|said| panic!("{said}"));
    assert_eq!(
        written.to_string(),
        DELIVERIES,
        "{name} wrote as many lines"
    );
    assert!(told.contains("200 of 200 delivered, 0 twice"), "{told}");
    told
}

/// The same for a plugin of which the tool may find something, which is then the error.
fn watched(
    tool: &mut Command,
    host: &Path,
    library: &Path,
    name: &str,
) -> Result<(String, usize), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let (events, out) = (
        folder.path().join("events"),
        folder.path().join("out.jsonl"),
    );
    std::fs::write(&events, EVENTS).expect("writes");
    let settings = format!("{{\"path\":\"{}\"}}", out.display());
    if tool.get_program() != host.as_os_str() {
        tool.arg(host);
    }
    let output = tool
        .arg(library)
        .args([name, &settings])
        .arg(&events)
        .arg(DELIVERIES)
        .output()
        .expect("runs");
    if !output.status.success() {
        return Err(output_of(&output));
    }
    let lines = std::fs::read_to_string(&out).unwrap_or_default();
    let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok((told, lines.lines().count()))
}

fn valgrind() -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind.args([
        "--quiet",
        "--show-leak-kinds=definite",
        "--error-exitcode=9",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
        "--fair-sched=yes",
    ]);
    valgrind
}

/// Without it the tests here could not fail.
#[test]
fn address_sanitizer_sees_a_plugin_that_reads_what_it_gave_back() {
    let host = c_host(true);
    let library = sanitized("misbehaving/reads_after_done.c", None);
    let found = watched(
        &mut Command::new(&host),
        &host,
        &library,
        "reads_after_done",
    );
    let found = found.expect_err("it is seen");
    assert!(found.contains("heap-use-after-free"), "{found}");
}

#[test]
#[ignore = "needs valgrind"]
fn valgrind_sees_a_plugin_that_reads_what_it_gave_back() {
    let library = misbehaving("reads_after_done");
    let found = watched(
        &mut valgrind(),
        &c_host(false),
        &library,
        "reads_after_done",
    );
    let found = found.expect_err("it is seen");
    assert!(found.contains("Invalid read of size 1"), "{found}");
}

#[test]
fn a_c_plugin_is_sound_under_address_sanitizer() {
    let host = c_host(true);
    let library = sanitized("plugin.c", Some("GOOD"));
    let told = hosted(&mut Command::new(&host), &host, &library, "c_sink");
    counted(format!("AddressSanitizer found nothing: {told}"));
}

#[test]
#[ignore = "needs valgrind"]
fn a_c_plugin_is_sound_under_valgrind() {
    let told = hosted(&mut valgrind(), &c_host(false), &c_plugin("GOOD"), "c_sink");
    counted(format!("valgrind found nothing: {told}"));
}

#[test]
#[ignore = "needs valgrind"]
fn a_rust_plugin_is_sound_under_valgrind() {
    let library = another_profile(None);
    let told = hosted(&mut valgrind(), &c_host(false), &library, "another_profile");
    counted(format!("valgrind found nothing: {told}"));
}
