//! Damage: bytes of a store change while the daemon is down.
//!
//! Whatever is not the journal heals by itself. Of the journal the daemon must refuse to start
//! and name the place, or have every lead: damage in space that is not used is harmless. What
//! must not happen is a start without them. The mass of flips is made against the engine alone
//! (`outbox::sled::tests::flips`); this is the way of some through the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use leadgate_tests::{Behaviour, Crm, Daemon, Load, PATIENCE, SUCCESS, Setup, counted, within};

const LEADS: u64 = 200;
/// Changed in the journal's last megabyte, and in each file of the index.
const IN_JOURNAL: usize = 24;
const IN_INDEX: usize = 6;
/// How an error looks in the log.
const ERROR: &str = "\"level\":\"ERROR\"";
const SEED: u64 = 20_260_102;

/// What became of a damaged store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Everything is there.
    Unharmed,
    /// Refused to start and said which file is damaged.
    Refused,
    /// Ended without a clear word.
    Crashed,
    /// Runs, some leads are not delivered, an error is logged.
    Reported,
    /// Runs, some leads are not there, and nothing is said.
    Silent,
}

fn damage(file: &Path, at: usize, length: usize) {
    let mut bytes = std::fs::read(file).expect("reads");
    let to = (at + length).min(bytes.len());
    for byte in &mut bytes[at..to] {
        *byte ^= 0x5a;
    }
    std::fs::write(file, bytes).expect("writes");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("reads").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("is in there"));
        std::fs::create_dir_all(target.parent().expect("below")).expect("makes");
        std::fs::copy(file, target).expect("copies");
    }
}

/// How many wait; as long as the index is made, nobody can say that none does.
fn waiting(daemon: &Daemon) -> u64 {
    let stats = daemon.stats();
    let rooms = ["pending", "retrying", "in_flight"];
    let counts = rooms.map(|room| stats["sinks"]["crm"][room].as_u64());
    let counts: Option<u64> = counts.into_iter().sum();
    counts.unwrap_or(u64::MAX)
}

fn fate(store: &Path, crm: &Crm, file: &Path, at: usize, length: usize) -> (Fate, String) {
    crm.forget();
    let last = |log: &str| log.lines().last().unwrap_or_default().to_owned();
    let started = Daemon::try_start_on(Setup::with_crm(&crm.url()), |folder| {
        copy(store, &folder.join("store"));
        damage(&folder.join("store").join(file), at, length);
    });
    let mut daemon = match started {
        Ok(daemon) => daemon,
        Err(ended) => {
            let name = file.file_name().expect("a name").to_string_lossy();
            let clear = ended.status.code() == Some(1)
                && ended.log.contains("is damaged")
                && ended.log.contains(&*name);
            let fate = if clear { Fate::Refused } else { Fate::Crashed };
            return (fate, format!("{}, {}", ended.status, last(&ended.log)));
        }
    };
    let mut there = BTreeSet::new();
    let ended = within(PATIENCE, || {
        there = crm.deliveries().into_keys().collect::<BTreeSet<u64>>();
        there.len() as u64 == LEADS || !daemon.runs() || {
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

/// Where to damage which file of the store.
fn places(store: &Path) -> Vec<(PathBuf, usize)> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut places = Vec::new();
    for file in files(store) {
        let bytes = std::fs::read(&file).expect("reads");
        let name = file.strip_prefix(store).expect("is in there").to_owned();
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        let Some(last) = used.last() else { continue };
        let journal = name.extension().is_some_and(|end| end == "seg");
        if !journal && !name.starts_with("index") {
            continue;
        }
        let count = if journal { IN_JOURNAL } else { IN_INDEX };
        let anywhere = (0..count).map(|_| used[random.usize(..used.len())]);
        let known = [
            0,
            7,
            45,
            last.saturating_sub(10),
            last.saturating_sub(1_000),
            *last,
        ];
        let all = anywhere.chain(known).filter(|at| *at < bytes.len());
        places.extend(all.map(|at| (name.clone(), at)));
    }
    places
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
    let mut fates: BTreeMap<(bool, Fate), usize> = BTreeMap::new();
    for length in [1, 4096] {
        for (file, at) in places(&store) {
            let (fate, said) = fate(&store, &crm, &file, at, length);
            let journal = file.starts_with("journal");
            *fates.entry((journal, fate)).or_default() += 1;
            println!(
                "{length:>5} bytes at {at:>9} of {}: {fate:?} {said}",
                file.display()
            );
        }
    }
    counted(format_args!(
        "damaged stores {}, acknowledged in each {LEADS}, by (journal, what became of it) {fates:?}",
        fates.values().sum::<usize>()
    ));
    for (journal, fate) in fates.keys() {
        let harmless = *fate == Fate::Unharmed || (*journal && *fate == Fate::Refused);
        assert!(harmless, "journal {journal}: {fate:?}");
    }
}
