//! The catalog: an index with the names that its keys are made of.

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::indexed::{Indexed, IndexedPush, decode};
use super::keys::{self, SourceNumber};
use super::map::{Map, Pair};
use super::names::Names;
use crate::outbox::state::Fault;
use crate::outbox::{LeadId, QuarantineId};

/// An index and its names: made, thrown away and made anew together.
pub struct Catalog<M> {
    /// The index.
    pub index: M,
    /// Its names.
    pub names: Names,
}

impl<M: Map> Catalog<M> {
    /// Of an index.
    pub fn open(index: M) -> Result<Self, Fault> {
        let names = Names::load(&index)?;
        Ok(Self { index, names })
    }

    /// A lead of a source.
    pub fn lead_in(&self, source: SourceNumber, id: LeadId) -> Result<Option<Indexed>, Fault> {
        let value = self.index.get(&keys::lead(source, id))?;
        value.map(|value| decode(&value)).transpose()
    }

    /// A lead of whatever source, with that.
    pub fn located(&self, id: LeadId) -> Result<Option<(SourceNumber, Indexed)>, Fault> {
        for (source, _) in self.names.sources.all() {
            if let Some(indexed) = self.lead_in(source, id)? {
                return Ok(Some((source, indexed)));
            }
        }
        Ok(None)
    }

    /// A lead of whatever source.
    pub fn lead(&self, id: LeadId) -> Result<Option<Indexed>, Fault> {
        Ok(self.located(id)?.map(|(_, indexed)| indexed))
    }

    /// A quarantined push.
    pub fn quarantined(&self, id: QuarantineId) -> Result<Option<IndexedPush>, Fault> {
        let value = self.index.get(&keys::quarantined(id))?;
        value.map(|value| decode(&value)).transpose()
    }

    /// All leads.
    pub fn leads(&self) -> impl Iterator<Item = Result<(LeadId, Indexed), Fault>> {
        let entries = self.index.prefixed(&[keys::LEAD]);
        entries.map(|entry| read(&entry?, LeadId))
    }

    /// All quarantined pushes.
    pub fn pushes(&self) -> impl Iterator<Item = Result<(QuarantineId, IndexedPush), Fault>> {
        let entries = self.index.prefixed(&[keys::QUARANTINED]);
        entries.map(|entry| read(&entry?, QuarantineId))
    }
}

fn read<I, T: DeserializeOwned>(
    (key, value): &Pair,
    id: impl Fn(Uuid) -> I,
) -> Result<(I, T), Fault> {
    let uuid = keys::id_at_end(key).ok_or_else(|| super::unreadable("a key"))?;
    Ok((id(uuid), decode(value)?))
}
