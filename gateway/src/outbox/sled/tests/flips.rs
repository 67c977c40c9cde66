//! Flipped bytes: one byte of a store's files is not what was written, or its index is another.
//!
//! Index and find files heal by themselves, with nothing lost. Of the journal what is damaged is
//! refused with its place; nothing is ever left out without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::outbox::PauseCause;
use crate::outbox::sled::job::Promise;

/// Segments of the store, the open one with them.
const SEGMENTS: u64 = 4;
/// Leads in each.
const LEADS: u64 = 24;
/// Flips in each find file, and in sled's files together.
const IN_FIND: usize = 24;
const IN_INDEX: usize = 160;
/// For what must come, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a store was told, and what each place of its journal is.
struct Filled {
    folder: TempDir,
    /// The store's folder as it was in between.
    earlier: Vec<PathBuf>,
    /// Of each lead its id.
    leads: BTreeMap<u64, LeadId>,
    /// Leads that a sink still has to get.
    waiting: BTreeSet<u64>,
    /// Bytes to flip, by file.
    places: Vec<(PathBuf, u64)>,
}

/// Every third lead is long, so that a frame has many pages.
fn pushed(record: u64) -> Arrival {
    let mut lead = arrival(record, 1);
    let long = if record.is_multiple_of(3) { 9_000 } else { 40 };
    lead.raw = format!("{record} ").repeat(long / 4);
    lead
}

pub(super) fn wait<T>(what: &str, mut until: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(done) = until() {
            return done;
        }
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime")
}

pub(super) fn roll(outbox: &SledOutbox) {
    let (promise, answer) = Promise::new(None);
    let sent = outbox.jobs.blocking_send(Job::Roll(promise));
    assert!(sent.is_ok(), "the committer runs");
    answer.blocking_recv().expect("told").expect("rolled");
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
    std::fs::create_dir_all(to).expect("makes");
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("is in there"));
        std::fs::create_dir_all(target.parent().expect("below")).expect("makes");
        // sled takes files away as it runs.
        let _ = std::fs::copy(&file, &target);
    }
}

/// A store with closed segments, leads in every state, and what stands in no index.
fn filled(crash: bool) -> Filled {
    let all = folder();
    let runtime = runtime();
    let mut outbox = open(&all);
    let (mut leads, mut waiting) = (BTreeMap::new(), BTreeSet::new());
    let mut earlier = Vec::new();
    for segment in 0..SEGMENTS {
        let records = segment * LEADS..(segment + 1) * LEADS;
        let accepted = runtime.block_on(join_all(
            records.clone().map(|record| outbox.accept(pushed(record))),
        ));
        for (record, accepted) in records.clone().zip(accepted) {
            let accepted = accepted.expect("accepted");
            leads.insert(record, accepted.lead().expect("a lead"));
            waiting.insert(record);
        }
        // Of all that wait so far one in five ends, and one in seven is tried again.
        for claim in claims(&outbox, 10_000) {
            let record = record_of(&claim.lead.lead);
            let state = match record {
                one if one.is_multiple_of(5) => State::Delivered { at: 5 },
                one if one.is_multiple_of(7) => State::Waiting { due_at: 9_000 },
                _ => {
                    outbox.unclaim("crm", &[claim.id]);
                    continue;
                }
            };
            if state == (State::Delivered { at: 5 }) {
                waiting.remove(&record);
            }
            runtime.block_on(finish(&outbox, &claim, state));
        }
        if segment == 1 {
            let paused = outbox.pause("mail", Some(PauseCause::Crashes(2)));
            runtime.block_on(paused).expect("paused");
            let kept = outbox.keep_sink_state("crm", "k", Some(b"v".to_vec()));
            assert_eq!(runtime.block_on(kept), Ok(true));
        }
        if segment + 1 < SEGMENTS {
            roll(&outbox);
            let copied = all.path().join(format!("earlier{segment}"));
            copy(&all.path().join("store/index"), &copied);
            earlier.push(copied);
        }
        if segment == 2 {
            outbox.close();
            drop(outbox);
            let copied = all.path().join("earlier-closed");
            copy(&all.path().join("store/index"), &copied);
            earlier.push(copied);
            outbox = open(&all);
        }
    }
    let journal = all.path().join("store/journal");
    wait("find files are written", || {
        let mut closed = 1..SEGMENTS;
        let there = |number| journal.join(format!("{number:08}.find")).exists();
        closed.all(there).then_some(())
    });
    let catalog = outbox.reads.current.get().expect("an index");
    catalog.index.checkpoint().expect("on disk");
    drop(catalog);
    let mut places = of_journal(&outbox);
    let killed = all.path().join("killed");
    if crash {
        copy(&all.path().join("store"), &killed);
    }
    outbox.close();
    drop(outbox);
    if crash {
        std::fs::remove_dir_all(all.path().join("store")).expect("removes");
        std::fs::rename(killed, all.path().join("store")).expect("renames");
    }
    places.extend(of_other_files(&all.path().join("store")));
    Filled {
        folder: all,
        earlier,
        leads,
        waiting,
        places,
    }
}

fn record_of(lead: &str) -> u64 {
    let digits: String = lead.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a record id")
}

/// A byte of every kind of place in the journal: headers of segments, of frames, of records, what
/// is in them, the last frames, and the room behind them.
fn of_journal(outbox: &SledOutbox) -> Vec<(PathBuf, u64)> {
    let reader = outbox.reads.bodies.journal();
    let mut places = Vec::new();
    let numbers = reader.facts().into_iter().map(|facts| facts.number);
    for number in numbers.chain([reader.open_segment().number]) {
        let file = PathBuf::from("journal").join(journal::name(number));
        let mut add = |at: u64| places.push((file.clone(), at));
        [0, 5, 6, 9, 13, 17, 31].into_iter().for_each(&mut add);
        let frames: Vec<_> = reader.scan(number, 0).expect("scans").flatten().collect();
        for (at, frame) in frames.iter().enumerate() {
            let edge = at < 3 || at + 4 > frames.len();
            if edge || at.is_multiple_of(4) {
                [0, 5, 9, 17, 25, 29]
                    .map(|byte| frame.offset + byte)
                    .into_iter()
                    .for_each(&mut add);
                if let Some((place, _)) = frame.records().nth(at % 5) {
                    let start = u64::from(place.offset);
                    [0, 5, 8, 9, 11, 20]
                        .map(|byte| start + byte)
                        .into_iter()
                        .for_each(&mut add);
                    add(start + u64::from(place.length) / 2);
                    add(start + u64::from(place.length) - 1);
                }
                add(frame.offset + frame.bytes() - 1);
            }
        }
        if number == reader.open_segment().number {
            let end = reader.open_segment().bytes;
            [end + 1, end + 4_096, end + 100_000]
                .into_iter()
                .for_each(&mut add);
        }
    }
    places
}

/// Bytes of find files and of all that is sled's, spread over what is not empty.
fn of_other_files(store: &Path) -> Vec<(PathBuf, u64)> {
    let mut places = Vec::new();
    let sled = files(&store.join("index")).len();
    for file in files(store) {
        let name = file.strip_prefix(store).expect("is in there").to_owned();
        let bytes = std::fs::read(&file).expect("reads");
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        let wanted = if name.extension().is_some_and(|end| end == "find") {
            IN_FIND
        } else if name.starts_with("index") {
            IN_INDEX / sled + IN_INDEX % sled
        } else if name.as_os_str() == "synced" {
            used.len()
        } else {
            continue;
        };
        let wanted = wanted.min(used.len());
        places.extend((0..wanted).map(|at| {
            let used = used[(at * used.len() / wanted + at * 7) % used.len()];
            (name.clone(), used as u64)
        }));
    }
    places
}

/// Whether an error says where the journal is damaged.
fn says(text: &str, file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let number = name.trim_end_matches(".seg").trim_start_matches('0');
    text.contains(&*name) || text.contains(&format!("segment {number} "))
}

#[derive(Debug, Default)]
struct Ends {
    refused: AtomicUsize,
    told: AtomicUsize,
    whole: AtomicUsize,
}

/// Opens what is in `store` and asks for everything. `journal` is the file of the journal that
/// was damaged, if one was.
fn judge(filled: &Filled, all: &TempDir, what: &str, journal: Option<&Path>, ends: &Ends) {
    let said = |text: &str| {
        let file = journal.unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(says(text, file), "{what}: {text}");
    };
    let outbox = match try_open(all, 4096) {
        Ok(outbox) => outbox,
        Err(error) => {
            assert!(
                matches!(error, OpenError::Damaged { .. }),
                "{what}: {error}"
            );
            said(&error.to_string());
            ends.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
    };
    let mut told = 0;
    // A lie of sled shows when it was read once; then the index is made anew.
    let made = wait(what, || {
        if let Some(failed) = outbox.shared.making_failed() {
            return Some(Err(failed));
        }
        let catalog = outbox.reads.current.get()?;
        (catalog.index.checked() && catalog.index.fault().is_none()).then_some(Ok(()))
    });
    match made {
        Ok(()) => told += everything(filled, &outbox, what, &said),
        Err(failed) => {
            said(&failed);
            told += 1;
        }
    }
    outbox.close();
    ends.told
        .fetch_add(usize::from(told > 0), Ordering::Relaxed);
    ends.whole
        .fetch_add(usize::from(told == 0), Ordering::Relaxed);
}

/// How many times it was said that something cannot be read; all else must be there.
fn everything(filled: &Filled, outbox: &SledOutbox, what: &str, said: &dyn Fn(&str)) -> usize {
    let mut told = 0;
    let due = outbox.claim("crm", 10_000, 10_000);
    let due = due.unwrap_or_else(|error| panic!("{what}: {error}"));
    for (_, error) in &due.damaged {
        said(&error.0);
        told += 1;
    }
    let claimed = due.deliveries.iter();
    let claimed: BTreeSet<u64> = claimed
        .map(|claim| {
            let record = record_of(&claim.lead.lead);
            assert!(
                claim.lead.raw == pushed(record).raw,
                "{what}: not what was pushed"
            );
            record
        })
        .collect();
    assert!(
        claimed.is_subset(&filled.waiting),
        "{what}: delivered again"
    );
    assert_eq!(claimed.len(), due.deliveries.len(), "{what}: twice");
    let missing = filled.waiting.len() - claimed.len();
    assert_eq!(
        missing,
        due.damaged.len(),
        "{what}: not delivered, and nobody says so"
    );
    for (record, id) in &filled.leads {
        match outbox.lead(*id, 1) {
            Ok(Some(lead)) => assert!(lead.raw == pushed(*record).raw, "{what}: {record}"),
            Ok(None) => panic!("{what}: lead {record} is lost"),
            Err(error) => {
                said(&error.0);
                told += 1;
            }
        }
    }
    let again = runtime().block_on(join_all(
        filled
            .leads
            .keys()
            .map(|record| outbox.accept(pushed(*record))),
    ));
    for ((record, id), again) in filled.leads.iter().zip(again) {
        match again {
            Ok(Accepted::Duplicate { lead, .. }) => assert_eq!(lead, *id, "{what}: {record}"),
            Ok(_) => panic!("{what}: lead {record} is not known any more"),
            Err(refusal) => {
                said(&refusal.to_string());
                told += 1;
            }
        }
    }
    assert!(outbox.paused("mail"), "{what}: the pause is gone");
    let kept = outbox.sink_state("crm", "k").expect("reads");
    assert_eq!(
        kept.as_deref(),
        Some(&b"v"[..]),
        "{what}: the sink's value is gone"
    );
    told
}

fn on_a_copy(filled: &Filled, change: impl FnOnce(&Path)) -> TempDir {
    let damaged = folder();
    let store = damaged.path().join("store");
    copy(&filled.folder.path().join("store"), &store);
    change(&store);
    damaged
}

fn flip_all(crash: bool) {
    let filled = filled(crash);
    let ends: [Ends; 3] = Default::default();
    let next = AtomicUsize::new(0);
    let flip = |at: usize| {
        let Some((file, byte)) = filled.places.get(at) else {
            return false;
        };
        let damaged = on_a_copy(&filled, |store| {
            let path = store.join(file);
            let mut bytes = std::fs::read(&path).expect("reads");
            let byte = usize::try_from(*byte).expect("fits") % bytes.len();
            bytes[byte] ^= [1, 0x80, 0xff][at % 3];
            std::fs::write(&path, bytes).expect("writes");
        });
        let what = format!("{} byte {byte}, crash {crash}", file.display());
        let journal = file.extension().is_some_and(|end| end == "seg");
        let find = file.extension().is_some_and(|end| end == "find");
        let ends = &ends[if journal { 0 } else { 1 + usize::from(find) }];
        judge(&filled, &damaged, &what, journal.then_some(file), ends);
        true
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| while flip(next.fetch_add(1, Ordering::Relaxed)) {});
        }
    });
    let [journal, index, find] = &ends;
    println!(
        "flips {}, after a kill {crash}; journal {journal:?}, index {index:?}, find files {find:?}",
        filled.places.len()
    );
    assert!(filled.places.len() >= 300, "{}", filled.places.len());
    assert!(journal.refused.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_flipped_byte_heals_or_is_named_in_a_store_that_was_closed() {
    flip_all(false);
}

#[test]
fn a_flipped_byte_heals_or_is_named_in_a_store_that_was_killed() {
    flip_all(true);
}

#[test]
fn without_its_index_or_with_an_earlier_one_a_store_has_everything() {
    let filled = filled(true);
    let ends = Ends::default();
    let index = |store: &Path| store.join("index");
    let remove = |store: &Path| std::fs::remove_dir_all(index(store)).expect("removes");
    let gone = on_a_copy(&filled, remove);
    judge(&filled, &gone, "without an index", None, &ends);
    for earlier in &filled.earlier {
        let back = on_a_copy(&filled, |store| {
            remove(store);
            copy(earlier, &index(store));
        });
        judge(&filled, &back, &earlier.display().to_string(), None, &ends);
    }
    let finds = on_a_copy(&filled, |store| {
        for file in files(&store.join("journal")) {
            if file.extension().is_some_and(|end| end == "find") {
                std::fs::remove_file(file).expect("removes");
            }
        }
    });
    judge(&filled, &finds, "without find files", None, &ends);
    let another = super::folder();
    let other = open(&another);
    runtime().block_on(async {
        for record in 900..960 {
            other.accept(arrival(record, 1)).await.expect("accepted");
        }
    });
    other.close();
    drop(other);
    let strange = on_a_copy(&filled, |store| {
        remove(store);
        copy(&another.path().join("store/index"), &index(store));
    });
    judge(&filled, &strange, "with another store's index", None, &ends);
    assert_eq!(ends.whole.load(Ordering::Relaxed), filled.earlier.len() + 3);
}

#[test]
fn a_store_whose_newest_segment_or_whole_journal_is_gone_is_refused() {
    let filled = filled(false);
    let refused = |what: &str, change: &dyn Fn(&Path)| {
        let damaged = on_a_copy(&filled, |store| change(store));
        let error = try_open(&damaged, 16)
            .err()
            .unwrap_or_else(|| panic!("{what}: opened"));
        assert!(
            matches!(error, OpenError::Damaged { .. }),
            "{what}: {error}"
        );
        error.to_string()
    };
    for segment in 1..=SEGMENTS {
        let name = journal::name(u32::try_from(segment).expect("small"));
        let error = refused(&name, &|store| {
            std::fs::remove_file(store.join("journal").join(&name)).expect("removes");
        });
        assert!(error.contains(&name), "{error}");
    }
    let error = refused("without a journal", &|store| {
        std::fs::remove_dir_all(store.join("journal")).expect("removes");
    });
    assert!(error.contains("journal"), "{error}");
}

#[test]
fn a_record_that_cannot_be_read_stops_the_cleaning_of_its_segment_and_nothing_else() {
    let filled = filled(false);
    // A record's middle, so that its segment is opened and scanned up to there.
    let (file, at) = filled
        .places
        .iter()
        .filter(|(file, _)| file.ends_with("journal/00000002.seg"))
        // Not where the find file looks whether the segment is its own.
        .filter(|(_, at)| (6_000..30_000).contains(at))
        .nth(3)
        .expect("many places");
    let damaged = on_a_copy(&filled, |store| {
        let path = store.join(file);
        let mut bytes = std::fs::read(&path).expect("reads");
        bytes[usize::try_from(*at).expect("fits")] ^= 1;
        std::fs::write(&path, bytes).expect("writes");
    });
    let outbox = open(&damaged);
    let error = outbox.cleaner.clean(2).expect_err("damaged");
    assert!(says(&error.0, file), "{error}");
    outbox.cleaner.clean(1).expect("the first one is whole");
    // What comes now lies where the index says.
    let runtime = runtime();
    for record in 1_000..1_050 {
        let accepted = runtime.block_on(outbox.accept(pushed(record)));
        let lead = accepted.expect("accepted").lead().expect("a lead");
        let stored = outbox.lead(lead, 1).expect("reads").expect("is there");
        assert!(stored.raw == pushed(record).raw);
    }
    outbox.close();
}

#[test]
fn a_segment_is_not_cleaned_on_the_word_of_an_index_that_lost_an_entry() {
    let filled = filled(false);
    let store = on_a_copy(&filled, |_| {});
    let outbox = open(&store);
    // As sled loses one: nobody notices but a scrub.
    let catalog = outbox.reads.current.get().expect("an index");
    wait("checked", || catalog.index.checked().then_some(()));
    catalog.index.lose_an_entry(b"l");
    let error = outbox.cleaner.clean(1).expect_err("the index lies");
    assert!(!error.0.contains(".seg"), "{error}");
    drop(catalog);
    wait("the index is made anew", || {
        let catalog = outbox.reads.current.get()?;
        catalog.index.fault().is_none().then_some(())
    });
    let told = everything(&filled, &outbox, "after the index lied", &|text| {
        panic!("{text}")
    });
    assert_eq!(told, 0);
    outbox.close();
}

#[test]
fn a_damaged_end_is_not_taken_for_a_torn_one_where_it_was_known_to_be_on_disk() {
    let filled = filled(false);
    let name = journal::name(u32::try_from(SEGMENTS).expect("small"));
    for bytes in [40, 400, 4_000] {
        let damaged = on_a_copy(&filled, |store| {
            let path = store.join("journal").join(&name);
            let mut all = std::fs::read(&path).expect("reads");
            let end = all.iter().rposition(|byte| *byte != 0).expect("not empty");
            all[end - bytes..].iter_mut().for_each(|byte| *byte ^= 0x5a);
            std::fs::write(&path, all).expect("writes");
        });
        let error = try_open(&damaged, 16).err();
        let error = error.unwrap_or_else(|| panic!("{bytes} bytes: opened"));
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(&name), "{error}");
    }
}
