//! Reading: what operators and upkeep ask of the store.
//!
//! Everything is found in the index and read from the journal; a page of a list costs what it
//! shows, however much is stored beside it. Made for one question; knows nothing of how an
//! index comes to be, or of threads.

mod cursor;
mod deliveries;
mod failures;
mod leads;
mod merge;
mod quarantine;
mod retention;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use uuid::Uuid;

pub use self::cursor::continues;
pub use self::failures::GroupTexts;
use super::catalog::Catalog;
use super::claims::Claims;
use super::indexed::Indexed;
use super::keys::{self, SinkNumber, SourceNumber};
use super::map::Map;
use super::place::Place;
use super::unreadable;
use crate::outbox::state::{
    Class, DeliveryHead, Details, Fault, QuarantineHead, Revision, Sinks, Tag,
};
use crate::outbox::{
    Delivery, DeliveryId, History, LeadId, Listed, Outline, OutlinedDelivery, QuarantineId,
    StateName, StoredLead, StoredQuarantinedPush,
};

/// Kind of tag by which the lead of a delivery is found.
pub const DELIVERY: u8 = 0xf2;

/// Entries looked at for one answer, at most, where not all that is looked at is shown.
const LOOKED_AT: usize = 5_000;

/// A sink that something was made for: its number and its name.
type Sink = (SinkNumber, Arc<str>);

/// How often something is looked up again that was moved before it was read.
const LOOKED_UP_AGAIN: usize = 8;

/// What was read where the index said that it lies. What was moved before is looked up and read
/// `again`.
pub(super) fn unless_moved<T>(
    read: Result<T, Fault>,
    again: impl Fn() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut got = read;
    for _ in 0..LOOKED_UP_AGAIN {
        if !matches!(got, Err(Fault::Moved(_))) {
            break;
        }
        got = again();
    }
    got
}

/// What is read from the journal. What lay in a segment that was removed meanwhile is
/// [`Fault::Moved`].
pub trait Bodies {
    /// What was pushed as a revision.
    fn lead(
        &self,
        id: LeadId,
        source: &str,
        revision: &Revision,
        place: Place,
    ) -> Result<StoredLead, Fault>;

    /// The attempts and the step record of a delivery.
    fn details(&self, lead: LeadId, delivery: DeliveryId, place: Place) -> Result<Details, Fault>;

    /// What was pushed and quarantined.
    fn quarantined(
        &self,
        id: QuarantineId,
        head: &QuarantineHead,
        place: Place,
    ) -> Result<StoredQuarantinedPush, Fault>;
}

/// What is looked up by value.
pub trait Tags {
    /// What may have that tag, at most `limit`, duplicates removed: what is not stored any more
    /// may be among them.
    fn find(&self, tag: &Tag, limit: usize) -> Result<Vec<Uuid>, Fault>;
}

/// Reads the store.
pub struct Reader<'a, M> {
    /// The index.
    pub catalog: &'a Catalog<M>,
    /// The journal.
    pub bodies: &'a dyn Bodies,
    /// The find files.
    pub tags: &'a dyn Tags,
    /// All sinks.
    pub sinks: &'a Sinks,
    /// What is in flight.
    pub claims: &'a Claims,
    /// What failure groups are called.
    pub texts: &'a GroupTexts,
}

impl<M: Map> Reader<'_, M> {
    /// The number of a sink that the store was told of; `None` if nothing was ever made for it.
    pub(super) fn sink_number(&self, name: &str) -> Result<Option<SinkNumber>, Fault> {
        let number = self.catalog.names.sinks.number(name);
        if number.is_none() && !self.sinks.contains_key(name) {
            return Err(Fault::Sink(name.to_owned()));
        }
        Ok(number)
    }

    /// The sink of that name, or all; those that nothing was ever made for are left out.
    fn sinks(&self, name: Option<&str>) -> Result<Vec<Sink>, Fault> {
        if let Some(name) = name {
            let number = self.sink_number(name)?;
            return Ok(number
                .map(|number| (number, name.into()))
                .into_iter()
                .collect());
        }
        Ok(self.catalog.names.sinks.all())
    }

    /// The lead of a delivery that is stored.
    pub(super) fn of_delivery(
        &self,
        id: DeliveryId,
    ) -> Result<Option<(SourceNumber, Indexed, LeadId)>, Fault> {
        let mut tag = [DELIVERY; 17];
        tag[1..].copy_from_slice(id.0.as_bytes());
        for lead in self.existing(&tag, 1, |lead| lead.delivery(id).is_some())? {
            if let Some((source, indexed)) = self.catalog.located(lead)? {
                return Ok(Some((source, indexed, lead)));
            }
        }
        Ok(None)
    }

    /// Leads with a tag that are stored and `wanted`, in the order they are found in.
    fn existing(
        &self,
        tag: &Tag,
        limit: usize,
        wanted: impl Fn(&Indexed) -> bool,
    ) -> Result<Vec<LeadId>, Fault> {
        let mut asked = limit.saturating_mul(2).max(4);
        loop {
            let found = self.tags.find(tag, asked)?;
            let all = found.len() < asked;
            let mut leads = Vec::new();
            for id in found.into_iter().map(LeadId) {
                if self.catalog.lead(id)?.is_some_and(|lead| wanted(&lead)) {
                    leads.push(id);
                }
            }
            if all || leads.len() >= limit {
                return Ok(leads);
            }
            asked = asked.saturating_mul(2);
        }
    }

    /// See [`crate::outbox::Operations::find`].
    pub fn find(&self, tag: &Tag, limit: usize) -> Result<Vec<LeadId>, Fault> {
        let mut leads = self.existing(tag, limit, |lead| !lead.lead.revisions.is_empty())?;
        leads.sort_unstable();
        leads.truncate(limit);
        Ok(leads)
    }

    /// Reads something of a lead where the index said that it lies. If it was moved since, it
    /// is looked up again; `None` if it has left.
    pub(super) fn read_of<T>(
        &self,
        id: LeadId,
        indexed: &Indexed,
        read: impl Fn(&Indexed) -> Result<Option<T>, Fault>,
    ) -> Result<Option<T>, Fault> {
        unless_moved(read(indexed), || match self.catalog.lead(id)? {
            Some(now) => read(&now),
            None => Ok(None),
        })
    }

    /// A revision of a lead.
    pub(super) fn revision(
        &self,
        id: LeadId,
        indexed: &Indexed,
        number: u32,
    ) -> Result<Option<StoredLead>, Fault> {
        self.read_of(id, indexed, |indexed| {
            let revisions = &indexed.lead.revisions;
            let places = &indexed.places.revisions;
            let revision = revisions.iter().find(|one| one.number == number);
            let place = places.iter().find(|(one, _)| *one == number);
            let (Some(revision), Some((_, place))) = (revision, place) else {
                return Ok(None);
            };
            let source = &indexed.lead.source;
            self.bodies.lead(id, source, revision, *place).map(Some)
        })
    }

    /// What a delivery keeps beside its head.
    pub(super) fn details(
        &self,
        lead: LeadId,
        indexed: &Indexed,
        id: DeliveryId,
    ) -> Result<Option<Details>, Fault> {
        self.read_of(lead, indexed, |indexed| {
            let Some((_, places)) = indexed.delivery(id) else {
                return Ok(None);
            };
            match places.details {
                Some(place) => self.bodies.details(lead, id, place).map(Some),
                None => Ok(Some(Details::default())),
            }
        })
    }

    /// A delivery with its attempts.
    pub fn whole(
        &self,
        lead: LeadId,
        indexed: &Indexed,
        id: DeliveryId,
    ) -> Result<Option<Delivery>, Fault> {
        let Some((head, _)) = indexed.delivery(id) else {
            return Ok(None);
        };
        let Some(details) = self.details(lead, indexed, id)? else {
            return Ok(None);
        };
        Ok(Some(details.whole(head, lead, &indexed.lead.source)))
    }

    /// What an operator calls where a delivery stands.
    fn state(&self, head: &DeliveryHead) -> StateName {
        match head.class() {
            Class::Pending | Class::Retrying if self.claims.is_claimed(head.id) => {
                StateName::InFlight
            }
            class => class.name(),
        }
    }

    fn listed(
        &self,
        lead: LeadId,
        indexed: &Indexed,
        head: &DeliveryHead,
    ) -> Result<Option<Listed>, Fault> {
        let delivery = self.whole(lead, indexed, head.id)?;
        Ok(delivery.map(|delivery| Listed {
            id: head.id,
            delivery,
            state: self.state(head),
        }))
    }

    /// See [`crate::outbox::Operations::lead`].
    pub fn lead(&self, id: LeadId, revision: u32) -> Result<Option<StoredLead>, Fault> {
        let Some(indexed) = self.catalog.lead(id)? else {
            return Ok(None);
        };
        let newest = indexed.lead.revisions.last().map_or(0, |one| one.number);
        let number = if revision == 0 { newest } else { revision };
        self.revision(id, &indexed, number)
    }

    /// See [`crate::outbox::Operations::delivery`].
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Fault> {
        match self.of_delivery(id)? {
            Some((_, indexed, lead)) => self.whole(lead, &indexed, id),
            None => Ok(None),
        }
    }

    /// See [`crate::outbox::Operations::outline`].
    pub fn outline(&self, id: LeadId) -> Result<Option<Outline>, Fault> {
        let Some(Indexed { lead, places }) = self.catalog.lead(id)? else {
            return Ok(None);
        };
        let deliveries = lead.deliveries.iter().zip(&places.deliveries);
        Ok(lead.revisions.first().map(|first| Outline {
            id,
            source: lead.source.clone(),
            revisions: lead.revisions.len(),
            first_received_at: first.received_at,
            deliveries: deliveries
                .map(|(head, places)| OutlinedDelivery {
                    sink: head.sink.clone(),
                    state: self.state(head),
                    attempts: head.attempts,
                    noted: places.details.is_some(),
                })
                .collect(),
        }))
    }

    /// See [`crate::outbox::Operations::history`].
    pub fn history(&self, id: LeadId) -> Result<Option<History>, Fault> {
        let Some(indexed) = self.catalog.lead(id)? else {
            return Ok(None);
        };
        let mut revisions = Vec::new();
        for revision in &indexed.lead.revisions {
            revisions.extend(self.revision(id, &indexed, revision.number)?);
        }
        let mut deliveries = Vec::new();
        for head in &indexed.lead.deliveries {
            deliveries.extend(self.listed(id, &indexed, head)?);
        }
        deliveries.sort_by_key(|one| (one.delivery.revision, one.id));
        Ok(Some(History {
            id,
            revisions,
            deliveries,
        }))
    }
}

/// What an entry of a list of deliveries says.
fn address(value: &[u8]) -> Result<(SourceNumber, LeadId), Fault> {
    keys::read_address(value).ok_or_else(|| unreadable("a list of deliveries"))
}
