//! Names: the numbers that stand for sinks and sources inside keys. In memory, and in the index
//! they belong to: an index made anew numbers anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

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

/// Numbers of one kind of thing: 1, 2, …
pub struct Table {
    room: u8,
    known: RwLock<Vec<Arc<str>>>,
}

impl Names {
    /// Those that an index holds.
    pub fn load(map: &impl Map) -> Result<Self, Fault> {
        Ok(Self {
            sinks: Table::load(map, keys::SINK)?,
            sources: Table::load(map, keys::SOURCE)?,
        })
    }
}

impl Table {
    fn load(map: &impl Map, room: u8) -> Result<Self, Fault> {
        let mut known: BTreeMap<u32, Arc<str>> = BTreeMap::new();
        for entry in map.prefixed(&[room]) {
            let (key, value) = entry?;
            let name = std::str::from_utf8(&key[1..]).ok();
            let number = value.as_slice().try_into().ok().map(u32::from_be_bytes);
            let (Some(name), Some(number)) = (name, number) else {
                return Err(super::unreadable("a name"));
            };
            known.insert(number, name.into());
        }
        if known.keys().zip(1..).any(|(number, at)| *number != at) {
            return Err(super::unreadable("a name"));
        }
        let known = RwLock::new(known.into_values().collect());
        Ok(Self { room, known })
    }

    /// The number of a name.
    pub fn number(&self, name: &str) -> Option<u32> {
        let known = self.known.read();
        let mut known = (1..).zip(known.iter());
        known
            .find(|(_, one)| &***one == name)
            .map(|(number, _)| number)
    }

    /// The name of a number.
    pub fn name(&self, number: u32) -> Option<Arc<str>> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        self.known.read().get(at).cloned()
    }

    /// All, by number.
    pub fn all(&self) -> Vec<(u32, Arc<str>)> {
        (1..).zip(self.known.read().iter().cloned()).collect()
    }

    /// The number of a name, and what has to be put into the index if it is a new one. Only the
    /// committer calls it.
    pub fn number_or_new(&self, name: &str) -> (u32, Option<Change>) {
        if let Some(number) = self.number(name) {
            return (number, None);
        }
        let mut known = self.known.write();
        known.push(name.into());
        let number = u32::try_from(known.len()).expect("names fit into memory");
        let change = Change {
            key: keys::name(self.room, name),
            old: None,
            new: Some(number.to_be_bytes().to_vec()),
        };
        (number, Some(change))
    }
}
