//! Dumping: everything that is stored, as exported lines.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leadgate_plugin::hex;

use super::SledOutbox;
use super::bodies::NotRead;
use super::body::QuarantineBody;
use super::indexed::Indexed;
use super::reader::unless_moved;
use crate::outbox::state::{Fault, QuarantineHead, Record};
use crate::outbox::{
    EXPORT_VERSION, ExportHeader, Exported, ExportedDelivery, ExportedLead,
    ExportedQuarantinedPush, ExportedRevision, LeadFilter, LeadId, Page, QuarantineId, Unavailable,
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
        let leads = |after: Option<&str>| {
            self.reads
                .ask(|reader| reader.leads(&filter, after, LISTED))
        };
        all(leads, |id| match self.exported(id)? {
            Some(lead) => Ok(each(Exported::Lead(lead))?),
            None => Ok(()),
        })?;
        let pushes = |after: Option<&str>| {
            self.reads
                .ask(|reader| reader.quarantined_ids(after, LISTED))
        };
        all(pushes, |id| match self.exported_quarantined(id)? {
            Some(push) => Ok(each(Exported::Quarantined(push))?),
            None => Ok(()),
        })?;
        let log = self.audit.log();
        let _all = log.all();
        log.each(&mut |entry| each(Exported::Audit(entry)))
    }

    fn exported(&self, id: LeadId) -> Result<Option<ExportedLead>, Unavailable> {
        let exported = self.reads.ask(|reader| {
            // It may have left since it was listed.
            let Some(indexed) = reader.catalog.lead(id)? else {
                return Ok(None);
            };
            let heads = indexed.lead.deliveries.iter();
            let deliveries = heads.filter_map(|head| {
                let delivery = reader.whole(id, &indexed, head.id).transpose()?;
                Some(delivery.map(|delivery| ExportedDelivery {
                    id: head.id,
                    delivery,
                }))
            });
            let deliveries = deliveries.collect::<Result<_, Fault>>()?;
            let revisions = |indexed: &Indexed| Ok(Some(self.revisions(indexed)?));
            let revisions = reader.read_of(id, &indexed, revisions)?;
            Ok(revisions.map(|revisions| ExportedLead {
                id,
                revisions,
                deliveries,
            }))
        });
        exported.map_err(|Unavailable(why)| Unavailable(format!("lead {id}: {why}")))
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

    fn exported_quarantined(
        &self,
        id: QuarantineId,
    ) -> Result<Option<ExportedQuarantinedPush>, Unavailable> {
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
        let catalog = self.reads.catalog()?;
        let read = || {
            let Some(indexed) = catalog.quarantined(id)? else {
                return Ok(None);
            };
            let pushed = self.reads.bodies.quarantined(indexed.place, exported);
            Ok(Some(pushed?))
        };
        let pushed: Result<_, Fault> = unless_moved(read(), read);
        pushed.map_err(|error| Unavailable(format!("quarantined push {id}: {error}")))
    }
}

/// Gives all of a list to `each`, page by page.
fn all<T>(
    page: impl Fn(Option<&str>) -> Result<Page<T>, Unavailable>,
    mut each: impl FnMut(T) -> Result<(), UpkeepError>,
) -> Result<(), UpkeepError> {
    let mut after: Option<String> = None;
    loop {
        let page = page(after.as_deref())?;
        page.items.into_iter().try_for_each(&mut each)?;
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
