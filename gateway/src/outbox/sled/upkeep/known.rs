//! What the store's own index knows of a journal that is damaged: what lay where nothing can be
//! read, and what had left. It is read from a copy, and only if it is sound.

use std::io;
use std::path::Path;

use tempfile::TempDir;

use super::super::codec::StoreId;
use super::super::current::{self, Catalog};
use crate::outbox::state::{Fault, Record};

/// Memory for its pages.
const CACHE: usize = 32 << 20;

pub(super) struct Known {
    pub(super) catalog: Catalog,
    /// The last write that it knows of.
    applied: u64,
    _place: TempDir,
}

impl Known {
    /// The index of the store in `from`, if it can be trusted.
    pub(super) fn of(from: &Path, store: StoreId, beside: &Path) -> io::Result<Option<Self>> {
        let Some(place) = copied(&from.join("index"), beside)? else {
            return Ok(None);
        };
        let Ok(catalog) = current::open(place.path(), CACHE, store) else {
            return Ok(None);
        };
        if catalog.index.scrub().is_err() {
            return Ok(None);
        }
        Ok(Some(Self {
            applied: catalog.index.applied(),
            catalog,
            _place: place,
        }))
    }

    /// Whether what a record of the write `sequence` tells of has left since.
    pub(super) fn has_left(&self, record: &Record, sequence: u64) -> Result<bool, Fault> {
        let there = match (record, record.lead()) {
            (Record::Quarantined { id, .. }, _) => self.catalog.quarantined(*id)?.is_some(),
            (_, Some(lead)) => self.catalog.lead(lead)?.is_some(),
            (_, None) => true,
        };
        Ok(!there && sequence <= self.applied)
    }
}

/// The store's id by its index, where no segment says it any more.
pub(super) fn store_of(journal: &Path, beside: &Path) -> io::Result<Option<StoreId>> {
    let place = copied(&journal.with_file_name("index"), beside)?;
    Ok(place.and_then(|place| current::store_of(place.path(), CACHE)))
}

/// A copy of an index, if there is one.
fn copied(index: &Path, beside: &Path) -> io::Result<Option<TempDir>> {
    if !index.is_dir() {
        return Ok(None);
    }
    let place = tempfile::Builder::new()
        .prefix(".leadgate-")
        .tempdir_in(beside)?;
    copy(index, place.path())?;
    Ok(Some(place))
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
