//! The examples of the README: each block is one of the files, and each file delivers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");

/// An ERP: gives each request's first line and body to `answer`, which gives status and headers.
struct Erp {
    url: String,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Erp {
    fn start(answer: impl Fn(&str, usize) -> &'static str + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let requests: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let taken = Arc::clone(&requests);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(connection) = connection else { return };
                let (path, body) = request(&connection);
                let number = {
                    let mut taken = taken.lock().expect("not poisoned");
                    taken.push((path.clone(), body));
                    taken.len()
                };
                let head = answer(&path, number);
                let body = "{\"id\": 4711}";
                let length = body.len();
                let _ = write!(
                    &connection,
                    "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<(String, String)> {
        self.requests.lock().expect("not poisoned").clone()
    }
}

fn request(connection: &TcpStream) -> (String, String) {
    let mut reader = BufReader::new(connection);
    let (mut first, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("reads");
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(given) = line.strip_prefix("content-length: ") {
            length = given.parse().expect("a number");
        }
        if first.is_empty() {
            first = line;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("reads");
    (first, String::from_utf8(body).expect("text"))
}

/// A sink that runs a copy of an example, as in the README.
fn example(command: &[&str], url: &str) -> (Place, ExecSink) {
    let place = Place::new("");
    for entry in std::fs::read_dir(EXAMPLES).expect("examples") {
        let entry = entry.expect("an example");
        let text = std::fs::read_to_string(entry.path()).expect("reads");
        place.write(entry.file_name().to_str().expect("a name"), &text);
    }
    let env = json!({"ERP_URL": url, "ERP_TOKEN": "t0k3n"});
    let sink = place.sink(json!({"command": command, "env": env, "check": ["--check"]}));
    (place, sink)
}

#[test]
fn the_blocks_of_the_readme_are_the_examples() {
    let readme = include_str!("../../README.md");
    let mut seen = 0;
    for entry in std::fs::read_dir(EXAMPLES).expect("examples") {
        let path = entry.expect("an example").path();
        let text = std::fs::read_to_string(&path).expect("reads");
        let fence = match path.extension().and_then(|end| end.to_str()) {
            Some("py") => "python",
            Some("sh") => "sh",
            other => panic!("{other:?}"),
        };
        let block = format!("```{fence}\n{text}```\n");
        assert!(
            readme.contains(&block),
            "{} is not in README.md as it is",
            path.display()
        );
        seen += 1;
    }
    let blocks = readme.matches("```python\n").count() + readme.matches("```sh\n").count();
    assert_eq!((seen, blocks), (3, 3));
}

#[test]
fn the_settings_of_the_readme_are_good() {
    let readme = include_str!("../../README.md");
    let mut seen = 0;
    for block in readme.split("```toml\n").skip(1) {
        let text = block.split("```").next().expect("ends");
        let table: toml::Table = toml::from_str(text).expect("TOML");
        let sinks = table["sinks"].as_table().expect("sinks");
        for sink in sinks.values() {
            let settings = sink["settings"].clone().try_into::<Settings>();
            settings.unwrap_or_else(|error| panic!("{text}: {error}"));
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 in /usr/bin"]
async fn the_small_example_in_python_delivers() {
    let (_place, sink) = example(&["python3", "small.py"], "");
    for id in ["a", "b"] {
        is(
            &sink.deliver(&delivery(id)).await,
            OutcomeKind::Delivered,
            "program",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3 in /usr/bin"]
async fn the_example_in_python_makes_a_customer_once_and_reads_what_the_erp_says() {
    // The first task fails after the customer was made.
    let erp = Erp::start(|path, number| match (path, number) {
        (_, 2) => "503 Busy",
        (path, _) if path.starts_with("post /tasks") => "201 Created",
        (_, 5) => "429 Too Many\r\nretry-after: 7",
        (_, 6) => "401 Unauthorized",
        (_, 7) => "409 Conflict",
        (_, 8) => "422 Unprocessable",
        _ => "200 OK",
    });
    let (_place, sink) = example(&["python3", "erp.py"], &erp.url);
    let first = delivery("a");
    let outcome = sink.deliver(&first).await;
    is(&outcome, OutcomeKind::Retry, "program");
    assert_eq!(
        (outcome.reason.as_str(), first.step_record().as_str()),
        ("HTTP 503", "4711")
    );
    let second = Delivery::new("a", 2, Duration::from_secs(30), EVENT);
    second.keep(&first.step_record()).expect("short");
    let outcome = sink.deliver(&second).await;
    assert_eq!(
        (outcome.kind, outcome.receipt.as_str()),
        (OutcomeKind::Delivered, "4711")
    );
    let requests = erp.requests();
    let paths: Vec<_> = requests
        .iter()
        .map(|(path, _)| path.split(' ').nth(1).expect("a path"))
        .collect();
    assert_eq!(paths, ["/customers", "/tasks", "/tasks"]);
    let customer: Value = serde_json::from_str(&requests[0].1).expect("JSON");
    assert_eq!(customer, json!({"name": "张三", "phone": "+8613567658911"}));
    let probe = Probe::detached(Duration::from_secs(20));
    assert!(sink.connect(&probe).await.is_ok(), "{:?}", probe.steps());
    for (id, kind) in [
        ("5", OutcomeKind::Throttled),
        ("6", OutcomeKind::Reauth),
        ("7", OutcomeKind::Duplicate),
        ("8", OutcomeKind::Rejected),
    ] {
        let outcome = sink.deliver(&delivery(id)).await;
        assert_eq!(outcome.kind, kind, "{outcome:?}");
        let wait = (kind == OutcomeKind::Throttled).then_some(Duration::from_secs(7));
        assert_eq!(outcome.retry_after, wait);
    }
    let (_place, alone) = example(&["python3", "erp.py"], "http://127.0.0.1:9");
    let outcome = alone.deliver(&delivery("a")).await;
    is(&outcome, OutcomeKind::Retry, "program");
    assert_eq!(outcome.reason, "ConnectionRefusedError");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl"]
async fn the_example_in_shell_delivers_and_reads_what_the_erp_says() {
    let erp = Erp::start(|_, number| match number {
        1 => "200 OK",
        2 => "429 Too Many",
        3 => "403 Forbidden",
        4 => "400 Bad",
        _ => "502 Bad Gateway",
    });
    for mode in ["persistent", "each"] {
        let erp = if mode == "each" {
            &Erp::start(|_, _| "204 No Content")
        } else {
            &erp
        };
        let (place, _) = example(&["./erp.sh"], "");
        let sink =
            place.sink(json!({"command": ["./erp.sh"], "env": {"ERP_URL": erp.url}, "mode": mode}));
        let kinds: &[OutcomeKind] = match mode {
            "each" => &[OutcomeKind::Delivered, OutcomeKind::Delivered],
            _ => &[
                OutcomeKind::Delivered,
                OutcomeKind::Throttled,
                OutcomeKind::Reauth,
                OutcomeKind::Rejected,
                OutcomeKind::Retry,
            ],
        };
        for kind in kinds {
            let outcome = sink.deliver(&delivery("a-1")).await;
            assert_eq!(outcome.kind, *kind, "{outcome:?}");
        }
        let sent: Value = serde_json::from_str(&erp.requests()[0].1).expect("JSON");
        assert_eq!(sent["event"]["lead"]["name"], "张三");
    }
    let (place, _) = example(&["./erp.sh"], "");
    let env = json!({"ERP_URL": "http://127.0.0.1:9"});
    let sink = place.sink(json!({"command": ["./erp.sh"], "env": env}));
    let outcome = sink.deliver(&delivery("a")).await;
    is(&outcome, OutcomeKind::Retry, "program");
}
