//! The directory: which segments there are, and which of them may have a tag.
//!
//! Invariant: a segment whose fingerprints do not all stand in the table is in `loose`, and
//! those are searched for every tag. So a tag is never looked for in too few segments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use super::entry::{fingerprint, is_own};
use super::fingerprints::{Fingerprints, Slot};
use super::segment::Segment;
use crate::outbox::state::Tag;

pub(super) struct Directory {
    folder: PathBuf,
    listed: RwLock<Listed>,
    fingerprints: Fingerprints,
}

#[derive(Default)]
struct Listed {
    segments: BTreeMap<u32, Arc<Segment>>,
    /// Those that the fingerprints do not name yet.
    loose: BTreeSet<u32>,
}

/// The slot of a segment. Two have the same if they are 65,536 apart: then both are looked at.
#[expect(clippy::cast_possible_truncation, reason = "its lower half is meant")]
const fn slot(number: u32) -> Slot {
    number as Slot
}

/// Of the find file of a segment in that folder.
pub(super) fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:08}.find"))
}

impl Directory {
    /// With all closed segments of a store that is being opened, and the fingerprints of those
    /// that have a file.
    pub(super) fn new(folder: PathBuf, segments: Vec<(Segment, Option<Vec<u32>>)>) -> Self {
        let mut listed = Listed::default();
        let mut known = Vec::with_capacity(segments.len());
        for (segment, fingerprints) in segments {
            let number = segment.number;
            match fingerprints {
                Some(some) => known.push((slot(number), some)),
                None => _ = listed.loose.insert(number),
            }
            listed.segments.insert(number, Arc::new(segment));
        }
        Self {
            folder,
            listed: RwLock::new(listed),
            fingerprints: Fingerprints::of(&known),
        }
    }

    /// Of a segment's find file.
    pub(super) fn path(&self, number: u32) -> PathBuf {
        path(&self.folder, number)
    }

    /// The segment, open if it was not known.
    pub(super) fn get_or_open(&self, number: u32) -> Arc<Segment> {
        if let Some(segment) = self.listed.read().segments.get(&number) {
            return Arc::clone(segment);
        }
        let listed = &mut *self.listed.write();
        let segment = listed.segments.entry(number).or_insert_with(|| {
            listed.loose.insert(number);
            Arc::new(Segment::open(number, self.path(number)))
        });
        Arc::clone(segment)
    }

    /// A closed segment's fingerprints are known from now on.
    pub(super) fn know(&self, number: u32, fingerprints: &[u32]) {
        if self.listed.read().loose.contains(&number) {
            self.fingerprints.add(slot(number), fingerprints);
            self.listed.write().loose.remove(&number);
        }
    }

    /// The segments that may have a tag, newest first.
    pub(super) fn candidates(&self, tag: &Tag) -> Vec<Arc<Segment>> {
        let listed = self.listed.read();
        if !is_own(tag) {
            return listed.segments.values().rev().cloned().collect();
        }
        // Asked while `listed` is held: a segment that leaves `loose` is in the table already.
        let slots = self.fingerprints.find(fingerprint(tag)).into_iter();
        let last = listed.segments.keys().next_back().copied().unwrap_or(0);
        let named = slots.flat_map(|slot| (u32::from(slot)..=last).step_by(1 << Slot::BITS));
        let mut numbers: Vec<u32> = named.chain(listed.loose.iter().copied()).collect();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        numbers.dedup();
        let segments = numbers
            .iter()
            .filter_map(|number| listed.segments.get(number));
        segments.cloned().collect()
    }

    /// Nobody finds the segment any more. It must be swept then.
    pub(super) fn remove(&self, number: u32) -> Option<Arc<Segment>> {
        let mut listed = self.listed.write();
        listed.loose.remove(&number);
        listed.segments.remove(&number)
    }

    /// Forgets what a removed segment had, unless another has its slot: numbers only grow, so
    /// none gets it meanwhile.
    pub(super) fn sweep(&self, number: u32) {
        let same = |one: &u32| slot(*one) == slot(number);
        let taken = self.listed.read().segments.keys().any(same);
        if !taken {
            self.fingerprints.sweep(slot(number));
        }
    }

    /// The newest segment that is to have a file, and has none; none of those left out. If not
    /// `all` are asked for, only one that the fingerprints do not name yet.
    pub(super) fn without_file(&self, left_out: &BTreeSet<u32>, all: bool) -> Option<Arc<Segment>> {
        let listed = self.listed.read();
        let wanted = |number| !left_out.contains(number) && (all || listed.loose.contains(number));
        let mut segments = listed.segments.values().rev();
        let found = segments.find(|one| wanted(&one.number) && one.lacks_file());
        found.cloned()
    }

    /// How many tables wait for their files.
    pub(super) fn waiting(&self) -> usize {
        let listed = self.listed.read();
        let segments = listed.segments.values();
        segments.filter(|segment| segment.waits()).count()
    }
}
