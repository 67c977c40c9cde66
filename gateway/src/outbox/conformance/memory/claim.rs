//! Claims: what is due, sources in turn.

use std::collections::{BTreeMap, VecDeque};

use super::body;
use super::lock;
use super::store::{Inner, Stored};
use crate::clock::Millis;
use crate::outbox::state::{DeliveryHead, Lead, View};
use crate::outbox::{
    Claim, Delivery, DeliveryId, Due, Freshness, LeadId, State, StoredLead, Unavailable, Wanted,
};

type Waiting = VecDeque<(Millis, DeliveryId, LeadId)>;

impl Inner {
    pub(super) fn claim(
        &self,
        sink: &str,
        now: Millis,
        wanted: Wanted,
    ) -> Result<Due, Unavailable> {
        self.named(sink)?;
        let stored = self.read();
        let mut due = Due::default();
        if wanted.newest {
            let limit = wanted.limit.saturating_sub(1).max(1);
            self.take(&stored, sink, now, wanted, limit, &mut due);
        }
        let oldest = Wanted {
            newest: false,
            ..wanted
        };
        self.take(&stored, sink, now, oldest, wanted.limit, &mut due);
        Ok(due)
    }

    fn take(
        &self,
        stored: &Stored,
        sink: &str,
        now: Millis,
        wanted: Wanted,
        limit: usize,
        due: &mut Due,
    ) {
        let turn = (sink.to_owned(), wanted.freshness == Freshness::Again);
        let mut queues: Vec<(String, Waiting)> =
            stored.waiting(sink, wanted.freshness).into_iter().collect();
        for (_, queue) in &mut queues {
            let ordered = queue.make_contiguous();
            ordered.sort_unstable();
            if wanted.newest {
                queue.retain(|(at, _, _)| *at <= now);
                queue.make_contiguous().reverse();
            }
        }
        if let Some(last) = lock(&self.turns).get(&turn) {
            let next = queues.partition_point(|(source, _)| source <= last);
            queues.rotate_left(next);
        }
        while !queues.is_empty() {
            queues.retain_mut(|(source, queue)| {
                while let Some((at, id, lead)) = queue.pop_front() {
                    if at > now || due.deliveries.len() >= limit {
                        due.next = Some(due.next.map_or(at, |next| next.min(at)));
                        return false;
                    }
                    if self.hands.claim(id) {
                        due.deliveries.extend(stored.claimed(lead, id));
                        lock(&self.turns).insert(turn.clone(), source.clone());
                        return true;
                    }
                }
                false
            });
        }
    }

    pub(super) fn claim_one(
        &self,
        sink: &str,
        id: DeliveryId,
    ) -> Result<Option<Claim>, Unavailable> {
        self.named(sink)?;
        let stored = self.read();
        let waits = stored.delivery(id).filter(|(_, _, head)| {
            head.sink == sink && matches!(head.state, State::Waiting { .. })
        });
        Ok(match waits {
            Some((lead, _, _)) if self.hands.claim(id) => stored.claimed(lead, id),
            _ => None,
        })
    }
}

impl Stored {
    /// What waits for a sink, by source.
    fn waiting(&self, sink: &str, freshness: Freshness) -> BTreeMap<String, Waiting> {
        let mut queues: BTreeMap<String, Waiting> = BTreeMap::new();
        for (lead, id, head) in self.heads() {
            if let State::Waiting { due_at } = head.state
                && head.sink == sink
                && head.freshness() == freshness
            {
                let queue = queues.entry(lead.source.clone()).or_default();
                queue.push_back((due_at, head.id, id));
            }
        }
        queues
    }

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

    fn claimed(&self, id: LeadId, delivery: DeliveryId) -> Option<Claim> {
        let (_, lead, head) = self.delivery(delivery)?;
        let earlier = |one: &&DeliveryHead| one.sink == head.sink && one.revision < head.revision;
        let mut earlier = lead.deliveries.iter().filter(earlier);
        Some(Claim {
            id: delivery,
            delivery: self.whole(id, lead, head),
            lead: self.lead(id, head.revision)?,
            update: earlier.any(|one| matches!(one.state, State::Delivered { .. })),
        })
    }

    /// A delivery with its attempts.
    pub(super) fn whole(&self, id: LeadId, lead: &Lead, head: &DeliveryHead) -> Delivery {
        let details = self.memory.details.get(&head.id).cloned();
        let details = details.unwrap_or_default();
        Delivery {
            sink: head.sink.clone(),
            source: lead.source.clone(),
            lead: id,
            revision: head.revision,
            created_at: head.created_at,
            state: head.state.clone(),
            attempts: head.attempts,
            budget: head.budget,
            fallback_of: head.fallback_of,
            history: details.history,
            journal: details.journal,
        }
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
        let body: body::LeadBody = body::decode(body);
        Some(body.stored(id, &lead.source, known))
    }
}
