//! What is old: for the retention sweep and its announcements.

use super::merge::{Ids, Merge};
use super::{LOOKED_AT, Reader};
use crate::clock::Millis;
use crate::outbox::sled::map::{Map, Order};
use crate::outbox::state::{Class, Fault};
use crate::outbox::{DeliveryId, Expiring, LeadId, QuarantineId, Retention, made_at};

/// Ids made by then.
fn made_by(at: Millis) -> Ids {
    Ids::made(None, Some(at.saturating_add(1)))
}

impl<M: Map> Reader<'_, M> {
    /// Quarantined pushes whose time is over, at most `limit`.
    pub fn old_quarantined(
        &self,
        keep: Retention,
        now: Millis,
        limit: usize,
    ) -> Result<Vec<QuarantineId>, Fault> {
        let old = made_by(now.min(keep.dead_by).saturating_sub(keep.dead_ms));
        let old = self.quarantine(old)?.take(limit);
        old.map(|merged| Ok(QuarantineId(merged?.0))).collect()
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
        let ids = Ids {
            low: from.map_or(0, |from| from.0.as_u128()),
            ..made_by(now.saturating_sub(keep.done_ms.min(keep.dead_ms)))
        };
        let merge = self.merged_leads(None, Order::Ascending, ids)?;
        let mut merge = merge.map(|merged| Ok(LeadId(merged?.0)));
        let old = merge.by_ref().take(limit).collect::<Result<_, Fault>>()?;
        Ok((old, merge.next().transpose()?))
    }

    /// See [`crate::outbox::Maintenance::expiring`]. A dead letter may still stay a while for
    /// the sake of its lead's other deliveries.
    pub fn expiring(&self, keep: Retention, until: Millis) -> Result<Expiring, Fault> {
        let mut found = Expiring::default();
        let mut first: Option<Millis> = None;
        let mut note = |count: &mut u64, ends: Millis| {
            *count += 1;
            first = Some(first.map_or(ends, |first| first.min(ends)));
        };
        let ids = made_by(until.saturating_sub(keep.dead_ms));
        for merged in self.quarantine(ids)? {
            let ends = made_at(merged?.0).saturating_add(keep.dead_ms);
            note(&mut found.quarantine, ends);
        }
        let dead = self.lists(&self.sinks(None)?, |class, _| {
            matches!(class, Class::Dead(_))
        })?;
        let dead = Merge::new(&self.catalog.index, Order::Ascending, ids, dead)?;
        for (read, merged) in dead.enumerate() {
            let (id, value) = merged?;
            let mut since = made_at(id);
            // Beyond what may be read, too many are announced rather than too few.
            if read < LOOKED_AT {
                let (source, lead) = super::address(&value)?;
                let lead = self.catalog.lead_in(source, lead)?;
                let head = lead.as_ref().and_then(|lead| lead.delivery(DeliveryId(id)));
                let ended = head.and_then(|(head, _)| head.state.ended_at());
                since = ended.map_or(since, |ended| since.max(ended));
            }
            let ends = since.saturating_add(keep.dead_ms);
            if ends <= until {
                note(&mut found.dead_letters, ends);
            }
        }
        found.first = first;
        Ok(found)
    }
}
