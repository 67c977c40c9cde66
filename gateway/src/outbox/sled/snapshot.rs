//! Snapshots: what makes the store at some moment, for a backup that is nearly done.

use std::collections::{BTreeMap, BTreeSet};

use super::codec::{SegmentFacts, Standing};
use super::journal::{Held, JournalError, Reader};
use crate::outbox::Totals;

/// Segments that are held open at most; are more not copied by then, copying goes on first.
const HELD: usize = 16;

/// What makes the store at some moment.
pub(super) struct Snapshot {
    /// Its segments, oldest first; the last one is open.
    pub(super) segments: Vec<SegmentFacts>,
    /// Those that are not copied, or not as far.
    pub(super) held: Vec<Held>,
    pub(super) totals: Totals,
    /// All sinks of which anything is known.
    pub(super) sinks: BTreeSet<String>,
    /// Those of them that are paused.
    pub(super) paused: Vec<String>,
    /// The id of the key without which nothing can be read.
    pub(super) sealed_with: Option<String>,
}

impl Snapshot {
    /// What makes the store now, for the thread that alone writes and removes; `None` if too
    /// much of it is not copied yet. `copied` says how far which segments are.
    pub(super) fn take(
        journal: &Reader,
        copied: &BTreeMap<u32, u64>,
        standing: &Standing,
        sinks: BTreeSet<String>,
    ) -> Result<Option<Self>, JournalError> {
        let open = journal.open_segment();
        let mut segments = journal.facts();
        segments.push(open);
        let mut held = Vec::new();
        for facts in &segments {
            if copied.get(&facts.number) != Some(&facts.bytes) {
                if held.len() == HELD {
                    return Ok(None);
                }
                held.push(journal.hold(facts.number)?);
            }
        }
        let sealed_with = journal.hold(open.number)?.sealed_with()?;
        Ok(Some(Self {
            segments,
            held,
            totals: standing.totals.clone(),
            sinks,
            paused: standing.pauses.keys().cloned().collect(),
            sealed_with: sealed_with.map(|id| id.to_string()),
        }))
    }
}
