//! Damage: bytes of a store change while the daemon is down.
//!
//! The daemon must refuse to start and say so, or still have every lead: damage in space
//! that is not used any more is harmless. What must not happen is a start without them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use leadgate_tests::{Behaviour, Crm, Daemon, Load, PATIENCE, SUCCESS, Setup, counted, within};

const LEADS: u64 = 200;
/// sled writes its file in segments of this size.
const SEGMENT: usize = 512 * 1024;
/// How an error looks in the log.
const ERROR: &str = "\"level\":\"ERROR\"";
const SEED: u64 = 20_260_102;

/// What became of a damaged store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Everything is there.
    Unharmed,
    /// Refused to start and said that the outbox cannot be opened.
    Refused,
    /// Ended without a clear word.
    Crashed,
    /// Runs, some leads are not delivered, an error is logged.
    Reported,
    /// Runs, some leads are not there, and nothing is said.
    Silent,
}

fn damage(store: &Path, at: usize, length: usize) {
    let path = store.join("db");
    let mut bytes = std::fs::read(&path).expect("reads");
    let to = (at + length).min(bytes.len());
    for byte in &mut bytes[at..to] {
        *byte ^= 0x5a;
    }
    std::fs::write(&path, bytes).expect("writes");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("makes");
    for entry in std::fs::read_dir(from).expect("reads").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copies");
        }
    }
}

fn waiting(daemon: &Daemon) -> u64 {
    let stats = daemon.stats();
    ["pending", "retrying", "in_flight"]
        .iter()
        .filter_map(|room| stats["sinks"]["crm"][*room].as_u64())
        .sum()
}

fn fate(store: &Path, crm: &Crm, at: usize, length: usize) -> (Fate, String) {
    crm.forget();
    let last = |log: &str| log.lines().last().unwrap_or_default().to_owned();
    let started = Daemon::try_start_on(Setup::with_crm(&crm.url()), |folder| {
        copy(store, &folder.join("store"));
        damage(&folder.join("store"), at, length);
    });
    let mut daemon = match started {
        Ok(daemon) => daemon,
        Err(ended) => {
            let clear = ended.status.code() == Some(1)
                && ["cannot be opened", "is damaged"]
                    .iter()
                    .any(|word| ended.log.contains(word));
            let fate = if clear { Fate::Refused } else { Fate::Crashed };
            return (fate, format!("{}, {}", ended.status, last(&ended.log)));
        }
    };
    let mut there = BTreeSet::new();
    let ended = within(PATIENCE, || {
        there = crm.deliveries().into_keys().collect::<BTreeSet<u64>>();
        there.len() as u64 == LEADS || !daemon.runs() || daemon.log().contains(ERROR) || {
            // Asked before the CRM is: what is done by now was received by then.
            let done = waiting(&daemon) == 0;
            there = crm.deliveries().into_keys().collect();
            done
        }
    });
    let all = ended && there.len() as u64 == LEADS;
    let whole = crm.received().iter().all(Load::is_whole);
    let log = daemon.log();
    if !daemon.runs() {
        return (Fate::Crashed, last(&log));
    }
    if all && whole {
        return (Fate::Unharmed, String::new());
    }
    let missing = format!(
        "{} leads missing, {} accepted by its own count, {} waiting",
        LEADS - there.len() as u64,
        daemon.stat("/leads/accepted"),
        waiting(&daemon)
    );
    match log.lines().find(|line| line.contains(ERROR)) {
        Some(error) => (Fate::Reported, format!("{missing}, {error}")),
        None => (Fate::Silent, missing),
    }
}

/// Where to damage: anywhere, at the head of each segment, and close to what was written last.
fn places(store: &Path) -> Vec<usize> {
    let bytes = std::fs::read(store.join("db")).expect("reads");
    let end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .expect("not empty");
    let mut random = fastrand::Rng::with_seed(SEED);
    let anywhere = (0..24).map(|_| random.usize(..bytes.len()));
    let heads = (0..bytes.len()).step_by(SEGMENT).map(|segment| segment + 8);
    let last = [10, 100, 1_000, 10_000].map(|before| end - before);
    anywhere.chain(heads).chain(last).collect()
}

#[test]
fn a_damaged_store_is_refused_or_has_every_lead() {
    let crm = Crm::start();
    crm.behave(Behaviour::Refuse(503, ""));
    let mut daemon = Daemon::start(Setup::with_crm(&crm.url()));
    for record in 1..=LEADS {
        let answer = daemon.shop().push(Load::lead(record)).expect("answered");
        assert_eq!(answer.body, SUCCESS);
    }
    assert_eq!(daemon.terminate(), Some(0));
    crm.behave(Behaviour::Take);
    let store = daemon.folder().join("store");
    let mut fates: BTreeMap<Fate, usize> = BTreeMap::new();
    for length in [1, 4096] {
        for at in places(&store) {
            let (fate, said) = fate(&store, &crm, at, length);
            *fates.entry(fate).or_default() += 1;
            println!("{length:>5} bytes at {at:>9}: {fate:?} {said}");
        }
    }
    counted(format_args!(
        "damaged stores {}, acknowledged in each {LEADS}, {fates:?}",
        fates.values().sum::<usize>()
    ));
    let harmless = [Fate::Unharmed, Fate::Refused];
    assert!(
        fates.keys().all(|fate| harmless.contains(fate)),
        "damage is refused or harmless"
    );
}
