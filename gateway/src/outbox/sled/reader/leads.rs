//! Lists of leads.

use uuid::Uuid;

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
        let order = Order::of(filter.newest_first);
        let last = after.and_then(|after| cursor::read(cursor::LEADS, after));
        let ids = Ids::made(filter.since, filter.before).after(last, order);
        let merge = self.merged_leads(filter.source.as_deref(), order, ids)?;
        page(merge, cursor::LEADS, limit, LeadId)
    }

    /// See [`crate::outbox::Operations::unrouted`].
    pub fn unrouted(&self, after: Option<&str>, limit: usize) -> Result<Page<LeadId>, Fault> {
        let order = Order::Descending;
        let last = after.and_then(|after| cursor::read(cursor::UNROUTED, after));
        let ids = Ids::ALL.after(last, order);
        let merge = Merge::new(&self.catalog.index, order, ids, [vec![keys::UNROUTED]])?;
        page(merge, cursor::UNROUTED, limit, LeadId)
    }

    /// The leads of a source, or of all.
    pub(super) fn merged_leads(
        &self,
        source: Option<&str>,
        order: Order,
        ids: Ids,
    ) -> Result<Merge<'a, M>, Fault> {
        let sources = self.catalog.names.sources.all().into_iter();
        let wanted = sources.filter(|(_, name)| source.is_none_or(|source| *source == **name));
        let lists = wanted.map(|(number, _)| keys::leads(number));
        Merge::new(&self.catalog.index, order, ids, lists)
    }
}

/// The first of them as a page.
pub(super) fn page<M: Map, T>(
    mut merge: Merge<'_, M>,
    of: cursor::Of,
    limit: usize,
    item: impl Fn(Uuid) -> T,
) -> Result<Page<T>, Fault> {
    let mut page = Page {
        items: Vec::new(),
        next: None,
    };
    let mut last = Uuid::nil();
    for merged in merge.by_ref().take(limit) {
        (last, _) = merged?;
        page.items.push(item(last));
    }
    if merge.next().transpose()?.is_some() {
        page.next = Some(cursor::write(of, last.as_u128()));
    }
    Ok(page)
}
