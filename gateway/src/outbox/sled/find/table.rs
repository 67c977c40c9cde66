//! Tables: the entries of one segment in memory, while its find file does not exist yet.
//!
//! Hashing in place: entries stand in the order in which they came, a slot names the newest
//! entry of a tag, and each entry the one before it with the same tag. So a value that all
//! leads of a segment have in common costs no more than any other. 50 to 90 bytes an entry.

use uuid::Uuid;

use super::entry::{ENCODED, Entry, fingerprint};
use crate::outbox::state::Tag;

/// No entry.
const NONE: u32 = u32::MAX;

pub(super) struct Table {
    entries: Vec<Entry>,
    /// By entry: the one before it with the same tag.
    older: Vec<u32>,
    /// By hash, then the next free one: the newest entry of a tag.
    slots: Vec<u32>,
    /// How many slots are taken.
    tags: usize,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            older: Vec::new(),
            slots: vec![NONE; 1024],
            tags: 0,
        }
    }

    pub(super) fn of(all: &[(Tag, Uuid)]) -> Self {
        let mut table = Self::new();
        all.iter().for_each(|(tag, id)| table.add(tag, *id));
        table
    }

    pub(super) fn add(&mut self, tag: &Tag, id: Uuid) {
        let slot = self.slot(tag);
        let newest = self.slots[slot];
        // A lead that is pushed again brings what it brought before.
        if newest != NONE && self.entries[newest as usize].id() == id {
            return;
        }
        let at = u32::try_from(self.entries.len()).expect("a segment has fewer entries");
        self.entries.push(Entry::new(tag, id));
        self.older.push(newest);
        self.slots[slot] = at;
        if newest == NONE {
            self.tags += 1;
            if self.tags * 2 > self.slots.len() {
                self.grow();
            }
        }
    }

    /// All ids of a tag, newest first; one may be there twice.
    pub(super) fn find(&self, tag: &Tag) -> Vec<Uuid> {
        let mut found = Vec::new();
        let mut at = self.slots[self.slot(tag)];
        while at != NONE {
            found.push(self.entries[at as usize].id());
            at = self.older[at as usize];
        }
        found
    }

    /// All entries in order, each once.
    pub(super) fn sorted(&self) -> Vec<Entry> {
        let mut sorted = self.entries.clone();
        sorted.sort_unstable();
        sorted.dedup();
        sorted
    }

    /// Bytes that it takes, about.
    pub(super) fn memory(&self) -> usize {
        self.entries.capacity() * ENCODED + (self.older.capacity() + self.slots.len()) * 4
    }

    /// The slot that has the tag, or where it belongs.
    fn slot(&self, tag: &Tag) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = fingerprint(tag) as usize & mask;
        loop {
            let at = self.slots[slot];
            if at == NONE || self.entries[at as usize].tag() == tag {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let taken = self.slots.iter().copied().filter(|at| *at != NONE);
        let taken: Vec<u32> = taken.collect();
        self.slots = vec![NONE; self.slots.len() * 2];
        for at in taken {
            let slot = self.slot(self.entries[at as usize].tag());
            self.slots[slot] = at;
        }
    }
}
