//! What the journal promises.

mod damage;
mod disk;
mod failure;
mod mark;
mod model;
mod salvage;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::power::PowerCut;
use super::*;
use crate::outbox::sled::codec::{Entry, Standing};
use crate::outbox::sled::place::Place;
use crate::outbox::state::Record;
use crate::seal::{IndexKey, Keyring};

/// So small that a few frames fill it.
const SMALL: Options = Options {
    segment: 900,
    step: 256,
};

const FOLDER: &str = "/store/journal";

fn standing() -> Standing {
    Standing::new(IndexKey::from_bytes([7; 32]))
}

fn open(files: &PowerCut) -> Result<(Journal, Recovered), JournalError> {
    let files = Arc::new(files.clone());
    let folder = Path::new(FOLDER);
    Journal::open(files, folder, Keyring::default(), SMALL, standing)
}

fn path(segment: u32) -> PathBuf {
    Path::new(FOLDER).join(name(segment))
}

/// A record that says `value`.
fn saying(value: &[u8]) -> Entry {
    Entry::Record {
        record: Record::SinkState {
            sink: "crm".to_owned(),
            key: "k".to_owned(),
            value: Some(value.to_vec()),
        },
        segments: Vec::new(),
    }
}

/// Writes records with these values as one frame.
fn append(journal: &mut Journal, values: &[Vec<u8>]) -> Result<Appended, JournalError> {
    let mut batch = Batch::default();
    for value in values {
        batch.entry(journal.codec(), &saying(value));
    }
    journal.append(&mut batch, &standing)
}

/// A frame that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    sequence: u64,
    values: Vec<(Place, Vec<u8>)>,
}

/// What a frame says, if it says anything.
fn said(journal: &Journal, frame: &Frame) -> Option<Said> {
    let values = frame.records().filter_map(|(place, record)| {
        match journal.codec().decode(record).expect("readable") {
            Entry::Record {
                record: Record::SinkState { value, .. },
                ..
            } => Some((place, value.expect("said"))),
            _ => None,
        }
    });
    let values: Vec<_> = values.collect();
    (!values.is_empty()).then_some(Said {
        sequence: frame.sequence,
        values,
    })
}

/// All that is in the journal; numbers are dense within segments that follow each other.
fn read_all(journal: &Journal) -> Result<Vec<Said>, JournalError> {
    let reader = journal.reader();
    let mut all = Vec::new();
    let mut before: Option<SegmentFacts> = None;
    for facts in reader.facts().into_iter().chain([reader.open_segment()]) {
        if let Some(before) = before.filter(|one| one.number + 1 == facts.number) {
            assert_eq!(before.last + 1, facts.first);
        }
        before = Some(facts);
        let mut next = facts.first;
        for frame in reader.scan(facts.number, 0)? {
            let frame = frame?;
            assert_eq!(frame.sequence, next);
            next += 1;
            for (place, record) in frame.records() {
                assert_eq!(reader.read(place)?, record);
            }
            all.extend(said(journal, &frame));
        }
        assert_eq!(next, facts.last + 1);
    }
    Ok(all)
}

/// Three segments, the last one open and closed cleanly, and what they say.
fn filled() -> (PowerCut, Vec<Said>) {
    let files = PowerCut::default();
    let (mut journal, _) = open(&files).expect("opens");
    for segment in 0..3_u8 {
        for frame in 0..3_u8 {
            append(&mut journal, &[vec![segment; 9], vec![frame; 20]]).expect("appends");
            journal.syncing().sync().expect("syncs");
        }
        if segment < 2 {
            journal.roll(&standing()).expect("rolls");
        }
    }
    journal.close(&standing()).expect("closes");
    let all = read_all(&journal).expect("reads");
    assert_eq!(all.len(), 9);
    assert_eq!(journal.reader().facts().len(), 2);
    (files, all)
}
