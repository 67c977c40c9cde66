//! Processes: real ones. This test program is its own host: started again with the name of
//! [`host`], it serves.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use leadgate_plugin::OutcomeKind;
use leadgate_plugin::child::{Sandbox, State};
use serde_json::{Value, json};

use super::super::{Call, Connected, LoadError, Plugins, SinkConfig, SinkState};
use super::{Children, Plugin, Status};
use crate::config::Isolation;
use crate::lead::Tables;

/// The other side: not a test.
#[test]
#[ignore = "the other side of the tests here"]
fn host() {
    let input = rustix::fs::fstat(std::io::stdin()).expect("has an input");
    // Nobody is there to be served where all tests are run that are ignored.
    if rustix::fs::FileType::from_raw_mode(input.st_mode) == rustix::fs::FileType::Socket {
        super::host::serve().expect("serves");
    }
}

/// Compiles one of the plugins that misbehave.
fn misbehaving(folder: &Path, name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = folder.join(format!("lib{name}.so"));
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-pthread", "-I"])
        .arg(here.join("../plugin-api/include"))
        .arg(here.join(format!("../tests/plugins/misbehaving/{name}.c")))
        .arg("-o")
        .arg(&library)
        .status();
    assert!(status.expect("a C compiler, which Rust needs").success());
    library
}

fn call(number: u32, attempt: u32) -> Call {
    Call {
        id: format!("0198-{number}"),
        attempt,
        timeout: Duration::from_secs(20),
        event: event(number).to_string().into_bytes(),
        trace_id: "0".repeat(32),
        step_record: String::new(),
        keep: None,
    }
}

fn event(number: u32) -> Value {
    json!({
        "event": "lead.created", "id": format!("L{number}"), "revision": 1, "source": "shop",
        "received_at": "T", "lead": { "name": "张三", "record_id": number }, "labels": {},
        "raw": "{}"
    })
}

/// What a test needs of a plugin: itself, and its processes.
struct Stage {
    plugin: Plugin,
    children: Children,
    settings: Value,
    tables: Tables,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let library = misbehaving(folder.path(), name);
        let children = Children::default();
        let sandbox = Sandbox::default();
        let plugin = Plugin::open(name, Some((&library, None)), &sandbox, &children);
        Self {
            plugin: plugin.unwrap_or_else(|error| panic!("{error}")),
            children,
            settings: json!({}),
            tables: Tables::new(),
            _folder: folder,
        }
    }

    fn sink(&self, state: Option<Arc<dyn SinkState>>) -> super::Sink {
        let of = SinkConfig {
            name: "erp",
            settings: &self.settings,
            tables: &self.tables,
        };
        let made = self.plugin.create_with(&of, state);
        made.unwrap_or_else(|problems| panic!("{problems:?}"))
            .masking(&[])
    }

    fn status(&self) -> Status {
        self.children.list().pop().expect("one process")
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_linked_plugin_is_the_same_in_a_process_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut plugins = Plugins::builtin().expect("they fit");
    let here = plugins.get("file").expect("built in").clone();
    let config = crate::config::Plugin {
        path: None,
        sha256: None,
        isolation: Isolation::Process,
        sandbox: Sandbox {
            write: vec![folder.path().to_owned()],
            ..Sandbox::default()
        },
    };
    plugins.add("file", &config).expect("it fits");
    let there = plugins.get("file").expect("built in");
    assert_eq!(there.isolation(), Isolation::Process);
    assert_eq!(there.schema(), here.schema());
    assert_eq!((there.version(), there.abi()), (here.version(), here.abi()));
    let sandbox = there.sandbox().expect("told");
    for part in ["no_new_privs", "memory", "descriptors"] {
        assert_eq!(sandbox.part(part).map(|part| part.state), Some(State::On));
    }
    let tables = Tables::new();
    let settings = json!({ "path": folder.path().join("leads.jsonl"), "format": "nonsense" });
    let bad = SinkConfig {
        name: "out",
        settings: &settings,
        tables: &tables,
    };
    assert_eq!(there.check(&bad), here.check(&bad));
    let file = folder.path().join("leads.jsonl");
    let settings = json!({ "path": file });
    let good = SinkConfig {
        settings: &settings,
        ..bad
    };
    let sink = there.create_with(&good, None).expect("makes").kept();
    for number in 1..=3 {
        let outcome = sink.deliver(call(number, 1)).await;
        assert_eq!(outcome.kind, OutcomeKind::Delivered, "{outcome:?}");
    }
    let rendered = sink.render(call(9, 1)).expect("renders");
    assert_eq!(
        rendered,
        here.create(&good)
            .expect("makes")
            .render(call(9, 1))
            .expect("renders")
    );
    assert_eq!(
        std::fs::read_to_string(&file)
            .expect("reads")
            .lines()
            .count(),
        3
    );
    let status = plugins.children().list();
    assert_eq!((status[0].state, status[0].restarts), ("running", 0));
    let pid = status[0].pid.expect("runs");
    drop(sink);
    plugins.children().close().await;
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "it has ended");
}

#[tokio::test]
async fn a_library_that_is_as_it_was_is_the_same_plugin_when_a_configuration_is_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = "segfault_in_deliver";
    let library = misbehaving(folder.path(), name);
    let mut running = Plugins::builtin().expect("they fit");
    running.open(name, &library, None).expect("it fits");
    let again = || {
        let mut again = running.again().expect("they fit");
        again.open(name, &library, None).expect("it fits");
        again
    };
    assert!(again().same(&running, name));
    assert!(
        again().same(&running, "file"),
        "and so is what is linked in"
    );
    let mut bytes = std::fs::read(&library).expect("reads");
    bytes.push(0);
    std::fs::write(&library, bytes).expect("writes");
    let changed = again();
    assert!(!changed.same(&running, name));
    assert!(changed.postponed().is_empty(), "it runs in processes");
    let gone = running.again().expect("they fit");
    assert!(!gone.same(&running, name));
}

#[tokio::test]
async fn a_library_that_the_start_put_up_with_bars_no_reload_and_another_like_it_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = "segfault_in_describe";
    let library = misbehaving(folder.path(), name);
    let mut running = Plugins::builtin().expect("they fit").patient();
    running.open(name, &library, None).expect("is put up with");
    let mut again = running.again().expect("they fit");
    again
        .open(name, &library, None)
        .expect("is still put up with");
    assert!(again.same(&running, name));
    let mut third = again.again().expect("they fit");
    third.open(name, &library, None).expect("however often");
    assert!(third.same(&running, name));

    let mut bytes = std::fs::read(&library).expect("reads");
    bytes.push(0);
    std::fs::write(&library, bytes).expect("writes");
    let mut changed = running.again().expect("they fit");
    let error = changed
        .open(name, &library, None)
        .expect_err("another file");
    assert!(matches!(error, LoadError::Process { .. }), "{error}");
}

#[tokio::test]
async fn a_crash_costs_its_attempt_and_the_next_process_goes_on() {
    let stage = Stage::of("segfault_in_deliver");
    let sink = stage.sink(None);
    let outcome = sink.deliver(call(1, 1)).await;
    assert_eq!(outcome.kind, OutcomeKind::Ambiguous, "{outcome:?}");
    assert_eq!(outcome.rule, "plugin-crashed");
    assert!(outcome.reason.contains("SIGSEGV"), "{}", outcome.reason);
    let fate = stage.status().fate.expect("told");
    assert!(fate.contains("SIGSEGV"), "{fate}");
    let again = sink.deliver(call(1, 2)).await;
    assert_eq!(again.kind, OutcomeKind::Delivered, "{again:?}");
    assert_eq!(stage.status().restarts, 1);
    drop(sink);
    stage.children.close().await;
}

#[tokio::test]
async fn many_attempts_are_on_their_way_at_once() {
    let stage = Stage::of("segfault_in_deliver");
    let sink = stage.sink(None);
    let attempts = (0..300).map(|number| {
        let sink = sink.clone();
        let mut call = call(number, 2);
        // Far more than the socket holds.
        call.event = json!({ "lead": { "text": "x".repeat(20_000) } })
            .to_string()
            .into_bytes();
        async move { sink.deliver(call).await }
    });
    let outcomes = futures_util::future::join_all(attempts).await;
    for outcome in outcomes {
        assert_eq!(outcome.kind, OutcomeKind::Delivered, "{outcome:?}");
    }
    assert_eq!(stage.status().restarts, 0);
}

#[tokio::test]
async fn what_fails_before_there_is_a_sink_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let children = Children::default();
    let open = |name: &str| {
        let library = misbehaving(folder.path(), name);
        Plugin::open(name, Some((&library, None)), &Sandbox::default(), &children)
    };
    for name in ["segfault_when_loaded", "segfault_in_describe"] {
        let error = open(name).err().expect("it fails");
        assert!(matches!(error, LoadError::Process { .. }), "{error}");
        assert!(error.to_string().contains("SIGSEGV"), "{error}");
    }
    let error = open("schema_not_json").err().expect("it is refused");
    assert!(
        error
            .to_string()
            .contains("its settings schema is not JSON"),
        "{error}"
    );
    let plugin = open("segfault_in_create").unwrap_or_else(|error| panic!("{error}"));
    let (settings, tables) = (json!({}), Tables::new());
    let of = SinkConfig {
        name: "erp",
        settings: &settings,
        tables: &tables,
    };
    let problems = plugin.create(&of).err().expect("it cannot be made");
    assert!(problems[0].message.contains("SIGSEGV"), "{problems:?}");
    // In the daemon it is there all the same, and its attempts know why they wait.
    let sink = plugin
        .create_with(&of, None)
        .expect("is there")
        .masking(&[]);
    let outcome = sink.deliver(call(1, 1)).await;
    assert_eq!(outcome.kind, OutcomeKind::Retry, "{outcome:?}");
    assert_eq!(outcome.rule, "plugin-not-started");
    until("told", || {
        let list = children.list();
        list.iter().any(|one| {
            one.fate
                .as_deref()
                .is_some_and(|fate| fate.contains("SIGSEGV"))
        })
    })
    .await;
    drop(sink);
    children.close().await;
}

#[tokio::test]
async fn a_walk_and_a_preview_need_nobody_who_keeps_the_process() {
    let plugin = Plugin::open("http", None, &Sandbox::default(), &Children::default());
    let plugin = plugin.unwrap_or_else(|error| panic!("{error}"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let settings = json!({ "url": format!("http://127.0.0.1:{port}/leads") });
    let tables = Tables::new();
    let of = SinkConfig {
        name: "crm",
        settings: &settings,
        tables: &tables,
    };
    let sink = plugin
        .create(&of)
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    let text = sink.render(&call(1, 1)).expect("renders").expect("can");
    assert!(text.contains("张三"), "{text}");
    let mut steps = Vec::new();
    let ended = sink.connect(Duration::from_secs(5), &mut |step| steps.push(step));
    assert_eq!(ended, Connected::Ok, "{steps:?}");
    assert!(
        steps.iter().any(|step| step.name == "tcp" && step.ok),
        "{steps:?}"
    );
}

/// Keeps what it is told.
#[derive(Default)]
struct Kept(Mutex<std::collections::BTreeMap<String, Vec<u8>>>);

impl SinkState for Kept {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.0.lock().expect("whole").get(key).cloned()
    }

    fn set(&self, key: &str, value: Option<Vec<u8>>) -> bool {
        let mut kept = self.0.lock().expect("whole");
        match value {
            Some(value) => drop(kept.insert(key.to_owned(), value)),
            None => drop(kept.remove(key)),
        }
        true
    }
}

#[test]
fn a_process_gets_and_sets_no_state_beyond_the_limits() {
    use super::link::grant;
    use super::message::{AskState, State};
    let state: Arc<dyn SinkState> = Arc::new(Kept::default());
    let set = |key: &str, length: usize| {
        let ask = AskState::Set(key.to_owned(), Some(vec![7; length]));
        matches!(grant(Some(&state), ask), State::Set(true))
    };
    assert!(set("token", 4096));
    assert!(!set("token", 4097) && !set("To Ken", 1) && !set("", 1));
    let got = |key: &str| match grant(Some(&state), AskState::Get(key.to_owned())) {
        State::Got(value) => value.map(|value| value.len()),
        State::Set(_) => panic!("asked to get"),
    };
    assert_eq!(
        (got("token"), got("../x"), got("none")),
        (Some(4096), None, None)
    );
}
