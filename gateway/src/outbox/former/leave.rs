//! Leaving: what is removed, because its time is over or a person said so.
//!
//! A lead leaves whole: revisions, deliveries, attempts, identity and index entries. A push
//! of the same lead after that is a new lead.

use std::sync::Arc;

use uuid::Uuid;

use super::fault::Fault;
use super::group::{Group, Kept};
use super::key;
use super::record::{self, LeadRecord, QuarantineRecord, Unreadable};
use crate::clock::Millis;
use crate::outbox::{DeliveryId, LeadId, QuarantineId, Retention, State};

impl Group<'_> {
    /// Removes a lead; `false` if there is none or an attempt for it is under way.
    pub(super) fn erase(&mut self, lead: LeadId) -> Result<bool, Fault> {
        let parts = self.writes.scan(&key::lead_revisions(lead))?;
        let deliveries = self.all_of(lead)?;
        for kept in &deliveries {
            if kept.delivery.state.is_waiting() && !self.reserve(kept.id) {
                return Ok(false);
            }
        }
        if parts.is_empty() && deliveries.is_empty() {
            return Ok(false);
        }
        for kept in deliveries {
            self.unstore(&kept);
        }
        for (key, _) in self.writes.scan(&key::orders(lead))? {
            self.writes.remove(key);
        }
        let mut revisions: Vec<(&[u8], Vec<u8>)> = Vec::new();
        for (key, bytes) in &parts {
            let revision = &key[..21];
            match revisions.last_mut() {
                Some((same, whole)) if *same == revision => whole.extend_from_slice(bytes),
                _ => revisions.push((revision, bytes.to_vec())),
            }
        }
        for (_, sealed) in revisions {
            // A damaged revision leaves all the same; its index entries lead nowhere then.
            let Ok(bytes) = self.on.vault.unseal(key::LEAD, &sealed) else {
                continue;
            };
            let Ok(record) = record::decode::<LeadRecord<'_>>(&bytes) else {
                continue;
            };
            let identity = key::tag(key::IDENTITY, &record.identity);
            self.writes.remove(key::entry(&identity, lead.0));
            for tag in &record.finds {
                self.writes.remove(key::entry(tag, lead.0));
            }
        }
        self.writes.remove(key::identity(lead));
        self.unmark_unrouted(lead)?;
        for (key, _) in parts {
            self.writes.remove(key);
        }
        self.totals.leads = self.totals.leads.saturating_sub(1);
        Ok(true)
    }

    /// Removes a lead whose time is over, with how many dead letters; `None` if it is not.
    pub(super) fn expire(
        &mut self,
        lead: LeadId,
        keep: Retention,
        now: Millis,
    ) -> Result<Option<u64>, Fault> {
        let deliveries = self.all_of(lead)?;
        let Some(newest) = self.writes.scan(&key::lead_revisions(lead))?.pop() else {
            return Ok(None);
        };
        let mut last = created_at(lead).max(self.received_at(&newest.0)?);
        let mut keep_ms = keep.done_ms;
        let mut dead = 0;
        for kept in &deliveries {
            let Some(ended_at) = kept.delivery.state.ended_at() else {
                return Ok(None);
            };
            last = last.max(ended_at);
            if matches!(kept.delivery.state, State::Dead { .. }) {
                keep_ms = keep_ms.max(keep.dead_ms);
                dead += 1;
            }
        }
        let by = if dead > 0 { now.min(keep.dead_by) } else { now };
        if last.saturating_add(keep_ms) > by {
            return Ok(None);
        }
        Ok(self.erase(lead)?.then_some(dead))
    }

    /// When the revision that `key` is a part of was received; 0 if that cannot be read.
    fn received_at(&self, key: &[u8]) -> Result<Millis, Fault> {
        let mut sealed = Vec::new();
        for (_, part) in self.writes.scan(&key[..21])? {
            sealed.extend_from_slice(&part);
        }
        let opened = self.on.vault.unseal(key::LEAD, &sealed);
        Ok(opened
            .ok()
            .and_then(|bytes| {
                let record = record::decode::<LeadRecord<'_>>(&bytes).ok()?;
                Some(record.received_at)
            })
            .unwrap_or(0))
    }

    /// Removes a quarantined push with its fingerprint; `false` if it is not there.
    pub(super) fn discard(&mut self, id: QuarantineId) -> Result<bool, Fault> {
        let parts = self.writes.scan(&key::quarantine_of(id))?;
        if parts.is_empty() {
            return Ok(false);
        }
        let sealed: Vec<u8> = parts.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
        for (key, _) in parts {
            self.writes.remove(key);
        }
        if let Ok(bytes) = self.on.vault.unseal(key::QUARANTINE, &sealed)
            && let Ok(record) = record::decode::<QuarantineRecord<'_>>(&bytes)
        {
            for hash in [record.fingerprint, record.content(self.on.vault)] {
                let tag = key::tag(key::FINGERPRINT, &hash);
                self.writes.remove(key::entry(&tag, id.0));
            }
            let mut count = self.quarantine_count(record.source)?;
            count.entries = count.entries.saturating_sub(1);
            count.bytes = count.bytes.saturating_sub(record.size());
            if count.entries == 0 {
                // Everything was looked at: what was only counted is over.
                count.not_kept = 0;
            }
            self.put_quarantine_count(record.source, &count);
        }
        self.totals.in_quarantine = self.totals.in_quarantine.saturating_sub(1);
        Ok(true)
    }

    /// All deliveries of a lead that are there.
    fn all_of(&self, lead: LeadId) -> Result<Vec<Kept>, Fault> {
        let mut all = Vec::new();
        for (key, id) in self.writes.scan(&key::orders(lead))? {
            let (number, _) = key::read_order(&key).ok_or(Unreadable::Damaged)?;
            let id = DeliveryId(Uuid::from_slice(&id).map_err(|_| Unreadable::Damaged)?);
            let sink = self.on.sinks.by_number.get(&number);
            let sink = Arc::clone(sink.ok_or(Unreadable::Damaged)?);
            for room in [key::DONE, key::WAITING, key::DEAD] {
                if let Some(delivery) = self.delivery(room, number, id)? {
                    all.push(Kept { id, sink, delivery });
                    break;
                }
            }
        }
        Ok(all)
    }
}

/// The time in a lead's id.
pub(super) fn created_at(lead: LeadId) -> Millis {
    lead.0.get_timestamp().map_or(0, |at| {
        let (seconds, nanos) = at.to_unix();
        Millis::try_from(seconds).unwrap_or(0) * 1000 + Millis::from(nanos / 1_000_000)
    })
}
