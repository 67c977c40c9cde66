//! The index that the store has now, if it has one.

use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;

use super::catalog;
use super::codec::StoreId;
use super::index::{Change, Index, IndexFault};
use super::keys;
use super::map::Map;
use super::project::numbers;
use crate::outbox::state::Fault;

/// An index on sled with its names.
pub(super) type Catalog = catalog::Catalog<Arc<Index>>;

/// Whose index it is.
const STORE: &[u8] = b"i";

/// What still counts in a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) bytes: u64,
    pub(super) records: u64,
}

/// Opens the index in `folder`, or makes one; one of another store is not taken.
pub(super) fn open(folder: &Path, cache: usize, store: StoreId) -> Result<Catalog, IndexFault> {
    let (index, applied) = Index::open(folder, cache)?;
    match Index::get(&index, STORE)? {
        Some(of) if of == store.0 => {}
        None if applied == 0 => index.put(
            0,
            vec![Change {
                key: STORE.to_vec(),
                old: None,
                new: Some(store.0.to_vec()),
            }],
        ),
        _ => return Err(IndexFault::Damaged("it is of another store".to_owned())),
    }
    let unreadable = |fault: Fault| IndexFault::Damaged(fault.to_string());
    Catalog::open(index).map_err(unreadable)
}

/// Which store the index in `folder` is of, if it says so.
pub(super) fn store_of(folder: &Path, cache: usize) -> Option<StoreId> {
    let (index, _) = Index::open(folder, cache).ok()?;
    let store = Index::get(&index, STORE).ok()??;
    Some(StoreId(store.try_into().ok()?))
}

impl Catalog {
    /// What still counts in a segment.
    pub(super) fn live(&self, segment: u32) -> Result<Live, Fault> {
        let value = self.index.get(&keys::segment(segment))?;
        let value = value.map(|value| numbers(&value)).unwrap_or_default();
        Ok(Live {
            bytes: value.first().copied().unwrap_or(0),
            records: value.get(1).copied().unwrap_or(0),
        })
    }

    /// The names of all sinks that anything was ever made for.
    pub(super) fn sinks(&self) -> Vec<String> {
        let all = self.names.sinks.all().into_iter();
        all.map(|(_, name)| name.to_string()).collect()
    }
}

/// The store's index, while there is one.
pub(super) struct Current(RwLock<Option<Arc<Catalog>>>);

impl Current {
    pub(super) fn new(catalog: Option<Arc<Catalog>>) -> Self {
        Self(RwLock::new(catalog))
    }

    pub(super) fn get(&self) -> Option<Arc<Catalog>> {
        self.0.read().clone()
    }

    pub(super) fn set(&self, catalog: Option<Arc<Catalog>>) {
        *self.0.write() = catalog;
    }
}
