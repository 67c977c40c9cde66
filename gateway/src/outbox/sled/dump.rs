//! Dumping: everything that is stored, as exported lines.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leadgate_plugin::hex;

use super::SledOutbox;
use super::bodies::NotRead;
use super::body::QuarantineBody;
use super::indexed::Indexed;
use super::reader::LOOKED_UP_AGAIN;
use crate::outbox::state::{QuarantineHead, Record};
use crate::outbox::{
    Delivery, EXPORT_VERSION, ExportHeader, Exported, ExportedDelivery, ExportedLead,
    ExportedQuarantinedPush, ExportedRevision, LeadFilter, LeadId, QuarantineId, Unavailable,
    UpkeepError,
};

/// Leads that are listed at once.
const LISTED: usize = 500;

type Each<'a> = &'a mut dyn FnMut(Exported) -> io::Result<()>;

impl SledOutbox {
    pub(super) fn header(&self) -> ExportHeader {
        ExportHeader {
            leadgate_export: EXPORT_VERSION,
            index_key: hex(self.vault.index.as_bytes()),
        }
    }

    pub(super) fn dump_all(&self, each: Each<'_>) -> Result<(), UpkeepError> {
        let filter = LeadFilter::default();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .reads
                .ask(|reader| reader.leads(&filter, after.as_deref(), LISTED))?;
            for id in page.items {
                if let Some(lead) = self.exported(id)? {
                    each(Exported::Lead(lead))?;
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        loop {
            let page = self
                .reads
                .ask(|reader| reader.quarantined_ids(after.as_deref(), LISTED))?;
            for id in page.items {
                if let Some(push) = self.exported_quarantined(id)? {
                    each(Exported::Quarantined(push))?;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn exported(&self, id: LeadId) -> Result<Option<ExportedLead>, Unavailable> {
        let unavailable =
            |error: &dyn std::fmt::Display| Unavailable(format!("lead {id}: {error}"));
        let mut again = LOOKED_UP_AGAIN;
        loop {
            let indexed = self.reads.catalog()?.lead(id);
            // It may have left since it was listed.
            let Some(indexed) = indexed.map_err(|error| unavailable(&error))? else {
                return Ok(None);
            };
            let revisions = self.revisions(&indexed);
            let read = revisions.and_then(|revisions| {
                Ok(ExportedLead {
                    id,
                    revisions,
                    deliveries: self.deliveries_of(id, &indexed)?,
                })
            });
            match read {
                // Or been moved.
                Err(error) if error.is_gone() && again > 0 => again -= 1,
                read => return read.map(Some).map_err(|error| unavailable(&error)),
            }
        }
    }

    fn revisions(&self, indexed: &Indexed) -> Result<Vec<ExportedRevision>, NotRead> {
        let mut revisions = Vec::with_capacity(indexed.places.revisions.len());
        for (number, place) in &indexed.places.revisions {
            let exported = self.reads.bodies.revision(*place, |record, body| {
                let Record::Revision {
                    source,
                    identity,
                    revision,
                    finds,
                    ..
                } = record
                else {
                    return None;
                };
                Some(ExportedRevision {
                    revision: *number,
                    source: source.clone(),
                    received_at: revision.received_at,
                    identity: hex(identity),
                    stable: body.stable,
                    content: None,
                    keyed_content: hex(&revision.content),
                    modified_at: revision.modified_at,
                    request_id: body.request_id.map(str::to_owned),
                    method: body.method.map(str::to_owned),
                    lead: body.lead.to_owned(),
                    labels: body.labels.to_owned(),
                    raw: body.raw.to_owned(),
                    original: body.original.map(|original| STANDARD.encode(original.0)),
                    finds: finds.iter().map(|tag| hex(tag)).collect(),
                })
            })?;
            revisions.extend(exported);
        }
        Ok(revisions)
    }

    fn deliveries_of(
        &self,
        id: LeadId,
        indexed: &Indexed,
    ) -> Result<Vec<ExportedDelivery>, NotRead> {
        let all = indexed
            .lead
            .deliveries
            .iter()
            .zip(&indexed.places.deliveries);
        all.map(|(head, places)| {
            let details = places.details.map(|place| self.reads.bodies.details(place));
            let details = details.transpose()?.unwrap_or_default();
            Ok(ExportedDelivery {
                id: head.id,
                delivery: Delivery {
                    sink: head.sink.clone(),
                    source: indexed.lead.source.clone(),
                    lead: id,
                    revision: head.revision,
                    created_at: head.created_at,
                    state: head.state.clone(),
                    attempts: head.attempts,
                    budget: head.budget,
                    fallback_of: head.fallback_of,
                    history: details.history,
                    journal: details.journal,
                },
            })
        })
        .collect()
    }

    fn exported_quarantined(
        &self,
        id: QuarantineId,
    ) -> Result<Option<ExportedQuarantinedPush>, Unavailable> {
        let unavailable =
            |error: &dyn std::fmt::Display| Unavailable(format!("quarantined push {id}: {error}"));
        let exported = |head: &QuarantineHead, body: &QuarantineBody<'_>| ExportedQuarantinedPush {
            id,
            source: head.source.clone(),
            reason: body.reason.to_owned(),
            received_at: head.received_at,
            request_id: body.request_id.map(str::to_owned),
            query: body.query.to_owned(),
            content_type: body.content_type.to_owned(),
            body: STANDARD.encode(body.body),
            fingerprint: hex(&head.tags[0]),
        };
        let mut again = LOOKED_UP_AGAIN;
        loop {
            let indexed = self.reads.catalog()?.quarantined(id);
            let Some(indexed) = indexed.map_err(|error| unavailable(&error))? else {
                return Ok(None);
            };
            match self.reads.bodies.quarantined(indexed.place, exported) {
                Err(error) if error.is_gone() && again > 0 => again -= 1,
                read => return read.map(Some).map_err(|error| unavailable(&error)),
            }
        }
    }
}
