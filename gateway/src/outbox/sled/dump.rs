//! Dumping: everything that is stored, as exported lines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::SledOutbox;
use super::fault::Fault;
use super::key;
use super::list::{Reader, encode_cursor};
use super::record::{self, LeadRecord, SuspectRecord, Unreadable};
use super::survey::sink_at;
use super::whole::{Whole, gather};
use crate::outbox::{
    EXPORT_VERSION, ExportHeader, Exported, ExportedDelivery, ExportedLead, ExportedRevision,
    ExportedSuspect, LeadId, QuarantineId, Unavailable, UpkeepError,
};

type Each<'a> = &'a mut dyn FnMut(Exported) -> std::io::Result<()>;

impl SledOutbox {
    pub(super) fn header(&self) -> ExportHeader {
        ExportHeader {
            leadgate_export: EXPORT_VERSION,
            index_key: encode_cursor(self.vault.index_key().as_bytes()),
        }
    }

    pub(super) fn dump_all(&self, each: Each<'_>) -> Result<(), UpkeepError> {
        // Where the lines go may fail in the middle of a walk through the tree.
        let mut broken = None;
        let walked = self.reader.dump(&mut |line| {
            each(line).map_err(|error| {
                broken = Some(error);
                Fault::from(Unreadable::Damaged)
            })
        });
        match (broken, walked) {
            (Some(error), _) => Err(UpkeepError::File(error)),
            (None, walked) => Ok(walked.map_err(Unavailable::from)?),
        }
    }
}

impl Reader {
    fn dump(&self, each: &mut dyn FnMut(Exported) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut open: Option<ExportedLead> = None;
        gather(&self.tree, key::LEAD, |whole| {
            let id = key::id_after_room(&whole.name).map(LeadId);
            let id = id.ok_or(Unreadable::Damaged)?;
            let revision = self.exported(&whole)?;
            match &mut open {
                Some(lead) if lead.id == id => lead.revisions.push(revision),
                _ => {
                    let next = ExportedLead {
                        id,
                        revisions: vec![revision],
                        deliveries: Vec::new(),
                    };
                    if let Some(lead) = open.replace(next) {
                        each(self.with_deliveries(lead)?)?;
                    }
                }
            }
            Ok(())
        })?;
        if let Some(lead) = open {
            each(self.with_deliveries(lead)?)?;
        }
        gather(&self.tree, key::SUSPECT, |whole| {
            each(Exported::Suspect(self.exported_suspect(&whole)?))
        })
    }

    fn with_deliveries(&self, mut lead: ExportedLead) -> Result<Exported, Fault> {
        lead.deliveries = self
            .deliveries_of(lead.id)?
            .into_iter()
            .map(|(id, delivery)| ExportedDelivery { id, delivery })
            .collect();
        Ok(Exported::Lead(lead))
    }

    fn exported(&self, whole: &Whole) -> Result<ExportedRevision, Fault> {
        let bytes = self.vault.unseal(key::LEAD, &whole.bytes)?;
        let lead: LeadRecord<'_> = record::decode(&bytes)?;
        Ok(ExportedRevision {
            revision: sink_at(&whole.name, 17).ok_or(Unreadable::Damaged)?,
            source: lead.source.to_owned(),
            received_at: lead.received_at,
            identity: encode_cursor(&lead.identity),
            stable: lead.stable,
            content: encode_cursor(&lead.content),
            modified_at: lead.modified_at,
            request_id: lead.request_id.map(str::to_owned),
            method: lead.method.map(str::to_owned),
            lead: lead.lead.to_owned(),
            labels: lead.labels.to_owned(),
            raw: lead.raw.to_owned(),
            original: lead.original.map(|bytes| STANDARD.encode(bytes)),
            finds: lead.finds.iter().map(|tag| encode_cursor(tag)).collect(),
        })
    }

    fn exported_suspect(&self, whole: &Whole) -> Result<ExportedSuspect, Fault> {
        let id = key::id_after_room(&whole.name).map(QuarantineId);
        let bytes = self.vault.unseal(key::SUSPECT, &whole.bytes)?;
        let suspect: SuspectRecord<'_> = record::decode(&bytes)?;
        Ok(ExportedSuspect {
            id: id.ok_or(Unreadable::Damaged)?,
            source: suspect.source.to_owned(),
            reason: suspect.reason.to_owned(),
            received_at: suspect.received_at,
            request_id: suspect.request_id.map(str::to_owned),
            query: suspect.query.to_owned(),
            content_type: suspect.content_type.to_owned(),
            body: STANDARD.encode(suspect.body),
            fingerprint: encode_cursor(&suspect.fingerprint),
        })
    }
}
