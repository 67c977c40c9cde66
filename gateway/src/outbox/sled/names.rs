//! Names: the numbers that stand for sinks and sources inside keys. In memory, and in the index
//! they belong to: an index made anew numbers anew.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use super::keys;
use super::map::{Change, Map};
use crate::outbox::state::Fault;

/// Numbers of sinks and sources.
pub struct Names {
    /// Sinks.
    pub sinks: Table,
    /// Sources.
    pub sources: Table,
}

/// Numbers of one kind of thing.
pub struct Table {
    room: u8,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    numbers: HashMap<Arc<str>, u32>,
    names: BTreeMap<u32, Arc<str>>,
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

impl Names {
    /// Of an index that is empty.
    pub fn new() -> Self {
        Self {
            sinks: Table::new(keys::SINK),
            sources: Table::new(keys::SOURCE),
        }
    }

    /// Those that an index holds.
    pub fn load(map: &impl Map) -> Result<Self, Fault> {
        let names = Self::new();
        names.sinks.load(map)?;
        names.sources.load(map)?;
        Ok(names)
    }
}

impl Table {
    fn new(room: u8) -> Self {
        Self {
            room,
            known: RwLock::default(),
        }
    }

    fn load(&self, map: &impl Map) -> Result<(), Fault> {
        for entry in map.prefixed(&[self.room]) {
            let (key, value) = entry?;
            let name = std::str::from_utf8(&key[1..]).ok();
            let number = value.as_slice().try_into().ok().map(u32::from_be_bytes);
            let (Some(name), Some(number)) = (name, number) else {
                return Err(super::unreadable("a name"));
            };
            self.add(name.into(), number);
        }
        Ok(())
    }

    fn add(&self, name: Arc<str>, number: u32) {
        // Invariant: both maps are changed under one lock, by steps that do not panic.
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.numbers.insert(Arc::clone(&name), number);
        known.names.insert(number, name);
    }

    /// The number of a name.
    pub fn number(&self, name: &str) -> Option<u32> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.numbers.get(name).copied()
    }

    /// The name of a number.
    pub fn name(&self, number: u32) -> Option<Arc<str>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.names.get(&number).cloned()
    }

    /// All, by number.
    pub fn all(&self) -> Vec<(u32, Arc<str>)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .names
            .iter()
            .map(|(number, name)| (*number, Arc::clone(name)))
            .collect()
    }

    /// The number of a name, and what has to be put into the index if it is a new one. Only the
    /// committer calls it.
    pub fn number_or_new(&self, name: &str) -> (u32, Option<Change>) {
        if let Some(number) = self.number(name) {
            return (number, None);
        }
        let last = self.all().last().map_or(0, |(number, _)| *number);
        let number = last.saturating_add(1);
        self.add(name.into(), number);
        let change = Change {
            key: keys::name(self.room, name),
            old: None,
            new: Some(number.to_be_bytes().to_vec()),
        };
        (number, Some(change))
    }
}
