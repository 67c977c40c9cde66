//! The mark tells a journal that lost its end from one that is shorter.

use super::*;

const MARK: &str = "/store/synced";

/// Takes away what was written last: the frames of the newest segment from that one on.
fn cut(files: &PowerCut, journal: &Journal, first: u64) {
    let reader = journal.reader();
    let newest = reader.open_segment().number;
    let frames = reader.scan(newest, first).expect("reads");
    let frame = frames.map(|frame| frame.expect("whole")).next();
    let start = frame
        .expect("is there")
        .records()
        .next()
        .expect("not empty")
        .0
        .offset as usize;
    let mut bytes = files.bytes(&path(newest));
    // Its head stands before its first record.
    bytes[start - 32..].fill(0);
    files.put(&path(newest), bytes);
}

#[test]
fn a_journal_that_lost_its_end_is_refused() {
    let (files, all) = filled();
    let (journal, _) = open(&files).expect("opens");
    cut(&files, &journal, all.last().expect("not empty").sequence);
    drop(journal);
    let without = files.copy();
    without.put(Path::new(MARK), vec![0; 8192]);
    let (shorter, _) = open(&without).expect("nothing tells that more was there");
    assert_eq!(read_all(&shorter).expect("reads"), all[..8]);
    let before = files.bytes(&path(3));
    let error = open(&files).err().expect("refused");
    assert!(
        matches!(&error, JournalError::Damaged(damage) if damage.segment == 3),
        "{error}"
    );
    assert_eq!(files.bytes(&path(3)), before, "it is left as it is");
}

#[test]
fn a_journal_that_lost_its_newest_segment_is_refused() {
    let (files, _) = filled();
    files.remove(&path(3)).expect("removes");
    let error = open(&files).err().expect("refused");
    assert!(
        matches!(&error, JournalError::Missing { facts, .. } if facts.number == 3),
        "{error}"
    );
}

#[test]
fn a_flipped_byte_of_the_mark_changes_nothing() {
    let (files, all) = filled();
    let bytes = files.bytes(Path::new(MARK));
    for at in 0..bytes.len() {
        let files = files.copy();
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x40;
        files.put(Path::new(MARK), bytes);
        let (journal, _) = open(&files).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!(read_all(&journal).expect("reads"), all);
    }
}

#[test]
fn the_mark_is_never_ahead_of_the_disk_and_one_of_its_places_is_always_whole() {
    let (files, all) = filled();
    let last = all.last().expect("not empty").sequence;
    let (mut journal, _) = open(&files).expect("opens");
    let of = |files: &PowerCut| {
        let store = journal_store(files);
        super::super::mark::read(files, Path::new(FOLDER), store).expect("reads")
    };
    assert!(of(&files).synced >= last);
    let before = of(&files).synced;
    append(&mut journal, &[vec![1]]).expect("appends");
    assert_eq!(of(&files).synced, before, "it is not on disk yet");
    journal.syncing().sync().expect("syncs");
    assert_eq!(of(&files).synced, before + 1);
    // The place that was written last is torn.
    let mut bytes = files.bytes(Path::new(MARK));
    for at in [0, 4096] {
        if bytes[at + 16..at + 24] == (before + 1).to_le_bytes() {
            bytes[at + 20] ^= 1;
        }
    }
    files.put(Path::new(MARK), bytes);
    assert_eq!(of(&files).synced, before);
}

fn journal_store(files: &PowerCut) -> crate::outbox::sled::codec::StoreId {
    let file = files.open(&path(1), false).expect("opens");
    reader::header(&*file, &path(1)).expect("reads").store
}

#[test]
fn what_was_made_of_a_journal_may_hold_no_later_frame_until_it_was_looked_at() {
    let (files, _) = filled();
    let (mut journal, recovered) = open(&files).expect("opens");
    let last = recovered.last_sequence;
    assert_eq!(journal.syncing().bound(), last);
    // It goes on, and ends before anybody looked.
    append(&mut journal, &[vec![1]]).expect("appends");
    journal.close(&standing()).expect("closes");
    let (mut journal, recovered) = open(&files).expect("opens");
    assert!(recovered.last_sequence > last);
    assert_eq!(journal.syncing().bound(), last);
    journal.syncing().unbind().expect("looked at");
    append(&mut journal, &[vec![2]]).expect("appends");
    journal.close(&standing()).expect("closes");
    let (journal, recovered) = open(&files).expect("opens");
    assert_eq!(journal.syncing().bound(), recovered.last_sequence);
}
