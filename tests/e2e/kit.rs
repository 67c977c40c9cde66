//! The authors' kit: the battery on libraries that keep to the contract and on each kind that
//! does not, one delivery without a daemon, and new projects.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use leadgate_tests::{Daemon, Setup, c_plugin, here, misbehaving, output, output_of, until};
use serde_json::Value;

/// The phone and name of the person of whom the battery's leads tell.
const PERSON: [&str; 2] = ["13800138000", "测试客资 leadgate test"];

fn run(args: &[&str]) -> Output {
    output(args, &[])
}

fn check(file: &Path, more: &[&str]) -> (Value, Output) {
    let file = file.to_str().expect("a path");
    let mut args = vec!["plugin", "check", file, "--json"];
    args.extend(more);
    let output = run(&args);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdict = serde_json::from_str(&said);
    let verdict = verdict.unwrap_or_else(|error| panic!("{error}: {}", output_of(&output)));
    (verdict, output)
}

fn test<'a>(verdict: &'a Value, id: &str) -> &'a Value {
    let tests = verdict["tests"].as_array().expect("tests");
    let found = tests.iter().find(|test| test["id"] == id);
    found.unwrap_or_else(|| panic!("no {id}: {verdict:#}"))
}

/// A library made of this text.
fn compiled(folder: &Path, name: &str, source: &str) -> PathBuf {
    let (c, library) = (
        folder.join(format!("{name}.c")),
        folder.join(format!("lib{name}.so")),
    );
    std::fs::write(&c, source).expect("writes");
    let include = |path: &str| format!("-I{}", here(path).display());
    let mut command = Command::new("cc");
    command
        .args(["-O1", "-shared", "-fPIC", "-pthread", "-o"])
        .arg(&library)
        .arg(&c);
    command.args([
        include("plugins/misbehaving"),
        include("../plugin-api/include"),
    ]);
    assert!(command.status().expect("cc runs").success(), "{source}");
    library
}

#[test]
fn a_library_that_keeps_to_the_contract_is_found_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("settings.json");
    let leads = folder.path().join("leads.jsonl");
    std::fs::write(&settings, serde_json::json!({ "path": leads }).to_string()).expect("writes");
    let library = c_plugin("GOOD");
    let settings = settings.to_str().expect("a path");
    let (verdict, output) = check(&library, &["--settings", settings]);
    assert_eq!(verdict["conforms"], true, "{verdict:#}");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(verdict["name"], "c-sink");
    let sum = Command::new("sha256sum")
        .arg(&library)
        .output()
        .expect("runs");
    let sum = String::from_utf8_lossy(&sum.stdout).into_owned();
    assert_eq!(sum.split(' ').next(), verdict["sha256"].as_str());
    // It was really delivered to, thousands of times.
    let lines = std::fs::read(&leads).expect("was written");
    let lines = lines.split(|byte| *byte == b'\n').count();
    assert!(lines > 10_000, "{lines}");
    // Without settings, what needs them is not judged, and that is no success.
    let (verdict, output) = check(&library, &[]);
    assert_eq!(
        test(&verdict, "settings")["status"],
        "skipped",
        "{verdict:#}"
    );
    assert_eq!(test(&verdict, "outcomes")["status"], "skipped");
    assert_eq!(
        (verdict["conforms"].as_bool(), output.status.code()),
        (Some(false), Some(1))
    );
}

#[test]
fn each_kind_of_misbehaviour_is_found_by_its_test_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let leak = r#"#include "plugin.h"
        static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
            (void)sink; (void)delivery;
            char *lost = malloc(512);
            if (lost != NULL) { memset(lost, 1, 512); }
            __asm__ volatile("" : : "r"(lost) : "memory");
            taken(done, ctx, "taken");
        }
        EXPORT(leaky, create_well, deliver, destroy_well)"#;
    let beyond = r#"#include "plugin.h"
        static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
            (void)sink;
            delivery->keep(delivery->keep_ctx, text("kept"));
            taken(done, ctx, "taken");
        }
        EXPORT(beyond, create_well, deliver, destroy_well)"#;
    let greedy = r#"#include "plugin.h"
        static void cancel(void *sink, void *ctx) { (void)sink; (void)ctx; }
        static const lg_cancel CANCEL = { sizeof(lg_cancel), 0, cancel };
        static const void *more(lg_bytes id) {
            return id.len >= 16 && memcmp(id.ptr, "leadgate.cancel/1", 16) == 0 ? &CANCEL : NULL;
        }
        static void deliver(void *sink, const lg_delivery *delivery, lg_done_fn done, void *ctx) {
            (void)sink; (void)delivery;
            taken(done, ctx, "taken");
        }
        static const lg_plugin PLUGIN = {
            .magic = LG_MAGIC, .abi_major = LG_ABI_MAJOR, .abi_minor = LG_ABI_MINOR,
            .struct_size = sizeof(lg_plugin), .name = TEXT("greedy"), .version = TEXT("1"),
            .settings_schema = TEXT("{\"type\":\"object\"}"), .create = create_well,
            .deliver = deliver, .destroy = destroy_well, .get_extension = more };
        const lg_plugin *leadgate_plugin_greedy(void);
        const lg_plugin *leadgate_plugin_greedy(void) { return &PLUGIN; }"#;
    let missing = r#"#include "plugin.h"
        extern int a_function_that_nobody_has(void);
        DESCRIPTOR(missing, TEXT(SCHEMA), create_well, NULL, destroy_well);
        DESCRIBE(missing) { return a_function_that_nobody_has() ? &PLUGIN : NULL; }"#;
    let own = |name, source| compiled(folder.path(), name, source);
    let cases = [
        (
            misbehaving("segfault_when_loaded"),
            "load",
            "crashed",
            "SIGSEGV",
        ),
        (
            own("missing", missing),
            "load",
            "failed",
            "a_function_that_nobody_has",
        ),
        (
            misbehaving("segfault_in_describe"),
            "descriptor",
            "crashed",
            "SIGSEGV",
        ),
        (
            misbehaving("exits_in_describe"),
            "descriptor",
            "crashed",
            "exit 0",
        ),
        (
            misbehaving("hangs_in_describe"),
            "descriptor",
            "timeout",
            "while asking for the descriptor",
        ),
        (c_plugin("WRONG_MAGIC"), "descriptor", "failed", "magic"),
        (c_plugin("WRONG_MAJOR"), "descriptor", "failed", "ABI 2"),
        (
            c_plugin("NO_SYMBOL"),
            "symbols",
            "failed",
            "leadgate_plugin_",
        ),
        (
            misbehaving("schema_not_a_schema"),
            "schema",
            "failed",
            "2020-12",
        ),
        (
            own("greedy", greedy),
            "schema",
            "failed",
            "additionalProperties",
        ),
        (
            misbehaving("segfault_in_create"),
            "settings",
            "crashed",
            "SIGSEGV",
        ),
        (
            misbehaving("aborts"),
            "outcomes",
            "crashed",
            "SIGABRT while delivering a lead",
        ),
        (
            misbehaving("exits_at_once"),
            "outcomes",
            "crashed",
            "exit 3",
        ),
        (
            misbehaving("completes_twice"),
            "outcomes",
            "failed",
            "more than once",
        ),
        (
            misbehaving("completes_after_destroy"),
            "once",
            "failed",
            "after the sink was destroyed",
        ),
        (
            own("beyond", beyond),
            "older-host",
            "failed",
            "`keep` was used",
        ),
        (own("leaky", leak), "memory", "failed", "memory grows by"),
    ];
    for (library, id, status, words) in cases {
        let (verdict, output) = check(&library, &[]);
        let found = test(&verdict, id);
        assert_eq!(found["status"], status, "{id}: {verdict:#}");
        assert!(
            found["details"].to_string().contains(words),
            "{words}: {found:#}"
        );
        assert_eq!(output.status.code(), Some(1), "{id}");
    }
    let (verdict, _) = check(&folder.path().join("libgreedy.so"), &[]);
    let extensions = test(&verdict, "extensions");
    assert_eq!(extensions["status"], "failed", "{verdict:#}");
}

#[test]
fn a_library_that_talks_is_found_out_and_not_repeated() {
    let (verdict, output) = check(&misbehaving("talks"), &[]);
    let [stdout, privacy] = ["stdout", "privacy"].map(|id| test(&verdict, id));
    assert_eq!(stdout["status"], "failed", "{verdict:#}");
    assert_eq!(privacy["status"], "failed", "{verdict:#}");
    for place in ["stdout: ", "stderr: ", "log: "] {
        let details = privacy["details"].as_array().expect("details");
        let found = details.iter().filter_map(Value::as_str);
        let found = found.filter(|detail| detail.starts_with(place) && detail.contains("phone"));
        assert_eq!(found.count(), 1, "{place}: {privacy:#}");
    }
    for person in PERSON {
        assert!(
            !output_of(&output).contains(person),
            "{}",
            output_of(&output)
        );
    }
}

#[test]
fn a_name_that_is_not_there_is_answered_with_those_that_are() {
    let library = c_plugin("GOOD");
    let library = library.to_str().expect("a path");
    for (args, words) in [
        (
            ["plugin", "check", library, "--name", "erp"],
            "leadgate_plugin_c_sink",
        ),
        (
            ["plugin", "run", library, "--name", "erp"],
            "leadgate_plugin_c_sink",
        ),
    ] {
        let output = run(&args);
        assert_ne!(output.status.code(), Some(0));
        assert!(output_of(&output).contains(words), "{}", output_of(&output));
    }
}

#[test]
fn a_configuration_with_another_name_is_told_the_right_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("leadgate.toml");
    let library = c_plugin("GOOD");
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         allow_without_token = true\n[outbox]\npath = \"data\"\n[sources.tmall]\nkind = \"tmall\"\n\
         path = \"/\"\napp_secret = [\"s3cret-of-tmall\"]\n[plugins.erp]\npath = \"{}\"\n\
         [sinks.erp]\nplugin = \"erp\"\n",
        library.display()
    );
    std::fs::write(&file, text).expect("writes");
    let output = run(&["check", "--config", file.to_str().expect("a path")]);
    let said = output_of(&output)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("is called c-sink"), "{said}");
}

#[test]
fn one_lead_is_delivered_without_a_daemon_and_its_end_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("settings.toml");
    let leads = folder.path().join("leads.jsonl");
    let text = format!("path = \"{}\"\n", leads.display());
    std::fs::write(&settings, text).expect("writes");
    let settings = settings.to_str().expect("a path");
    let library = c_plugin("GOOD");
    let library = library.to_str().expect("a path");
    let output = run(&["plugin", "run", library, "--settings", settings, "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        said["outcome"]["outcome"],
        "delivered",
        "{}",
        output_of(&output)
    );
    assert_eq!(said["outcome"]["receipt"], "line");
    let line = std::fs::read_to_string(&leads).expect("was written");
    assert_eq!(line.lines().count(), 1);
    assert_eq!(said["logs"][0]["message"], "c sink was made", "{said:#}");
    assert_eq!(output.status.code(), Some(0));

    let wrong = folder.path().join("wrong.toml");
    std::fs::write(&wrong, "paht = \"x\"\n").expect("writes");
    let wrong = wrong.to_str().expect("a path");
    let output = run(&["plugin", "run", library, "--settings", wrong]);
    assert_eq!(output.status.code(), Some(78), "{}", output_of(&output));
    assert!(
        output_of(&output).contains("wrong.toml:1"),
        "{}",
        output_of(&output)
    );

    let crashing = misbehaving("aborts");
    let output = run(&["plugin", "run", crashing.to_str().expect("a path")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output_of(&output).contains("SIGABRT"),
        "{}",
        output_of(&output)
    );
}

#[test]
fn a_new_project_is_refused_where_it_would_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| {
        folder
            .path()
            .join(name)
            .to_str()
            .expect("a path")
            .to_owned()
    };
    let new = |name: &str, lang: &str, folder: &str| {
        run(&["plugin", "new", name, "--lang", lang, "--folder", folder])
    };
    assert_eq!(new("my-erp", "c", &path("one")).status.code(), Some(0));
    std::fs::write(folder.path().join("one/plugin.c"), "mine").expect("writes");
    let again = new("my-erp", "c", &path("one"));
    assert_eq!(again.status.code(), Some(1), "{}", output_of(&again));
    let kept = std::fs::read_to_string(folder.path().join("one/plugin.c")).expect("reads");
    assert_eq!(kept, "mine");
    for (name, lang) in [
        ("My_erp", "c"),
        ("../erp", "c"),
        ("http", "c"),
        ("fn", "rust"),
        ("erp", "cobol"),
        ("erp", "zh"),
    ] {
        let refused = new(name, lang, &path("two"));
        assert_eq!(
            refused.status.code(),
            Some(2),
            "{name} {lang}: {}",
            output_of(&refused)
        );
    }
    assert!(!folder.path().join("two").exists());
}

#[test]
fn the_list_says_where_a_plugin_runs_and_how_its_process_goes() {
    let library = c_plugin("GOOD");
    let rest = format!(
        "[plugins.c-sink]\npath = \"{}\"\nsandbox = {{ write = [\"@FOLDER@\"] }}\n[sinks.lines]\nplugin = \"c-sink\"\n\
         settings = {{ path = \"@FOLDER@/lines\" }}\n",
        library.display()
    );
    let folder = tempfile::tempdir().expect("a folder");
    let rest = rest.replace("@FOLDER@", &folder.path().display().to_string());
    let daemon = Daemon::start(Setup {
        rest,
        ..Setup::default()
    });
    daemon.shop().give(1..=1);
    until("the lead is delivered", || {
        daemon.stat("/sinks/lines/delivered") == 1
    });
    let config = daemon.folder().join("leadgate.toml");
    let config = config.to_str().expect("a path");
    let output = run(&["plugin", "list", "--json", "--config", config]);
    let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let all = list.as_array().expect("a list");
    let found = all
        .iter()
        .find(|one| one["name"] == "c-sink")
        .expect("is listed");
    assert_eq!(found["isolation"], "process", "{found:#}");
    assert_eq!(found["sinks"], serde_json::json!(["lines"]));
    let parts = found["sandbox"].as_array().expect("a sandbox");
    assert!(
        parts.iter().any(|part| part["name"] == "no_new_privs"),
        "{found:#}"
    );
    let process = &found["processes"][0];
    assert_eq!(process["sink"], "lines", "{found:#}");
    assert_eq!(process["restarts"], 0, "{found:#}");
    assert!(process["pid"].as_u64().is_some(), "{found:#}");
    for lang in ["en", "zh"] {
        let output = run(&["plugin", "list", "--lang", lang, "--config", config]);
        let said = output_of(&output);
        assert!(said.contains("no_new_privs"), "{said}");
        for line in said.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
