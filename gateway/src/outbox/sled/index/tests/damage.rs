//! Damage: what happens to an index whose files are not what sled wrote.

use std::path::PathBuf;

use super::*;

const ENTRIES: u64 = 3_000;

/// Puts of the index that is damaged.
const PUTS: u64 = 60;

/// What one of the puts changes: what is old is changed and removed all the time, so that sled
/// moves pages and uses segments again.
fn put(sequence: u64) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let change = |at: u64| {
        let number = (sequence * 97 + at * 31) % ENTRIES;
        let new =
            (!at.is_multiple_of(7)).then(|| format!("{sequence} {at} ").repeat(12).into_bytes());
        (key(number), new)
    };
    (0..ENTRIES / 8).map(change).collect()
}

/// An index that was closed several times in between, so that part of it is behind a snapshot;
/// and how it would look after a crash at the end.
fn filled(folder: &Path, crash: bool) -> (PathBuf, Model) {
    let path = folder.join("filled");
    let mut model = Model::new();
    let (mut index, _) = open(&path);
    for sequence in 1..=PUTS {
        index.put(sequence, changes(&mut model, &put(sequence)));
        if sequence % 16 == 0 {
            index.close();
            index = open(&path).0;
        }
    }
    if !crash {
        index.close();
        return (path, model);
    }
    index.checkpoint().expect("applied");
    index.kill();
    let copied = folder.join("copied");
    copy(&path, &copied);
    (copied, model)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("reads") {
        let path = entry.expect("reads").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[derive(Debug, Default)]
struct Ends {
    right: u32,
    older: u32,
    empty: u32,
    refused: u32,
    by_reading: u32,
    by_scrub: u32,
    silently_wrong_before_the_scrub: u32,
}

/// Opens and scrubs what is in `folder`: it is a fault, or what one of the puts left behind.
fn judge(folder: &Path, what: &str, history: &BTreeMap<u64, Model>, ends: &mut Ends) {
    let (index, applied) = match Index::open(folder, CACHE) {
        Ok(opened) => opened,
        Err(fault) => {
            assert_ne!(fault, IndexFault::Closed, "{what}");
            ends.refused += 1;
            return;
        }
    };
    let wanted = history.get(&applied);
    let found = content(&index);
    if found.is_err() {
        assert!(index.fault().is_some(), "{what}: a fault is kept");
        assert!(index.get(b"k").is_err(), "{what}: nothing is read any more");
        ends.by_reading += 1;
        return;
    }
    let lied = found.as_ref().ok() != wanted;
    match index.scrub() {
        Ok(()) => {
            assert!(
                !lied,
                "{what}: wrong content at {applied}, and nobody says so"
            );
            match applied {
                0 => ends.empty += 1,
                PUTS => ends.right += 1,
                _ => ends.older += 1,
            }
        }
        Err(fault) => {
            assert_eq!(index.fault(), Some(fault), "{what}");
            ends.by_scrub += 1;
            ends.silently_wrong_before_the_scrub += u32::from(lied);
        }
    }
}

/// The states that the puts left behind.
fn history() -> BTreeMap<u64, Model> {
    let mut model = Model::new();
    let mut history = BTreeMap::from([(0, Model::new())]);
    for sequence in 1..=PUTS {
        changes(&mut model, &put(sequence));
        history.insert(sequence, model.clone());
    }
    history
}

fn flipped(crash: bool) {
    const PLACES: usize = 110;
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, model) = filled(folder.path(), crash);
    let history = history();
    assert_eq!(history.get(&PUTS), Some(&model));
    let mut ends = Ends::default();
    let mut flips = 0;
    for file in files(&whole) {
        let bytes = std::fs::read(&file).expect("reads");
        let name = file.strip_prefix(&whole).expect("is in there");
        let places = PLACES.min(bytes.len());
        for step in 0..places {
            let damaged = tempfile::tempdir().expect("a folder");
            copy(&whole, damaged.path());
            let part = bytes.len() / places;
            let at = step * part + step * 37 % part;
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (step % 8);
            std::fs::write(damaged.path().join(name), &bytes).expect("writes");
            let what = format!("{} byte {at}", name.display());
            judge(damaged.path(), &what, &history, &mut ends);
            flips += 1;
        }
    }
    println!("{flips} flips, crash {crash}: {ends:?}");
    assert!(flips >= 200);
    assert!(ends.refused + ends.by_reading + ends.by_scrub > 0);
}

#[test]
fn a_flipped_byte_of_a_closed_index_is_a_fault_or_does_no_harm() {
    flipped(false);
}

#[test]
fn a_flipped_byte_of_a_crashed_index_is_a_fault_or_does_no_harm() {
    flipped(true);
}

#[test]
fn a_file_that_is_cut_or_missing_is_a_fault_or_does_no_harm() {
    let folder = tempfile::tempdir().expect("a folder");
    let (whole, _) = filled(folder.path(), false);
    let history = history();
    let mut ends = Ends::default();
    for file in files(&whole) {
        let length = std::fs::metadata(&file).expect("reads").len();
        let name = file.strip_prefix(&whole).expect("is in there");
        for tenth in 0..=10 {
            let damaged = tempfile::tempdir().expect("a folder");
            copy(&whole, damaged.path());
            let path = damaged.path().join(name);
            if tenth == 10 {
                std::fs::remove_file(path).expect("removes");
            } else {
                let file = std::fs::File::options().write(true).open(path);
                let file = file.expect("opens");
                file.set_len(length * tenth / 10 + tenth % 3).expect("cuts");
            }
            let what = format!("{} at {tenth} tenths", name.display());
            judge(damaged.path(), &what, &history, &mut ends);
        }
    }
    println!("{ends:?}");
    assert!(ends.refused + ends.by_reading + ends.by_scrub > 0);
}

#[test]
fn an_entry_that_was_changed_behind_the_index_s_back_is_found_while_others_change() {
    type Meddle = fn(&::sled::Db);
    let cases: [Meddle; 3] = [
        |db| drop(db.remove(key(1_500)).expect("removes")),
        |db| drop(db.insert(key(1_500), "other").expect("inserts")),
        |db| drop(db.insert(key(999_999), "more").expect("inserts")),
    ];
    for meddle in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("index");
        let (index, _) = open(&path);
        let mut model = Model::new();
        let fill: Vec<_> = (0..3_000)
            .map(|at| (key(at), Some(b"v".to_vec())))
            .collect();
        index.put(1, changes(&mut model, &fill));
        index.close();
        let db = ::sled::open(&path).expect("opens");
        meddle(&db);
        drop(db);
        let (index, _) = open(&path);
        index.watch_scrub();
        let mut sequence = 1;
        wait_until(|| index.fault().is_some() || index.checked());
        sequence += 1;
        let change = [(key(3), Some(b"w".to_vec()))];
        index.put(sequence, changes(&mut model, &change));
        assert!(matches!(index.fault(), Some(IndexFault::Damaged(_))));
        assert!(!index.checked());
    }
}

#[test]
fn a_scrub_takes_into_account_what_changes_while_it_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let (index, _) = open(&folder.path().join("index"));
    let mut model = Model::new();
    let fill: Vec<_> = (0..20_000)
        .map(|at| (key(at), Some(b"v".to_vec())))
        .collect();
    index.put(1, changes(&mut model, &fill));
    index.checkpoint().expect("applied");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5 {
                assert_eq!(index.scrub(), Ok(()));
            }
            done.store(true, Ordering::Release);
        });
        let mut sequence = 1;
        while !done.load(Ordering::Acquire) {
            sequence += 1;
            let wanted: Vec<_> = (0..50)
                .map(|at| {
                    let number = (sequence * 7_919 + at * 401) % 25_000;
                    (
                        key(number),
                        (at % 2 == 0).then(|| sequence.to_le_bytes().to_vec()),
                    )
                })
                .collect();
            index.put(sequence, changes(&mut model, &wanted));
            index.wait_for_room();
        }
    });
    assert!(index.applied() > 1, "something changed meanwhile");
    assert_eq!(content(&index), Ok(model));
    assert_eq!(index.fault(), None);
}

#[test]
fn an_index_of_another_version_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index");
    let (index, _) = open(&path);
    index.put(1, vec![]);
    index.close();
    let db = ::sled::open(&path).expect("opens");
    let stamp = db.get(stamp::KEY).expect("reads").expect("is there");
    let mut other = stamp[..stamp.len() - 8].to_vec();
    other[0] = stamp::VERSION + 1;
    let sum = blake3::hash(&other);
    other.extend_from_slice(&sum.as_bytes()[..8]);
    db.insert(stamp::KEY, other).expect("inserts");
    drop(db);
    let refused = IndexFault::Version {
        found: stamp::VERSION + 1,
        known: stamp::VERSION,
    };
    assert_eq!(Index::open(&path, CACHE).err(), Some(refused));
    // And one that holds something, but not how much.
    let db = ::sled::open(&path).expect("opens");
    db.remove(stamp::KEY).expect("removes");
    db.insert("k", "v").expect("inserts");
    drop(db);
    assert!(matches!(
        Index::open(&path, CACHE),
        Err(IndexFault::Damaged(_))
    ));
    delete(&path).expect("deletes");
    let (index, applied) = open(&path);
    assert_eq!((applied, content(&index)), (0, Ok(Model::new())));
}
