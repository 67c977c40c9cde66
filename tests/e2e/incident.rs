//! The incident: a CRM renames a field, and an operator finds it, mends it and repairs the day
//! with commands alone, while leads keep coming and the daemon is killed once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use leadgate_tests::{Behaviour, Crm, Daemon, Received, Setup, until};
use serde_json::{Value, json};

/// Leads that fail.
pub(crate) const FAILED: u64 = 60;
/// Attempts at once.
const CONCURRENCY: usize = 4;

/// What a CRM with a script keeps: by record, the requests of each delivery that it took.
pub(crate) type Taken = Arc<Mutex<BTreeMap<u64, Vec<String>>>>;

/// A CRM that wants `phone`, and `mobile` once its field was renamed.
pub(crate) fn scripted(renamed: &Arc<AtomicBool>, taken: &Taken) -> Crm {
    let (renamed, taken) = (Arc::clone(renamed), Arc::clone(taken));
    let clerk = move |request: &Received| {
        let body = request.event();
        let wanted = if renamed.load(Ordering::SeqCst) {
            "mobile"
        } else {
            "phone"
        };
        if body[wanted].is_null() {
            return Behaviour::Refuse(400, "");
        }
        let record = body["record"].as_u64().expect("a record");
        let delivery = request.headers["idempotency-key"].clone();
        let mut taken = taken.lock().expect("no panic");
        taken.entry(record).or_default().push(delivery);
        Behaviour::Take
    };
    Crm::with_clerk(SocketAddr::from(([127, 0, 0, 1], 0)), clerk)
}

pub(crate) fn sink(url: &str) -> String {
    format!(
        "[sinks.crm]\nplugin = \"http\"\nconcurrency = {CONCURRENCY}\nbreaker = {{ failures = 0 }}\n\
         [sinks.crm.settings]\nmethod = \"POST\"\nurl = \"{url}\"\n\
         [sinks.crm.settings.body]\nrecord = \"{{{{ lead.record_id }}}}\"\nphone = \"{{{{ lead.phone }}}}\"\n"
    )
}

/// A command that must succeed, with `--json`.
fn told(daemon: &Daemon, args: &[&str]) -> Value {
    let (code, stdout, stderr) = daemon.command(&[args, &["--json"]].concat());
    assert_eq!(code, 0, "{args:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("not JSON: {stdout}"))
}

fn job(daemon: &Daemon, id: &str) -> Value {
    told(daemon, &["bulk", "show", id])
}

#[test]
fn a_bad_day_is_repaired_with_commands_alone_and_nobody_is_told_twice() {
    let (renamed, taken) = (Arc::<AtomicBool>::default(), Taken::default());
    let crm = scripted(&renamed, &taken);
    let has = |record: u64| taken.lock().expect("no panic").contains_key(&record);
    let mut daemon = Daemon::start(Setup {
        rest: sink(&crm.url()),
        ..Setup::default()
    });
    daemon.shop().give(1..=20);
    until("all is well", || (1..=20).all(has));

    // The CRM renames its field.
    renamed.store(true, Ordering::SeqCst);
    let failed = 21..=20 + FAILED;
    daemon.shop().give(failed.clone());
    until("they are dead letters", || {
        daemon.stat("/sinks/crm/dead") == FAILED
    });
    let failures = told(&daemon, &["outbox", "failures"]);
    let groups = failures["items"].as_array().expect("groups");
    assert_eq!(groups.len(), 1, "{failures}");
    assert_eq!(
        (&groups[0]["dead"], &groups[0]["sink"]),
        (&json!(FAILED), &json!("crm"))
    );
    let group = groups[0]["id"].as_str().expect("an id");

    // Nothing more is to fail meanwhile.
    told(
        &daemon,
        &["sink", "pause", "crm", "--note", "field renamed"],
    );
    let waiting = 101..=110;
    daemon.shop().give(waiting.clone());

    let path = daemon.folder().join("leadgate.toml");
    let text = std::fs::read_to_string(&path).expect("reads");
    std::fs::write(&path, text.replace("\nphone = ", "\nmobile = ")).expect("writes");
    let list = told(
        &daemon,
        &["outbox", "deliveries", "--group", group, "--limit", "1"],
    );
    let text_of = |key: &str| list["items"][0][key].as_str().expect("an id").to_owned();
    let (one, lead) = (text_of("id"), text_of("lead"));
    // What is on disk is not what runs: nobody is left to believe it is.
    let (code, _, said) = daemon.command(&["render", "--sink", "crm", "--id", &lead]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("reload"), "{said}");
    assert_eq!(daemon.command(&["check"]).0, 0);
    let (code, stdout, stderr) = daemon.command(&["reload"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("sinks.crm"), "{stdout}");

    // The difference, before anything is sent.
    let preview = daemon
        .admin(&format!("/api/v1/deliveries/{one}/preview"))
        .json();
    assert!(preview.to_string().contains("mobile"), "{preview}");
    told(&daemon, &["sink", "resume", "crm"]);
    until("what waited is delivered", || waiting.clone().all(has));

    let many = [
        "outbox", "retry", "--sink", "crm", "--group", group, "--rate", "10",
    ];
    let (code, stdout, plan) = daemon.command(&many);
    assert_eq!((code, stdout.as_str()), (2, ""), "it asks first: {plan}");
    assert!(plan.contains(&FAILED.to_string()), "{plan}");
    assert!(plan.contains("mobile"), "samples are rendered: {plan}");
    assert!(!plan.contains("13567658911"), "and masked: {plan}");
    assert!(!failed.clone().any(has), "nothing happened yet");
    let made = told(
        &daemon,
        &[&many[..], &["--yes", "--detach", "--note", "field renamed"]].concat(),
    );
    let id = made["id"].as_str().expect("an id").to_owned();
    let repaired = || failed.clone().filter(|record| has(*record)).count() as u64;

    until("it is under way", || repaired() >= 5);
    let stopped = told(&daemon, &["bulk", "cancel", &id]);
    assert_eq!(stopped["state"], "cancelled", "{stopped}");
    let done = job(&daemon, &id)["done"].as_u64().expect("a count");
    assert!(done < FAILED, "{done}");
    until("what it did is delivered", || repaired() == done);
    // New ones do not wait for it.
    daemon.shop().give([201]);
    until("a new one is delivered", || has(201));
    assert_eq!(job(&daemon, &id)["done"], json!(done), "it stands");

    told(&daemon, &["bulk", "start", &id, "--detach"]);
    until("it goes on", || repaired() > done + 5);
    daemon.shop().give([202]);
    until("a new one is delivered", || has(202));
    assert_eq!(
        job(&daemon, &id)["state"],
        "running",
        "and did not wait for its end"
    );
    daemon.kill();
    daemon.restart();
    until("it ends", || job(&daemon, &id)["state"] == "done");
    until("all are delivered", || repaired() == FAILED);
    let ended = job(&daemon, &id);
    assert_eq!(
        (&ended["done"], &ended["skipped"]),
        (&json!(FAILED), &json!(0)),
        "{ended}"
    );
    assert_eq!(daemon.stat("/sinks/crm/dead"), 0);
    let none = told(&daemon, &["outbox", "failures"]);
    assert_eq!(none["items"], json!([]), "{none}");

    // Each lead is one delivery; only what was under way at the kill may have come again, and
    // says so by its key.
    let taken = taken.lock().expect("no panic");
    let mut again = 0;
    for (record, deliveries) in &*taken {
        again += deliveries.len() - 1;
        assert!(
            deliveries.iter().all(|delivery| *delivery == deliveries[0]),
            "record {record}"
        );
    }
    assert!(again <= CONCURRENCY, "{again} came again");
    assert_eq!(taken.len() as u64, 20 + FAILED + 10 + 2);
    println!(
        "{} leads, {again} came again with the same key",
        taken.len()
    );
}
