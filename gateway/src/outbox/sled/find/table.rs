//! Tables: the entries of one segment in memory, while its find file does not exist yet.
//!
//! Each entry names the one before it with the same tag, so a value that all leads of a segment
//! have in common costs no more than any other. 60 to 100 bytes an entry.

use std::collections::HashMap;

use uuid::Uuid;

use super::entry::Entry;
use crate::outbox::state::Tag;

/// No entry.
const NONE: u32 = u32::MAX;

#[derive(Default)]
pub(super) struct Table {
    /// As they came.
    entries: Vec<Entry>,
    /// By entry: the one before it with the same tag.
    older: Vec<u32>,
    /// By tag: its newest entry.
    newest: HashMap<Tag, u32>,
}

impl Table {
    pub(super) fn of(all: &[(Tag, Uuid)]) -> Self {
        let mut table = Self::default();
        table.add(all);
        table
    }

    pub(super) fn add(&mut self, all: &[(Tag, Uuid)]) {
        for (tag, id) in all {
            let newest = self.newest.entry(*tag).or_insert(NONE);
            // A lead that is pushed again brings what it brought before.
            if *newest != NONE && self.entries[*newest as usize].id() == *id {
                continue;
            }
            let at = u32::try_from(self.entries.len()).expect("a segment has fewer entries");
            self.older.push(std::mem::replace(newest, at));
            self.entries.push(Entry::new(tag, *id));
        }
    }

    /// All ids of a tag, newest first; one may be there twice.
    pub(super) fn find(&self, tag: &Tag) -> Vec<Uuid> {
        let mut found = Vec::new();
        let mut at = self.newest.get(tag).copied().unwrap_or(NONE);
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
}
