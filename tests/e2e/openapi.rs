//! The API as its document says: schemathesis makes requests of it, good and bad, against a
//! daemon on which something of everything happened.
//!
//! A request that its schema allows may still be refused: what goes with what, and what a text
//! must look like, is said in words. The roles have tests of their own.

use std::fmt::Write as _;
use std::process::Command;

use leadgate_tests::{Daemon, counted, here, output_of};
use serde_json::{Value, json};

use crate::day::{Day, lead};

const SEED: &str = "13";
/// Requests for each path in the phase of chance.
const EACH: &str = "25";

/// What must hold of each answer.
const CHECKS: [&str; 8] = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
];

/// Lists whose items paths take, and what they take of them.
const LISTS: [(&str, &str); 5] = [
    ("/deliveries", "id"),
    ("/leads", "id"),
    ("/bulk", "id"),
    ("/quarantine", "id"),
    ("/pushes", "number"),
];

/// Where ids come from: half of the time those of what is there.
fn settings(daemon: &Daemon) -> String {
    let mut text = String::new();
    let mut of_paths = String::new();
    let mut add = |name: &str, begin: &str, parameter: &str, values: Vec<Value>| {
        assert!(!values.is_empty(), "{name}");
        let _ = writeln!(text, "[dictionaries.{name}]\nvalues = {}", json!(values));
        let _ = writeln!(
            of_paths,
            "[[operations]]\ninclude-path-regex = \"^{begin}/.{parameter}.\"\n\
             parameters = {{ \"path.{parameter}\" = {{ dictionary = \"{name}\", probability = 0.7 }} }}"
        );
    };
    for (list, name) in LISTS {
        let page = daemon.admin(&format!("/api/v1{list}")).json();
        let items = page["items"].as_array().expect("a list").iter();
        let names = items.map(|item| item[name].clone());
        add(&list[1..], list, name, names.collect());
    }
    let stats = daemon.stats();
    let sinks = stats["sinks"].as_object().expect("sinks");
    let sinks = sinks.keys().map(|name| json!(name));
    add("sinks", "/sinks", "name", sinks.collect());
    add("tokens", "/tokens", "name", vec![json!("night-shift")]);
    text + &of_paths
}

#[test]
#[ignore = "needs the PyPI library schemathesis; run tests/run"]
fn whatever_is_asked_the_api_answers_as_its_document_says() {
    let day = Day::start();
    let daemon = &day.daemon;
    // Enough that some are left when others were discarded.
    for record in 1..=40 {
        let old = lead(record, &json!({"phone": format!("138{record:08}")}));
        let shop = daemon.shop();
        let old = shop.request_at(old.as_bytes(), "2020-01-01 00:00:00".to_owned());
        shop.send(&old).expect("answered");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("schemathesis.toml");
    std::fs::write(&config, settings(daemon)).expect("writes");
    let report = folder.path().join("report.json");
    let output = Command::new(here(".counterparts/venv/bin/schemathesis"))
        .arg("--config-file")
        .arg(&config)
        .args(["--no-color", "run"])
        .arg(format!("{}/api/v1/openapi.json", day.home()))
        .args(["--header", "Authorization: Bearer e2e-admin-token"])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--checks", &CHECKS.join(",")])
        .args(["--seed", SEED, "--max-examples", EACH])
        .args(["--generation-database", "none", "--request-timeout", "60"])
        .arg("--report-json-path")
        .arg(&report)
        .current_dir(folder.path())
        .output()
        .expect("tests/run has installed schemathesis");
    let said = output_of(&output);
    assert!(output.status.success(), "{said}");
    let report = std::fs::read(&report).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    // What never reached anything has shown nothing of its answers. What is over already, or
    // under way, is a conflict.
    let rates = report["valid_rates"].as_object().expect("rates");
    let reached = |phases: &Value| -> u64 {
        let phases = phases.as_object().into_iter().flatten();
        phases
            .flat_map(|(_, counts)| [&counts["accepted"], &counts["conflicts"]])
            .filter_map(Value::as_u64)
            .sum()
    };
    let never: Vec<_> = rates
        .iter()
        .filter(|(_, phases)| reached(phases) == 0)
        .collect();
    assert!(never.is_empty(), "never reached: {never:?}\n{said}");
    counted(format!(
        "{} requests to {} of {} operations, all answered as documented",
        report["test_cases"]["generated"],
        report["operations"]["tested"],
        report["operations"]["total"],
    ));
}
