//! Broken configurations and what is said about them.

use std::path::PathBuf;

use super::*;
use crate::lang::Lang;
use crate::plugin::Plugins;

mod certificates;
mod edited;
mod mistakes;
mod together;

/// A whole, good configuration to break.
const GOOD: &str = r#"
[outbox]
path = "data"
key = "env:OUTBOX_KEY"
[admin]
token = "env:ADMIN_TOKEN"
[sources.shop]
kind = "tmall"
path = "/tmall/leads"
app_secret = "env:SECRET"
[sinks.crm]
plugin = "http"
when = "purchase_intention >= 1"
rate = "20/s"
timeout = "10s"
retry = { first = "5s", max = "1h", max_attempts = 15, max_age = "3d" }
[sinks.crm.settings]
preset = "standard-webhooks"
url = "https://crm.shop.cn/leads"
secret = "env:WEBHOOK_SECRET"
"#;

fn load_files(files: &[(&str, &str)]) -> (Option<Config>, Report, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("makes the folder");
        std::fs::write(path, text).expect("writes");
    }
    let environment = Environment::of(|name| match name {
        "SECRET" | "ADMIN_TOKEN" => Some("s3cr3t-value".to_owned()),
        "OUTBOX_KEY" | "KEY" => Some("ff".repeat(32)),
        "QUOTED" => Some("\"hunter2\"".to_owned()),
        "TOKEN" => Some("t0ken".to_owned()),
        "WEBHOOK_SECRET" => Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        _ => None,
    });
    let mut plugins = Plugins::builtin().expect("built in");
    let (config, report) = load(
        &folder.path().join("leadgate.toml"),
        &environment,
        &mut plugins,
    );
    (config, report, folder)
}

/// What is said, with the temporary folder's name taken out.
fn said(files: &[(&str, &str)]) -> String {
    let (config, report, folder) = load_files(files);
    assert_eq!(config.is_none(), report.has_errors());
    report
        .render(Lang::En, false)
        .replace(&folder.path().display().to_string(), "")
}

fn said_of(main: &str) -> String {
    said(&[("leadgate.toml", main)])
}

#[test]
fn a_good_configuration_is_loaded_without_a_word() {
    let (config, report, _folder) = load_files(&[("leadgate.toml", GOOD)]);
    assert_eq!(report.render(Lang::En, false), "");
    let config = config.expect("good");
    let sink = &config.sinks["crm"];
    assert_eq!(sink.retry.max_attempts, 15);
    assert_eq!(
        sink.rate,
        Some(Rate {
            count: 20,
            per: std::time::Duration::from_secs(1)
        })
    );
    assert_eq!(
        sink.settings["secret"],
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    );
    let SourceKind::Tmall(tmall) = &config.sources["shop"].kind;
    assert_eq!(tmall.app_secret[0].expose(), "s3cr3t-value");
}

#[test]
fn an_unknown_key_is_shown_with_a_guess() {
    insta::assert_snapshot!(said_of(
        &GOOD
            .replace("app_secret", "app_sekret")
            .replace("plugin =", "concurency = 3\nplugin =")
    ));
}

#[test]
fn wrong_types_and_values_say_what_is_allowed() {
    insta::assert_snapshot!(said_of(
        &GOOD
            .replace("timeout = \"10s\"", "timeout = 10")
            .replace("\"20/s\"", "\"20/sec\"")
            .replace("max_attempts = 15", "max_attempts = 0")
            .replace("kind = \"tmall\"", "kind = \"taobao\"")
    ));
}

#[test]
fn a_bad_condition_and_an_unknown_plugin_are_shown_with_guesses() {
    insta::assert_snapshot!(said_of(
        &GOOD
            .replace("purchase_intention", "purchase_intension")
            .replace("\"http\"", "\"htpp\"")
    ));
}

#[test]
fn a_plugins_settings_get_the_same_diagnostics() {
    insta::assert_snapshot!(said_of(&GOOD.replace("url = ", "methd = \"POST\"\nurl = ")));
    insta::assert_snapshot!(said_of(
        &GOOD.replace("https://crm.shop.cn/leads", "ftp://crm.shop.cn")
    ));
}

#[test]
fn a_misspelt_preset_is_shown_with_a_guess_and_what_one_needs_is_named() {
    insta::assert_snapshot!(said_of(
        &GOOD.replace("\"standard-webhooks\"", "\"standard-webhook\"")
    ));
    insta::assert_snapshot!(said_of(
        &GOOD.replace("secret = \"env:WEBHOOK_SECRET\"", "method = \"DELETE\"")
    ));
}

#[test]
fn the_examples_of_sinks_are_good() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/sinks.d/examples");
    let mut count = 0;
    for entry in std::fs::read_dir(examples).expect("examples") {
        let path = entry.expect("an example").path();
        let example = std::fs::read_to_string(&path).expect("reads");
        let folder = tempfile::tempdir().expect("a folder");
        let main = GOOD.split("[sinks.crm]").next().expect("the beginning");
        let file = folder.path().join("leadgate.toml");
        std::fs::write(&file, format!("{main}{example}")).expect("writes");
        // What an example says to put beside it.
        std::fs::write(folder.path().join("erp.py"), "").expect("writes");
        let environment = Environment::of(|name| match name {
            name if example.contains(&format!("${{{name}:-")) => None,
            "OUTBOX_KEY" | "KEY" => Some("ff".repeat(32)),
            "AMQP_URL" => Some("amqps://leads:s3cr3t@rabbit.shop.cn/shop".to_owned()),
            "WAREHOUSE_DB" => Some("postgres://leads:s3cr3t@db.shop.cn/shop".to_owned()),
            name if name.ends_with("_URL") => Some("https://crm.shop.cn/hook".to_owned()),
            _ => Some("s3cr3t-value".to_owned()),
        });
        let mut plugins = Plugins::builtin().expect("built in");
        let (_, report) = load(&file, &environment, &mut plugins);
        let said = report.render(Lang::En, false);
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if plugins
            .left_out()
            .iter()
            .any(|name| Some(name.as_str()) == stem)
        {
            assert!(said.contains("built without"), "{}: {said}", path.display());
        } else {
            let codes: Vec<_> = report.diagnostics().iter().map(|one| one.code).collect();
            let left = ["APP_TOKEN", "MYDOMAIN", ".example"];
            let written = example
                .lines()
                .filter(|line| !line.trim_start().starts_with('#'));
            let to_fill_in = written
                .filter(|line| left.iter().any(|left| line.contains(left)))
                .filter(|line| {
                    line.split_once('#')
                        .is_none_or(|(value, _)| left.iter().any(|left| value.contains(left)))
                })
                .count();
            assert_eq!(
                codes,
                vec!["config::placeholder"; to_fill_in],
                "{}: {said}",
                path.display()
            );
        }
        count += 1;
    }
    assert_eq!(count, 21);
}

#[test]
fn a_mistake_in_a_template_is_shown_where_it_is_written() {
    let settings = r#"
[sinks.crm.settings.body]
who = "客户 \"{{ nmae }}\""
purpose = "{{ purchase_intention | lookup('intension') }}"
when = '''
{{ gmt_appointment | datetime | formt("%F") }}'''
list = [1, { deep = "{% if store_id == 1 %}{{ lead.phnoe }}{% endif %}" }]
"#;
    let table = "[tables.intention]\n1 = \"强\"\n";
    insta::assert_snapshot!(said(&[
        ("leadgate.toml", &format!("{GOOD}{settings}")),
        ("tables.d/t.toml", table),
    ]));
}

#[test]
fn a_missing_variable_is_the_only_thing_said_about_its_value() {
    insta::assert_snapshot!(said_of(&GOOD.replace("env:WEBHOOK_SECRET", "env:NOT_SET")));
}

#[test]
fn a_name_in_two_files_is_an_error_and_syntax_errors_do_not_hide_others() {
    let sink = "[sinks.crm]\nplugin = \"file\"\n[sinks.crm.settings]\npath = \"x.jsonl\"\n";
    insta::assert_snapshot!(said(&[
        ("leadgate.toml", GOOD),
        ("sinks.d/a.toml", sink),
        ("sinks.d/b.toml", "[sinks.x\n"),
        ("tables.d/t.toml", "[tabels.channel]\n"),
    ]));
}

#[test]
fn what_is_not_built_yet_is_said_and_not_ignored() {
    insta::assert_snapshot!(said_of(&GOOD.replace(
        "[outbox]",
        "[outbox]\nurl = \"postgres://\"\nengine = \"postgres\""
    )));
}

#[test]
fn limits_that_make_no_sense_say_what_would() {
    insta::assert_snapshot!(said_of(
        &GOOD
            .replace(
                "[outbox]",
                "[outbox]\nretention = \"5m\"\nretention_dead = \"0s\"",
            )
            .replace(
                "rate =",
                "breaker = { wait = \"1h\", max = \"1m\" }\nrate ="
            )
    ));
    let text = said_of(&GOOD.replace("[outbox]", "[outbox]\nretention_audit = \"2h\""));
    assert!(text.contains("before anybody could look into it"), "{text}");
    insta::assert_snapshot!(said_of(&GOOD.replace(
        "rate =",
        "on_update = \"all\"\nbreaker = { wait = \"0s\", faliures = 3 }\nrate ="
    )));
    let text = said_of(&GOOD.replace("rate =", "breaker = { wait = \"0s\" }\nrate ="));
    assert!(text.contains("would not be left alone"), "{text}");
}

#[test]
fn a_long_wait_of_the_breaker_needs_no_ceiling_beside_it() {
    let (config, ..) = load_files(&[(
        "leadgate.toml",
        &GOOD.replace("rate =", "breaker = { wait = \"10m\" }\nrate ="),
    )]);
    let breaker = &config.expect("good").sinks["crm"].breaker;
    assert_eq!(breaker.max, breaker.wait);
}

#[test]
fn a_fallback_that_is_not_there_is_shown_with_a_guess() {
    let archive =
        "[sinks.archive]\nplugin = \"file\"\non_dead = \"crmm\"\nsettings = { path = \"x\" }\n";
    insta::assert_snapshot!(said(&[
        ("leadgate.toml", GOOD),
        ("sinks.d/archive.toml", archive),
    ]));
}

#[test]
fn fallbacks_in_a_circle_are_shown_as_one() {
    let sink = |name: &str, on_dead: &str| {
        format!(
            "[sinks.{name}]\nplugin = \"file\"\non_dead = \"{on_dead}\"\nsettings = {{ path = \"x\" }}\n"
        )
    };
    insta::assert_snapshot!(said(&[
        (
            "leadgate.toml",
            &GOOD.replace("rate =", "on_dead = \"mail\"\nrate ="),
        ),
        (
            "sinks.d/others.toml",
            &format!("{}{}", sink("mail", "archive"), sink("archive", "mail")),
        ),
    ]));
}

#[test]
fn what_is_not_said_of_a_sink_has_a_default() {
    let (config, ..) = load_files(&[("leadgate.toml", GOOD)]);
    let config = config.expect("good");
    let sink = &config.sinks["crm"];
    assert_eq!(
        (sink.on_update, &sink.on_dead),
        (OnUpdate::Supersede, &None)
    );
    let seconds = std::time::Duration::from_secs;
    assert_eq!(
        sink.breaker,
        Breaker {
            failures: 5,
            wait: seconds(2),
            max: seconds(60)
        }
    );
    assert_eq!(sink.max_hold, seconds(3_600));
    let outbox = &config.outbox;
    assert_eq!(outbox.retention, seconds(90 * 86_400));
    assert_eq!(outbox.retention_dead, seconds(180 * 86_400));
    assert_eq!(outbox.retention_audit, seconds(730 * 86_400));
    assert_eq!(outbox.min_free, 256 << 20);
}

#[test]
fn a_literal_secret_is_a_warning_that_does_not_show_it() {
    let text = said_of(
        &GOOD
            .replace("env:SECRET", "hunter2hunter2")
            .replace("rate =", "rat ="),
    );
    assert!(text.contains("config::literal_secret"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let text = said_of(&GOOD.replace("https://crm.shop.cn", "ftp://me:hunter2@crm.shop.cn"));
    assert!(text.contains("config::literal_secret"), "{text}");
    assert!(text.contains("sinks.crm.settings.url"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_password_written_out_in_a_url_is_not_shown_either() {
    let with_url = |url: &str| said_of(&GOOD.replace("https://crm.shop.cn/leads", url));
    let text = with_url("https://shop:hunter2hunter2@crm.shop.cn/{{ name }}");
    assert!(text.contains("config::literal_secret"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    for url in [
        "https://shop@crm.shop.cn/a:b@c",
        "https://crm.shop.cn/?a=b:c@d",
    ] {
        let text = with_url(url);
        assert!(!text.contains("config::literal_secret"), "{text}");
    }
}

#[test]
fn the_settings_of_a_crm_are_good_and_their_mistakes_are_shown_in_place() {
    let settings = r#"
[sinks.feishu]
plugin = "http"
concurrency = 1
[sinks.feishu.settings]
url = "https://open.feishu.cn/open-apis/bitable/v1/apps/bascn1/tables/tbl1/records"
query = { client_token = "{{ delivery_id }}" }
body.fields = { "客户" = "{{ name }}", "留资时间" = "{{ gmt_appointment | datetime | epoch_ms }}" }
[sinks.feishu.settings.auth]
kind = "token_request"
token_url = "https://open.feishu.cn/open-apis/auth/v3/tenant_access_token/internal"
body = { app_id = "cli_1", app_secret = "env:SECRET" }
token = "{{ body.tenant_access_token }}"
expires_in = "{{ body.expire }}"
ok_when = "body.code == 0"
[[sinks.feishu.settings.classify]]
when = "status == 200 and body.code == 0"
outcome = "delivered"
receipt = "{{ body.data.record.record_id }}"
[[sinks.feishu.settings.classify]]
when = "body.code in [99991400, 1254290]"
outcome = "throttled"
after = "{{ headers['x-ogw-ratelimit-reset'] | default(2) }}"
[[sinks.feishu.settings.classify]]
when = "status in [200, 201]"
outcome = "rejected"
"#;
    let whole = format!("{GOOD}{settings}");
    assert_eq!(said_of(&whole), "");
    insta::assert_snapshot!(said_of(
        &whole
            .replace("status == 200", "statsu == 200")
            .replace(
                "https://open.feishu.cn/open-apis/bitable",
                "https://{{ other.host }}/open-apis/bitable"
            )
            .replace("ok_when =", "scope =")
            .replace("body.expire }}", "bdoy.expire }}")
    ));
}

#[test]
fn an_admin_listener_on_the_network_needs_a_token() {
    let text = said_of(&GOOD.replace("token = \"env:ADMIN_TOKEN\"", "listen = \"0.0.0.0:8081\""));
    assert!(text.contains("config::open_admin"), "{text}");
}

#[test]
fn machine_output_has_file_line_and_column() {
    let (_, report, folder) =
        load_files(&[("leadgate.toml", &GOOD.replace("app_secret", "app_sekret"))]);
    let json = report.json(Lang::ZhCn);
    let unknown = json
        .get("problems")
        .and_then(serde_json::Value::as_array)
        .expect("a list")
        .iter()
        .find(|one| one["code"] == "config::unknown_key");
    let unknown = unknown.expect("among them");
    assert_eq!(
        (&unknown["line"], &unknown["column"]),
        (&10.into(), &1.into())
    );
    assert_eq!(
        unknown["file"],
        folder.path().join("leadgate.toml").display().to_string()
    );
    assert!(
        unknown["message"]
            .as_str()
            .expect("text")
            .contains("未知的键")
    );
}

#[test]
fn the_published_schema_is_current() {
    let plugins = Plugins::builtin().expect("built in");
    let current = schema(&plugins);
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../config/leadgate.schema.json"
    );
    let help = "run the tests once with --all-features and LEADGATE_WRITE_SCHEMA=1";
    if std::env::var_os("LEADGATE_WRITE_SCHEMA").is_some() {
        assert!(plugins.left_out().is_empty(), "{help}");
        std::fs::write(path, format!("{current:#}\n")).expect("writes the schema");
    }
    let published = std::fs::read_to_string(path).expect("reads the schema");
    let mut published: serde_json::Value = serde_json::from_str(&published).expect("JSON");
    // It is of a leadgate with everything; this one may have been built without some plugins.
    let left_out = plugins.left_out();
    let cases = published["$defs"]["Sink"]["allOf"].as_array_mut();
    cases.expect("one for each plugin").retain(|case| {
        let name = &case["if"]["properties"]["plugin"]["const"];
        !left_out.iter().any(|left_out| name == left_out.as_str())
    });
    assert!(published == current, "{help}");
}

#[test]
fn the_shipped_configuration_is_good() {
    // Beside a key, as `leadgate init` writes it.
    let shipped = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../config"));
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["sinks.d", "tables.d"] {
        std::fs::create_dir(folder.path().join(name)).expect("makes");
    }
    for name in [
        "leadgate.toml",
        "sinks.d/archive.toml",
        "sinks.d/email.toml",
        "sinks.d/webhook.toml",
        "tables.d/tmall.toml",
    ] {
        std::fs::copy(shipped.join(name), folder.path().join(name)).expect("copies");
    }
    write_key(folder.path(), "outbox.key", KEY);
    std::fs::create_dir(folder.path().join("secrets")).expect("makes");
    write_key(folder.path(), "secrets/admin-token", "t0ken-of-an-operator");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    write_key(folder.path(), "secrets/webhook", secret);
    let file = folder.path().join("leadgate.toml");
    let environment = Environment::of(|name| match name {
        "TMALL_APP_SECRET" => Some("secret".to_owned()),
        _ => None,
    });
    let (config, report) = load(
        &file,
        &environment,
        &mut Plugins::builtin().expect("built in"),
    );
    // It is open to this machine and has an address to fill in, and says so.
    let codes: Vec<_> = report.diagnostics().iter().map(|one| one.code).collect();
    let allowed = ["config::open_api", "config::placeholder"];
    assert!(codes.iter().all(|code| allowed.contains(code)), "{codes:?}");
    assert_eq!(config.expect("good").sinks.len(), 2);
}

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn write_key(folder: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, text).expect("writes");
    let owners = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, owners).expect("sets the mode");
}

/// The good configuration with `key` as the outbox's, and a good key in the variable KEY and
/// in the file outbox.key.
fn load_with_key(key: &str) -> (Option<Config>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    write_key(folder.path(), "outbox.key", &format!("{KEY}\n"));
    let file = folder.path().join("leadgate.toml");
    std::fs::write(&file, GOOD.replace("\"env:OUTBOX_KEY\"", key)).expect("writes");
    let environment = Environment::of(|name| match name {
        "SECRET" | "ADMIN_TOKEN" => Some("s3cr3t-value".to_owned()),
        "OUTBOX_KEY" | "KEY" => Some("ff".repeat(32)),
        "WEBHOOK_SECRET" => Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        "SHORT" => Some("hunter2hunter2".to_owned()),
        _ => None,
    });
    let mut plugins = Plugins::builtin().expect("built in");
    let (config, report) = load(&file, &environment, &mut plugins);
    let folder = folder.path().display().to_string();
    (config, report.render(Lang::En, false).replace(&folder, ""))
}

#[test]
fn keys_of_the_outbox_come_from_files_and_variables_the_first_one_first() {
    let texts = |key: &str| {
        let (config, said) = load_with_key(key);
        assert_eq!(said, "");
        let keys = config.expect("good").outbox.keys;
        keys.iter()
            .map(|key| key.to_text().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(texts("\"file:outbox.key\""), [KEY]);
    assert_eq!(
        texts("[\"env:KEY\", \"file:outbox.key\"]"),
        ["ff".repeat(32), KEY.to_owned()]
    );
    let (config, ..) = load_files(&[("leadgate.toml", &GOOD.replace("key = ", "# key = "))]);
    assert!(config.expect("good").outbox.keys.is_empty());
}

#[test]
fn a_bad_key_of_the_outbox_is_shown_where_it_is_named_and_not_quoted() {
    let (config, said) = load_with_key("[\"env:KEY\", \"env:SHORT\"]");
    assert!(config.is_none());
    assert!(!said.contains("hunter2"), "{said}");
    insta::assert_snapshot!(said);
    insta::assert_snapshot!(load_with_key("\"file:other.key\"").1);
    insta::assert_snapshot!(load_with_key("[]").1);
}

#[test]
fn a_key_of_the_outbox_written_out_is_masked() {
    let (config, said) = load_with_key(&format!("\"{KEY}\""));
    assert!(config.is_some());
    assert!(said.contains("config::literal_secret"), "{said}");
    assert!(!said.contains("0001020304"), "{said}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "[\\PC\n]{0,200}", key in "[a-z.]{1,12}", value in "\\PC{0,20}") {
        load_files(&[("leadgate.toml", &text)]);
        load_files(&[("leadgate.toml", &format!("{GOOD}\n[{key}]\n{key} = \"{value}\""))]);
    }
}

#[test]
fn secrets_come_from_files_and_credentials_and_variables_have_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
            .expect("sets the mode");
    };
    write("private", "from-file\n", 0o600);
    write("open", "from-open-file\n", 0o644);
    write("hook", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", 0o600);
    let main = GOOD
        .replace(
            "\"env:SECRET\"",
            "[\"file:private\", \"file:open\", \"cred:hook\"]",
        )
        .replace("env:WEBHOOK_SECRET", "cred:hook")
        .replace("crm.shop.cn", "${HOST:-crm.shop.lan}");
    write("leadgate.toml", &main, 0o600);
    let credentials = folder.path().display().to_string();
    let environment = Environment::of(|name| match name {
        "CREDENTIALS_DIRECTORY" => Some(credentials.clone()),
        "OUTBOX_KEY" | "KEY" => Some("ff".repeat(32)),
        "ADMIN_TOKEN" => Some("t".to_owned()),
        _ => None,
    });
    let mut plugins = Plugins::builtin().expect("built in");
    let (config, report) = load(
        &folder.path().join("leadgate.toml"),
        &environment,
        &mut plugins,
    );
    let config = config.expect("good");
    let SourceKind::Tmall(tmall) = &config.sources["shop"].kind;
    let secrets: Vec<_> = tmall
        .app_secret
        .iter()
        .map(leadgate_plugin::Secret::expose)
        .collect();
    assert_eq!(
        secrets,
        [
            "from-file",
            "from-open-file",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        ]
    );
    assert_eq!(
        config.sinks["crm"].settings["url"],
        "https://crm.shop.lan/leads"
    );
    let codes: Vec<_> = report.diagnostics().iter().map(|one| one.code).collect();
    assert_eq!(codes, ["config::open_secret_file"]);
}

#[test]
fn what_turns_text_around_in_a_file_is_seen_and_not_obeyed() {
    let (_, report, _folder) = load_files(&[(
        "leadgate.toml",
        "[server]\nlisten = \"a\u{202e}b\u{2066}c\"\n\"k\u{200f}ey\" = \"\u{9b}\"\n",
    )]);
    assert!(report.has_errors());
    for lang in [crate::lang::Lang::En, crate::lang::Lang::ZhCn] {
        let text = report.render(lang, false);
        assert!(
            !text.contains(|one: char| crate::terminal::acts(one) && one != '\n'),
            "{text:?}"
        );
        assert!(text.contains('\u{fffd}'), "{text}");
    }
}
