//! Erasing: after `leads erase` no file of the outbox holds the person's data, while the daemon
//! runs, and also when it was killed in the middle and asked again; everybody else is there.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use leadgate_tests::{Crm, Daemon, SAMPLE, SUCCESS, Setup, post, until};
use serde_json::Value;

const PHONE: &str = "13711112222";
/// Whatever says who the person is.
const PERSON: [&str; 3] = [PHONE, "欧阳擦除", "仓前路七百七十七号"];

/// Bytes of padding: some 130 such leads fill a segment.
const PADDING: usize = 240_000;
const OTHERS: u64 = 300;

/// A lead of the person; `content` tells its revisions apart.
fn of_person(record: u64, content: u32) -> String {
    let mut lead: Value = serde_json::from_str(SAMPLE).expect("JSON");
    lead["record_id"] = record.into();
    lead["phone"] = PERSON[0].into();
    lead["name"] = PERSON[1].into();
    lead["address"] = PERSON[2].into();
    lead["gmt_modified"] = format!("2026-01-01 00:00:{content:02}").into();
    lead.to_string()
}

/// A long lead of somebody else.
fn of_other(record: u64) -> String {
    let mut lead: Value = serde_json::from_str(SAMPLE).expect("JSON");
    lead["record_id"] = record.into();
    lead["remark"] = format!("{record:05} ").repeat(PADDING / 6).into();
    lead.to_string()
}

/// A whole request.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut some = [0; 16 << 10];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.split("content-length: ").nth(1)?;
            let length: usize = length.lines().next()?.trim().parse().ok()?;
            if bytes.len() >= end + 4 + length {
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        match stream.read(&mut some) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&some[..read]),
        }
    }
}

/// A destination that refuses everything and says whom.
fn refuser() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                if let Some(request) = request(&mut stream) {
                    // Of others it says nothing.
                    let whom = if request.contains(PHONE) {
                        PERSON.join(" ")
                    } else {
                        String::new()
                    };
                    let body = format!("{{\"error\":\"{whom} is on our list\"}}");
                    let head = format!(
                        "HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all((head + &body).as_bytes());
                }
            });
        }
    });
    url
}

/// The person's data that is in any file below a folder, by file.
fn traces(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(traces(&path));
            continue;
        }
        // It may be removed meanwhile.
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        for (at, trace) in PERSON.iter().enumerate() {
            if text.contains(trace) {
                found.insert(format!("{} holds {at}", path.display()));
            }
        }
    }
    found
}

fn push(daemon: &Daemon, body: &str) {
    let answer = daemon.shop().push(body).expect("answered");
    assert_eq!(answer.body, SUCCESS);
}

fn json(daemon: &Daemon, args: &[&str], stdin: &str) -> Value {
    let (code, stdout, stderr) = daemon.command_with(args, stdin);
    assert_eq!(code, 0, "{args:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("not JSON: {stdout}"))
}

fn segments(daemon: &Daemon) -> BTreeSet<String> {
    let files = std::fs::read_dir(daemon.folder().join("store/journal"));
    let paths = files.expect("reads").flatten().map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect()
}

/// A daemon whose outbox holds the person in every way there is, over several segments, among
/// others.
fn filled(crm: &Crm) -> Daemon {
    let strict = Setup::http_sink("strict", &refuser());
    let daemon = Daemon::start(Setup {
        rest: Setup::http_sink("crm", &crm.url()) + &strict,
        ..Setup::default()
    });
    for third in 0..3 {
        push(&daemon, &of_person(900_001, 1 + third));
        push(&daemon, &of_person(900_002 + u64::from(third), 1));
        let begin = u64::from(third) * OTHERS / 3;
        let end = u64::from(third + 1) * OTHERS / 3;
        for record in begin..end {
            push(&daemon, &of_other(record));
        }
    }
    // Two that nobody can read or believes: one cut, one old.
    let whole = of_person(900_010, 1);
    push(&daemon, &whole[..whole.len() - 1]);
    let old = of_person(900_011, 1);
    let old = daemon
        .shop()
        .request_at(old.as_bytes(), "2020-01-01 00:00:00".to_owned());
    assert_eq!(daemon.shop().send(&old).expect("answered").body, SUCCESS);
    // One of them becomes a lead.
    let list = json(
        &daemon,
        &["quarantine", "list", "--reason", "stale", "--json"],
        "",
    );
    let id = list["items"][0]["id"].as_str().expect("an id").to_owned();
    json(
        &daemon,
        &["quarantine", "release", &id, "--yes", "--json"],
        "",
    );
    until("all is delivered or refused", || {
        let stats = daemon.stats();
        let waiting = ["crm", "strict"].into_iter().flat_map(|sink| {
            let counts = &stats["sinks"][sink];
            ["pending", "in_flight", "retrying", "behind"].map(|state| counts[state].clone())
        });
        waiting.into_iter().all(|count| count == 0)
    });
    assert!(segments(&daemon).len() >= 3, "{:?}", segments(&daemon));
    let traces = traces(&daemon.folder().join("store"));
    assert!(traces.len() >= 2 * PERSON.len(), "{traces:?}");
    daemon
}

fn nothing_is_left(daemon: &Daemon) {
    assert_eq!(traces(&daemon.folder().join("store")), BTreeSet::new());
}

/// All others, as they were pushed.
fn others_are_there(daemon: &Daemon) {
    let (code, lines, stderr) = daemon.command(&["outbox", "export"]);
    assert_eq!(code, 0, "{stderr}");
    let mut records = BTreeSet::new();
    for line in lines.lines().skip(1) {
        let one: Value = serde_json::from_str(line).expect("JSON");
        if one.get("audit").is_some() {
            continue;
        }
        let raw = one
            .pointer("/lead/revisions/0/raw")
            .or(one.pointer("/revisions/0/raw"));
        let raw = raw.and_then(Value::as_str).expect("a lead");
        let lead: Value = serde_json::from_str(raw).expect("JSON");
        let record = lead["record_id"].as_u64().expect("a record id");
        assert!(raw == of_other(record), "record {record} is another");
        records.insert(record);
    }
    assert_eq!(records, (0..OTHERS).collect());
}

#[test]
fn after_an_erasure_no_file_of_the_outbox_says_who_it_was_and_all_others_are_there() {
    let crm = Crm::start();
    let mut daemon = filled(&crm);
    let erase = ["leads", "erase", "--phone", "-"];
    let plan = json(
        &daemon,
        &[&erase[..], &["--dry-run", "--json"]].concat(),
        PHONE,
    );
    assert_eq!(plan["leads"].as_array().map(Vec::len), Some(5), "{plan}");
    assert_eq!(plan["quarantined"].as_array().map(Vec::len), Some(1));
    assert_eq!(plan["sinks"]["crm"]["delivered"], 5);
    assert_eq!(plan["sinks"]["strict"]["tried"], 5);
    let copy = json(&daemon, &["leads", "export", "--phone", "-"], PHONE);
    assert_eq!(copy["leads"].as_array().map(Vec::len), Some(5));
    assert!(copy.to_string().contains(PERSON[1]));
    let (code, _, stderr) = daemon.command_with(&erase, PHONE);
    assert_eq!(code, 2, "without a terminal nobody is asked: {stderr}");
    assert!(stderr.contains("5 leads, 1 push in quarantine"), "{stderr}");
    assert_eq!(daemon.stat("/leads/stored"), OTHERS + 5);

    let (code, stdout, stderr) = daemon.command_with(&[&erase[..], &["--yes"]].concat(), PHONE);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("erased: 5 leads, 1 push in quarantine"),
        "{stdout}"
    );
    assert!(stdout.contains("was given to crm: 5 delivered"), "{stdout}");
    assert!(stderr.contains("backups"), "{stderr}");
    nothing_is_left(&daemon);
    assert_eq!(daemon.stat("/leads/stored"), OTHERS);
    let again = json(&daemon, &[&erase[..], &["--yes", "--json"]].concat(), PHONE);
    assert_eq!(again["leads"], serde_json::json!([]));
    others_are_there(&daemon);
    assert_eq!(daemon.terminate(), Some(0));
    nothing_is_left(&daemon);
    let log = daemon.log();
    for trace in PERSON {
        assert!(!log.contains(trace), "the log says who it was");
    }
}

#[test]
fn an_erasure_that_was_killed_in_the_middle_is_finished_by_the_next() {
    let crm = Crm::start();
    let mut daemon = filled(&crm);
    let there = segments(&daemon);
    let first = there.first().expect("a segment").clone();
    let erase = ["leads", "erase", "--phone", "-", "--yes", "--json"];
    std::thread::scope(|scope| {
        let (address, body) = (daemon.admin_address(), format!("{{\"phone\":\"{PHONE}\"}}"));
        let asked = scope.spawn(move || {
            let headers = [("authorization", "Bearer e2e-admin-token")];
            post(
                address,
                "POST",
                "/api/v1/leads/erase",
                &headers,
                body.as_bytes(),
            )
        });
        until("the first segment is gone", || {
            !segments(&daemon).contains(&first)
        });
        daemon.kill();
        let answered = asked
            .join()
            .expect("no panic")
            .is_ok_and(|answer| answer.status == 200);
        assert!(!answered, "it was killed in the middle");
    });
    daemon.restart();
    json(&daemon, &erase, PHONE);
    nothing_is_left(&daemon);
    others_are_there(&daemon);
    assert_eq!(daemon.terminate(), Some(0));
    nothing_is_left(&daemon);
}
