//! Replays: stored leads go to a new sink, at a rate, beside those that come meanwhile.
//!
//! `LEADGATE_E2E_REPLAYED` says how many; what it took is printed, not judged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use leadgate_tests::{Crm, Daemon, SUCCESS, Setup, Shop, until, within};
use serde_json::{Value, json};

/// Stored leads that are replayed, unless the environment says otherwise.
const USUAL: u64 = 1_000;
const RATE: u64 = 200;
/// Fresh leads of which the latency is measured, each time.
const FRESH: u64 = 20;
/// Longest a replay may take beside its rate.
const PATIENCE: Duration = Duration::from_mins(2);

fn count() -> u64 {
    let told = std::env::var("LEADGATE_E2E_REPLAYED").ok();
    told.map_or(USUAL, |text| text.parse().expect("a number"))
}

/// Requests that were taken, by record.
fn taken(crm: &Crm) -> BTreeMap<u64, usize> {
    let mut taken = BTreeMap::new();
    for one in crm.received().iter().filter(|one| one.taken) {
        *taken.entry(one.record_id()).or_default() += 1;
    }
    taken
}

/// The median time from a push to its arrival, of some that come one after the other.
fn latency(daemon: &Daemon, crm: &Crm, first: u64) -> Duration {
    let shop = daemon.shop();
    let mut took: Vec<_> = (first..first + FRESH)
        .map(|record| {
            let pushed = Instant::now();
            let answer = shop.push(Shop::lead(record)).expect("answered");
            assert_eq!(answer.body, SUCCESS);
            let mut came = None;
            until("it is delivered", || {
                let received = crm.received();
                let mut newest = received.iter().rev().take(100);
                came = newest
                    .find(|one| one.taken && one.record_id() == record)
                    .map(|one| one.at);
                came.is_some()
            });
            came.expect("it came") - pushed
        })
        .collect();
    took.sort();
    took[took.len() / 2]
}

#[test]
fn stored_leads_are_replayed_once_each_across_a_kill_beside_those_that_come() {
    let (old, new) = (Crm::start(), Crm::start());
    let mut daemon = Daemon::start(Setup::with_crm(&old.url()));
    let count = count();
    std::thread::scope(|scope| {
        for part in 0..4 {
            let shop = daemon.shop();
            scope.spawn(move || shop.give((1..=count).filter(|record| record % 4 == part)));
        }
    });
    until("all are delivered", || {
        daemon.stat("/sinks/crm/delivered") == count
    });
    let path = daemon.folder().join("leadgate.toml");
    let text = std::fs::read_to_string(&path).expect("reads");
    std::fs::write(
        &path,
        format!("{text}\n{}", Setup::http_sink("new", &new.url())),
    )
    .expect("writes");
    assert_eq!(daemon.command(&["reload"]).0, 0);
    let fresh = 10_000_000;
    let before = latency(&daemon, &new, fresh);

    let rate = RATE.to_string();
    let (code, stdout, stderr) = daemon.command(&[
        "leads",
        "replay",
        "--to",
        "new",
        "--only-undelivered",
        "--rate",
        &rate,
        "--yes",
        "--detach",
        "--json",
    ]);
    assert_eq!(code, 0, "{stderr}");
    let job: Value = serde_json::from_str(&stdout).expect("JSON");
    let id = job["id"].as_str().expect("an id").to_owned();
    let replayed = || new.taken() as u64;
    until("it is under way", || replayed() > FRESH + 50);
    let during = latency(&daemon, &new, fresh + FRESH);
    let show = |daemon: &Daemon| {
        let (code, stdout, stderr) = daemon.command(&["bulk", "show", &id, "--json"]);
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str::<Value>(&stdout).expect("JSON")
    };
    assert_eq!(
        show(&daemon)["state"],
        "running",
        "fresh ones did not wait for its end"
    );
    daemon.kill();
    daemon.restart();
    let patience = PATIENCE + Duration::from_secs(count / RATE);
    assert!(
        within(patience, || show(&daemon)["state"] == "done"),
        "{}",
        show(&daemon)
    );
    until("all are delivered", || {
        let stats = daemon.stats();
        stats["sinks"]["new"]["delivered"] == json!(count + 2 * FRESH)
    });
    let ended = show(&daemon);
    // It had been given the fresh ones of before already.
    assert_eq!(
        (&ended["done"], &ended["skipped"]),
        (&json!(count), &json!(FRESH)),
        "{ended}"
    );
    let deliveries = new.deliveries();
    for record in (1..=count).chain(fresh..fresh + 2 * FRESH) {
        let ids = deliveries
            .get(&record)
            .map_or(0, std::collections::BTreeSet::len);
        assert_eq!(ids, 1, "record {record}");
    }
    let again: usize = taken(&new).values().map(|times| times - 1).sum();
    assert!(again <= 8, "{again} came again");
    println!(
        "{count} leads replayed at {RATE}/s, {again} came again with the same id after the kill; a fresh one took {before:?} before and {during:?} meanwhile"
    );
}
