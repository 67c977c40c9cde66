//! Loading: exported lines become changes again, ids and states as they were.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leadgate_plugin::unhex;

use super::SledOutbox;
use super::body::{LeadBody, QuarantineBody, Whole};
use super::find;
use crate::outbox::state::{
    Change, DeliveryHead, Details, Done, QuarantineHead, Record, Revision, Tag,
};
use crate::outbox::{
    Exported, ExportedLead, ExportedQuarantinedPush, ExportedRevision, Imported, LeadId,
    UpkeepError,
};

impl SledOutbox {
    pub(super) fn load_all(&self, some: Vec<Exported>) -> Result<Imported, UpkeepError> {
        let mut changes = Vec::with_capacity(some.len());
        // How many deliveries a lead has.
        let mut told = Vec::with_capacity(some.len());
        let mut audit = Vec::new();
        for line in some {
            let (what, deliveries, records) = match line {
                Exported::Lead(lead) => {
                    let deliveries = lead.deliveries.len() as u64;
                    let what = format!("lead {}", lead.id);
                    (what, Some(deliveries), self.loaded(lead))
                }
                Exported::Quarantined(push) => {
                    let what = format!("quarantined push {}", push.id);
                    let record = self.loaded_quarantined(&push);
                    (what, None, record.map(|record| vec![record]))
                }
                Exported::Audit(entry) => {
                    audit.push(entry);
                    continue;
                }
            };
            let records = records.map_err(|why| UpkeepError::Invalid(format!("{what}: {why}")))?;
            changes.push(Change::Load(records));
            told.push(deliveries);
        }
        let mut done = Imported::default();
        for (gave, deliveries) in self.change_all(changes)?.into_iter().zip(told) {
            match (deliveries, gave == Done::Did(true)) {
                (Some(deliveries), true) => {
                    done.leads += 1;
                    done.deliveries += deliveries;
                }
                (Some(_), false) => done.leads_known += 1,
                (None, true) => done.quarantined += 1,
                (None, false) => done.quarantined_known += 1,
            }
        }
        let came = audit.len() as u64;
        done.audit = self.audit.import(audit)?;
        done.audit_known = came - done.audit;
        Ok(done)
    }

    fn loaded(&self, lead: ExportedLead) -> Result<Vec<Record>, String> {
        let mut records = Vec::new();
        let mut newest = None;
        let numbers = lead.revisions.iter().map(|told| told.revision);
        let oldest = numbers.min().unwrap_or(1);
        for told in &lead.revisions {
            let history = told.modified_at.is_some() && told.modified_at < newest;
            newest = newest.max(told.modified_at);
            records.push(self.loaded_revision(lead.id, told, (history, oldest))?);
        }
        records.extend(lead.deliveries.into_iter().map(|told| Record::Delivery {
            lead: lead.id,
            delivery: DeliveryHead::of(told.id, &told.delivery, None),
            details: Some(Details {
                history: told.delivery.history,
                journal: told.delivery.journal,
            }),
        }));
        Ok(records)
    }

    fn loaded_revision(
        &self,
        lead: LeadId,
        revision: &ExportedRevision,
        (history, oldest): (bool, u32),
    ) -> Result<Record, String> {
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
        Ok(Record::Revision {
            lead,
            source: revision.source.clone(),
            body: self.vault.codec.seal_lead(&body, &identity, &content),
            identity,
            revision: Revision {
                number: revision.revision,
                content,
                modified_at: revision.modified_at,
                history,
                received_at: revision.received_at,
                pushed_at: revision.received_at,
                oldest,
            },
            finds: finds.collect::<Result<_, String>>()?,
        })
    }

    fn loaded_quarantined(&self, push: &ExportedQuarantinedPush) -> Result<Record, String> {
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
        Ok(Record::Quarantined {
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
