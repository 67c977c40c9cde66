//! Bodies: what was pushed and what attempts said, read from the journal and opened.

use std::sync::Arc;

use super::body::{LeadBody, QuarantineBody};
use super::codec::{Entry, Unreadable};
use super::journal::{JournalError, Reader};
use super::place::Place;
use super::reader;
use crate::outbox::state::{Change, Details, Fault, QuarantineHead, Record, Revision};
use crate::outbox::{DeliveryId, LeadId, QuarantineId, StoredLead, StoredQuarantinedPush};

/// Reads records by their places.
pub(super) struct Bodies(Arc<Reader>);

/// Why a record was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotRead {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("segment {} at byte {}: {why}", .place.segment, .place.offset)]
    Record { place: Place, why: Unreadable },
    #[error("segment {} at byte {}: there is another record", .0.segment, .0.offset)]
    Other(Place),
}

impl From<NotRead> for Fault {
    fn from(error: NotRead) -> Self {
        let why = error.to_string();
        if error.is_gone() {
            Self::Moved(why)
        } else {
            Self::Record(why)
        }
    }
}

impl NotRead {
    /// Whether the segment was removed: what counted in it lies elsewhere by now.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Journal(error) if error.is_gone())
    }
}

impl Bodies {
    pub(super) fn new(journal: Arc<Reader>) -> Self {
        Self(journal)
    }

    /// The journal itself.
    pub(super) fn journal(&self) -> &Reader {
        &self.0
    }

    fn entry(&self, place: Place) -> Result<Entry, NotRead> {
        let bytes = self.0.read(place)?;
        let entry = self.0.codec().decode(&bytes);
        entry.map_err(|why| NotRead::Record { place, why })
    }

    /// What is to become of a push that was deferred.
    pub(super) fn arrived(&self, place: Place) -> Result<Change, NotRead> {
        match self.entry(place)? {
            Entry::ArrivedLead(lead) => Ok(Change::Accept(lead)),
            Entry::ArrivedPush(push) => Ok(Change::Quarantine(push)),
            _ => Err(NotRead::Other(place)),
        }
    }

    /// What a delivery keeps beside its head.
    pub(super) fn details(&self, place: Place) -> Result<Details, NotRead> {
        match self.entry(place)? {
            Entry::Record {
                record: Record::Delivery { details, .. },
                ..
            } => Ok(details.unwrap_or_default()),
            _ => Err(NotRead::Other(place)),
        }
    }

    /// A revision as an export shows it, with what it is found by.
    pub(super) fn revision<T>(
        &self,
        place: Place,
        read: impl FnOnce(&Record, &LeadBody<'_>) -> T,
    ) -> Result<T, NotRead> {
        let unreadable = |why| NotRead::Record { place, why };
        let Entry::Record { record, .. } = self.entry(place)? else {
            return Err(NotRead::Other(place));
        };
        let Record::Revision {
            identity,
            revision,
            body,
            ..
        } = &record
        else {
            return Err(NotRead::Other(place));
        };
        let codec = self.0.codec();
        let plain = codec.open_lead(body, identity, &revision.content);
        let plain = plain.map_err(unreadable)?;
        let body = LeadBody::decode(&plain).map_err(unreadable)?;
        Ok(read(&record, &body))
    }

    /// A quarantined push.
    pub(super) fn quarantined<T>(
        &self,
        place: Place,
        read: impl FnOnce(&QuarantineHead, &QuarantineBody<'_>) -> T,
    ) -> Result<T, NotRead> {
        let unreadable = |why| NotRead::Record { place, why };
        let Entry::Record {
            record: Record::Quarantined { head, body, .. },
            ..
        } = self.entry(place)?
        else {
            return Err(NotRead::Other(place));
        };
        let plain = self.0.codec().open_quarantine(&body, &head.tags);
        let plain = plain.map_err(unreadable)?;
        let body = QuarantineBody::decode(&plain).map_err(unreadable)?;
        Ok(read(&head, &body))
    }
}

impl reader::Bodies for Bodies {
    fn lead(
        &self,
        id: LeadId,
        source: &str,
        revision: &Revision,
        place: Place,
    ) -> Result<StoredLead, Fault> {
        let stored = self.revision(place, |_, body| StoredLead {
            id,
            revision: revision.number,
            source: source.to_owned(),
            received_at: revision.received_at,
            lead: body.lead.to_owned(),
            labels: body.labels.to_owned(),
            raw: body.raw.to_owned(),
            original: body.original.map(|original| original.0.to_vec()),
        });
        Ok(stored?)
    }

    fn details(&self, _: LeadId, _: DeliveryId, place: Place) -> Result<Details, Fault> {
        Ok(Bodies::details(self, place)?)
    }

    fn quarantined(
        &self,
        id: QuarantineId,
        head: &QuarantineHead,
        place: Place,
    ) -> Result<StoredQuarantinedPush, Fault> {
        let stored = Bodies::quarantined(self, place, |_, body| StoredQuarantinedPush {
            id,
            source: head.source.clone(),
            reason: body.reason.to_owned(),
            received_at: head.received_at,
            request_id: body.request_id.map(str::to_owned),
            query: body.query.to_owned(),
            content_type: body.content_type.to_owned(),
            body: body.body.to_vec(),
        });
        Ok(stored?)
    }
}
