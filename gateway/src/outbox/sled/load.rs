//! Loading: exported lines become changes again, ids and states as they were.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leadgate_plugin::unhex;

use super::SledOutbox;
use super::body::{LeadBody, QuarantineBody, Whole};
use super::find;
use crate::outbox::state::{
    Change, DeliveryHead, Details, Done, LoadedDelivery, LoadedLead, LoadedQuarantined,
    LoadedRevision, QuarantineHead, Tag,
};
use crate::outbox::{
    Exported, ExportedLead, ExportedQuarantinedPush, ExportedRevision, Imported, UpkeepError,
};

impl SledOutbox {
    pub(super) fn load_all(&self, some: Vec<Exported>) -> Result<Imported, UpkeepError> {
        let mut changes = Vec::with_capacity(some.len());
        let mut deliveries = Vec::with_capacity(some.len());
        for line in some {
            let change = match line {
                Exported::Lead(lead) => {
                    deliveries.push(lead.deliveries.len() as u64);
                    let id = lead.id;
                    let named = |why| UpkeepError::Invalid(format!("lead {id}: {why}"));
                    Change::LoadLead(self.loaded(lead).map_err(named)?)
                }
                Exported::Quarantined(push) => {
                    deliveries.push(0);
                    let id = push.id;
                    let named = |why| UpkeepError::Invalid(format!("quarantined push {id}: {why}"));
                    Change::LoadQuarantined(self.loaded_quarantined(&push).map_err(named)?)
                }
            };
            changes.push(change);
        }
        let mut done = Imported::default();
        let are_leads: Vec<bool> = changes
            .iter()
            .map(|change| matches!(change, Change::LoadLead(_)))
            .collect();
        let gave = self.change_all(changes)?;
        for ((gave, is_lead), deliveries) in gave.into_iter().zip(are_leads).zip(deliveries) {
            let new = gave == Done::Did(true);
            match (is_lead, new) {
                (true, true) => {
                    done.leads += 1;
                    done.deliveries += deliveries;
                }
                (true, false) => done.leads_known += 1,
                (false, true) => done.quarantined += 1,
                (false, false) => done.quarantined_known += 1,
            }
        }
        Ok(done)
    }

    fn loaded(&self, lead: ExportedLead) -> Result<LoadedLead, String> {
        let source = lead.revisions.first().map(|first| first.source.as_str());
        let revisions = lead.revisions.iter();
        let revisions = revisions.map(|revision| self.loaded_revision(revision));
        let deliveries = lead.deliveries.into_iter().map(|told| LoadedDelivery {
            head: DeliveryHead::of(told.id, &told.delivery, None),
            details: Details {
                history: told.delivery.history,
                journal: told.delivery.journal,
            },
        });
        Ok(LoadedLead {
            id: lead.id,
            source: source.unwrap_or_default().into(),
            revisions: revisions.collect::<Result<_, String>>()?,
            deliveries: deliveries.collect(),
        })
    }

    fn loaded_revision(&self, revision: &ExportedRevision) -> Result<LoadedRevision, String> {
        let original = revision.original.as_ref().map(|text| STANDARD.decode(text));
        let original = original.transpose();
        let original = original.map_err(|_| "`original` is not base64".to_owned())?;
        let content = match &revision.content {
            Some(content) => self.vault.content(&hash::<32>(content)?),
            None => hash(&revision.keyed_content)?,
        };
        // As a store of before gave it, or without what is never looked at.
        let identity = hash::<32>(&revision.identity)
            .map(|hash| find::tag(find::IDENTITY, &hash))
            .or_else(|_| hash(&revision.identity))?;
        let finds = revision.finds.iter().map(|tag| hash(tag));
        let body = LeadBody {
            stable: revision.stable,
            request_id: revision.request_id.as_deref(),
            method: revision.method.as_deref(),
            lead: &revision.lead,
            labels: &revision.labels,
            raw: &revision.raw,
            original: original.as_deref().map(Whole),
        };
        Ok(LoadedRevision {
            number: revision.revision,
            body: self.vault.codec.seal_lead(&body, &identity, &content),
            identity,
            content,
            modified_at: revision.modified_at,
            received_at: revision.received_at,
            finds: finds.collect::<Result<_, String>>()?,
        })
    }

    fn loaded_quarantined(
        &self,
        push: &ExportedQuarantinedPush,
    ) -> Result<LoadedQuarantined, String> {
        let bytes = STANDARD.decode(&push.body);
        let bytes = bytes.map_err(|_| "its body is not base64".to_owned())?;
        let body = QuarantineBody {
            reason: &push.reason,
            request_id: push.request_id.as_deref(),
            query: &push.query,
            content_type: &push.content_type,
            body: &bytes,
        };
        let content = self.vault.quarantined_content(&push.source, &body);
        let signed = hash::<32>(&push.fingerprint)
            .map(|hash| find::tag(find::FINGERPRINT, &hash))
            .or_else(|_| hash::<17>(&push.fingerprint))?;
        let tags: [Tag; 2] = [signed, find::tag(find::FINGERPRINT, &content)];
        Ok(LoadedQuarantined {
            id: push.id,
            body: self.vault.codec.seal_quarantine(&body, &tags),
            head: QuarantineHead {
                source: push.source.clone(),
                size: (bytes.len() + push.query.len()) as u64,
                received_at: push.received_at,
                tags,
            },
        })
    }
}

fn hash<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let bytes = unhex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "a hash is damaged".to_owned())
}
