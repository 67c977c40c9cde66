//! First steps: `init`, the stand-in CRM, and commands that need only what they use.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use leadgate_tests::{Daemon, Setup, binary, free_port, here, output, until};
use serde_json::Value;

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the binary in `folder`.
fn inside(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(binary())
        .args(args)
        .current_dir(folder)
        .env_remove("LEADGATE_CONFIG")
        .env("LEADGATE_LANG", "en")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("runs")
}

#[test]
fn init_writes_what_check_accepts_once_the_apps_secret_is_set() {
    for lang in ["en", "zh-CN"] {
        let folder = tempfile::tempdir().expect("a folder");
        let made = inside(folder.path(), &["init", "--yes", "--lang", lang], &[]);
        assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
        // It ends as check would, and names what is left to do.
        let said = stderr(&made);
        for part in ["TMALL_APP_SECRET", "leadgate sink listen", "leadgate check"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("CRM_WEBHOOK_SECRET"), "{said}");
        for (file, mode) in [
            ("leadgate.toml", 0o600),
            ("leadgate.schema.json", 0o600),
            ("outbox.key", 0o600),
            ("secrets", 0o700),
            ("secrets/admin-token", 0o600),
            ("secrets/webhook", 0o600),
        ] {
            let facts = std::fs::metadata(folder.path().join(file)).expect(file);
            assert_eq!(facts.mode() & 0o777, mode, "{file}");
        }
        let text = std::fs::read_to_string(folder.path().join("leadgate.toml")).expect("reads");
        assert!(!text.contains("allow_without_token"), "{text}");
        assert!(text.contains("listen = \"127.0.0.1:8080\""), "{text}");
        assert_eq!(text.contains("可靠存储"), lang == "zh-CN", "{text}");
        assert_eq!(text.contains("the durable store"), lang == "en", "{text}");
        let checked = inside(folder.path(), &["check"], &[]);
        assert_eq!(checked.status.code(), Some(78));
        let set = [("TMALL_APP_SECRET", "x")];
        let checked = inside(folder.path(), &["check"], &set);
        let said = stderr(&checked);
        assert_eq!((checked.status.code(), said.as_str()), (Some(0), ""));
        assert!(stdout(&checked).contains("leadgate.toml"));
        let shown = inside(folder.path(), &["render", "--sink", "webhook"], &[]);
        assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
        let text = stdout(&shown);
        assert!(
            text.starts_with("POST http://127.0.0.1:9000/leads\n"),
            "{text}"
        );
        assert!(text.contains("webhook-signature: "), "{text}");
    }
}

#[test]
fn init_overwrites_nothing_and_no_secret_even_if_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let init = |more: &[&str]| inside(folder.path(), &[&["init"], more].concat(), &[]);
    assert_eq!(init(&["--yes"]).status.code(), Some(0));
    let secrets = || {
        ["outbox.key", "secrets/admin-token", "secrets/webhook"]
            .map(|file| std::fs::read(folder.path().join(file)).expect(file))
    };
    let first = secrets();
    let again = init(&["--yes"]);
    assert_eq!(again.status.code(), Some(1));
    let said = stderr(&again);
    for part in ["leadgate.toml", "nothing was written", "--sink NAME=KIND"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(init(&["--yes", "--force"]).status.code(), Some(0));
    assert!(secrets() == first, "a secret was overwritten");
}

#[test]
fn init_without_anybody_to_answer_is_a_mistake_that_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for more in [&[][..], &["--json"], &["--lang", "zh-CN"]] {
        let made = inside(folder.path(), &[&["init"], more].concat(), &[]);
        assert_eq!(made.status.code(), Some(2), "{more:?}");
        let said = stderr(&made);
        assert!(said.contains("--yes") && said.contains("--sink"), "{said}");
        let count = std::fs::read_dir(folder.path()).expect("lists").count();
        assert_eq!(count, 0, "{more:?}");
    }
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
    // The main file, a table, the schema, two sinks, the key and the token.
    assert_eq!(made["written"].as_array().map(Vec::len), Some(7), "{made}");
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
        said.contains("sheet.toml is there already; nothing was written")
            && said.contains("--force"),
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
    // A second time what is chosen is added; a guess is asked again.
    let (code, shown) = answer("dingtalk\nwebhook\nstandard-webhooks\ncrm\n\n\n", &[]);
    assert_eq!(code, Some(0), "{shown}");
    for part in [
        "what you choose is added to it",
        "did you mean `dingtalk-robot`?",
        "did you mean `standard-webhooks`?",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(folder.path().join("sinks.d/crm.toml").exists());
    // Told not to ask, it does not.
    let (code, shown) = answer("", &["--yes", "--force"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(folder.path().join("sinks.d/webhook.toml").exists());
}

#[test]
fn a_stand_in_shows_leads_masked_checks_signatures_and_fails_when_told_to() {
    let port = free_port().to_string();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let mut listening = Command::new(binary())
        .args([
            "sink", "listen", "--port", &port, "--secret", "env:S", "--lang", "en",
        ])
        .args(["--fail", "503", "--after", "1", "--count", "1", "--json"])
        .env("S", secret)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut greeting = String::new();
    let stderr = listening.stderr.take().expect("piped");
    let mut stderr = BufReader::new(stderr);
    stderr.read_line(&mut greeting).expect("reads");
    assert!(
        greeting.contains(&format!("127.0.0.1:{port}/leads")),
        "{greeting}"
    );
    let address = ([127, 0, 0, 1], port.parse().expect("a port")).into();
    let unsigned = leadgate_tests::post(address, "POST", "/leads", &[], b"{}");
    assert_eq!(unsigned.expect("answers").status, 401);
    let asked = leadgate_tests::get(address, "/leads", &[]).expect("answers");
    assert_eq!(asked.status, 405);
    let url = format!("http://127.0.0.1:{port}/leads");
    let daemon = Daemon::start(Setup::with_crm(&url));
    daemon.shop().give([7]);
    let read = listening.wait_with_output().expect("ends by its count");
    assert_eq!(read.status.code(), Some(0));
    let lines: Vec<Value> = stdout(&read)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(
        (&lines[0]["signature"], &lines[0]["status"]),
        (&"wrong".into(), &401.into())
    );
    assert_eq!(lines[1]["signature"], "good");
    assert_eq!(lines[1]["receipt"], "crm-7");
    assert!(!stdout(&read).contains("13567658911"));
    until("the receipt is kept", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    // A port that is taken is a mistake with a way out.
    let taken = daemon.public().port().to_string();
    let refused = output(&["sink", "listen", "--port", &taken], &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(self::stderr(&refused).contains("--port"));
    let bad = output(&["sink", "listen", "--secret", "env:NOWHERE"], &[]);
    assert_eq!(bad.status.code(), Some(2));
}

/// A running daemon, and beside it a configuration that only the daemon could load.
fn with_secrets_of_its_own() -> (Daemon, tempfile::TempDir) {
    let daemon = Daemon::start(Setup::default());
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!(
        "[admin]\nlisten = \"{}\"\ntoken = \"file:token\"\n\
         [outbox]\nkey = \"cred:outbox-key\"\n\
         [sources.shop]\nkind = \"tmall\"\npath = \"/leads\"\napp_secret = [\"cred:tmall-app-secret\"]\n\
         [sinks.crm]\nplugin = \"mine\"\n[sinks.crm.settings]\nurl = \"env:NOWHERE\"\n\
         [plugins.mine]\npath = \"nowhere.so\"\n",
        daemon.admin_address()
    );
    std::fs::write(folder.path().join("leadgate.toml"), text).expect("writes");
    std::fs::write(folder.path().join("token"), "e2e-admin-token\n").expect("writes");
    (daemon, folder)
}

#[test]
fn a_command_that_speaks_to_the_daemon_needs_the_admin_section_alone() {
    let (daemon, folder) = with_secrets_of_its_own();
    let commands: [&[&str]; 4] = [
        &["outbox", "stats"],
        &["outbox", "deliveries"],
        &["sink", "list"],
        &["leads", "list"],
    ];
    let main = folder.path().join("leadgate.toml");
    let text = std::fs::read_to_string(&main).expect("reads");
    std::fs::create_dir(folder.path().join("sinks.d")).expect("makes");
    let broken = "[sinks.half\nplugin = ";
    std::fs::write(folder.path().join("sinks.d/half.toml"), broken).expect("writes");
    for edited in [
        text.clone(),
        text.replace("[sources.shop]\nkind = ", "[sources.shop\nkind = ，"),
    ] {
        std::fs::write(&main, &edited).expect("writes");
        for command in commands {
            let run = inside(folder.path(), command, &[]);
            assert_eq!(run.status.code(), Some(0), "{command:?}: {}", stderr(&run));
        }
    }
    // Its token is not there: the message names the ways to give it, and each works.
    std::fs::write(&main, text.replace("file:token", "cred:admin-token")).expect("writes");
    let run = inside(folder.path(), &["outbox", "stats"], &[]);
    assert_eq!(run.status.code(), Some(78));
    let said = stderr(&run);
    for part in ["leadgate.toml:3", "LEADGATE_ADMIN_TOKEN", "--token-file"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let token = [("LEADGATE_ADMIN_TOKEN", "e2e-admin-token")];
    let run = inside(folder.path(), &["outbox", "stats"], &token);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let named = ["outbox", "stats", "--token-file", "token"];
    let run = inside(folder.path(), &named, &[("LEADGATE_ADMIN_TOKEN", "wrong")]);
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let wrong = [("LEADGATE_ADMIN_TOKEN", "wrong")];
    let run = inside(folder.path(), &["outbox", "stats"], &wrong);
    assert_eq!(run.status.code(), Some(1));
    assert!(
        stderr(&run).contains("from LEADGATE_ADMIN_TOKEN"),
        "{}",
        stderr(&run)
    );
    // The section itself is broken: the way around it is said.
    std::fs::write(
        &main,
        text.replace("token = \"file:token\"", "token = \"s3cret-x"),
    )
    .expect("writes");
    let run = inside(folder.path(), &["outbox", "stats"], &[]);
    assert_eq!(run.status.code(), Some(78));
    let said = stderr(&run);
    assert!(
        said.contains("--url") && !said.contains("s3cret-x"),
        "{said}"
    );
    drop(daemon);
}

#[test]
fn nobody_at_the_address_is_said_with_what_named_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let main = folder.path().join("leadgate.toml");
    let listen = format!("127.0.0.1:{}", free_port());
    std::fs::write(&main, format!("[admin]\n# moved\nlisten = \"{listen}\"\n")).expect("writes");
    let run = inside(folder.path(), &["sink", "list"], &[]);
    assert_eq!(run.status.code(), Some(75));
    let said = stderr(&run);
    assert!(
        said.contains(&listen) && said.contains("leadgate.toml:3"),
        "{said}"
    );
    let url = format!("http://{listen}");
    let run = inside(folder.path(), &["sink", "list", "--url", &url], &[]);
    assert_eq!(run.status.code(), Some(75));
    assert!(stderr(&run).contains("--url"), "{}", stderr(&run));
}

#[test]
fn render_needs_the_secrets_of_its_sink_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = |name: &str, secret: &str| {
        format!(
            "[sinks.{name}]\nplugin = \"http\"\n[sinks.{name}.settings]\nurl = \"https://crm.shop.cn/{name}\"\n\
             auth = {{ kind = \"bearer\", token = \"{secret}\" }}\nbody = {{ id = \"{{{{ record_id }}}}\" }}\n"
        )
    };
    let text = format!(
        "[admin]\ntoken = \"cred:admin-token\"\n[outbox]\nkey = \"cred:outbox-key\"\n\
         [sources.shop]\nkind = \"tmall\"\npath = \"/leads\"\napp_secret = [\"cred:app\"]\n{}{}",
        sink("a", "env:SECRET_OF_A"),
        sink("b", "env:SECRET_OF_B"),
    );
    std::fs::write(folder.path().join("leadgate.toml"), text).expect("writes");
    let set = [("SECRET_OF_A", "t0psecret-a")];
    let shown = inside(folder.path(), &["render", "--sink", "a"], &set);
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    assert!(
        stdout(&shown).starts_with("POST https://crm.shop.cn/a"),
        "{}",
        stdout(&shown)
    );
    let missing = inside(folder.path(), &["render", "--sink", "b"], &set);
    assert_eq!(missing.status.code(), Some(78));
    let said = stderr(&missing);
    assert!(
        said.contains("SECRET_OF_B") && !said.contains("cred"),
        "{said}"
    );
    let routes = inside(folder.path(), &["render"], &[]);
    assert_eq!(routes.status.code(), Some(0), "{}", stderr(&routes));
    assert_eq!(stdout(&routes).lines().count(), 2, "{}", stdout(&routes));
    let unknown = inside(folder.path(), &["render", "--sink", "c"], &[]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).contains("a, b"), "{}", stderr(&unknown));
}

#[test]
fn plugins_are_listed_with_their_files_and_why_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = leadgate_tests::library();
    let text = format!(
        "[plugins.refusing]\npath = \"{}\"\n[plugins.gone]\npath = \"/nowhere/libgone.so\"\n\
         [sinks.erp]\nplugin = \"gone\"\n[sinks.erp.settings]\nurl = \"env:NOWHERE\"\n",
        library.display()
    );
    std::fs::write(folder.path().join("leadgate.toml"), text).expect("writes");
    let list = inside(folder.path(), &["plugin", "list"], &[]);
    assert_eq!(list.status.code(), Some(0), "{}", stderr(&list));
    let text = stdout(&list);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(
        text.contains("cannot be used") && text.contains("sha256 "),
        "{text}"
    );
    let list = inside(folder.path(), &["plugin", "list", "--json"], &[]);
    let list: Value = serde_json::from_str(&stdout(&list)).expect("JSON");
    let one = |name: &str| {
        let list = list.as_array().expect("a list");
        list.iter()
            .find(|one| one["name"] == name)
            .cloned()
            .expect("listed")
    };
    let gone = one("gone");
    assert_eq!(
        (&gone["sinks"][0], &gone["path"]),
        (&"erp".into(), &"/nowhere/libgone.so".into())
    );
    assert!(
        gone["error"]
            .as_str()
            .is_some_and(|why| why.contains("libgone.so")),
        "{gone}"
    );
    assert_eq!(one("http")["origin"], "built-in");
}

#[test]
fn a_configuration_that_others_can_write_is_taken_only_if_it_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = inside(folder.path(), &["init", "--yes"], &[]);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let main = folder.path().join("leadgate.toml");
    let set = [("TMALL_APP_SECRET", "x")];
    let refused = |what: &str| {
        let commands: [&[&str]; 6] = [
            &["run"],
            &["check"],
            &["outbox", "stats"],
            &["plugin", "list"],
            &["render"],
            &["outbox", "verify"],
        ];
        for command in commands {
            let run = inside(folder.path(), command, &set);
            assert_eq!(run.status.code(), Some(78), "{what}: {command:?}");
            let said = stderr(&run);
            assert!(said.contains(what), "{what}: {command:?}: {said}");
            assert!(
                said.contains("--config leadgate.toml"),
                "{command:?}: {said}"
            );
        }
        let named = inside(folder.path(), &["check", "--config", "leadgate.toml"], &set);
        assert_eq!(named.status.code(), Some(0), "{}", stderr(&named));
    };
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("sets");
    refused("can be changed by other users");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("sets");
    std::fs::set_permissions(&main, Permissions::from_mode(0o620)).expect("sets");
    refused("can be changed by other users");
    std::fs::set_permissions(&main, Permissions::from_mode(0o600)).expect("sets");
    // Only root can give a file away.
    if chown(&main, Some(65_534), None).is_ok() {
        refused("uid 65534");
        chown(&main, Some(0), None).expect("root may");
        chown(folder.path(), Some(65_534), None).expect("root may");
        refused("uid 65534");
        chown(folder.path(), Some(0), None).expect("root may");
    }
    let trusted = inside(folder.path(), &["check"], &set);
    assert_eq!(trusted.status.code(), Some(0), "{}", stderr(&trusted));
}
