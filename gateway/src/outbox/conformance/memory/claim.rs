//! Claims: what is due, sources in turn.

use std::collections::HashMap;

use super::lock;
use super::store::{Inner, Stored};
use crate::clock::Millis;
use crate::outbox::state::{DeliveryHead, Lead, View};
use crate::outbox::{
    Claim, Delivery, DeliveryId, Due, Freshness, LeadId, State, StoredLead, Wanted,
};

impl Inner {
    /// Claims until there are `limit`.
    pub(super) fn take(
        &self,
        sink: &str,
        now: Millis,
        wanted: Wanted,
        limit: usize,
        due: &mut Due,
    ) {
        let stored = lock(&self.stored);
        let waiting = stored.heads().filter_map(|(lead, id, head)| {
            let State::Waiting { due_at } = head.state else {
                return None;
            };
            let its = head.sink == sink && head.freshness() == wanted.freshness;
            let free = its && !self.hands.is_claimed(head.id);
            free.then_some((due_at, head.id, id, &lead.source))
        });
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_unstable();
        let (mut ready, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(at, ..)| *at <= now);
        if wanted.newest {
            ready.reverse();
        }
        // The first of each source, then the second, behind the source that was served last.
        let turn = (sink.to_owned(), wanted.freshness == Freshness::Again);
        let last = lock(&self.turns).get(&turn).cloned();
        let mut rounds: HashMap<&String, usize> = HashMap::new();
        ready.sort_by_cached_key(|(_, _, _, source)| {
            let round = rounds.entry(source).or_default();
            *round += 1;
            (*round, Some(*source) <= last.as_ref(), *source)
        });
        let left = ready.split_off(limit.saturating_sub(due.deliveries.len()).min(ready.len()));
        for (_, id, lead, source) in ready {
            if self.hands.claim(id) {
                due.deliveries.extend(stored.claimed(lead, id));
                lock(&self.turns).insert(turn.clone(), source.clone());
            }
        }
        due.next = left.iter().chain(&later).map(|(at, ..)| *at).min();
    }
}

impl Stored {
    /// All deliveries.
    pub(super) fn heads(&self) -> impl Iterator<Item = (&Lead, LeadId, &DeliveryHead)> {
        let leads = self.memory.leads.iter();
        leads.flat_map(|(id, lead)| lead.deliveries.iter().map(move |head| (lead, *id, head)))
    }

    /// A delivery with its lead.
    pub(super) fn delivery(&self, id: DeliveryId) -> Option<(LeadId, &Lead, &DeliveryHead)> {
        let lead = self.memory.lead_of(id).ok()??;
        let known = self.memory.leads.get(&lead)?;
        Some((lead, known, known.delivery(id)?))
    }

    pub(super) fn claimed(&self, id: LeadId, delivery: DeliveryId) -> Option<Claim> {
        let (_, lead, head) = self.delivery(delivery)?;
        Some(Claim {
            id: delivery,
            delivery: self.whole(id, lead, head),
            lead: self.lead(id, head.revision)?,
            update: lead.was_given_before(head),
        })
    }

    /// A delivery with its attempts.
    pub(super) fn whole(&self, id: LeadId, lead: &Lead, head: &DeliveryHead) -> Delivery {
        let details = self.memory.details(id, head.id).unwrap_or_default();
        details.whole(head, id, &lead.source)
    }

    /// A revision of a lead.
    pub(super) fn lead(&self, id: LeadId, revision: u32) -> Option<StoredLead> {
        let lead = self.memory.leads.get(&id)?;
        let mut revisions = lead.revisions.iter();
        let known = match revision {
            0 => revisions.next_back(),
            number => revisions.find(|one| one.number == number),
        }?;
        let body = self.memory.bodies.get(&(id, known.number))?;
        Some(super::body::lead(body, id, &lead.source, known))
    }
}
