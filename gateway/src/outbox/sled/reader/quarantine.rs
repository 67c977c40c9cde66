//! Quarantined pushes.

use super::leads::page;
use super::merge::{Ids, Merge};
use super::{Reader, cursor, unless_moved};
use crate::outbox::sled::keys;
use crate::outbox::sled::map::{Map, Order};
use crate::outbox::state::Fault;
use crate::outbox::{Page, QuarantineId, StoredQuarantinedPush};

impl<'a, M: Map> Reader<'a, M> {
    /// See [`crate::outbox::Operations::quarantined_pushes`].
    pub fn quarantined_pushes(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<StoredQuarantinedPush>, Fault> {
        let Page { items: ids, next } = self.quarantined_ids(after, limit)?;
        let mut items = Vec::with_capacity(ids.len());
        for id in ids {
            // It may have left since.
            items.extend(self.quarantined_push(id)?);
        }
        Ok(Page { items, next })
    }

    /// The ids of quarantined pushes, oldest first.
    pub fn quarantined_ids(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<QuarantineId>, Fault> {
        let last = after.and_then(|after| cursor::read(cursor::QUARANTINE, after));
        let merge = self.quarantine(Ids::ALL.after(last, Order::Ascending))?;
        page(merge, cursor::QUARANTINE, limit, QuarantineId)
    }

    /// See [`crate::outbox::Operations::quarantined_push`].
    pub fn quarantined_push(
        &self,
        id: QuarantineId,
    ) -> Result<Option<StoredQuarantinedPush>, Fault> {
        let read = || {
            let Some(push) = self.catalog.quarantined(id)? else {
                return Ok(None);
            };
            let pushed = self.bodies.quarantined(id, &push.head, push.place);
            pushed.map(Some)
        };
        unless_moved(read(), read)
    }

    /// All of them, oldest first.
    pub(super) fn quarantine(&self, ids: Ids) -> Result<Merge<'a, M>, Fault> {
        let lists = [vec![keys::QUARANTINED]];
        Merge::new(&self.catalog.index, Order::Ascending, ids, lists)
    }
}
