//! Sums: the checksums of segments as far as they were copied, so that a backup that leaves out
//! what an earlier one has reads each closed one only once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::super::journal::Held;
use super::Copied;
use crate::outbox::{SegmentCopy, UpkeepError};

/// Of one store.
#[derive(Default)]
pub(in super::super) struct Sums(Mutex<BTreeMap<u32, Copied>>);

impl Sums {
    /// Remembers a segment's, as far as it was copied.
    pub(super) fn know(&self, segment: u32, copied: &Copied) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(segment, copied.clone());
    }

    /// Forgets all but those.
    pub(super) fn keep(&self, segments: &[SegmentCopy]) {
        let there: BTreeSet<u32> = segments.iter().map(|one| one.number).collect();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|number, _| there.contains(number));
    }

    /// That of a segment, all of whose frames were whole when it was made.
    pub(super) fn of(&self, held: &Held) -> Result<Copied, UpkeepError> {
        let facts = held.facts;
        let known = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&facts.number).cloned()
        };
        if let Some(known) = known.filter(|known| known.bytes == facts.bytes) {
            return Ok(known);
        }
        let mut copied = Copied::default();
        copied.take(held, |_| Ok(()))?;
        self.know(facts.number, &copied);
        Ok(copied)
    }
}
