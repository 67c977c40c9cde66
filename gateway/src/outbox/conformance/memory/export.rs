//! Exports and imports: everything as lines, and back.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::body::{LeadBody, QuarantineBody, decode, encode, hex, identity_tag};
use super::store::{Inner, MemoryOutbox};
use crate::outbox::state::{
    Change, DeliveryHead, Details, Done, Lead, LoadedDelivery, LoadedLead, LoadedQuarantined,
    LoadedRevision, QuarantineHead,
};
use crate::outbox::{
    Exported, ExportedDelivery, ExportedLead, ExportedQuarantinedPush, ExportedRevision, Imported,
    LeadId, UpkeepError,
};
use crate::seal::IndexKey;

impl Inner {
    pub(super) fn exported(&self) -> Vec<Exported> {
        let stored = self.read();
        let leads = stored.memory.leads.iter().map(|(id, lead)| {
            let deliveries = lead.deliveries.iter().map(|head| ExportedDelivery {
                id: head.id,
                delivery: stored.whole(*id, lead, head),
            });
            Exported::Lead(ExportedLead {
                id: *id,
                revisions: revisions(&stored.memory.bodies, *id, lead),
                deliveries: deliveries.collect(),
            })
        });
        let aside = stored.memory.quarantine.iter().map(|(id, (head, body))| {
            let body: QuarantineBody = decode(body);
            Exported::Quarantined(ExportedQuarantinedPush {
                id: *id,
                source: head.source.clone(),
                reason: body.reason,
                received_at: head.received_at,
                request_id: body.request_id,
                query: body.query,
                content_type: body.content_type,
                body: STANDARD.encode(body.body),
                fingerprint: leadgate_plugin::hex(&body.fingerprint),
            })
        });
        leads.chain(aside).collect()
    }
}

fn revisions(
    bodies: &BTreeMap<(LeadId, u32), Bytes>,
    id: LeadId,
    lead: &Lead,
) -> Vec<ExportedRevision> {
    let revisions = lead.revisions.iter().map(|one| {
        let body: LeadBody = decode(&bodies[&(id, one.number)]);
        ExportedRevision {
            revision: one.number,
            source: lead.source.clone(),
            received_at: one.received_at,
            identity: leadgate_plugin::hex(&body.identity),
            stable: body.stable,
            content: None,
            keyed_content: leadgate_plugin::hex(&one.content),
            modified_at: one.modified_at,
            request_id: body.request_id,
            method: body.method,
            lead: body.lead,
            labels: body.labels,
            raw: body.raw,
            original: body.original.map(|bytes| STANDARD.encode(bytes)),
            finds: body
                .finds
                .iter()
                .map(|tag| leadgate_plugin::hex(tag))
                .collect(),
        }
    });
    revisions.collect()
}

impl MemoryOutbox {
    /// Blocks.
    pub(super) fn import(&self, some: Vec<Exported>) -> Result<Imported, UpkeepError> {
        let key = self.inner.index_key();
        let changes = some.into_iter().map(|line| match line {
            Exported::Lead(lead) => loaded(lead),
            Exported::Quarantined(push) => loaded_push(&key, push),
        });
        let changes = changes.collect::<Result<Vec<_>, String>>();
        let changes = changes.map_err(UpkeepError::Invalid)?;
        let is: Vec<Option<u64>> = changes
            .iter()
            .map(|change| match change {
                Change::LoadLead(lead) => Some(lead.deliveries.len() as u64),
                _ => None,
            })
            .collect();
        let mut done = Imported::default();
        for (deliveries, became) in is.into_iter().zip(self.make(changes)?) {
            match (deliveries, became == Done::Did(true)) {
                (Some(deliveries), true) => {
                    done.leads += 1;
                    done.deliveries += deliveries;
                }
                (Some(_), false) => done.leads_known += 1,
                (None, true) => done.quarantined += 1,
                (None, false) => done.quarantined_known += 1,
            }
        }
        Ok(done)
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|_| "not base64".to_owned())
}

fn loaded(lead: ExportedLead) -> Result<Change, String> {
    let source = lead.revisions.first().map(|one| one.source.as_str().into());
    let revisions = lead.revisions.into_iter().map(|one| {
        let finds = one.finds.iter().map(|tag| hex(tag));
        let body = LeadBody {
            identity: hex(&one.identity)?,
            stable: one.stable,
            request_id: one.request_id,
            method: one.method,
            lead: one.lead,
            labels: one.labels,
            raw: one.raw,
            original: one.original.as_deref().map(bytes).transpose()?,
            finds: finds.collect::<Result<_, String>>()?,
        };
        Ok(LoadedRevision {
            number: one.revision,
            identity: identity_tag(&body.identity),
            content: hex(one.content.as_deref().unwrap_or(&one.keyed_content))?,
            modified_at: one.modified_at,
            received_at: one.received_at,
            finds: body.finds.clone(),
            body: encode(&body),
        })
    });
    let deliveries = lead.deliveries.into_iter().map(|one| LoadedDelivery {
        head: DeliveryHead::of(one.id, &one.delivery, None),
        details: Details {
            history: one.delivery.history,
            journal: one.delivery.journal,
        },
    });
    Ok(Change::LoadLead(LoadedLead {
        id: lead.id,
        source: source.ok_or("a lead without a revision")?,
        revisions: revisions.collect::<Result<_, String>>()?,
        deliveries: deliveries.collect(),
    }))
}

fn loaded_push(key: &IndexKey, push: ExportedQuarantinedPush) -> Result<Change, String> {
    let body = QuarantineBody {
        reason: push.reason,
        request_id: push.request_id,
        query: push.query,
        content_type: push.content_type,
        body: bytes(&push.body)?,
        fingerprint: hex(&push.fingerprint)?,
    };
    Ok(Change::LoadQuarantined(LoadedQuarantined {
        id: push.id,
        head: QuarantineHead {
            size: body.size(),
            tags: body.tags(key, &push.source),
            source: push.source,
            received_at: push.received_at,
        },
        body: encode(&body),
    }))
}
