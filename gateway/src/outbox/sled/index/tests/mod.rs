//! The index as a whole.

mod damage;
mod measure;
mod model;
mod pressure;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use super::*;

/// What an index should hold.
type Model = BTreeMap<Vec<u8>, Vec<u8>>;

const CACHE: usize = 16 << 20;

fn open(folder: &Path) -> (Arc<Index>, u64) {
    Index::open(folder, CACHE).expect("opens")
}

/// Changes a model, and says so as an index wants to be told.
fn changes(model: &mut Model, wanted: &[(Vec<u8>, Option<Vec<u8>>)]) -> Vec<Change> {
    let change = |(key, new): &(Vec<u8>, Option<Vec<u8>>)| Change {
        key: key.clone(),
        old: match new {
            Some(new) => model.insert(key.clone(), new.clone()),
            None => model.remove(key),
        },
        new: new.clone(),
    };
    wanted.iter().map(change).collect()
}

/// All that an index holds.
fn content(index: &Index) -> Result<Model, IndexFault> {
    index
        .range(Bound::Unbounded, Bound::Unbounded, Order::Ascending)
        .collect()
}

fn key(number: u64) -> Vec<u8> {
    format!("k{number:06}").into_bytes()
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("makes the folder");
    for entry in std::fs::read_dir(from).expect("reads") {
        let entry = entry.expect("reads");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("reads").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copies");
        }
    }
}

#[test]
fn what_was_put_is_there_again_after_a_close() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index");
    let (index, applied) = open(&path);
    assert_eq!(applied, 0);
    assert!(index.checked(), "nothing can be wrong in an empty one");
    let mut model = Model::new();
    for sequence in 1..=50 {
        let wanted: Vec<_> = (0..40)
            .map(|at| {
                (
                    key(sequence * 20 + at),
                    (at % 3 > 0).then(|| vec![b'v'; 30]),
                )
            })
            .collect();
        index.put(sequence, changes(&mut model, &wanted));
        assert_eq!(content(&index), Ok(model.clone()));
    }
    // One that changes nothing counts too.
    index.put(51, Vec::new());
    index.close();
    assert_eq!(index.get(b"k"), Err(IndexFault::Closed));
    let (index, applied) = open(&path);
    assert_eq!(applied, 51);
    assert_eq!(index.applied(), 51);
    assert_eq!(content(&index), Ok(model));
    assert!(!index.checked());
    index.watch_scrub();
    wait_until(|| index.checked());
    assert_eq!(index.fault(), None);
}

/// Waits for what another thread does.
fn wait_until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "it takes too long");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_checkpoint_is_on_disk_and_says_how_far() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index");
    let (index, _) = open(&path);
    assert_eq!(index.checkpoint(), Ok(0));
    let mut model = Model::new();
    index.put(3, changes(&mut model, &[(key(1), Some(b"a".to_vec()))]));
    index.put(9, changes(&mut model, &[(key(2), Some(b"b".to_vec()))]));
    assert_eq!(index.checkpoint(), Ok(9));
    assert_eq!(index.0.queue.bytes(), 0);
    index.kill();
    let again = folder.path().join("copy");
    copy(&path, &again);
    let (index, applied) = open(&again);
    assert_eq!(applied, 9);
    assert_eq!(content(&index), Ok(model));
}

#[test]
fn a_chunk_of_a_range_shows_every_put_whole_whatever_is_put_and_applied_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let (index, _) = open(&folder.path().join("index"));
    let mut model = Model::new();
    // What is put moves all entries at once from one end to the other, and back.
    let puts = [0, 100].map(|start| {
        let gone = (0..7).map(|at| (key(100 - start + at), None));
        let there = (0..7).map(|at| (key(start + at), Some(vec![1])));
        gone.chain(there).collect::<Vec<_>>()
    });
    index.put(1, changes(&mut model, &puts[0]));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (sequence, put) in (2..2_000).zip(puts.iter().cycle().skip(1)) {
                index.put(sequence, changes(&mut model, put));
                if sequence % 5 == 0 {
                    index.checkpoint().expect("applied");
                }
            }
            ended.store(true, Ordering::Release);
        });
        let mut read = 0;
        while !ended.load(Ordering::Acquire) {
            let order = [Order::Ascending, Order::Descending][read % 2];
            let all = index.range(Bound::Unbounded, Bound::Unbounded, order);
            assert_eq!(all.flatten().count(), 7, "each once");
            read += 1;
        }
        assert!(read > 0);
    });
    assert_eq!(index.scrub(), Ok(()));
}

#[test]
fn what_is_put_and_removed_before_it_is_applied_never_reaches_sled() {
    let folder = tempfile::tempdir().expect("a folder");
    let (index, _) = open(&folder.path().join("index"));
    // While somebody else has sled, the applier has to wait.
    let held = index.0.ledger.lock();
    let mut model = Model::new();
    for sequence in 1..=100_u64 {
        let new = (sequence % 2 == 1).then(|| b"v".to_vec());
        index.put(sequence, changes(&mut model, &[(key(7), new)]));
    }
    assert_eq!(index.get(&key(7)), Ok(None));
    drop(held);
    wait_until(|| index.applied() == 100);
    assert_eq!(index.checkpoint(), Ok(100));
    let file = std::fs::read(folder.path().join("index").join("db")).expect("reads");
    let found = file.windows(7).filter(|bytes| *bytes == key(7)).count();
    // The first put may have been taken before the others came.
    assert!(found <= 4, "{found} times");
    assert_eq!(index.scrub(), Ok(()));
}

#[test]
fn an_older_copy_of_the_folder_says_how_far_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, kept) = (folder.path().join("index"), folder.path().join("kept"));
    let (index, _) = open(&path);
    let mut model = Model::new();
    index.put(1, changes(&mut model, &[(key(1), Some(b"a".to_vec()))]));
    index.close();
    copy(&path, &kept);
    let old = model.clone();
    let (index, _) = open(&path);
    index.put(
        2,
        changes(&mut model, &[(key(1), None), (key(2), Some(b"b".to_vec()))]),
    );
    index.close();
    std::fs::remove_dir_all(&path).expect("removes");
    copy(&kept, &path);
    let (index, applied) = open(&path);
    assert_eq!(applied, 1);
    assert_eq!(content(&index), Ok(old));
    assert_eq!(index.scrub(), Ok(()));
}

#[test]
fn a_second_index_in_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (index, _) = open(folder.path());
    assert_eq!(
        Index::open(folder.path(), CACHE).err(),
        Some(IndexFault::InUse)
    );
    drop(index);
    open(folder.path());
}

#[test]
fn two_puts_of_one_sequence_are_both_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("index");
    let (index, _) = open(&path);
    let mut model = Model::new();
    for round in 0..200_u8 {
        let change = [(key(1), Some(vec![round])), (key(u64::from(round)), None)];
        index.put(0, changes(&mut model, &change));
        assert_eq!(content(&index), Ok(model.clone()));
    }
    index.close();
    let (index, applied) = open(&path);
    assert_eq!((applied, content(&index)), (0, Ok(model)));
}
