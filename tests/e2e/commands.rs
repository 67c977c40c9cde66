//! Commands, as their users run them.

use leadgate_tests::{Crm, Daemon, Setup, binary, here, output, until};
use serde_json::Value;

fn stdout(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_demo_tells_its_story_in_both_languages_and_ends_well() {
    for (lang, last) in [
        ("en", "done: one lead, from push to CRM"),
        ("zh-CN", "完成：一条客资，从推送到 CRM"),
    ] {
        let output = output(&["demo", "--once", "--lang", lang], &[]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert_eq!(text.lines().count(), 8, "{text}");
        assert_eq!(text.lines().last(), Some(last));
        assert!(!text.contains("13567658911"), "the phone is masked: {text}");
    }
}

#[test]
fn push_sends_what_the_daemon_accepts() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    let url = format!("http://{}/tmall/leads", daemon.public());
    let push = |secret: &str| {
        let args = [
            "push",
            "--url",
            &url,
            "--app-key",
            "23456789",
            "--secret",
            secret,
            "--count",
            "20",
            "--json",
        ];
        output(&args, &[("SHOP_SECRET", "e2e-app-secret")])
    };
    assert_eq!(push("env:SHOP_SECRET").status.code(), Some(0));
    until("all are delivered", || {
        daemon.stat("/sinks/crm/delivered") == 20
    });
    assert_eq!(push("wrong").status.code(), Some(1));
    let stats = output(
        &[
            "outbox",
            "stats",
            "--json",
            "--config",
            daemon
                .folder()
                .join("leadgate.toml")
                .to_str()
                .expect("text"),
        ],
        &[],
    );
    assert_eq!(stats.status.code(), Some(0));
    let stats: Value = serde_json::from_str(&stdout(&stats)).expect("JSON");
    assert_eq!(stats["leads"]["accepted"], 20);
    assert_eq!(stats["leads"]["refused"], 20);
}

#[test]
fn stats_of_a_daemon_that_is_not_there_is_exit_75() {
    let url = format!("http://127.0.0.1:{}", leadgate_tests::free_port());
    assert_eq!(
        output(&["outbox", "stats", "--url", &url], &[])
            .status
            .code(),
        Some(75)
    );
}

#[test]
fn the_api_takes_only_the_token() {
    let daemon = Daemon::start(Setup::default());
    let ask = |headers: &[(&str, &str)]| {
        leadgate_tests::get(daemon.admin_address(), "/api/v1/stats", headers).expect("answered")
    };
    for headers in [
        &[][..],
        &[("authorization", "Bearer wrong")],
        &[("authorization", "Basic e2e-admin-token")],
    ] {
        let answer = ask(headers);
        assert_eq!(answer.status, 401);
        assert!(
            answer.head.contains("application/problem+json"),
            "{}",
            answer.head
        );
        assert_eq!(answer.json()["status"], 401);
    }
    assert_eq!(
        ask(&[("authorization", "bearer e2e-admin-token")]).status,
        200
    );
    let open = |path| {
        leadgate_tests::get(daemon.admin_address(), path, &[])
            .expect("answered")
            .status
    };
    assert_eq!(
        (
            open("/livez"),
            open("/readyz"),
            open("/metrics"),
            open("/nowhere")
        ),
        (200, 200, 200, 404)
    );
}

#[test]
fn init_writes_what_check_accepts_and_never_overwrites() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder_text = folder.path().to_str().expect("text");
    assert_eq!(output(&["init", folder_text], &[]).status.code(), Some(0));
    let config = folder.path().join("leadgate.toml");
    let config = config.to_str().expect("text");
    let secrets = [
        ("TMALL_APP_SECRET", "x"),
        (
            "CRM_WEBHOOK_SECRET",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ),
    ];
    let good = output(&["check", "--config", config], &secrets);
    assert_eq!(
        good.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
    assert_eq!(
        output(&["check", "--config", config], &[]).status.code(),
        Some(78)
    );
    let again = output(&["init", folder_text], &[]);
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(said.contains("leadgate.toml"), "{said}");
    assert!(said.contains("nothing was written"), "{said}");
    let key = || std::fs::read(folder.path().join("outbox.key")).expect("a key");
    let first_key = key();
    let forced = output(&["init", "--force", folder_text], &[]);
    assert_eq!(forced.status.code(), Some(0));
    assert!(key() == first_key, "the key of the outbox was overwritten");
    let shown = output(
        &["render", "--sink", "webhook", "--config", config],
        &secrets,
    );
    let text = stdout(&shown);
    assert_eq!(
        shown.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );
    assert!(
        text.starts_with("POST https://crm.example/leads\n"),
        "{text}"
    );
    assert!(
        text.contains("webhook-signature: v1,") && text.contains("\"record_id\": 371009"),
        "{text}"
    );
    let unknown = output(&["render", "--sink", "nope", "--config", config], &secrets);
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn init_adds_the_sinks_that_are_asked_for_and_keeps_what_is_there() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let folder_text = folder.path().to_str().expect("text");
    let init = |sinks: &[&str]| {
        let mut args = vec!["init", folder_text, "--json"];
        args.extend(sinks.iter().flat_map(|sink| ["--sink", sink]));
        let output = output(&args, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let made: Value = serde_json::from_str(&stdout(&output)).unwrap_or_default();
        (output.status.code(), made, said)
    };
    let (code, made, said) = init(&["crm=hubspot", "group=dingtalk-robot"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(made["written"].as_array().map(Vec::len), Some(5), "{made}");
    let variables = ["CRM_TOKEN", "GROUP_URL", "TMALL_APP_SECRET"];
    assert_eq!(made["environment"], serde_json::json!(variables));
    for path in made["written"].as_array().expect("a list") {
        let path = path.as_str().expect("text");
        let mode = std::fs::metadata(path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
    // One more, later: what is there stays.
    let main = folder.path().join("leadgate.toml");
    std::fs::write(
        &main,
        std::fs::read_to_string(&main).expect("reads") + "# mine\n",
    )
    .expect("writes");
    let (code, made, said) = init(&["sheet=spreadsheet"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(made["written"].as_array().map(Vec::len), Some(1), "{made}");
    let text = std::fs::read_to_string(&main).expect("reads");
    assert!(text.ends_with("# mine\n"));
    let (code, _, said) = init(&["sheet=file", "new=slack"]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("sheet.toml is there already; nothing was written"),
        "{said}"
    );
    assert!(!folder.path().join("sinks.d/new.toml").exists());
    let (code, _, said) = init(&["x=slak"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("did you mean `slack`?"), "{said}");
    let set: Vec<_> = variables
        .iter()
        .map(|name| (*name, "https://oapi.dingtalk.com/robot/send?access_token=x"))
        .collect();
    let check = output(&["check", "--config", main.to_str().expect("text")], &set);
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert_eq!((check.status.code(), said.as_str()), (Some(0), ""));
}

#[test]
#[ignore = "needs Python 3"]
fn init_asks_where_leads_go_if_somebody_is_there_to_answer() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let folder = tempfile::tempdir().expect("a folder");
    let answer = |lines: &str, more: &[&str]| {
        let mut python = Command::new("python3")
            .arg(here("counterparts/terminal.py"))
            .arg(binary())
            .args([
                "init",
                folder.path().to_str().expect("text"),
                "--lang",
                "en",
            ])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python runs");
        let mut stdin = python.stdin.take().expect("piped");
        stdin.write_all(lines.as_bytes()).expect("writes");
        drop(stdin);
        let output = python.wait_with_output().expect("ends");
        (output.status.code(), stdout(&output))
    };
    // A person who gives up: Ctrl-D.
    let (code, shown) = answer("slack\n\u{4}", &[]);
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("nothing was written"), "{shown}");
    let files = || std::fs::read_dir(folder.path()).expect("lists").count();
    assert_eq!(files(), 0);
    let (code, shown) = answer("wecom-robot\ngroup\nMY_HOOK\n", &[]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("leadgate sink test group"), "{shown}");
    let file = folder.path().join("sinks.d/group.toml");
    let text = std::fs::read_to_string(file).expect("written");
    for part in ["[sinks.group]", "rate = \"10/s\"", "url = \"env:MY_HOOK\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Told not to ask, it does not.
    let (code, shown) = answer("", &["--yes", "--force"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(folder.path().join("sinks.d/webhook.toml").exists());
}

#[test]
fn check_warns_and_passes() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("leadgate.toml");
    let text = "[sources.shop]\nkind = \"tmall\"\npath = \"/leads\"\napp_secret = \"s3cr3t\"\n\
                [sinks.group]\nplugin = \"http\"\n[sinks.group.settings]\npreset = \"slack\"\nurl = \"env:HOOK\"\n";
    std::fs::write(&file, text).expect("writes");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("sets");
    let config = file.to_str().expect("text");
    let hook = [("HOOK", "https://chat.example/hook")];
    let checked = output(&["check", "--config", config, "--json"], &hook);
    assert_eq!(checked.status.code(), Some(0));
    let found: Value = serde_json::from_str(&stdout(&checked)).expect("JSON");
    let shown: Vec<_> = found
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            assert_eq!(
                (&one["severity"], &one["file"]),
                (&"warning".into(), &config.into())
            );
            assert!(
                !one["help"].as_str().unwrap_or_default().is_empty(),
                "{one}"
            );
            (
                one["code"].as_str().unwrap_or_default(),
                one["line"].as_u64().unwrap_or(0),
            )
        })
        .collect();
    let expected = [
        ("config::literal_secret", 4),
        ("config::open_file", 4),
        ("config::no_rate", 8),
    ];
    assert_eq!(shown, expected);
    let checked = output(&["check", "--config", config], &hook);
    assert_eq!(checked.status.code(), Some(0));
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    for part in [
        "leadgate.toml:4:",
        "chmod 600",
        "leadgate.toml:8:",
        "add rate = \"10/s\"",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("s3cr3t"), "{said}");
}

#[test]
fn small_commands_print_what_they_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let nowhere = [("LEADGATE_CONFIG", folder.path().join("none.toml"))];
    let list = output(&["plugin", "list", "--json"], &[]);
    assert_eq!(list.status.code(), Some(0), "{nowhere:?}");
    let list: Value = serde_json::from_str(&stdout(&list)).expect("JSON");
    let list = list.as_array().expect("a list");
    let mut expected = vec!["email", "file", "http"];
    if cfg!(feature = "all-plugins") {
        expected = vec!["amqp", "email", "file", "http", "kafka", "nats"];
    }
    let names: Vec<_> = list.iter().map(|one| one["name"].as_str()).collect();
    for name in expected {
        assert!(names.contains(&Some(name)), "{name}: {names:?}");
    }
    let schema: Value =
        serde_json::from_str(&stdout(&output(&["config", "schema"], &[]))).expect("JSON");
    assert!(schema["properties"]["sinks"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            stdout(&output(&["completions", shell], &[])).contains("leadgate"),
            "{shell}"
        );
    }
    assert_eq!(output(&["frobnicate"], &[]).status.code(), Some(2));
}

#[test]
fn a_second_daemon_on_one_store_is_refused() {
    let daemon = Daemon::start(Setup::default());
    let config = daemon.folder().join("leadgate.toml");
    let text = std::fs::read_to_string(&config).expect("reads");
    let second = daemon.folder().join("second.toml");
    let moved = text
        .replace(&daemon.public().to_string(), "127.0.0.1:0")
        .replace(&daemon.admin_address().to_string(), "127.0.0.1:0");
    std::fs::write(&second, moved).expect("writes");
    let output = output(&["run", "--config", second.to_str().expect("text")], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use by another leadgate"));
}
