//! Rekeying: segments that hold records sealed with an old key are written anew.
//!
//! A segment is done when it is gone, so a run that was cut short is simply begun again.

use super::SledOutbox;
use super::journal::JournalError;
use crate::outbox::{Resealed, Unavailable};

impl SledOutbox {
    /// Looks at one segment from number `from` on, and writes it anew if it must be.
    pub(super) fn rekey_next(&self, from: Option<&str>) -> Result<Resealed, Unavailable> {
        let from: u32 = from.and_then(|from| from.parse().ok()).unwrap_or(0);
        let journal = self.reads.bodies.journal();
        // What is written from now on is sealed with the current key.
        let last = journal.open_segment().number;
        let closed = journal.facts().into_iter().map(|facts| facts.number);
        let mut left = closed.chain([last]).filter(|number| *number >= from);
        let Some(segment) = left.next() else {
            return self.reseal_audit(Resealed::default());
        };
        let stale = match self.is_stale(segment) {
            // It was removed meanwhile.
            Err(error) if error.is_gone() => Ok(false),
            other => other,
        };
        let mut done = Resealed::default();
        if stale.map_err(|error| Unavailable(error.to_string()))? {
            done.resealed = self.cleaner.clean(segment)?.records;
        }
        // The open one was the last: what was moved out of the others is behind it.
        done.next = (segment < last).then(|| (segment + 1).to_string());
        if done.next.is_none() {
            return self.reseal_audit(done);
        }
        Ok(done)
    }

    /// The audit log comes last, at once: it is small.
    fn reseal_audit(&self, mut done: Resealed) -> Result<Resealed, Unavailable> {
        done.resealed += self.audit.reseal()?;
        Ok(done)
    }

    /// Whether anything in a segment is sealed with another key than what is written now.
    fn is_stale(&self, segment: u32) -> Result<bool, JournalError> {
        let journal = self.reads.bodies.journal();
        for frame in journal.scan(segment, 0)? {
            for (_, bytes) in frame?.records() {
                if !journal.codec().is_current(bytes) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
