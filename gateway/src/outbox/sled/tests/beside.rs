//! Flipped bytes of what stands beside the journal, its index and its find files: the note of the
//! key, the key itself, and the files of backups.

use std::path::{Path, PathBuf};

use super::*;

const LEADS: u64 = 60;
/// Flips in each file of a backup.
const IN_FILE: usize = 24;

fn now<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

fn whole(outbox: &SledOutbox) {
    outbox.wait_until_whole(|_, _| {}).expect("an index");
}

/// A store with three segments, sealed with `keys`.
fn filled(keys: &[OutboxKey]) -> (TempDir, SledOutbox) {
    let folder = folder();
    let outbox = open_with(&folder, 4096, keys, 0).expect("opens");
    for record in 0..LEADS {
        now(outbox.accept(arrival(record, 1))).expect("accepted");
        if record % (LEADS / 3) == LEADS / 3 - 1 && record + 1 < LEADS {
            outbox.cleaner.ask(Job::Roll).expect("rolls");
        }
    }
    (folder, outbox)
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

/// Flips one byte after the other of a file, its first and its last with them, for as long as it
/// takes to ask `then`; how many.
fn flips(path: &Path, most: usize, mut then: impl FnMut(usize)) -> usize {
    let bytes = std::fs::read(path).expect("reads");
    let count = most.min(bytes.len());
    for number in 0..count {
        let at = number * (bytes.len() - 1) / (count - 1).max(1);
        let mut flipped = bytes.clone();
        flipped[at] ^= [1, 0x80, 0xff][number % 3];
        std::fs::write(path, &flipped).expect("writes");
        then(at);
    }
    std::fs::write(path, &bytes).expect("writes");
    count
}

#[test]
fn a_flipped_byte_of_the_note_of_the_key_changes_nothing() {
    let keys = [OutboxKey::generate()];
    let (folder, outbox) = filled(&keys);
    outbox.close();
    drop(outbox);
    let store = folder.path().join("store");
    let asked = flips(&store.join("key-id"), IN_FILE, |at| {
        let outbox = open_with(&folder, 4096, &keys, 0);
        let outbox = outbox.unwrap_or_else(|error| panic!("byte {at}: {error}"));
        whole(&outbox);
        assert_eq!(outbox.totals().accepted, LEADS, "byte {at}");
        let claimed = outbox.claim("crm", 5_000, 10_000).expect("reads");
        assert_eq!(claimed.deliveries.len() as u64, LEADS, "byte {at}");
        assert!(claimed.damaged.is_empty(), "byte {at}");
        outbox.close();
        drop(outbox);
        assert_eq!(missing_key(&store, &keys), None, "byte {at}: not put right");
    });
    assert!(asked > 0);
    let verdict = verify(&store, &keys, 16 << 20).expect("looks");
    assert_eq!(verdict.found, 0, "{:?}", verdict.problems);
}

#[test]
fn a_flipped_byte_of_the_key_is_refused_and_the_store_is_left_as_it_is() {
    let key = OutboxKey::generate();
    let keys = [key.clone()];
    let (folder, outbox) = filled(&keys);
    outbox.close();
    drop(outbox);
    let store = folder.path().join("store");
    let before: Vec<_> = files(&store.join("journal"));
    let bytes = |files: &[PathBuf]| -> Vec<Vec<u8>> {
        let read = files.iter().map(|file| std::fs::read(file).expect("reads"));
        read.collect()
    };
    let then = bytes(&before);
    let file = folder.path().join("key");
    std::fs::write(&file, key.to_text().as_bytes()).expect("writes");
    let (mut no_key, mut another) = (0, 0);
    let asked = flips(&file, 64, |at| {
        let text = std::fs::read(&file).expect("reads");
        let Ok(wrong) = OutboxKey::parse(&String::from_utf8_lossy(&text)) else {
            no_key += 1;
            return;
        };
        let error = open_with(&folder, 16, &[wrong], 0).err();
        let error = error.unwrap_or_else(|| panic!("byte {at}: opened"));
        assert!(
            error.to_string().contains(&key.id().to_string()),
            "byte {at}: {error}"
        );
        another += 1;
    });
    println!("flips {asked} of the key: {no_key} are no key, {another} another");
    assert!(no_key > 0 && another > 0);
    assert!(then == bytes(&before), "the store was changed");
    let outbox = open_with(&folder, 16, &keys, 0).expect("opens with the right one");
    assert_eq!(outbox.totals().accepted, LEADS);
    outbox.close();
}

#[test]
fn a_flipped_byte_of_any_file_of_a_backup_is_refused_and_its_file_named() {
    let (folder, outbox) = filled(&[]);
    let to = folder.path().join("backups");
    let mut backup = BackupFolder::open(&to).expect("opens");
    let mut stream = Vec::new();
    outbox
        .backup_beyond(&backup.have(), &mut stream)
        .expect("backs up");
    backup.take(&stream[..]).expect("takes");
    drop(backup);
    let file = folder.path().join("backup");
    std::fs::write(&file, &stream).expect("writes");
    outbox.close();
    let mut asked = 0;
    let mut kinds = 0;
    let inside = files(&to).into_iter().map(|path| (path, to.clone()));
    for (path, from) in inside.chain([(file.clone(), file)]) {
        // An empty one has nothing to flip.
        let flipped = flips(&path, IN_FILE, |at| {
            let what = format!("{} byte {at}", path.display());
            let name = path.display().to_string();
            let at = folder.path().join("restored");
            for refused in [check(&from), restore(&from, &at, false).map(drop)] {
                let error = refused.err().unwrap_or_else(|| panic!("{what}: restored"));
                assert!(error.to_string().contains(&name), "{what}: {error}");
            }
            assert!(!at.exists(), "{what}: something was restored");
        });
        kinds += usize::from(flipped > 0);
        asked += flipped;
    }
    println!("flips {asked} in {kinds} files of backups, all refused and named");
    // Three segments, the list, and the stream.
    assert_eq!(kinds, 5);
    let at = folder.path().join("restored");
    assert_eq!(restore(&to, &at, false).expect("restores").leads, LEADS);
}
