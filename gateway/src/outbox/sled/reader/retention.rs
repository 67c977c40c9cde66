//! What is old: for the retention sweep and its announcements.

use super::merge::{Ids, Merge};
use super::wanted::{self, Wanted};
use super::{LOOKED_AT, Reader};
use crate::clock::Millis;
use crate::outbox::sled::keys::{self, List};
use crate::outbox::sled::map::{Map, Order};
use crate::outbox::sled::unreadable;
use crate::outbox::state::{Class, Fault};
use crate::outbox::{DeathReason, DeliveryId, Expiring, LeadId, QuarantineId, Retention};

impl<M: Map> Reader<'_, M> {
    /// Quarantined pushes whose time is over, at most `limit`.
    pub fn old_quarantined(
        &self,
        keep: Retention,
        now: Millis,
        limit: usize,
    ) -> Result<Vec<QuarantineId>, Fault> {
        let made_by = now.min(keep.dead_by).saturating_sub(keep.dead_ms);
        let mut merge = self.quarantine(Ids::made(None, Some(made_by.saturating_add(1))))?;
        let mut old = Vec::new();
        while let Some(merged) = merge.next()? {
            if old.len() == limit {
                break;
            }
            old.push(QuarantineId(merged.id));
        }
        Ok(old)
    }

    /// Leads first pushed long enough ago that their time may be over, from `from` on, and
    /// where to go on.
    pub fn old_leads(
        &self,
        keep: Retention,
        now: Millis,
        from: Option<LeadId>,
        limit: usize,
    ) -> Result<(Vec<LeadId>, Option<LeadId>), Fault> {
        let made_by = now.saturating_sub(keep.done_ms.min(keep.dead_ms));
        let ids = Ids::made(None, Some(made_by.saturating_add(1)));
        let low = from.map_or(0, |from| from.0.as_u128());
        let ids = Ids {
            low: ids.low.max(low),
            ..ids
        };
        let mut merge = self.merged_leads(None, Order::Ascending, ids)?;
        let mut old = Vec::new();
        while let Some(merged) = merge.next()? {
            if old.len() == limit {
                return Ok((old, Some(LeadId(merged.id))));
            }
            old.push(LeadId(merged.id));
        }
        Ok((old, None))
    }

    /// See [`crate::outbox::Maintenance::expiring`]. A dead letter may still stay a while for
    /// the sake of its lead's other deliveries.
    pub fn expiring(&self, keep: Retention, until: Millis) -> Result<Expiring, Fault> {
        let mut found = Expiring::default();
        let note = |first: &mut Option<Millis>, ends: Millis| {
            *first = Some(first.map_or(ends, |first| first.min(ends)));
        };
        let made_by = until.saturating_sub(keep.dead_ms);
        let ids = Ids::made(None, Some(made_by.saturating_add(1)));
        let mut merge = self.quarantine(ids)?;
        while let Some(merged) = merge.next()? {
            found.quarantine += 1;
            let ends = keys::made_at(merged.id).saturating_add(keep.dead_ms);
            note(&mut found.first, ends);
        }
        let index = &self.catalog.index;
        let dead = DeathReason::ALL.into_iter().map(Class::Dead);
        let dead = Wanted::new([Some(wanted::classes(dead)), None, None, None]);
        let mut merge = Merge::new(index, Order::Ascending, ids);
        wanted::gather(
            index,
            &dead,
            (List::FIRST, List::LAST),
            usize::MAX,
            &mut merge,
        )?;
        let mut read = 0;
        while let Some(merged) = merge.next()? {
            let list = List::read(&merged.prefix).ok_or_else(lie)?;
            let lead = uuid::Uuid::from_slice(&merged.value).map_err(|_| lie())?;
            // Beyond what may be read, too many are announced rather than too few.
            read += 1;
            let mut ended = None;
            if read <= LOOKED_AT {
                let lead = self.catalog.lead_in(list.source, LeadId(lead))?;
                let head = lead
                    .as_ref()
                    .and_then(|lead| lead.delivery(DeliveryId(merged.id)));
                ended = head.and_then(|(head, _)| head.state.ended_at());
            }
            let since = keys::made_at(merged.id);
            let since = ended.map_or(since, |ended| since.max(ended));
            let ends = since.saturating_add(keep.dead_ms);
            if ends <= until {
                found.dead_letters += 1;
                note(&mut found.first, ends);
            }
        }
        Ok(found)
    }
}

fn lie() -> Fault {
    unreadable("a list of dead letters")
}
