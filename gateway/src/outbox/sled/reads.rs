//! Reads: what a question to the store needs, put together for each.

use std::sync::Arc;

use uuid::Uuid;

use super::bodies::Bodies;
use super::current::{Catalog, Current};
use super::find::Finds;
use super::index::Index;
use super::reader::{GroupTexts, Reader, Tags};
use super::shared::Shared;
use crate::outbox::Unavailable;
use crate::outbox::state::{Fault, Tag};

/// Everything that reading needs.
pub(super) struct Reads {
    pub(super) current: Arc<Current>,
    pub(super) bodies: Arc<Bodies>,
    pub(super) finds: Arc<Finds>,
    pub(super) shared: Arc<Shared>,
    pub(super) texts: GroupTexts,
}

impl Reads {
    /// Asks the store something; there is no answer while there is no index.
    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Reader<'_, Arc<Index>>) -> Result<T, Fault>,
    ) -> Result<T, Unavailable> {
        let catalog = self.catalog()?;
        let sinks = self.shared.sinks();
        let reader = Reader {
            catalog: &catalog,
            bodies: &*self.bodies,
            tags: &*self.finds,
            sinks: &sinks,
            claims: &self.shared.claims,
            texts: &self.texts,
        };
        question(&reader).map_err(|fault| Unavailable(fault.to_string()))
    }

    /// The index.
    pub(super) fn catalog(&self) -> Result<Arc<Catalog>, Unavailable> {
        self.current.get().ok_or_else(|| self.shared.is_making())
    }

    /// Whether there is no index that answers: it is made anew, or will be.
    pub(super) fn lacks_index(&self) -> bool {
        let catalog = self.current.get();
        catalog.is_none_or(|catalog| catalog.index.fault().is_some())
    }
}

impl Tags for Finds {
    fn find(&self, tag: &Tag, limit: usize) -> Result<Vec<Uuid>, Fault> {
        Finds::find(self, tag, limit).map_err(|error| Fault::Record(error.to_string()))
    }
}
