//! The journal against a list of what was written, through kills and power cuts.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Vec<u8>>),
    Sync,
    Watermark,
    Roll,
    /// Says that the oldest closed segment is removed.
    Say,
    /// Removes what was said to be.
    Remove,
    Close,
    Kill,
    Cut(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let value = proptest::collection::vec(any::<u8>(), 0..120);
    prop_oneof![
        8 => proptest::collection::vec(value, 1..4).prop_map(Step::Append),
        4 => Just(Step::Sync),
        2 => Just(Step::Watermark),
        1 => Just(Step::Roll),
        1 => Just(Step::Say),
        1 => Just(Step::Remove),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        3 => any::<u64>().prop_map(Step::Cut),
    ]
}

/// What must be there.
#[derive(Default)]
struct Model {
    written: Vec<Said>,
    /// Segments that are said to be removed, with the sequence number of the frame that says it.
    said: Vec<(u32, u64)>,
    gone: BTreeSet<u32>,
}

impl Model {
    fn remove(&mut self, segment: u32) {
        self.gone.insert(segment);
        self.said.retain(|(number, _)| *number != segment);
        self.written
            .retain(|said| said.values[0].0.segment != segment);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn all_that_was_synced_is_read_back_after_any_cut(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut files = PowerCut::default();
        let (mut journal, _) = open(&files).expect("opens");
        let mut model = Model::default();
        for step in steps {
            let (mut synced, mut last) = (journal.syncing().synced(), journal.last_sequence());
            let reopens = match step {
                Step::Append(values) => {
                    let done = append(&mut journal, &values).expect("appends");
                    model.written.push(Said {
                        sequence: done.sequence,
                        values: done.places.into_iter().zip(values).collect(),
                    });
                    false
                }
                Step::Sync => {
                    prop_assert_eq!(journal.syncing().sync().expect("syncs"), last);
                    false
                }
                Step::Watermark => {
                    journal.watermark().expect("writes");
                    false
                }
                Step::Roll => {
                    journal.roll(&standing()).expect("rolls");
                    false
                }
                Step::Say => {
                    let facts = journal.reader().facts();
                    let known = |number| model.said.iter().any(|(said, _)| *said == number);
                    if let Some(facts) = facts.iter().find(|facts| !known(facts.number)) {
                        let mut batch = Batch::default();
                        batch.entry(journal.codec(), &Entry::SegmentGone(facts.number));
                        let done = journal.append(&mut batch, &standing).expect("appends");
                        model.said.push((facts.number, done.sequence));
                    }
                    false
                }
                Step::Remove => {
                    if let Some((segment, _)) = model.said.first().copied() {
                        journal.remove(segment).expect("removes");
                        model.remove(segment);
                    }
                    false
                }
                Step::Close => {
                    journal.close(&standing()).expect("closes");
                    (synced, last) = (journal.syncing().synced(), journal.last_sequence());
                    prop_assert_eq!(synced, last);
                    true
                }
                Step::Kill => {
                    // Nothing is lost but what the process knew.
                    synced = last;
                    files = files.copy();
                    true
                }
                Step::Cut(seed) => {
                    files = files.cut(seed);
                    true
                }
            };
            if reopens {
                let (again, recovered) = open(&files).expect("opens");
                journal = again;
                prop_assert!(!recovered.created);
                prop_assert!(recovered.last_sequence >= synced);
                prop_assert!(recovered.last_sequence <= last.max(journal.last_sequence()));
                prop_assert!(synced < last || recovered.cut.is_none());
                for (segment, sequence) in std::mem::take(&mut model.said) {
                    if sequence <= recovered.last_sequence {
                        prop_assert!(recovered.removed.contains(&segment));
                        model.remove(segment);
                    }
                }
                model.written.retain(|said| said.sequence <= recovered.last_sequence);
                prop_assert_eq!(journal.syncing().synced(), journal.last_sequence());
            }
            let known: BTreeSet<u32> = journal.reader().facts().iter().map(|one| one.number).collect();
            prop_assert!(known.is_disjoint(&model.gone));
        }
        prop_assert_eq!(read_all(&journal).expect("reads"), model.written);
    }
}

#[test]
fn a_torn_tail_is_dropped_and_never_comes_back() {
    let files = PowerCut::default();
    let (mut journal, _) = open(&files).expect("opens");
    append(&mut journal, &[b"a".to_vec()]).expect("appends");
    journal.syncing().sync().expect("syncs");
    let torn = append(&mut journal, &[b"b".to_vec()]).expect("appends");
    append(&mut journal, &[b"c".to_vec()]).expect("appends");
    // The frame with b did not reach the disk, the one with c did.
    let place = torn.places[0];
    let mut bytes = files.bytes(&path(1));
    bytes[place.offset as usize + 20] ^= 1;
    files.put(&path(1), bytes);
    let (mut journal, recovered) = open(&files).expect("opens");
    let cut = recovered.cut.expect("cut");
    assert_eq!((cut.segment, cut.sequence), (1, torn.sequence));
    assert_eq!(recovered.last_sequence, torn.sequence - 1);
    // A frame just as long takes the place of b; the next would be c.
    let again = append(&mut journal, &[b"B".to_vec()]).expect("appends");
    assert_eq!((again.sequence, again.places[0]), (torn.sequence, place));
    let files = files.copy();
    let (journal, recovered) = open(&files).expect("opens");
    assert_eq!(recovered.cut, None);
    let all = read_all(&journal).expect("reads");
    let values: Vec<_> = all.iter().map(|said| &said.values[0].1[..]).collect();
    assert_eq!(values, [b"a", b"B"]);
}

#[test]
fn the_newest_segment_may_be_closed_and_have_no_next_one() {
    let files = PowerCut::default();
    let (mut journal, _) = open(&files).expect("opens");
    append(&mut journal, &[b"a".to_vec()]).expect("appends");
    journal.roll(&standing()).expect("rolls");
    // The power was cut before the next one had its name.
    let cut = files.copy();
    Files::remove(&cut, &path(2)).expect("removes");
    let (mut journal, recovered) = open(&cut).expect("opens");
    assert_eq!((recovered.newest, recovered.cut), (1, None));
    journal.watermark().expect("nothing to say");
    let done = append(&mut journal, &[b"b".to_vec()]).expect("appends");
    assert_eq!((done.rolled, done.places[0].segment), (Some(1), 2));
    let all = read_all(&journal).expect("reads");
    assert_eq!(all.len(), 2);
    assert_eq!(journal.reader().facts().len(), 1);
}

#[test]
fn a_watermark_is_written_once_and_only_when_all_is_durable() {
    let files = PowerCut::default();
    let (mut journal, _) = open(&files).expect("opens");
    append(&mut journal, &[b"a".to_vec()]).expect("appends");
    let last = journal.last_sequence();
    journal.watermark().expect("not yet");
    assert_eq!(journal.last_sequence(), last);
    journal.syncing().sync().expect("syncs");
    journal.watermark().expect("writes");
    assert_eq!(journal.last_sequence(), last + 1);
    journal.syncing().sync().expect("syncs");
    journal.watermark().expect("is there");
    // The segment's opening once more, and a watermark behind it.
    journal.close(&standing()).expect("closes");
    assert_eq!(journal.last_sequence(), last + 3);
    let (mut journal, _) = open(&files).expect("opens");
    journal.close(&standing()).expect("closes");
    assert_eq!(journal.last_sequence(), last + 3);
}

#[test]
fn a_frame_longer_than_a_segment_has_one_for_itself() {
    let files = PowerCut::default();
    let (mut journal, _) = open(&files).expect("opens");
    append(&mut journal, &[b"a".to_vec()]).expect("appends");
    let long = append(&mut journal, &[vec![1; 5000]]).expect("appends");
    let next = append(&mut journal, &[b"b".to_vec()]).expect("appends");
    assert_eq!((long.rolled, next.rolled), (Some(1), Some(2)));
    journal.close(&standing()).expect("closes");
    let (journal, _) = open(&files).expect("opens");
    assert_eq!(read_all(&journal).expect("reads").len(), 3);
}

#[test]
fn what_stands_and_what_exists_is_in_each_opening() {
    let files = PowerCut::default();
    let (mut journal, recovered) = open(&files).expect("opens");
    assert!(recovered.created);
    let mut standing = standing();
    standing.totals.accepted = 7;
    journal.roll(&standing).expect("rolls");
    standing.totals.accepted = 8;
    journal.roll(&standing).expect("rolls");
    let facts = journal.reader().facts();
    let (journal, recovered) = open(&files.copy()).expect("opens");
    assert_eq!(recovered.standing.totals, standing.totals);
    assert_eq!(recovered.standing.index_key.as_bytes(), &[7; 32]);
    assert_eq!(journal.reader().facts(), facts);
    assert_eq!(facts.len(), 2);
}

#[test]
fn a_segment_is_only_removed_when_that_is_said() {
    let files = PowerCut::default();
    let (mut journal, _) = open(&files).expect("opens");
    journal.roll(&standing()).expect("rolls");
    let error = journal.remove(1).expect_err("refused");
    assert!(matches!(error, JournalError::NoSegment(1)), "{error}");
    assert_eq!(journal.reader().facts().len(), 1);
}
