//! Leaving: leads that are removed, because their time is over or a person said so.
//!
//! A lead leaves whole: revisions, deliveries, attempts and what it is found by. A push of the
//! same lead after that is a new lead.

use super::record::Record;
use super::view::Fault;
use crate::clock::Millis;
use crate::outbox::{DeliveryId, Erased, Erasure, LeadId, Retention, State, made_at};

impl super::State<'_> {
    /// Removes what a person wants gone, as far as no attempt is under way.
    pub(super) fn erase(&mut self, what: &Erasure) -> Result<Erased, Fault> {
        let mut erased = Erased::default();
        for lead in &what.leads {
            let deliveries = self.lead(*lead)?.map(|known| known.deliveries.clone());
            if self.remove(*lead, true)? {
                erased.leads.push(*lead);
                for one in deliveries.into_iter().flatten() {
                    if one.attempts > 0 {
                        *erased.attempts.entry((*lead, one.sink)).or_default() += one.attempts;
                    }
                }
            } else if self.lead(*lead)?.is_some() {
                erased.in_flight.push(*lead);
            }
        }
        for push in &what.quarantined {
            if self.discard(*push, true)? {
                erased.quarantined.push(*push);
            }
        }
        Ok(erased)
    }

    /// Removes a lead; `false` if there is none or an attempt for it is under way.
    pub(super) fn remove(&mut self, id: LeadId, erased: bool) -> Result<bool, Fault> {
        let Some(lead) = self.lead(id)? else {
            return Ok(false);
        };
        let waiting = lead.deliveries.iter().filter(|one| one.state.is_waiting());
        let waiting: Vec<DeliveryId> = waiting.map(|one| one.id).collect();
        if !waiting.into_iter().all(|one| self.reserve(one)) {
            return Ok(false);
        }
        self.push(Record::LeadGone { lead: id, erased });
        Ok(true)
    }

    /// Removes a lead whose time is over, with how many dead letters; `None` if it is not.
    pub(super) fn expire(
        &mut self,
        id: LeadId,
        keep: Retention,
        now: Millis,
    ) -> Result<Option<u64>, Fault> {
        let Some(lead) = self.lead(id)? else {
            return Ok(None);
        };
        let Some(newest) = lead.revisions.last() else {
            return Ok(None);
        };
        let mut last = made_at(id.0).max(newest.received_at);
        let mut keep_ms = keep.done_ms;
        let mut dead = 0;
        for delivery in &lead.deliveries {
            let Some(ended_at) = delivery.state.ended_at() else {
                return Ok(None);
            };
            last = last.max(ended_at);
            if matches!(delivery.state, State::Dead { .. }) {
                keep_ms = keep_ms.max(keep.dead_ms);
                dead += 1;
            }
        }
        let by = if dead > 0 { now.min(keep.dead_by) } else { now };
        if last.saturating_add(keep_ms) > by {
            return Ok(None);
        }
        Ok(self.remove(id, false)?.then_some(dead))
    }
}
