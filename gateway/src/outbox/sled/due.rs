//! Due: which deliveries a sink's lane gets next, and claims on them.

use std::ops::Bound;

use super::keys::{self, QueueTag, SinkNumber, SourceNumber};
use super::map::{Map, Order, Pair};
use super::reader::Reader;
use super::unreadable;
use crate::clock::Millis;
use crate::outbox::state::Fault;
use crate::outbox::{Claim, DeliveryId, Due, LeadId, State, Unavailable, Wanted};

/// The due entries of one source for one sink, in the order in which they are wanted.
struct SourceQueue<'a> {
    tag: QueueTag,
    entries: Box<dyn Iterator<Item = Result<Pair, Fault>> + 'a>,
}

impl<M: Map> Reader<'_, M> {
    /// See [`crate::outbox::Queue::claim_some`].
    pub fn claim_some(&self, sink: &str, now: Millis, wanted: Wanted) -> Result<Due, Fault> {
        let mut due = Due::default();
        let Some(sink) = self.sink_number(sink)? else {
            // Nothing was ever made for it.
            return Ok(due);
        };
        let claimed = self.take_both(sink, now, wanted, &mut due);
        if claimed.is_err() {
            // Nobody is told of them.
            let taken = due.deliveries.iter().map(|claim| claim.id);
            let unread = due.damaged.iter().map(|(id, _)| *id);
            let given_back: Vec<DeliveryId> = taken.chain(unread).collect();
            self.claims.unclaim(&given_back);
        }
        claimed.map(|()| due)
    }

    fn take_both(
        &self,
        sink: SinkNumber,
        now: Millis,
        wanted: Wanted,
        due: &mut Due,
    ) -> Result<(), Fault> {
        if wanted.newest {
            let newest = wanted.limit.saturating_sub(1).max(1);
            self.take(sink, now, wanted, newest, due)?;
        }
        let oldest = Wanted {
            newest: false,
            ..wanted
        };
        self.take(sink, now, oldest, wanted.limit, due)
    }

    /// Claims until there are `limit`.
    fn take(
        &self,
        sink: SinkNumber,
        now: Millis,
        wanted: Wanted,
        limit: usize,
        due: &mut Due,
    ) -> Result<(), Fault> {
        let mut queues = self.queues(sink, now, wanted)?;
        // Behind the source that was served last: with more sources than a page holds, each
        // still has its turn.
        if let Some(last) = self.claims.turn(sink, wanted.freshness) {
            let next = queues.partition_point(|queue| queue.tag <= last);
            queues.rotate_left(next);
        }
        while !queues.is_empty() {
            let mut left = Vec::with_capacity(queues.len());
            for mut queue in queues {
                // One of each source in turn.
                while let Some(entry) = queue.entries.next() {
                    let (key, value) = entry?;
                    let (_, at, id) = keys::read_due(&key).ok_or_else(lie)?;
                    if at > now || due.deliveries.len() >= limit {
                        due.next = Some(due.next.map_or(at, |next| next.min(at)));
                        break;
                    }
                    let (source, lead) = keys::read_address(&value).ok_or_else(lie)?;
                    if !self.claims.claim(id, lead) {
                        continue;
                    }
                    match self.claimed(source, lead, id, Some(at)) {
                        Ok(Some(claim)) => {
                            due.deliveries.push(claim);
                            self.claims.set_turn(sink, queue.tag);
                            left.push(queue);
                            break;
                        }
                        // It moved between the scan and the claim: its entry is as good as gone.
                        Ok(None) => self.claims.unclaim(&[id]),
                        // Claimed for good, so that it is said once and not read again.
                        Err(fault) => due.damaged.push((id, Unavailable(fault.to_string()))),
                    }
                }
            }
            queues = left;
        }
        Ok(())
    }

    /// The due entries of a sink, a queue for each source, by source. Those of the newest
    /// first end with what is due.
    fn queues(
        &self,
        sink: SinkNumber,
        now: Millis,
        wanted: Wanted,
    ) -> Result<Vec<SourceQueue<'_>>, Fault> {
        let index = &self.catalog.index;
        let end = [keys::due_of(sink).as_slice(), &[0xff; 28]].concat();
        let mut queues = Vec::new();
        let mut from = keys::due_of(sink);
        loop {
            let (low, high) = (Bound::Included(&*from), Bound::Included(&*end));
            let Some(first) = index.range(low, high, Order::Ascending).next() else {
                break;
            };
            let (tag, _, _) = keys::read_due(&first?.0).ok_or_else(lie)?;
            let of_queue = keys::due_in(sink, tag);
            // Times are positive, so nothing of the queue is behind this.
            from = [of_queue.as_slice(), &[0xff; 24]].concat();
            if keys::freshness(tag) != wanted.freshness {
                continue;
            }
            let entries: Box<dyn Iterator<Item = _>> = if wanted.newest {
                let due = keys::due_at(sink, tag, now.saturating_add(1));
                let (low, high) = (Bound::Included(&*of_queue), Bound::Excluded(&*due));
                Box::new(index.range(low, high, Order::Descending))
            } else {
                let (low, high) = (Bound::Included(&*of_queue), Bound::Excluded(&*from));
                Box::new(index.range(low, high, Order::Ascending))
            };
            queues.push(SourceQueue { tag, entries });
        }
        Ok(queues)
    }

    /// See [`crate::outbox::Queue::claim_one`].
    pub fn claim_one(&self, sink: &str, id: DeliveryId) -> Result<Option<Claim>, Fault> {
        self.sink_number(sink)?;
        let Some((source, indexed, lead)) = self.of_delivery(id)? else {
            return Ok(None);
        };
        let its = indexed
            .delivery(id)
            .is_some_and(|(one, _)| one.sink == sink);
        if !its || !self.claims.claim(id, lead) {
            return Ok(None);
        }
        // Read again: it may have moved before it was claimed.
        let claimed = self.claimed(source, lead, id, None);
        if !matches!(claimed, Ok(Some(_))) {
            self.claims.unclaim(&[id]);
        }
        claimed
    }

    fn claimed(
        &self,
        source: SourceNumber,
        lead: LeadId,
        id: DeliveryId,
        due: Option<Millis>,
    ) -> Result<Option<Claim>, Fault> {
        let Some(indexed) = self.catalog.lead_in(source, lead)? else {
            return Ok(None);
        };
        let Some((head, _)) = indexed.delivery(id) else {
            return Ok(None);
        };
        match (&head.state, due) {
            (State::Waiting { .. }, None) => {}
            // Times before 1970 stand in keys as 1970.
            (State::Waiting { due_at }, Some(due)) if (*due_at).max(0) == due => {}
            _ => return Ok(None),
        }
        let update = indexed.lead.was_given_before(head);
        let revision = self.revision(lead, &indexed, head.revision)?;
        let revision = revision.ok_or_else(|| {
            Fault::Record(format!(
                "revision {} of lead {lead}, which delivery {id} is of, is not stored",
                head.revision
            ))
        })?;
        Ok(Some(Claim {
            id,
            delivery: self.whole(lead, &indexed, id)?.ok_or_else(lie)?,
            lead: revision,
            update,
        }))
    }
}

fn lie() -> Fault {
    unreadable("what is due")
}
