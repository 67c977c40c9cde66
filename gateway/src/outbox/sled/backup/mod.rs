//! Backups: copies of the journal's files, while the store goes on writing and cleaning.
//!
//! First all segments are copied as far as they are written; those that are removed before
//! their turn are left out, for what counted in them lies in later ones. Then the committer,
//! which alone writes and removes, says what makes the store at that moment, and holds what of
//! it is not copied yet. So the copy is the state at its end, and a journal that opens.

pub(super) mod folder;
pub(super) mod stream;
mod sums;

use std::collections::BTreeMap;
use std::io::Write;

use crc32fast::Hasher;

use self::stream::{CHUNK, Summary, Writer};
pub(super) use self::sums::Sums;
use super::SledOutbox;
use super::job::Job;
use super::journal::{Held, JournalError};
use super::snapshot::Snapshot;
use crate::outbox::{BackedUp, SegmentCopy, Unavailable, UpkeepError};

impl SledOutbox {
    /// Writes a backup, but for closed segments that are in `have` as they are here.
    pub(super) fn write_backup(
        &self,
        have: &[SegmentCopy],
        to: &mut dyn Write,
    ) -> Result<BackedUp, UpkeepError> {
        let journal = self.reads.bodies.journal();
        let first = journal.open_segment().last;
        let mut copier = Copier {
            to: Writer::begin(to, journal.codec().store())?,
            have: have.iter().map(|one| (one.number, *one)).collect(),
            copied: BTreeMap::new(),
            sums: &self.sums,
        };
        let snapshot = loop {
            let closed = journal.facts();
            for facts in closed.into_iter().chain([journal.open_segment()]) {
                match journal.hold(facts.number) {
                    Ok(held) => copier.copy(&held)?,
                    // It was removed before its turn.
                    Err(error) if error.is_gone() => {}
                    Err(error) => return Err(unavailable(&error)),
                }
            }
            let copied = copier.copied.iter();
            let copied = copied.map(|(number, copied)| (*number, copied.bytes));
            let copied = copied.collect();
            if let Some(snapshot) = self.cleaner.ask(|promise| Job::Snapshot(copied, promise))? {
                break snapshot;
            }
        };
        for held in &snapshot.held {
            copier.copy(held)?;
        }
        let last = snapshot.segments.last().map_or(0, |open| open.last);
        let summary = copier.summary(snapshot, last)?;
        let done = BackedUp {
            entries: summary.records,
            changes: last.saturating_sub(first),
        };
        copier.to.end(&summary)?;
        Ok(done)
    }
}

/// What is copied of a segment.
#[derive(Clone)]
struct Copied {
    bytes: u64,
    sum: Hasher,
    records: u64,
    /// Sequence number of the frame that follows.
    next: u64,
}

/// Copies segments.
struct Copier<'a, W> {
    to: Writer<W>,
    have: BTreeMap<u32, SegmentCopy>,
    copied: BTreeMap<u32, Copied>,
    sums: &'a Sums,
}

impl<W: Write> Copier<'_, W> {
    /// Copies what is not copied yet of a segment. What is damaged is an error, not copied.
    fn copy(&mut self, held: &Held) -> Result<(), UpkeepError> {
        let facts = held.facts;
        let before = self.copied.get(&facts.number).cloned();
        let mut copied = before.unwrap_or(Copied {
            bytes: 0,
            sum: Hasher::new(),
            records: 0,
            next: facts.first,
        });
        if copied.bytes == facts.bytes {
            return Ok(());
        }
        let has = self.have.get(&facts.number);
        if let Some(has) = has.filter(|has| copied.bytes == 0 && has.bytes == facts.bytes) {
            let crc = has.crc;
            let known = self.sums.of(held).map_err(|error| unavailable(&error))?;
            if known.sum.clone().finalize() == crc {
                self.copied.insert(facts.number, known);
                return Ok(());
            }
        }
        for frame in held.scan(copied.next) {
            let frame = frame.map_err(|error| unavailable(&error))?;
            copied.records += frame.records().count() as u64;
        }
        let length = facts.bytes - copied.bytes;
        self.to.piece(facts.number, copied.bytes, length)?;
        let mut buffer = vec![0; CHUNK];
        while copied.bytes < facts.bytes {
            let left = usize::try_from(facts.bytes - copied.bytes);
            let some = &mut buffer[..left.map_or(CHUNK, |left| left.min(CHUNK))];
            let read = held.read(some, copied.bytes);
            read.map_err(|error| unavailable(&error))?;
            copied.sum.update(some);
            copied.bytes += some.len() as u64;
            self.to.bytes(some)?;
        }
        self.to.seal()?;
        copied.next = facts.last + 1;
        self.sums.know(facts.number, &copied);
        self.copied.insert(facts.number, copied);
        Ok(())
    }

    fn summary(&self, snapshot: Snapshot, last: u64) -> Result<Summary, UpkeepError> {
        let mut segments = Vec::with_capacity(snapshot.segments.len());
        let mut records = 0;
        for facts in &snapshot.segments {
            let copied = self.copied.get(&facts.number);
            let copied = copied.filter(|copied| copied.bytes == facts.bytes);
            let missing = || JournalError::NoSegment(facts.number);
            let copied = copied.ok_or_else(missing);
            let copied = copied.map_err(|error| unavailable(&error))?;
            records += copied.records;
            segments.push(SegmentCopy {
                number: facts.number,
                bytes: facts.bytes,
                crc: copied.sum.clone().finalize(),
            });
        }
        self.sums.keep(&segments);
        Ok(Summary {
            segments,
            last,
            records,
            totals: snapshot.totals,
            sinks: snapshot.sinks.into_iter().collect(),
            paused: snapshot.paused,
            sealed_with: snapshot.sealed_with,
        })
    }
}

fn unavailable(error: &JournalError) -> UpkeepError {
    UpkeepError::Store(Unavailable(error.to_string()))
}
