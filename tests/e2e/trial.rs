//! Trying out: `sink test` and `render`, with the real binary.

use leadgate_tests::{Behaviour, Crm, Daemon, SAMPLE, Setup, output, until};
use serde_json::Value;

/// What a command said, and its exit code.
fn said(output: &std::process::Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn with_daemon(daemon: &Daemon, args: &[&str]) -> (Option<i32>, String, String) {
    let config = daemon.folder().join("leadgate.toml");
    let mut all = args.to_vec();
    all.extend(["--config", config.to_str().expect("text")]);
    said(&output(&all, &[]))
}

#[test]
fn a_test_lead_arrives_also_while_the_sink_is_paused_and_leaves_no_trace() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    assert_eq!(with_daemon(&daemon, &["sink", "pause", "crm"]).0, Some(0));
    let (code, shown, error) = with_daemon(&daemon, &["sink", "test", "crm"]);
    assert_eq!(code, Some(0), "{shown}{error}");
    assert!(shown.starts_with("crm: delivered (rule "), "{shown}");
    for part in [
        "lead: 测试客资 leadgate test (record_id ",
        "request: POST ",
        "answer: ",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let (code, shown, _) = with_daemon(&daemon, &["sink", "test", "crm", "--json"]);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((code, &shown["delivered"]), (Some(0), &true.into()));
    let received = crm.received();
    assert_eq!(received.len(), 2);
    let events: Vec<Value> = received
        .iter()
        .map(|one| serde_json::from_str(&one.body).expect("an event"))
        .collect();
    for event in &events {
        assert_eq!(event["lead"]["name"], "测试客资 leadgate test");
        assert_eq!(event["lead"]["phone"], "13800138000");
    }
    assert_eq!(events[1]["lead"]["record_id"], shown["lead"]["record_id"]);
    assert_ne!(
        events[0]["lead"]["record_id"],
        events[1]["lead"]["record_id"]
    );
    assert_eq!(daemon.stat("/leads/accepted"), 0);
    assert_eq!(daemon.stat("/sinks/crm/delivered"), 0);
    assert!(daemon.log().contains("sink was tested"), "{}", daemon.log());
    // It is still paused.
    daemon.shop().give(1..2);
    assert_eq!(daemon.stat("/sinks/crm/pending"), 1);
}

#[test]
fn a_test_that_does_not_arrive_says_why_and_fails() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(403, ""));
    let rest = Setup::http_sink("crm", &crm.url());
    let daemon = Daemon::start(Setup {
        rest: rest.replace("timeout = \"2s\"", "timeout = \"500ms\""),
        ..Setup::default()
    });
    let (code, shown, _) = with_daemon(&daemon, &["sink", "test", "crm"]);
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("403"), "{shown}");
    crm.behave(Behaviour::Hang);
    let (code, shown, _) = with_daemon(&daemon, &["sink", "test", "crm", "--json"]);
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((code, &shown["outcome"]), (Some(1), &"ambiguous".into()));
    assert!(
        shown["duration_ms"].as_u64().expect("a number") < 2_000,
        "the sink's timeout ends it"
    );
    let (code, shown, error) = with_daemon(&daemon, &["sink", "test", "cmr"]);
    assert_eq!((code, shown.as_str()), (Some(1), ""));
    assert!(error.contains("did you mean `crm`?"), "{error}");
    drop(daemon);
    let url = format!("http://127.0.0.1:{}", leadgate_tests::free_port());
    let (code, _, error) = said(&output(&["sink", "test", "crm", "--url", &url], &[]));
    assert_eq!(code, Some(75));
    assert!(error.contains("the daemon cannot be reached"), "{error}");
}

#[test]
fn one_test_of_a_sink_at_a_time() {
    let crm = Crm::start();
    crm.behave(Behaviour::Hang);
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| with_daemon(&daemon, &["sink", "test", "crm"]));
        until("the first one is under way", || crm.received().len() == 1);
        let (code, _, error) = with_daemon(&daemon, &["sink", "test", "crm"]);
        assert_eq!(code, Some(1));
        assert!(
            error.contains("a test of this sink is under way"),
            "{error}"
        );
        assert_eq!(first.join().expect("ends").0, Some(1));
    });
    crm.behave(Behaviour::Take);
    assert_eq!(with_daemon(&daemon, &["sink", "test", "crm"]).0, Some(0));
}

#[test]
fn render_says_part_by_part_why_a_sink_wants_a_lead_or_not() {
    let crm = Crm::start();
    let when = |name: &str, when: &str| {
        let whole = format!("when = \"{when}\"\nplugin =");
        Setup::http_sink(name, &crm.url()).replacen("plugin =", &whole, 1)
    };
    let daemon = Daemon::start(Setup {
        rest: [
            Setup::http_sink("all", &crm.url()),
            when("wants", "store_id == 437763404 and source == 'shop'"),
            when(
                "other",
                "store_id == 1 or (channel == 0 and purchase_intention > 4)",
            ),
            when("broken", "other.vip == 1"),
        ]
        .concat(),
        ..Setup::default()
    });
    let (code, sent, why) = with_daemon(&daemon, &["render", "--sink", "other"]);
    assert_eq!(
        code,
        Some(0),
        "shown although the sink does not want it: {why}"
    );
    assert!(sent.starts_with("POST http://127.0.0.1:"), "{sent}");
    assert_eq!(
        why,
        "other: does not want this lead\n\
         \x20 no: store_id == 1 or (channel == 0 and purchase_intention > 4)\n\
         \x20   no: store_id == 1   [store_id = 437763404]\n\
         \x20   no: (channel == 0 and purchase_intention > 4)\n\
         \x20     yes: channel == 0   [channel = 0]\n\
         \x20     no: purchase_intention > 4   [purchase_intention = 1]\n"
    );
    let (code, sent, why) = with_daemon(&daemon, &["render", "--sink", "broken"]);
    assert_eq!((code, sent.as_str()), (Some(1), ""));
    assert!(why.contains("would be a dead letter"), "{why}");
    assert!(
        why.contains("there is no such value for this lead"),
        "{why}"
    );
    let (code, routes, _) = with_daemon(&daemon, &["render", "--json"]);
    let routes: Value = serde_json::from_str(&routes).expect("JSON");
    assert_eq!(code, Some(1), "one of them cannot tell");
    let wanted: Vec<_> = routes["routes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|route| (route["sink"].as_str(), route["wanted"].as_bool()))
        .collect();
    let expected = [
        ("all", true),
        ("broken", false),
        ("other", false),
        ("wants", true),
    ];
    assert_eq!(
        wanted,
        expected.map(|(sink, wanted)| (Some(sink), Some(wanted)))
    );
    assert_eq!(
        routes["routes"][3]["when"]["parts"][0]["values"]["store_id"],
        437_763_404
    );
}

#[test]
fn an_edit_that_the_daemon_has_not_read_is_told_wherever_it_matters() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(1..2);
    until("it is delivered", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    let sent = crm.received()[0].event();
    let id = sent["id"].as_str().expect("an id");
    let render = ["render", "--sink", "crm", "--id", id];
    let test = ["sink", "test", "crm"];
    let changed = "was changed since the daemon loaded it";
    for args in [&render[..], &test] {
        let (code, _, error) = with_daemon(&daemon, args);
        assert_eq!(code, Some(0), "{args:?}: {error}");
        assert!(!error.contains(changed), "{args:?}: {error}");
    }
    let file = daemon.folder().join("leadgate.toml");
    let text = std::fs::read_to_string(&file).expect("reads");
    std::fs::write(&file, text + "\n# edited\n").expect("writes");
    for args in [&render[..], &test] {
        let (code, _, error) = with_daemon(&daemon, args);
        assert_eq!(code, Some(0), "{args:?}: {error}");
        assert!(error.contains(changed), "{args:?}: {error}");
        let zh = [args, &["--lang", "zh-CN"]].concat();
        let (_, _, error) = with_daemon(&daemon, &zh);
        let reload = "运行 `leadgate reload` 后改动才生效";
        assert!(error.contains(reload), "{args:?}: {error}");
    }
    let (code, said, error) = with_daemon(&daemon, &["reload"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(said.contains("nothing changed that a reload"), "{said}");
    for args in [&render[..], &test] {
        let (code, _, error) = with_daemon(&daemon, args);
        assert_eq!(code, Some(0), "{args:?}: {error}");
        assert!(!error.contains(changed), "{args:?}: {error}");
    }
}

#[test]
fn render_shows_a_lead_that_the_daemon_has_and_a_file_and_names_what_is_not_there() {
    let crm = Crm::start();
    let daemon = Daemon::start(Setup::with_crm(&crm.url()));
    daemon.shop().give(77..78);
    until("it is delivered", || {
        daemon.stat("/sinks/crm/delivered") == 1
    });
    let sent: Value = serde_json::from_str(&crm.received()[0].body).expect("an event");
    let id = sent["id"].as_str().expect("an id");
    let (code, shown, error) = with_daemon(&daemon, &["render", "--sink", "crm", "--id", id]);
    assert_eq!(code, Some(0), "{error}");
    let body = shown.split_once("\n\n").expect("a body").1;
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body, sent, "exactly what was sent");
    assert!(
        error.contains("the daemon runs the configuration"),
        "{error}"
    );
    until("the daemon logs it", || {
        daemon.log().contains("lead was revealed")
    });

    let file = daemon.folder().join("lead.json");
    std::fs::write(&file, SAMPLE.replace("371009", "99")).expect("writes");
    let file = file.to_str().expect("text");
    let (code, shown, _) = with_daemon(&daemon, &["render", "--sink", "crm", "--lead", file]);
    assert_eq!(code, Some(0));
    assert!(shown.contains("\"record_id\": 99"), "{shown}");

    let config = daemon.folder().join("leadgate.toml");
    let config = config.to_str().expect("text");
    let unknown = "01937f4e-8a6b-7c3d-9e2f-0123456789ab";
    for (args, code, part) in [
        (vec!["--id", unknown], 1, "there is no lead"),
        (vec!["--id", "77"], 2, "invalid value"),
        (
            vec!["--id", unknown, "--lead", file],
            2,
            "cannot be used with",
        ),
        (
            vec!["--source", "shp"],
            1,
            "shp: no such source; there are: shop",
        ),
        (
            vec!["--lead", "/nowhere.json"],
            1,
            "/nowhere.json: No such file",
        ),
        (vec!["--lead", config], 1, "leadgate.toml: "),
        (
            vec!["--id", unknown, "--url", "http://127.0.0.1:9"],
            75,
            "cannot be reached",
        ),
    ] {
        let args = [vec!["render", "--sink", "crm"], args].concat();
        let (found, _, error) = with_daemon(&daemon, &args);
        assert_eq!(found, Some(code), "{args:?}: {error}");
        assert!(error.contains(part), "{args:?}: {error}");
    }
}
