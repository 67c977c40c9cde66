//! Backups: copies of the journal's files, while the store goes on writing and cleaning.
//!
//! First all segments are copied as far as they are written; those that are removed before
//! their turn are left out, for what counted in them lies in later ones. Then the committer,
//! which alone writes and removes, says what makes the store at that moment, and holds what of
//! it is not copied yet. So the copy is the state at its end, and a journal that opens. The audit
//! log is copied behind it, whole: it is small, and has all of which the journal knows by then.

pub(super) mod folder;
pub(super) mod stream;
mod sums;

use std::collections::BTreeMap;
use std::io::Write;

use crc32fast::Hasher;

use self::stream::{End, Summary, Writer};
pub(super) use self::sums::Sums;
use super::SledOutbox;
use super::job::Job;
use super::journal::{Held, JournalError};
use super::snapshot::Snapshot;
use crate::outbox::{AuditCopy, BackedUp, SegmentCopy, Unavailable, UpkeepError};

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
        // Up to which the journal says that it left must not go on while it is copied.
        let log = self.audit.log();
        let all = log.all();
        let snapshot = loop {
            let closed = journal.facts();
            for facts in closed.into_iter().chain([journal.open_segment()]) {
                match journal.hold(facts.number) {
                    Ok(held) => copier.copy(&held)?,
                    // It was removed before its turn.
                    Err(error) if error.is_gone() => {}
                    Err(error) => return Err(unavailable(error)),
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
        let mut audit = Vec::new();
        log.copy(|first, bytes| {
            audit.push(AuditCopy {
                first,
                bytes: bytes.len() as u64,
                crc: crc32fast::hash(bytes),
            });
            Ok(copier.to.audit(first, bytes)?)
        })?;
        drop(all);
        let last = snapshot.segments.last().map_or(0, |open| open.last);
        let summary = copier.summary(snapshot, last)?;
        let done = BackedUp {
            entries: summary.records,
            changes: last.saturating_sub(first),
        };
        copier.to.end(&End { summary, audit })?;
        Ok(done)
    }
}

/// What is copied of a segment.
#[derive(Clone, Default)]
struct Copied {
    bytes: u64,
    sum: Hasher,
    records: u64,
    /// Sequence number of the frame that follows.
    next: u64,
}

impl Copied {
    /// Gives what is new of a segment to `each`. What is damaged is an error.
    fn take(
        &mut self,
        held: &Held,
        mut each: impl FnMut(&[u8]) -> Result<(), UpkeepError>,
    ) -> Result<(), UpkeepError> {
        for frame in held.scan(self.next) {
            self.records += frame.map_err(unavailable)?.records().count() as u64;
        }
        held.bytes(self.bytes, unavailable, |some| {
            self.sum.update(some);
            each(some)
        })?;
        (self.bytes, self.next) = (held.facts.bytes, held.facts.last + 1);
        Ok(())
    }
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
        let mut copied = before.unwrap_or_default();
        if copied.bytes == facts.bytes {
            return Ok(());
        }
        let has = self.have.get(&facts.number);
        if let Some(has) = has.filter(|has| copied.bytes == 0 && has.bytes == facts.bytes) {
            let crc = has.crc;
            let known = self.sums.of(held)?;
            if known.sum.clone().finalize() == crc {
                self.copied.insert(facts.number, known);
                return Ok(());
            }
        }
        let length = facts.bytes - copied.bytes;
        self.to.piece(facts.number, copied.bytes, length)?;
        copied.take(held, |some| Ok(self.to.bytes(some)?))?;
        self.to.seal()?;
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
            let copied = copied.ok_or(JournalError::NoSegment(facts.number));
            let copied = copied.map_err(unavailable)?;
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

#[expect(clippy::needless_pass_by_value, reason = "it is mapped with")]
fn unavailable(error: JournalError) -> UpkeepError {
    UpkeepError::Store(Unavailable(error.to_string()))
}
