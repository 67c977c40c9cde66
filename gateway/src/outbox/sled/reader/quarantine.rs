//! Quarantined pushes.

use super::merge::{Ids, Merge};
use super::{LOOKED_UP_AGAIN, Reader, cursor};
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
        let last = after.and_then(|after| cursor::id(cursor::QUARANTINE, after));
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        let mut merge = self.quarantine(Ids::ALL.after(last, Order::Ascending))?;
        let mut last = None;
        while let Some(merged) = merge.next()? {
            if page.items.len() == limit {
                page.next = last.map(|last| cursor::of_id(cursor::QUARANTINE, last));
                break;
            }
            last = Some(merged.id);
            page.items
                .extend(self.quarantined_push(QuarantineId(merged.id))?);
        }
        Ok(page)
    }

    /// The ids of quarantined pushes, oldest first.
    pub fn quarantined_ids(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<QuarantineId>, Fault> {
        let last = after.and_then(|after| cursor::id(cursor::QUARANTINE, after));
        let mut merge = self.quarantine(Ids::ALL.after(last, Order::Ascending))?;
        let mut items = Vec::new();
        while let Some(merged) = merge.next()? {
            if items.len() == limit {
                let last = items.last().map(|QuarantineId(last)| *last);
                let next = last.map(|last| cursor::of_id(cursor::QUARANTINE, last));
                return Ok(Page { items, next });
            }
            items.push(QuarantineId(merged.id));
        }
        Ok(Page { items, next: None })
    }

    /// See [`crate::outbox::Operations::quarantined_push`].
    pub fn quarantined_push(
        &self,
        id: QuarantineId,
    ) -> Result<Option<StoredQuarantinedPush>, Fault> {
        let mut again = LOOKED_UP_AGAIN;
        loop {
            let Some(push) = self.catalog.quarantined(id)? else {
                return Ok(None);
            };
            match self.bodies.quarantined(id, &push.head, push.place) {
                Err(Fault::Moved(_)) if again > 0 => again -= 1,
                read => return read.map(Some),
            }
        }
    }

    /// All of them, oldest first.
    pub(super) fn quarantine(&self, ids: Ids) -> Result<Merge<'a, M>, Fault> {
        let mut merge = Merge::new(&self.catalog.index, Order::Ascending, ids);
        merge.add(vec![keys::QUARANTINED])?;
        Ok(merge)
    }
}
