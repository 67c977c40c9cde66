//! The directory: which segments there are, and which of them may have a tag.
//!
//! Invariant: a segment whose fingerprints do not all stand in the table is in `loose`, and
//! those are searched for every tag. So a tag is never looked for in too few segments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

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
    /// By slot: the segment, or nobody.
    slots: Vec<Option<u32>>,
    slot_of: BTreeMap<u32, Slot>,
    /// Slots that nothing in the table has any more.
    free: Vec<Slot>,
}

impl Listed {
    /// A slot for a segment that has none. With 65,536 segments there is none left; more are
    /// searched for every tag.
    fn take_slot(&mut self, number: u32) -> Option<Slot> {
        if self.slot_of.contains_key(&number) {
            return None;
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = Slot::try_from(self.slots.len()).ok()?;
                self.slots.push(None);
                slot
            }
        };
        self.slots[usize::from(slot)] = Some(number);
        self.slot_of.insert(number, slot);
        Some(slot)
    }
}

impl Directory {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            listed: RwLock::default(),
            fingerprints: Fingerprints::new(),
        }
    }

    /// Of a segment's find file.
    pub(super) fn path(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{number:08}.find"))
    }

    /// All closed segments of a store that is being opened, with the fingerprints of those that
    /// have a file.
    pub(super) fn fill(&self, segments: Vec<(Segment, Option<Vec<u32>>)>) {
        let mut listed = self.write();
        let mut known = Vec::with_capacity(segments.len());
        for (segment, fingerprints) in segments {
            let number = segment.number;
            listed.segments.insert(number, Arc::new(segment));
            let slot = fingerprints.and_then(|some| Some((listed.take_slot(number)?, some)));
            match slot {
                Some(slot) => known.push(slot),
                None => _ = listed.loose.insert(number),
            }
        }
        self.fingerprints.fill(&known);
    }

    pub(super) fn get(&self, number: u32) -> Option<Arc<Segment>> {
        self.read().segments.get(&number).cloned()
    }

    /// The segment, open if it was not known.
    pub(super) fn get_or_open(&self, number: u32) -> Arc<Segment> {
        if let Some(segment) = self.get(number) {
            return segment;
        }
        let mut listed = self.write();
        if let Some(segment) = listed.segments.get(&number) {
            return Arc::clone(segment);
        }
        let segment = Arc::new(Segment::open(number, self.path(number)));
        listed.loose.insert(number);
        listed.segments.insert(number, Arc::clone(&segment));
        segment
    }

    /// A closed segment's fingerprints are known from now on.
    pub(super) fn know(&self, number: u32, fingerprints: &[u32]) {
        let slot = {
            let mut listed = self.write();
            if !listed.segments.contains_key(&number) {
                return;
            }
            listed.take_slot(number)
        };
        if let Some(slot) = slot {
            self.fingerprints.add(slot, fingerprints);
            self.write().loose.remove(&number);
        }
    }

    /// The segments that may have a tag, newest first.
    pub(super) fn candidates(&self, tag: &Tag) -> Vec<Arc<Segment>> {
        let listed = self.read();
        if !is_own(tag) {
            return listed.segments.values().rev().cloned().collect();
        }
        // Asked while `listed` is held: a segment that leaves `loose` is in the table already.
        let slots = self.fingerprints.find(fingerprint(tag));
        let named = slots
            .iter()
            .filter_map(|slot| listed.slots[usize::from(*slot)]);
        let mut numbers: Vec<u32> = named.chain(listed.loose.iter().copied()).collect();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        numbers.dedup();
        let segments = numbers
            .iter()
            .filter_map(|number| listed.segments.get(number));
        segments.cloned().collect()
    }

    /// Nobody finds the segment any more. Its slot must be swept then.
    pub(super) fn remove(&self, number: u32) -> (Option<Arc<Segment>>, Option<Slot>) {
        let mut listed = self.write();
        listed.loose.remove(&number);
        let slot = listed.slot_of.remove(&number);
        if let Some(slot) = slot {
            listed.slots[usize::from(slot)] = None;
        }
        (listed.segments.remove(&number), slot)
    }

    /// Forgets what a removed segment had, and gives its slot to others.
    pub(super) fn sweep(&self, slot: Slot) {
        self.fingerprints.sweep(slot);
        self.write().free.push(slot);
    }

    /// How many tables wait for their files.
    pub(super) fn waiting(&self) -> usize {
        let listed = self.read();
        let segments = listed.segments.values();
        segments.filter(|segment| segment.waits()).count()
    }

    /// Bytes of everything, about.
    pub(super) fn memory(&self) -> usize {
        let listed = self.read();
        let segments = listed.segments.values();
        let tables: usize = segments
            .map(|segment| size_of::<Segment>() + segment.memory())
            .sum();
        tables + self.fingerprints.memory()
    }

    fn read(&self) -> RwLockReadGuard<'_, Listed> {
        self.listed.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Listed> {
        self.listed.write().unwrap_or_else(PoisonError::into_inner)
    }
}
