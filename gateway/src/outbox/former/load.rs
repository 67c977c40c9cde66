//! Loading: exported lines become records again, as they were.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fault::Fault;
use super::group::{Group, Kept};
use super::index::Tag;
use super::key;
use super::list::decode_cursor;
use super::open::{check_format, private};
use super::record::{self, IdentityRecord, LeadRecord, QuarantineRecord};
use super::vault::Vault;
use super::{CONTENT, SledOutbox, engine};
use crate::outbox::{
    ExportHeader, Exported, ExportedLead, ExportedQuarantinedPush, ExportedRevision, Imported,
    Unavailable, UpkeepError,
};
use crate::seal::{IndexKey, OutboxKey};

/// Gives the store at `path` the index key of an export: an empty store takes it, a store with
/// leads must have it.
pub fn adopt(
    path: &Path,
    cache: usize,
    keys: &[OutboxKey],
    header: &ExportHeader,
) -> Result<(), UpkeepError> {
    let invalid = |error: &dyn std::fmt::Display| UpkeepError::Invalid(error.to_string());
    let key = hex::<32>(&header.index_key).map_err(|error| invalid(&error))?;
    std::fs::create_dir_all(path)?;
    private(path)?;
    let db = engine::open(path, cache).map_err(|error| invalid(&error))?;
    check_format(&db, path).map_err(|error| invalid(&error))?;
    let vault = Vault::open(&db, keys).map_err(Unavailable::from)?;
    if *vault.index_key().as_bytes() == key {
        return Ok(());
    }
    if [b"i", b"l", b"u"]
        .iter()
        .any(|room| db.scan_prefix(room).next().is_some())
    {
        return Err(UpkeepError::Invalid(
            "the outbox holds leads of its own, indexed with another key; import into an empty one"
                .to_owned(),
        ));
    }
    vault
        .replace_index_key(&db, &IndexKey::from_bytes(key))
        .and_then(|()| Ok(db.flush().map(drop)?))
        .map_err(Unavailable::from)?;
    Ok(())
}

impl SledOutbox {
    pub(super) fn load_all(&self, some: Vec<Exported>) -> Result<Imported, UpkeepError> {
        let mut ready = Vec::with_capacity(some.len());
        for line in some {
            let one = self.ready(line).map_err(UpkeepError::Invalid)?;
            ready.push(one);
        }
        let done = self.write_and_wait(move |group| {
            let mut done = Imported::default();
            ready
                .into_iter()
                .try_for_each(|one| group.load(one, &mut done))?;
            Ok(done)
        })?;
        Ok(done)
    }

    fn ready(&self, line: Exported) -> Result<Ready, String> {
        match line {
            Exported::Lead(lead) => {
                let revisions = lead.revisions.iter();
                let revisions = revisions.map(|revision| self.ready_revision(revision));
                let revisions = revisions.collect::<Result<Vec<_>, String>>();
                let named = |why| format!("lead {}: {why}", lead.id);
                let revisions = revisions.map_err(named)?;
                Ok(Ready::Lead(lead, revisions))
            }
            Exported::Quarantined(quarantined) => {
                let named = |why| format!("quarantined push {}: {why}", quarantined.id);
                let body = STANDARD.decode(&quarantined.body);
                let body = body.map_err(|_| named("its body is not base64".to_owned()))?;
                let fingerprint = hex(&quarantined.fingerprint).map_err(named)?;
                let record = QuarantineRecord {
                    source: &quarantined.source,
                    reason: &quarantined.reason,
                    received_at: quarantined.received_at,
                    request_id: quarantined.request_id.as_deref(),
                    query: &quarantined.query,
                    content_type: &quarantined.content_type,
                    body: &body,
                    fingerprint,
                };
                let hashes = [fingerprint, record.content(&self.vault)];
                let tags = hashes.map(|hash| key::tag(key::FINGERPRINT, &hash));
                let size = record.size();
                let sealed = record::seal(&self.vault, key::QUARANTINE, &record);
                Ok(Ready::Quarantined(quarantined, sealed, tags, size))
            }
        }
    }

    fn ready_revision(&self, revision: &ExportedRevision) -> Result<ReadyRevision, String> {
        let original = revision.original.as_ref().map(|text| STANDARD.decode(text));
        let original = original.transpose();
        let original = original.map_err(|_| "`original` is not base64".to_owned())?;
        let identity = hex(&revision.identity)?;
        let content = hex(revision.content.as_deref().unwrap_or_default())?;
        let finds: Vec<Tag> = revision
            .finds
            .iter()
            .map(|tag| hex(tag))
            .collect::<Result<_, _>>()?;
        let record = LeadRecord {
            source: &revision.source,
            received_at: revision.received_at,
            identity,
            stable: revision.stable,
            content,
            modified_at: revision.modified_at,
            request_id: revision.request_id.as_deref(),
            method: revision.method.as_deref(),
            lead: &revision.lead,
            labels: &revision.labels,
            raw: &revision.raw,
            original: original.as_deref(),
            finds: finds.clone(),
        };
        Ok(ReadyRevision {
            record: record::seal(&self.vault, key::LEAD, &record),
            identity,
            content: self.vault.index(CONTENT, &[&content]),
            finds,
        })
    }
}

enum Ready {
    Lead(ExportedLead, Vec<ReadyRevision>),
    Quarantined(ExportedQuarantinedPush, Vec<u8>, [Tag; 2], u64),
}

struct ReadyRevision {
    record: Vec<u8>,
    identity: [u8; 32],
    content: [u8; 32],
    finds: Vec<Tag>,
}

impl Group<'_> {
    fn load(&mut self, one: Ready, done: &mut Imported) -> Result<(), Fault> {
        match one {
            Ready::Lead(lead, revisions) => self.load_lead(lead, &revisions, done),
            Ready::Quarantined(quarantined, record, tags, size) => {
                if self.indexed(&tags[0])?.is_some() || self.indexed(&tags[1])?.is_some() {
                    done.quarantined_known += 1;
                    return Ok(());
                }
                self.keep(quarantined.id, &record, &tags, (&quarantined.source, size))?;
                done.quarantined += 1;
                Ok(())
            }
        }
    }

    fn load_lead(
        &mut self,
        lead: ExportedLead,
        revisions: &[ReadyRevision],
        done: &mut Imported,
    ) -> Result<(), Fault> {
        let known = match revisions.first() {
            Some(first) => {
                let tag = key::tag(key::IDENTITY, &first.identity);
                self.indexed(&tag)?.is_some()
            }
            None => true,
        };
        if known || !self.writes.scan(&key::lead_revisions(lead.id))?.is_empty() {
            done.leads_known += 1;
            return Ok(());
        }
        let mut identity = IdentityRecord::default();
        for (told, ready) in lead.revisions.iter().zip(revisions) {
            self.put_parts(&key::lead_revision(lead.id, told.revision), &ready.record);
            let tag = key::tag(key::IDENTITY, &ready.identity);
            for tag in ready.finds.iter().chain([&tag]) {
                let entry = key::entry(tag, lead.id.0);
                self.writes.put(entry, b"".as_slice());
            }
            identity.add(
                told.revision,
                ready.content,
                told.modified_at,
                told.received_at,
            );
            self.writes.put(key::identity(lead.id), identity.encode());
            self.totals.accepted += 1;
            self.totals.latest = self.totals.latest.max(told.received_at);
        }
        if lead.deliveries.is_empty() {
            self.mark_unrouted(lead.id);
        }
        for told in lead.deliveries {
            let sink = self.on.sinks.named(&told.delivery.sink)?;
            let order = key::order(lead.id, sink.number, told.delivery.revision);
            self.writes.put(order, told.id.0.as_bytes().as_slice());
            let (id, sink) = (told.id, Arc::clone(&sink));
            let delivery = told.delivery;
            self.store(&Kept { id, sink, delivery });
            done.deliveries += 1;
        }
        self.totals.leads += 1;
        done.leads += 1;
        Ok(())
    }
}

fn hex<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let bytes = decode_cursor(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| "a hash is damaged".to_owned())
}
