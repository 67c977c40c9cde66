//! What is said together: of several mistakes all, of one only one, and of files that cannot be
//! read nothing that only follows from that.

use super::*;
use crate::config::locate::SYSTEM;

fn codes(report: &Report) -> Vec<&'static str> {
    report.diagnostics().iter().map(|one| one.code).collect()
}

#[test]
fn mistakes_of_every_kind_are_said_at_once() {
    let (_, report, _folder) = load_files(&[(
        "leadgate.toml",
        &GOOD
            .replace("timeout =", "tiemout =")
            .replace("purchase_intention", "purchase_intension")
            .replace("rate = \"20/s\"", "rate = \"20/sec\"")
            .replace("env:WEBHOOK_SECRET", "env:NOT_SET")
            .replace(
                "https://crm.shop.cn/leads",
                "https://crm.shop.cn/{{ nmae }}",
            )
            .replace("path = \"/tmall/leads\"", "path = \"tmall\""),
    )]);
    let mut said = codes(&report);
    said.sort_unstable();
    let expected = [
        "config::condition",
        "config::invalid_value",
        "config::invalid_value",
        "config::settings",
        "config::unknown_key",
        "config::unresolved",
    ];
    assert_eq!(said, expected, "{}", report.render(Lang::En, false));
    assert_eq!(report.summary(Lang::En), "6 errors");
    assert_eq!(report.summary(Lang::ZhCn), "6 个错误");
}

#[test]
fn a_file_that_is_not_toml_hides_no_other_and_brings_no_followers() {
    let sink = "[sinks.file]\nplugin = \"file\"\non_dead = \"crm\"\ntimeuot = \"1s\"\nsettings = { path = \"x.jsonl\" }\n";
    let (main, crm) = GOOD.split_once("[sinks.crm]").expect("both");
    for broken in [
        format!("[sinks.crm]{crm}\nmore = “x”\n"),
        format!("【sinks.crm】{crm}"),
        "[sinks.crm\nplugin = \"http\"\n".to_owned(),
    ] {
        let (_, report, _folder) = load_files(&[
            ("leadgate.toml", main),
            ("sinks.d/a.toml", &broken),
            ("sinks.d/b.toml", sink),
        ]);
        let said = report.render(Lang::En, false);
        assert_eq!(
            codes(&report),
            ["config::syntax", "config::unknown_key"],
            "{said}"
        );
    }
    // The main file itself: nothing of missing sources, sinks or keys.
    let (_, report, _folder) = load_files(&[
        ("leadgate.toml", &main.replace("[outbox]", "【outbox】")),
        ("sinks.d/b.toml", "[sinks.file]\nplugin = \"my-erp\"\n"),
    ]);
    assert_eq!(codes(&report), ["config::syntax", "config::unknown_plugin"]);
}

#[test]
fn secrets_of_a_file_that_is_not_toml_are_not_shown() {
    for broken in [
        "app_secret = “hunter2”\n",
        "app_secret = hunter2\n",
        "app_secret: \"hunter2\"\n",
        "x = 1，\napp_secret = \"hunter2\"\ny = 2，\n",
        "x = 1，\nurl = \"amqps://me:hunter2@mq\"\n",
        "x = 1，\nheaders = { authorization = \"hunter2\" }\n",
        "x = 1，\nauth.token = \"hunter2\"\n",
        "x = 1，\nprivate_key = \"\"\"\nhunter2\n\"\"\"\n",
    ] {
        let said = said(&[("leadgate.toml", broken)]);
        assert!(said.contains("config::syntax"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_library_that_cannot_be_loaded_is_said_and_its_sinks_are_not_blamed() {
    let plugin = "[plugins.my-erp]\npath = \"no.so\"\n[sinks.erp]\nplugin = \"my-erp\"\n";
    let (_, report, folder) = load_files(&[("leadgate.toml", &format!("{GOOD}{plugin}"))]);
    assert_eq!(codes(&report), ["config::plugin"]);
    let said = report.render(Lang::En, false);
    assert!(
        said.replace(['\n', ' ', '│'], "")
            .contains(&folder.path().join("no.so").display().to_string()),
        "{said}"
    );
}

#[test]
fn files_of_other_encodings_are_named_with_what_to_do() {
    let chinese = GOOD.replace("[outbox]", "# 天猫客资\n[outbox]");
    let (gbk, ..) = encoding_rs::GBK.encode(&chinese);
    let utf16: Vec<u8> = chinese.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, name) in [(gbk.to_vec(), "GBK"), (utf16, "UTF-16 LE")] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("leadgate.toml");
        std::fs::write(&file, bytes).expect("writes");
        let mut plugins = Plugins::builtin().expect("built in");
        let (_, report) = load(&file, &Environment::of(|_| None), &mut plugins);
        assert_eq!(codes(&report), ["config::file"], "{name}");
        let json = report.json(Lang::ZhCn);
        let one = &json["problems"][0];
        assert_eq!(one["file"], file.display().to_string());
        assert!(
            one["message"].as_str().expect("text").contains(name),
            "{one}"
        );
        assert!(
            one["help"].as_str().expect("text").contains("另存为 UTF-8"),
            "{one}"
        );
    }
    let (config, ..) = load_files(&[("leadgate.toml", &format!("\u{feff}{GOOD}"))]);
    assert!(config.is_some(), "a byte order mark is taken");
}

#[test]
fn each_place_where_a_configuration_was_looked_for_is_named() {
    let mut plugins = Plugins::builtin().expect("built in");
    let nothing = Environment::of(|_| None);
    let (_, report) = load(Path::new(SYSTEM), &nothing, &mut plugins);
    if !Path::new(SYSTEM).exists() {
        let help = report.json(Lang::En)["problems"][0]["help"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        for place in [
            "--config",
            "$LEADGATE_CONFIG",
            "/leadgate.toml (not there)",
            SYSTEM,
        ] {
            assert!(help.contains(place), "{help}");
        }
        assert_eq!(codes(&report), ["config::file"]);
    }
    let named =
        Environment::of(|name| (name == "LEADGATE_CONFIG").then(|| "/no/such.toml".to_owned()));
    let (_, report) = load(Path::new("/no/such.toml"), &named, &mut plugins);
    let json = report.json(Lang::En);
    assert!(
        json["problems"][0]["help"]
            .as_str()
            .expect("text")
            .contains("$LEADGATE_CONFIG names it"),
        "{json}"
    );
}

#[test]
fn paths_are_seen_from_the_folder_of_the_file_that_names_them() {
    let sink = "[sinks.crm]\nplugin = \"http\"\n[sinks.crm.settings]\nurl = \"https://crm.shop.cn/leads\"\nsecret = \"file:hook\"\n[sinks.log]\nplugin = \"file\"\n[sinks.log.settings]\npath = \"../leads.jsonl\"\n";
    let main = GOOD.split("[sinks.crm]").next().expect("its beginning");
    let (config, report, folder) = load_files(&[
        ("leadgate.toml", main),
        ("sinks.d/a.toml", sink),
        ("sinks.d/hook", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"),
    ]);
    assert_eq!(
        codes(&report),
        ["config::open_secret_file"],
        "{}",
        report.render(Lang::En, false)
    );
    let config = config.expect("good");
    assert_eq!(config.outbox.path, folder.path().join("data"));
    let settings = &config.sinks["crm"].settings;
    let below = |path: &str| folder.path().join(path).display().to_string();
    assert_eq!(settings["secret"], "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    assert_eq!(
        config.sinks["log"].settings["path"],
        below("sinks.d/../leads.jsonl")
    );
}

#[test]
fn a_path_that_was_meant_from_the_main_file_is_told_how_to_say_so() {
    let sink = |key: &str| {
        format!("[sinks.log]\nplugin = \"file\"\n[sinks.log.settings]\npath = \"{key}\"\n")
    };
    let (_, report, _folder) = load_files(&[
        ("leadgate.toml", GOOD),
        ("sinks.d/a.toml", &sink("leads.jsonl")),
        ("leads.jsonl", ""),
    ]);
    assert_eq!(codes(&report), ["config::path_elsewhere"]);
    assert_eq!(
        report.json(Lang::En)["problems"][0]["help"],
        "write ../leads.jsonl"
    );
}

#[test]
fn a_file_is_named_and_not_read_where_a_path_is_wanted() {
    let sink =
        "[sinks.log]\nplugin = \"file\"\n[sinks.log.settings]\npath = \"file:leads.jsonl\"\n";
    let (_, report, _folder) = load_files(&[
        ("leadgate.toml", &format!("{GOOD}{sink}")),
        ("leads.jsonl", "x"),
    ]);
    assert!(
        codes(&report).contains(&"config::path"),
        "{}",
        report.render(Lang::En, false)
    );
}

#[test]
fn an_outbox_that_is_a_file_or_shares_a_folder_is_refused() {
    let (_, report, _folder) = load_files(&[("leadgate.toml", GOOD), ("data", "x")]);
    assert_eq!(codes(&report), ["config::outbox_path"]);
    let plugin = format!("{GOOD}[plugins.erp]\npath = \"data/erp.so\"\n");
    let (_, report, _folder) = load_files(&[("leadgate.toml", &plugin)]);
    assert_eq!(codes(&report), ["config::outbox_path", "config::plugin"]);
}

#[test]
fn secrets_from_elsewhere_lose_a_byte_order_mark_and_their_line_break() {
    let folder = tempfile::tempdir().expect("a folder");
    for value in [
        "\u{feff}s3cr3t",
        "s3cr3t\r\n",
        "s3cr3t\n",
        "\u{feff}s3cr3t\r\n",
    ] {
        write_key(folder.path(), "app", value);
        std::fs::write(
            folder.path().join("leadgate.toml"),
            GOOD.replace(
                "\"env:SECRET\"",
                "[\"file:app\", \"cred:app\", \"env:MARKED\"]",
            ),
        )
        .expect("writes");
        let credentials = folder.path().display().to_string();
        let environment = Environment::of(|name| match name {
            "CREDENTIALS_DIRECTORY" => Some(credentials.clone()),
            "MARKED" => Some(value.to_owned()),
            "OUTBOX_KEY" => Some("ff".repeat(32)),
            "ADMIN_TOKEN" => Some("t".to_owned()),
            _ => Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
        });
        let mut plugins = Plugins::builtin().expect("built in");
        let (config, report) = load(
            &folder.path().join("leadgate.toml"),
            &environment,
            &mut plugins,
        );
        assert_eq!(report.render(Lang::En, false), "", "{value:?}");
        let SourceKind::Tmall(tmall) = &config.expect("good").sources["shop"].kind;
        for secret in &tmall.app_secret {
            assert_eq!(secret.expose(), "s3cr3t", "{value:?}");
        }
    }
    // A file of Notepad's "Unicode" is named, an empty one as well.
    for (bytes, said) in [(&b"\xff\xfes\0"[..], "UTF-16 LE"), (b"\n", "is empty")] {
        std::fs::write(folder.path().join("app"), bytes).expect("writes");
        std::fs::write(
            folder.path().join("leadgate.toml"),
            GOOD.replace("env:SECRET", "file:app"),
        )
        .expect("writes");
        let mut plugins = Plugins::builtin().expect("built in");
        let set = Environment::of(|_| Some("ff".repeat(32)));
        let (_, report) = load(&folder.path().join("leadgate.toml"), &set, &mut plugins);
        assert!(
            report
                .render(Lang::En, false)
                .replace('\n', " ")
                .contains(said),
            "{said}"
        );
    }
}

#[test]
fn listeners_collide_only_where_they_share_addresses() {
    for (public, operators, collide) in [
        ("0.0.0.0:8080", "127.0.0.1:8080", true),
        ("127.0.0.1:8080", "127.0.0.1:8080", true),
        ("[::]:8080", "127.0.0.1:8080", true),
        ("127.0.0.2:8080", "127.0.0.1:8080", false),
        ("0.0.0.0:8080", "[::1]:8080", false),
        ("0.0.0.0:8080", "127.0.0.1:8081", false),
        ("127.0.0.1:0", "127.0.0.1:0", false),
    ] {
        let text = GOOD.replace(
            "[admin]",
            &format!("[server]\nlisten = \"{public}\"\n[admin]\nlisten = \"{operators}\""),
        );
        let (_, report, _folder) = load_files(&[("leadgate.toml", &text)]);
        assert_eq!(
            codes(&report).contains(&"config::same_port"),
            collide,
            "{public} {operators}"
        );
    }
}

#[test]
fn the_json_of_a_report_counts_and_names_the_key() {
    let (_, report, _folder) = load_files(&[("leadgate.toml", &GOOD.replace("\"20/s\"", "20"))]);
    let json = report.json(Lang::En);
    assert_eq!(
        (&json["ok"], &json["errors"], &json["warnings"]),
        (&false.into(), &1.into(), &0.into())
    );
    assert_eq!(json["problems"][0]["path"], "sinks.crm.rate");
    let (_, report, _folder) = load_files(&[("leadgate.toml", GOOD)]);
    assert_eq!(report.json(Lang::En)["ok"], true);
    assert_eq!(report.summary(Lang::En), "");
}

#[test]
fn what_names_a_file_is_marked_as_a_path_in_every_plugin() {
    let plugins = Plugins::builtin().expect("built in");
    let main = Path::new("/srv/shop/leadgate.toml");
    let document = Document::read(main, &Text::default(), &mut Vec::new());
    for (plugin, key) in [
        ("http", "/tls/ca"),
        ("http", "/tls/certificate"),
        ("http", "/tls/key"),
        ("file", "/path"),
        ("email", "/ca"),
        ("sql", "/ca"),
        ("nats", "/ca"),
        ("amqp", "/ca"),
        ("exec", "/folder"),
        ("exec", "/base"),
    ] {
        let Some(schema) = plugins.schema(plugin) else {
            assert!(plugins.left_out().contains(&plugin.to_owned()));
            continue;
        };
        let mut settings = serde_json::json!("../x.pem");
        for step in key.rsplit('/').filter(|step| !step.is_empty()) {
            settings = serde_json::json!({ step: settings });
        }
        paths::resolve(
            &schema,
            &mut settings,
            "/sinks/crm/settings",
            &document,
            &mut Vec::new(),
        );
        let made = settings.pointer(key).and_then(|path| path.as_str());
        assert_eq!(made, Some("/srv/shop/../x.pem"), "{plugin} {key}");
    }
}
