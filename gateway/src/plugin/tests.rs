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
    assert!(matches!(error, LoadError::Refused(_)), "{error}");
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
    let mut expected = ["email", "exec", "file", "http"]
        .map(str::to_owned)
        .to_vec();
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
    let mut plugins = Plugins::builtin().expect("the built-in plugins fit");
    plugins.by_name.retain(|name, _| name != "nats");
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

#[test]
fn a_secret_is_shown_nowhere_in_what_would_be_sent() {
    let plugins = Plugins::builtin().expect("the built-in plugins fit");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("leadgate.toml");
    let event = r#"{"event":"lead.created","id":"L","revision":1,"source":"shop","received_at":"T","lead":{"name":"张三","record_id":1},"labels":{},"raw":"{}"}"#;
    let written = r#"
[sources.shop]
kind = "tmall"
path = "/leads"
app_secret = "env:APP_SECRET"
[sinks.crm]
plugin = "http"
[sinks.crm.settings]
url = "https://crm.example/leads/{{ 'env' ~ record_id }}?v=${API_KEY}"
headers = { x-plain = "v ${API_KEY} {{ record_id }}" }
body = { k = "env:BODYK", note = "key ${API_KEY} of {{ name }}", list = [{ deep = "env:DEEP" }], whole = "env:TEMPLATE" }
WAY
"#;
    for way in [
        "",
        "body_as = \"form\"",
        "body_as = \"multipart\"",
        "sign = { kind = \"generic_hmac\", secret = \"env:BODYK\", query = \"s\" }\nauth = { kind = \"token_request\", token_url = \"https://crm.example/t\", token = \"{{ body.t }}\", token_body = \"access\" }",
    ] {
        let flat = way.starts_with("body_as");
        let text = written.replace("WAY", way);
        let text = if flat {
            text.replace("[{ deep = \"env:DEEP\" }]", "\"env:DEEP\"")
        } else {
            text
        };
        std::fs::write(&file, text).expect("writes");
        let environment = config::Environment::of(|name| {
            Some(match name {
                "TEMPLATE" => "s3cret-of-TEMPLATE {{ name }} s3cret-of-TEMPLATE".to_owned(),
                name => format!("s3cret/of \"{name}\" & more"),
            })
        });
        let mut catalogue = Plugins::builtin().expect("the built-in plugins fit");
        let (config, report) = config::load(&file, &environment, &mut catalogue);
        let said = report.render(crate::lang::Lang::En, false);
        let config = config.unwrap_or_else(|| panic!("{said}"));
        let sink = SinkConfig {
            name: "crm",
            settings: &config.sinks["crm"].settings,
            tables: &config.tables,
        };
        let sink = plugins.get("http").expect("built in").create(&sink);
        let sink = sink.unwrap_or_else(|problems| panic!("{problems:?}"));
        let call = || Call {
            id: "0198-delivery".to_owned(),
            attempt: 1,
            timeout: std::time::Duration::from_secs(1),
            event: event.as_bytes().to_vec(),
            trace_id: String::new(),
            step_record: String::new(),
            keep: None,
        };
        let open = sink.render(call()).expect("renders").expect("can");
        assert!(open.contains("s3cret"), "{way}: the mask is what hides it");
        let sink = sink.masking(config.secrets_of("crm"));
        let text = sink.render(call()).expect("renders").expect("can");
        assert!(!text.contains("s3cret"), "{way}: {text}");
        assert!(
            text.contains("张三") || text.contains("%E5%BC%A0"),
            "{text}"
        );
        assert!(text.contains("https://crm.example/leads/env1"), "{text}");
    }
}
