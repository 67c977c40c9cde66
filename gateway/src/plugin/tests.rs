//! Loading: the file's protection, and the built-in plugins through the same ABI.
//! Libraries that do not fit are tested end to end, with real ones.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn library(mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("lib.so");
    std::fs::write(&path, b"not a library").expect("writes");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("sets the mode");
    (folder, path)
}

fn load(path: &Path, sha256: Option<&str>) -> LoadError {
    let mut plugins = Plugins::builtin().expect("the built-in plugins fit");
    plugins
        .open("erp", path, sha256)
        .expect_err("it is no library")
}

#[test]
fn a_file_that_others_may_write_is_refused_before_it_is_loaded() {
    let (_folder, path) = library(0o666);
    assert!(matches!(load(&path, None), LoadError::Writable(_)));
}

#[test]
fn a_file_with_another_hash_is_refused_before_it_is_loaded() {
    let (_folder, path) = library(0o644);
    let error = load(&path, Some(&"0".repeat(64)));
    assert!(matches!(error, LoadError::Changed { .. }), "{error}");
}

#[test]
fn a_file_that_is_no_library_is_refused_with_its_name() {
    let (_folder, path) = library(0o644);
    let error = load(&path, None);
    assert!(matches!(error, LoadError::Open { .. }), "{error}");
    assert!(error.to_string().contains("lib.so"), "{error}");
    // And the reason of the linker, about the file and not about a number.
    let said = error.to_string();
    assert!(
        said.contains("file too short") || said.contains("invalid ELF header"),
        "{said}"
    );
    assert!(!said.contains("/proc/"), "{said}");
}

#[test]
fn a_bare_file_name_is_not_looked_for_among_the_systems_libraries() {
    let error = load(Path::new("libc.so.6"), None);
    assert!(matches!(error, LoadError::Read { .. }), "{error}");
}

#[test]
fn built_in_plugins_have_a_schema_and_a_version() {
    let plugins = Plugins::builtin().expect("the built-in plugins fit");
    let names: Vec<_> = plugins.iter().map(|(name, _)| name.to_owned()).collect();
    let mut expected = vec!["email".to_owned(), "file".to_owned(), "http".to_owned()];
    let left_out = plugins.left_out();
    let optional = OPTIONAL.iter().map(|name| (*name).to_owned());
    expected.extend(optional.filter(|name| !left_out.contains(name)));
    expected.sort_unstable();
    assert_eq!(names, expected);
    for (name, plugin) in plugins.iter() {
        assert_eq!(plugin.schema()["type"], "object", "{name}");
        assert_eq!(plugin.abi(), "1.3");
    }
}

#[test]
fn problems_of_the_settings_come_back_with_their_path() {
    let plugins = Plugins::builtin().expect("the built-in plugins fit");
    let http = plugins.get("http").expect("built in");
    let settings = serde_json::json!({ "url": "not a url" });
    let sink = SinkConfig {
        name: "crm",
        settings: &settings,
        tables: &Tables::new(),
    };
    let problems = http.check(&sink);
    assert!(
        problems.iter().any(|problem| problem.path == "/url"),
        "{problems:?}"
    );
    assert!(http.create(&sink).is_err());
}

#[test]
fn a_plugin_that_was_left_out_is_told_from_one_that_is_misspelt() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("leadgate.toml");
    let mut plugins = Plugins {
        by_name: BTreeMap::new(),
    };
    let mut said = |plugin: &str| {
        let text = format!("[outbox]\npath = \"x\"\n[sinks.bus]\nplugin = \"{plugin}\"\n");
        std::fs::write(&file, text).expect("writes");
        let environment = config::Environment::of(|_| None);
        let (_, report) = config::load(&file, &environment, &mut plugins);
        report.render(crate::lang::Lang::En, false)
    };
    let left_out = said("nats");
    assert!(
        left_out.contains("built without the plugin `nats`"),
        "{left_out}"
    );
    assert!(left_out.contains("--features nats"), "{left_out}");
    assert!(left_out.contains("[plugins.nats]"), "{left_out}");
    let misspelt = said("nast");
    assert!(misspelt.contains("there is no plugin `nast`"), "{misspelt}");
    assert!(misspelt.contains("did you mean `nats`?"), "{misspelt}");
}
