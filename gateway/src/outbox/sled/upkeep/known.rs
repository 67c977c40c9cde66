//! What the store's own index knows of a journal that is damaged: what lay where nothing can be
//! read, and what had left. It is read from a copy, and only if it is sound.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::super::codec::StoreId;
use super::super::current::{self, Catalog};
use super::super::indexed::{Indexed, IndexedPush, decode};
use super::super::keys;
use super::super::map::Map;
use super::super::place::Place;
use crate::outbox::state::Fault;
use crate::outbox::{LeadId, QuarantineId};

/// Memory for its pages.
const CACHE: usize = 32 << 20;

pub(super) struct Known {
    catalog: Arc<Catalog>,
    /// The last write that it knows of.
    applied: u64,
    _place: TempDir,
}

impl Known {
    /// The index of the store in `from`, if it can be trusted.
    pub(super) fn of(from: &Path, store: StoreId, beside: &Path) -> io::Result<Option<Self>> {
        let folder = from.join("index");
        if !folder.is_dir() {
            return Ok(None);
        }
        let place = tempfile::Builder::new()
            .prefix(".leadgate-")
            .tempdir_in(beside)?;
        let copied = place.path().join("index");
        copy(&folder, &copied)?;
        let Ok(catalog) = current::open(&copied, CACHE, store) else {
            return Ok(None);
        };
        if catalog.index.scrub().is_err() {
            return Ok(None);
        }
        Ok(Some(Self {
            applied: catalog.index.applied(),
            catalog: Arc::new(catalog),
            _place: place,
        }))
    }

    /// Whether a lead of which the write `sequence` tells has left since.
    pub(super) fn has_left(&self, lead: LeadId, sequence: u64) -> Result<bool, Fault> {
        Ok(sequence <= self.applied && self.catalog.lead(lead)?.is_none())
    }

    /// Whether a push in quarantine of which the write `sequence` tells has left since.
    pub(super) fn has_left_quarantine(
        &self,
        push: QuarantineId,
        sequence: u64,
    ) -> Result<bool, Fault> {
        Ok(sequence <= self.applied && self.catalog.quarantined(push)?.is_none())
    }

    /// Whether a lead has no delivery and never had one.
    pub(super) fn is_unrouted(&self, lead: LeadId) -> Result<bool, Fault> {
        let lead = self.catalog.lead(lead)?;
        Ok(lead.is_some_and(|lead| lead.lead.deliveries.is_empty()))
    }

    /// Gives every lead to `each`.
    pub(super) fn leads<E: From<Fault>>(
        &self,
        mut each: impl FnMut(LeadId, Indexed) -> Result<(), E>,
    ) -> Result<(), E> {
        for entry in self.catalog.index.prefixed(&[keys::LEAD]) {
            let (key, value) = entry?;
            let id = LeadId(keys::id_at_end(&key).unwrap_or_default());
            each(id, decode(&value)?)?;
        }
        Ok(())
    }

    /// Pushes in quarantine that lay where `lost` says.
    pub(super) fn quarantined(
        &self,
        lost: impl Fn(Place) -> bool,
    ) -> Result<Vec<QuarantineId>, Fault> {
        let mut found = Vec::new();
        for entry in self.catalog.index.prefixed(&[keys::QUARANTINED]) {
            let (key, value) = entry?;
            let push: IndexedPush = decode(&value)?;
            if lost(push.place) {
                found.push(QuarantineId(keys::id_at_end(&key).unwrap_or_default()));
            }
        }
        Ok(found)
    }
}

/// The store's id by its index, where no segment says it any more.
pub(super) fn store_of(journal: &Path, beside: &Path) -> io::Result<Option<StoreId>> {
    let folder = journal.with_file_name("index");
    if !folder.is_dir() {
        return Ok(None);
    }
    let place = tempfile::Builder::new()
        .prefix(".leadgate-")
        .tempdir_in(beside)?;
    let copied = place.path().join("index");
    copy(&folder, &copied)?;
    Ok(current::store_of(&copied, CACHE))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
