//! Dumping: everything that is stored, as exported lines.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::SledOutbox;
use super::fault::Fault;
use super::key;
use super::list::{Reader, encode_cursor};
use super::record::{self, LeadRecord, QuarantineRecord, Unreadable};
use super::survey::sink_at;
use super::whole::{Whole, gather};
use crate::outbox::{
    EXPORT_VERSION, ExportHeader, Exported, ExportedDelivery, ExportedLead,
    ExportedQuarantinedPush, ExportedRevision, LeadId, QuarantineId, Unavailable, UpkeepError,
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
        gather(&self.tree, key::QUARANTINE, |whole| {
            each(Exported::Quarantined(self.exported_quarantined(&whole)?))
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
            content: Some(encode_cursor(&lead.content)),
            keyed_content: String::new(),
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

    fn exported_quarantined(&self, whole: &Whole) -> Result<ExportedQuarantinedPush, Fault> {
        let id = key::id_after_room(&whole.name).map(QuarantineId);
        let bytes = self.vault.unseal(key::QUARANTINE, &whole.bytes)?;
        let quarantined: QuarantineRecord<'_> = record::decode(&bytes)?;
        Ok(ExportedQuarantinedPush {
            id: id.ok_or(Unreadable::Damaged)?,
            source: quarantined.source.to_owned(),
            reason: quarantined.reason.to_owned(),
            received_at: quarantined.received_at,
            request_id: quarantined.request_id.map(str::to_owned),
            query: quarantined.query.to_owned(),
            content_type: quarantined.content_type.to_owned(),
            body: STANDARD.encode(quarantined.body),
            fingerprint: encode_cursor(&quarantined.fingerprint),
        })
    }
}
