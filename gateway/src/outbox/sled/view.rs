//! What a commit sees of the store: the index, the files by which leads are found, the journal.
//!
//! Leads that were looked at are kept until the commit is published, so that each is read once.

use std::cell::RefCell;
use std::collections::HashMap;

use super::bodies::Bodies;
use super::codec::Standing;
use super::current::Catalog;
use super::find::{self, Finds};
use super::indexed::{Indexed, IndexedPush};
use crate::outbox::state::{Details, Fault, Lead, QuarantineHead, Tag, View};
use crate::outbox::{
    BulkJob, DeliveryId, JobId, JobState, LeadId, Pause, QuarantineCount, QuarantineId, Token,
    TokenId,
};

/// Leads with one identity at most: more would be a mistake of ours, or a collision of hashes.
const SAME: usize = 16;

/// The store as it is before the commit.
pub(super) struct Seen<'a> {
    /// `None` while there is no index.
    pub(super) catalog: Option<&'a Catalog>,
    pub(super) finds: &'a Finds,
    pub(super) bodies: &'a Bodies,
    pub(super) standing: &'a Standing,
    /// What was looked at.
    pub(super) leads: RefCell<HashMap<LeadId, Option<Indexed>>>,
    pub(super) quarantined: RefCell<HashMap<QuarantineId, Option<IndexedPush>>>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(
        catalog: Option<&'a Catalog>,
        finds: &'a Finds,
        bodies: &'a Bodies,
        standing: &'a Standing,
    ) -> Self {
        Self {
            catalog,
            finds,
            bodies,
            standing,
            leads: RefCell::default(),
            quarantined: RefCell::default(),
        }
    }

    fn catalog(&self) -> Result<&'a Catalog, Fault> {
        self.catalog.ok_or_else(|| Fault::Record(String::new()))
    }

    /// Whether the index is broken: what it says then is no damage of a record.
    pub(super) fn failed(&self) -> bool {
        self.catalog
            .is_some_and(|catalog| catalog.index.fault().is_some())
    }

    /// A lead with where its records lie.
    pub(super) fn indexed(&self, id: LeadId) -> Result<Option<Indexed>, Fault> {
        if let Some(known) = self.leads.borrow().get(&id) {
            return Ok(known.clone());
        }
        let found = self.catalog()?.lead(id)?;
        self.leads.borrow_mut().insert(id, found.clone());
        Ok(found)
    }

    /// The segments that hold bytes of a quarantined push that was looked at.
    pub(super) fn segments_of(&self, id: QuarantineId) -> Vec<u32> {
        let known = self.quarantined.borrow();
        let known = known.get(&id).and_then(Option::as_ref);
        known
            .map(|known| known.segments.clone())
            .unwrap_or_default()
    }

    fn found(&self, tag: &Tag) -> Result<Vec<uuid::Uuid>, Fault> {
        let found = self.finds.find(tag, SAME);
        found.map_err(|error| Fault::Record(error.to_string()))
    }
}

impl View for Seen<'_> {
    fn lead(&self, id: LeadId) -> Result<Option<Lead>, Fault> {
        Ok(self.indexed(id)?.map(|indexed| indexed.lead))
    }

    fn identified(&self, identity: &Tag) -> Result<Vec<LeadId>, Fault> {
        // Without an index nobody can say which of them are still there.
        self.catalog()?;
        Ok(self.found(identity)?.into_iter().map(LeadId).collect())
    }

    fn lead_of(&self, delivery: DeliveryId) -> Result<Option<LeadId>, Fault> {
        self.catalog()?;
        let found = self.found(&find::delivery_tag(delivery))?;
        Ok(found.last().copied().map(LeadId))
    }

    fn details(&self, lead: LeadId, delivery: DeliveryId) -> Result<Details, Fault> {
        let indexed = self.indexed(lead)?;
        let place = indexed.and_then(|indexed| indexed.delivery(delivery)?.1.details);
        let Some(place) = place else {
            return Ok(Details::default());
        };
        let details = self.bodies.details(place);
        details.map_err(|error| Fault::Record(error.to_string()))
    }

    fn quarantined(&self, id: QuarantineId) -> Result<Option<QuarantineHead>, Fault> {
        let known = self.quarantined.borrow().get(&id).cloned();
        let found = match known {
            Some(known) => known,
            None => {
                let found = self.catalog()?.quarantined(id)?;
                self.quarantined.borrow_mut().insert(id, found.clone());
                found
            }
        };
        Ok(found.map(|indexed| indexed.head))
    }

    fn fingerprinted(&self, tag: &Tag) -> Result<Vec<QuarantineId>, Fault> {
        self.catalog()?;
        Ok(self.found(tag)?.into_iter().map(QuarantineId).collect())
    }

    fn quarantine_count(&self, source: &str) -> Result<QuarantineCount, Fault> {
        Ok(self.standing.quarantine_count(source))
    }

    fn pause(&self, sink: &str) -> Option<Pause> {
        self.standing.pause(sink)
    }

    fn job(&self, id: JobId) -> Option<BulkJob> {
        self.standing.jobs.get(&id).cloned()
    }

    fn jobs(&self) -> Vec<(JobId, JobState)> {
        let jobs = self.standing.jobs.iter();
        jobs.map(|(id, job)| (*id, job.state)).collect()
    }

    fn tokens(&self) -> Vec<(TokenId, Token)> {
        self.standing.tokens.clone().into_iter().collect()
    }

    fn sink_state_keys(&self, sink: &str) -> Vec<String> {
        self.standing.sink_state_keys(sink)
    }
}
