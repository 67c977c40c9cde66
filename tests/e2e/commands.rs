//! Commands, as their users run them.

use leadgate_tests::{Crm, Daemon, Setup, output, until};
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
    // Whoever is not logged in is not told which pages there are.
    assert_eq!(
        (
            open("/livez"),
            open("/readyz"),
            open("/metrics"),
            open("/nowhere")
        ),
        (200, 200, 200, 303)
    );
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
    let hook = [("HOOK", "https://chat.shop.cn/hook")];
    let checked = output(&["check", "--config", config, "--json"], &hook);
    assert_eq!(checked.status.code(), Some(0));
    let found: Value = serde_json::from_str(&stdout(&checked)).expect("JSON");
    assert_eq!((&found["ok"], &found["errors"]), (&true.into(), &0.into()));
    let shown: Vec<_> = found["problems"]
        .as_array()
        .expect("a list")
        .iter()
        // What the machine has to say depends on the machine.
        .filter(|one| {
            !["config::port", "config::outbox_path"]
                .iter()
                .any(|code| one["code"] == *code)
        })
        .map(|one| {
            assert_eq!(
                (&one["severity"], &one["file"]),
                (&"warning".into(), &config.into()),
                "{one}"
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
        ("config::no_key", 0),
        ("config::literal_secret", 4),
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
    let mut expected = vec!["email", "exec", "file", "http"];
    if cfg!(feature = "all-plugins") {
        expected = vec!["amqp", "email", "exec", "file", "http", "kafka", "nats"];
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
