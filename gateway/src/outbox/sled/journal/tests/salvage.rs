//! Salvage saves every whole frame and says what is missing.

use super::*;
use crate::outbox::sled::codec::StoreId;

/// Sequence numbers of what is whole, and of what is missing.
fn salvaged(files: &PowerCut, hint: Option<StoreId>) -> (Vec<u64>, Vec<(u64, Option<u64>)>) {
    let (mut whole, mut missing) = (Vec::new(), Vec::new());
    for found in salvage(files, &path(1), hint).expect("reads") {
        match found.expect("reads") {
            Salvaged::Frame(frame) => whole.push(frame.sequence),
            Salvaged::Gap { from, to, .. } => missing.push((from, to)),
        }
    }
    (whole, missing)
}

/// Flips a byte in the first segment.
fn flip(files: &PowerCut, at: usize) {
    let mut bytes = files.bytes(&path(1));
    bytes[at] ^= 0xff;
    files.put(&path(1), bytes);
}

#[test]
fn a_whole_segment_has_no_gap() {
    let (files, _) = filled();
    assert_eq!(salvaged(&files, None), (vec![1, 2, 3, 4, 5], vec![]));
}

#[test]
fn what_lies_around_the_damage_is_saved() {
    let (files, all) = filled();
    flip(&files, all[1].values[1].0.offset as usize);
    assert_eq!(
        salvaged(&files, None),
        (vec![1, 2, 4, 5], vec![(3, Some(3))])
    );
    flip(&files, all[2].values[0].0.offset as usize);
    assert_eq!(salvaged(&files, None), (vec![1, 2, 5], vec![(3, Some(4))]));
    // The end.
    let length = files.bytes(&path(1)).len();
    flip(&files, length - 8);
    assert_eq!(salvaged(&files, None), (vec![1, 2], vec![(3, None)]));
}

#[test]
fn a_damaged_header_is_no_hindrance() {
    let (files, _) = filled();
    let (journal, _) = open(&files).expect("opens");
    let store = journal.codec().store();
    flip(&files, 20);
    assert_eq!(salvaged(&files, None), (vec![1, 2, 3, 4, 5], vec![]));
    // Nor are header and opening, if somebody knows the store.
    flip(&files, 40 + 32 + 20);
    let error = salvage(&files, &path(1), None).err().expect("refused");
    assert!(matches!(error, JournalError::Damaged(_)), "{error}");
    let (whole, missing) = salvaged(&files, Some(store));
    assert_eq!(whole, [2, 3, 4, 5]);
    assert_eq!(missing.len(), 1);
}
