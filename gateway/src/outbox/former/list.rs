//! Reading: what the operators and the upkeep ask of the store, and what all readers share.
//! Straight from the tree, from any thread; how much one call reads is bounded.

use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use ::sled::Tree;
use uuid::Uuid;

use super::claims::Claims;
use super::fault::Fault;
use super::group::Sinks;
use super::index::{Index, Tag};
use super::key::{self, SinkNumber};
use super::leave::created_at;
use super::record::{self, LeadRecord, QuarantineRecord, Unreadable};
use super::vault::Vault;
use crate::clock::Millis;
use crate::outbox::{
    Delivery, DeliveryId, Expiring, Filter, History, LeadFilter, LeadId, Listed, Page, Paged,
    Pause, QuarantineCount, QuarantineId, Retention, State, StateName, StoredLead,
    StoredQuarantinedPush, Totals,
};

/// Records looked at for one page of a list, at most.
const LOOKED_AT: usize = 5_000;

/// Reads the tree.
pub(super) struct Reader {
    pub(super) tree: Tree,
    pub(super) sinks: Arc<Sinks>,
    pub(super) vault: Arc<Vault>,
    pub(super) index: Arc<RwLock<Index>>,
}

impl Reader {
    pub(super) fn totals(&self) -> Result<Totals, Fault> {
        match self.tree.get(key::TOTALS)? {
            Some(bytes) => Ok(record::totals(&bytes)?),
            None => Ok(Totals::default()),
        }
    }

    /// The index. Whoever holds it keeps the blocks that count from being swept away.
    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        // It is changed in steps that cannot panic half-way.
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pause(&self, sink: &str) -> Result<Option<Pause>, Fault> {
        let stored = self.tree.get(key::paused(sink))?;
        Ok(stored.map(|stored| Pause::decode(&stored)))
    }

    /// Reads a record that may be in several parts.
    fn parts(&self, prefix: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let mut whole: Option<Vec<u8>> = None;
        for entry in self.tree.scan_prefix(prefix) {
            whole.get_or_insert_default().extend_from_slice(&entry?.1);
        }
        Ok(whole)
    }

    pub(super) fn lead(&self, id: LeadId, revision: u32) -> Result<Option<StoredLead>, Fault> {
        let revision = match revision {
            0 => match self
                .tree
                .scan_prefix(key::lead_revisions(id))
                .keys()
                .next_back()
            {
                Some(key) => revision_of(&key?)?,
                None => return Ok(None),
            },
            one => one,
        };
        let Some(sealed) = self.parts(&key::lead_revision(id, revision))? else {
            return Ok(None);
        };
        let bytes = self.vault.unseal(key::LEAD, &sealed)?;
        let record: LeadRecord<'_> = record::decode(&bytes)?;
        Ok(Some(record.stored(id, revision)))
    }

    pub(super) fn kept(
        &self,
        room: u8,
        sink: SinkNumber,
        id: DeliveryId,
    ) -> Result<Option<Delivery>, Fault> {
        let Some(bytes) = self.tree.get(key::delivery(room, sink, id))? else {
            return Ok(None);
        };
        Ok(Some(record::open(&self.vault, &bytes)?))
    }

    pub(super) fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Fault> {
        for number in self.sinks.by_number.keys() {
            for room in [key::WAITING, key::DONE, key::DEAD] {
                if let Some(delivery) = self.kept(room, *number, id)? {
                    return Ok(Some(delivery));
                }
            }
        }
        Ok(None)
    }

    /// Whether `cursor` is a key that a page of this list may end with.
    pub(super) fn continues(&self, of: Paged<'_>, cursor: &str) -> bool {
        let Some(key) = decode_cursor(cursor) else {
            return false;
        };
        let Some(room) = key.first() else {
            return false;
        };
        match of {
            Paged::Leads => *room == key::LEAD && key.len() == 17,
            Paged::Unrouted => *room == key::UNROUTED && key.len() == 17,
            Paged::Quarantine => *room == key::QUARANTINE && key.len() == 17,
            Paged::Deliveries(filter) => {
                let sink = key.get(1..5).and_then(|bytes| bytes.try_into().ok());
                let sink = sink.map(SinkNumber::from_be_bytes);
                let sink = sink.and_then(|number| self.sinks.by_number.get(&number));
                rooms(filter).contains(room)
                    && key::is_one(&key)
                    && sink.is_some_and(|sink| {
                        filter
                            .sink
                            .as_deref()
                            .is_none_or(|name| name == &*sink.name)
                    })
            }
            // It goes through all keys, and may stop behind any.
            Paged::Rekey => true,
        }
    }

    /// Grouped by room and sink, in the order of time in each.
    pub(super) fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
        claims: &Claims,
    ) -> Result<Page<Listed>, Fault> {
        let mut numbers: Vec<SinkNumber> = match &filter.sink {
            Some(name) => vec![self.sinks.named(name)?.number],
            None => self.sinks.by_number.keys().copied().collect(),
        };
        numbers.sort_unstable();
        let after = after.and_then(decode_cursor);
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        let mut looked_at = 0;
        let mut prefixes: Vec<Vec<u8>> = rooms(filter)
            .iter()
            .flat_map(|room| numbers.iter().map(|number| key::room(*room, *number)))
            .collect();
        if filter.newest_first {
            prefixes.reverse();
        }
        // Pages before have come to the end of all prefixes before this one.
        let begun = after.as_ref().and_then(|after| {
            let begun = prefixes.iter().position(|one| after.starts_with(one))?;
            Some((begun, after.clone()))
        });
        let (begun, mut from) = match begun {
            Some((begun, key)) => (begun, Some(key)),
            None => (0, None),
        };
        for prefix in &prefixes[begun..] {
            let mut low = Bound::Included(prefix.clone());
            let mut high = Bound::Included([prefix.as_slice(), &[0xff; 16]].concat());
            if let Some(key) = from.take() {
                *(if filter.newest_first {
                    &mut high
                } else {
                    &mut low
                }) = Bound::Excluded(key);
            }
            let range = self.tree.range((low, high));
            let entries: Box<dyn Iterator<Item = _>> = if filter.newest_first {
                Box::new(range.rev())
            } else {
                Box::new(range)
            };
            for entry in entries {
                let (key, bytes) = entry?;
                looked_at += 1;
                let id = key::delivery_at_end(&key).ok_or(Unreadable::Damaged)?;
                let listed = listed(id, record::open(&self.vault, &bytes)?, claims);
                if self.passes(filter, &listed) {
                    page.items.push(listed);
                }
                if page.items.len() == limit || looked_at == LOOKED_AT {
                    page.next = Some(encode_cursor(&key));
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    pub(super) fn find(&self, tag: &Tag, limit: usize) -> Result<Vec<LeadId>, Fault> {
        let found = self.index().find(&self.tree, tag, limit)?;
        Ok(found.into_iter().map(LeadId).collect())
    }

    pub(super) fn leads(
        &self,
        filter: &LeadFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<LeadId>, Fault> {
        let after = after.and_then(decode_cursor);
        let (mut low, mut high) = (vec![key::LEAD], vec![key::LEAD + 1]);
        match after {
            Some(after) if filter.newest_first => high = after,
            Some(after) => low = [after.as_slice(), &[0xff; 7]].concat(),
            None => {}
        }
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        for _ in 0..LOOKED_AT.max(limit) {
            let mut range = self.tree.range(low.as_slice()..high.as_slice()).keys();
            let entry = if filter.newest_first {
                range.next_back()
            } else {
                range.next()
            };
            let Some(entry) = entry else {
                page.next = None;
                break;
            };
            let id = LeadId(key::id_after_room(&entry?).ok_or(Unreadable::Damaged)?);
            let key = key::lead_revisions(id);
            page.next = Some(encode_cursor(&key));
            if self.is_wanted(filter, id)? {
                page.items.push(id);
            }
            if page.items.len() == limit {
                break;
            }
            if filter.newest_first {
                high = key;
            } else {
                low = [key.as_slice(), &[0xff; 7]].concat();
            }
        }
        Ok(page)
    }

    fn is_wanted(&self, filter: &LeadFilter, id: LeadId) -> Result<bool, Fault> {
        let at = created_at(id);
        if filter.since.is_some_and(|since| at < since)
            || filter.before.is_some_and(|before| at >= before)
        {
            return Ok(false);
        }
        let Some(source) = &filter.source else {
            return Ok(true);
        };
        let lead = self.lead(id, 0)?;
        Ok(lead.is_some_and(|lead| lead.source == *source))
    }

    /// Those that no sink ever wanted, newest first.
    pub(super) fn unrouted(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<LeadId>, Fault> {
        let end = after
            .and_then(decode_cursor)
            .unwrap_or_else(|| vec![key::UNROUTED + 1]);
        let mut items = Vec::new();
        let keys = self.tree.range([key::UNROUTED].as_slice()..&end).keys();
        for entry in keys.rev() {
            let key = entry?;
            if items.len() == limit {
                let next = items.last().copied().map(key::unrouted);
                let next = next.as_deref().map(encode_cursor);
                return Ok(Page { items, next });
            }
            items.push(LeadId(key::id_after_room(&key).ok_or(Unreadable::Damaged)?));
        }
        Ok(Page { items, next: None })
    }

    pub(super) fn history(&self, id: LeadId, claims: &Claims) -> Result<Option<History>, Fault> {
        let mut numbers = Vec::new();
        for key in self.tree.scan_prefix(key::lead_revisions(id)).keys() {
            numbers.push(revision_of(&key?)?);
        }
        numbers.dedup();
        if numbers.is_empty() {
            return Ok(None);
        }
        let mut revisions = Vec::new();
        for revision in numbers {
            revisions.extend(self.lead(id, revision)?);
        }
        let deliveries = self.deliveries_of(id)?.into_iter();
        let mut deliveries: Vec<Listed> = deliveries
            .map(|(id, delivery)| listed(id, delivery, claims))
            .collect();
        deliveries.sort_by_key(|one| (one.delivery.revision, one.id));
        Ok(Some(History {
            id,
            revisions,
            deliveries,
        }))
    }

    /// All deliveries of a lead.
    pub(super) fn deliveries_of(&self, id: LeadId) -> Result<Vec<(DeliveryId, Delivery)>, Fault> {
        let mut deliveries = Vec::new();
        for entry in self.tree.scan_prefix(key::orders(id)) {
            let (key, id) = entry?;
            let (number, _) = key::read_order(&key).ok_or(Unreadable::Damaged)?;
            let id = DeliveryId(Uuid::from_slice(&id).map_err(|_| Unreadable::Damaged)?);
            for room in [key::WAITING, key::DONE, key::DEAD] {
                if let Some(delivery) = self.kept(room, number, id)? {
                    deliveries.push((id, delivery));
                    break;
                }
            }
        }
        Ok(deliveries)
    }

    pub(super) fn quarantined_pushes(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<StoredQuarantinedPush>, Fault> {
        let from = after
            .and_then(decode_cursor)
            .unwrap_or_else(|| vec![key::QUARANTINE]);
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        for id in self.quarantine_ids(&from) {
            let id = id?;
            if page.items.len() == limit {
                page.next = Some(encode_cursor(&key::quarantine_of(id)));
                break;
            }
            page.items.extend(self.quarantined_push(id)?);
        }
        Ok(page)
    }

    pub(super) fn quarantine_counts(&self) -> Result<Vec<(String, QuarantineCount)>, Fault> {
        let mut counts = Vec::new();
        for entry in self.tree.scan_prefix([key::QUARANTINE_COUNT]) {
            let (key, bytes) = entry?;
            let source = String::from_utf8_lossy(&key[1..]).into_owned();
            counts.push((source, record::decode_owned(&bytes)?));
        }
        Ok(counts)
    }

    fn quarantine_ids(&self, from: &[u8]) -> impl Iterator<Item = Result<QuarantineId, Fault>> {
        let end = [key::QUARANTINE + 1];
        let mut seen = None;
        self.tree
            .range(from..end.as_slice())
            .keys()
            .filter_map(move |key| match key {
                Err(error) => Some(Err(error.into())),
                Ok(key) => {
                    let id = key::id_after_room(&key).map(QuarantineId);
                    let new = id != seen;
                    seen = id;
                    new.then(|| id.ok_or_else(|| Unreadable::Damaged.into()))
                }
            })
    }

    pub(super) fn quarantined_push(
        &self,
        id: QuarantineId,
    ) -> Result<Option<StoredQuarantinedPush>, Fault> {
        let Some(sealed) = self.parts(&key::quarantine_of(id))? else {
            return Ok(None);
        };
        let bytes = self.vault.unseal(key::QUARANTINE, &sealed)?;
        let record: QuarantineRecord<'_> = record::decode(&bytes)?;
        Ok(Some(record.stored(id)))
    }

    /// Quarantined pushes whose time is over.
    pub(super) fn old_quarantined(
        &self,
        keep: Retention,
        now: Millis,
        limit: usize,
    ) -> Result<Vec<QuarantineId>, Fault> {
        let mut old = Vec::new();
        for id in self.quarantine_ids(&[key::QUARANTINE]) {
            let id = id?;
            let ends = created_at(LeadId(id.0)).saturating_add(keep.dead_ms);
            if ends > now.min(keep.dead_by) || old.len() == limit {
                break;
            }
            old.push(id);
        }
        Ok(old)
    }

    /// What a person has not dealt with and whose time is over by `until`. A dead letter may
    /// still stay a while for the sake of its lead's other deliveries.
    pub(super) fn expiring(&self, keep: Retention, until: Millis) -> Result<Expiring, Fault> {
        let mut found = Expiring::default();
        let note = |first: &mut Option<Millis>, ends: Millis| {
            *first = Some(first.map_or(ends, |first| first.min(ends)));
        };
        for id in self.quarantine_ids(&[key::QUARANTINE]) {
            let ends = created_at(LeadId(id?.0)).saturating_add(keep.dead_ms);
            if ends > until {
                break;
            }
            found.quarantine += 1;
            note(&mut found.first, ends);
        }
        let mut read = 0;
        for number in self.sinks.by_number.keys() {
            for entry in self.tree.scan_prefix(key::room(key::DEAD, *number)) {
                let (key, bytes) = entry?;
                let id = key::delivery_at_end(&key).ok_or(Unreadable::Damaged)?;
                let made = created_at(LeadId(id.0)).saturating_add(keep.dead_ms);
                if made > until {
                    break;
                }
                // Beyond what may be read, too many are announced rather than too few.
                read += 1;
                let ended = (read <= LOOKED_AT)
                    .then(|| record::open(&self.vault, &bytes).ok())
                    .flatten()
                    .and_then(|delivery| delivery.state.ended_at());
                let ends = ended.map_or(made, |at| made.max(at.saturating_add(keep.dead_ms)));
                if ends <= until {
                    found.dead_letters += 1;
                    note(&mut found.first, ends);
                }
            }
        }
        Ok(found)
    }

    /// Leads first pushed long enough ago that their time may be over, from `from` on, and
    /// where to go on.
    pub(super) fn old_leads(
        &self,
        keep: Retention,
        now: Millis,
        from: Option<LeadId>,
        limit: usize,
    ) -> Result<(Vec<LeadId>, Option<LeadId>), Fault> {
        let end = [key::LEAD + 1];
        let mut from = from.map_or_else(|| vec![key::LEAD], key::lead_revisions);
        let mut old = Vec::new();
        let least = keep.done_ms.min(keep.dead_ms);
        while let Some(entry) = self.tree.range(from.as_slice()..&end).next() {
            let id = LeadId(key::id_after_room(&entry?.0).ok_or(Unreadable::Damaged)?);
            if now.saturating_sub(created_at(id)) < least {
                break;
            }
            if old.len() == limit {
                return Ok((old, Some(id)));
            }
            old.push(id);
            from = [key::lead_revisions(id).as_slice(), &[0xff; 7]].concat();
        }
        Ok((old, None))
    }
}

fn revision_of(key: &[u8]) -> Result<u32, Fault> {
    let bytes = key.get(17..21).and_then(|bytes| bytes.try_into().ok());
    Ok(u32::from_be_bytes(bytes.ok_or(Unreadable::Damaged)?))
}

fn listed(id: DeliveryId, delivery: Delivery, claims: &Claims) -> Listed {
    let state = match delivery.state {
        State::Waiting { .. } if claims.is_claimed(id) => StateName::InFlight,
        State::Waiting { .. } if delivery.attempts > 0 => StateName::Retrying,
        State::Waiting { .. } => StateName::Pending,
        State::Behind => StateName::Behind,
        State::Delivered { .. } => StateName::Delivered,
        State::Superseded { .. } => StateName::Superseded,
        State::Cancelled { .. } => StateName::Cancelled,
        State::Dead { .. } => StateName::Dead,
    };
    Listed {
        id,
        delivery,
        state,
    }
}

/// Where deliveries that may pass are.
fn rooms(filter: &Filter) -> &'static [u8] {
    match filter.state {
        None => &[key::DONE, key::WAITING, key::DEAD],
        Some(StateName::Dead) => &[key::DEAD],
        Some(StateName::Delivered | StateName::Superseded | StateName::Cancelled) => &[key::DONE],
        Some(_) => &[key::WAITING],
    }
}

/// A cursor is a key in hex: opaque to callers, checked by use as a bound only.
pub(super) fn encode_cursor(key: &[u8]) -> String {
    use std::fmt::Write;
    key.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn decode_cursor(text: &str) -> Option<Vec<u8>> {
    if text.len() > 128 || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}
