//! Lists of leads.

use uuid::Uuid;

use super::deliveries::order;
use super::merge::{Ids, Merge};
use super::{Reader, cursor};
use crate::outbox::sled::keys;
use crate::outbox::sled::map::{Map, Order};
use crate::outbox::state::Fault;
use crate::outbox::{LeadFilter, LeadId, Page};

impl<'a, M: Map> Reader<'a, M> {
    /// See [`crate::outbox::Operations::leads`].
    pub fn leads(
        &self,
        filter: &LeadFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<LeadId>, Fault> {
        let order = order(filter.newest_first);
        let last = after.and_then(|after| cursor::id(cursor::LEADS, after));
        let ids = Ids::made(filter.since, filter.before).after(last, order);
        let merge = self.merged_leads(filter.source.as_deref(), order, ids)?;
        page(merge, cursor::LEADS, limit)
    }

    /// See [`crate::outbox::Operations::unrouted`].
    pub fn unrouted(&self, after: Option<&str>, limit: usize) -> Result<Page<LeadId>, Fault> {
        let order = Order::Descending;
        let last = after.and_then(|after| cursor::id(cursor::UNROUTED, after));
        let mut merge = Merge::new(&self.catalog.index, order, Ids::ALL.after(last, order));
        merge.add(vec![keys::UNROUTED])?;
        page(merge, cursor::UNROUTED, limit)
    }

    /// The leads of a source, or of all.
    pub(super) fn merged_leads(
        &self,
        source: Option<&str>,
        order: Order,
        ids: Ids,
    ) -> Result<Merge<'a, M>, Fault> {
        let mut merge = Merge::new(&self.catalog.index, order, ids);
        for (number, name) in self.catalog.names.sources.all() {
            if source.is_none_or(|source| *source == *name) {
                merge.add(keys::leads(number))?;
            }
        }
        Ok(merge)
    }
}

/// The first of them as a page.
fn page<M: Map>(mut merge: Merge<'_, M>, kind: u8, limit: usize) -> Result<Page<LeadId>, Fault> {
    let mut items: Vec<LeadId> = Vec::new();
    while let Some(merged) = merge.next()? {
        if items.len() == limit {
            let last = items.last().map_or(Uuid::nil(), |last| last.0);
            let next = Some(cursor::of_id(kind, last));
            return Ok(Page { items, next });
        }
        items.push(LeadId(merged.id));
    }
    Ok(Page { items, next: None })
}
