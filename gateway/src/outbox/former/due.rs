//! Due: which deliveries a sink's lane gets next, and claims on them.

use std::ops::Bound;

use uuid::Uuid;

use super::claims::Claims;
use super::fault::Fault;
use super::group::KnownSink;
use super::key::{self, QueueTag, SinkNumber};
use super::list::Reader;
use super::record::{self, Unreadable};
use crate::clock::Millis;
use crate::outbox::{Claim, Delivery, DeliveryId, Due, State, Unavailable, Wanted};

/// The due entries of one source for one sink, in the order in which they are wanted.
struct SourceQueue {
    tag: QueueTag,
    keys: Box<dyn Iterator<Item = ::sled::Result<::sled::IVec>>>,
}

impl Reader {
    /// See [`crate::outbox::Queue::claim_some`].
    pub(super) fn claim(
        &self,
        sink: &str,
        now: Millis,
        wanted: Wanted,
        claims: &Claims,
    ) -> Result<Due, Fault> {
        let sink = self.sinks.named(sink)?;
        let mut due = Due::default();
        if wanted.newest {
            let newest = wanted.limit.saturating_sub(1).max(1);
            self.take(&sink, now, wanted, newest, claims, &mut due)?;
        }
        let oldest = Wanted {
            newest: false,
            ..wanted
        };
        self.take(&sink, now, oldest, wanted.limit, claims, &mut due)?;
        Ok(due)
    }

    /// Claims until there are `limit`.
    fn take(
        &self,
        sink: &KnownSink,
        now: Millis,
        wanted: Wanted,
        limit: usize,
        claims: &Claims,
        due: &mut Due,
    ) -> Result<(), Fault> {
        let mut queues = self.queues(sink.number, now, wanted)?;
        // Behind the source that was served last: with more sources than a page holds, each
        // still has its turn.
        if let Some(last) = claims.turn(sink.number, wanted.freshness) {
            let next = queues.partition_point(|queue| queue.tag <= last);
            queues.rotate_left(next);
        }
        while !queues.is_empty() {
            let mut left = Vec::with_capacity(queues.len());
            for mut queue in queues {
                // One of each source in turn.
                while let Some(entry) = queue.keys.next() {
                    let (_, at, id) = key::read_due(&entry?).ok_or(Unreadable::Damaged)?;
                    if at > now || due.deliveries.len() >= limit {
                        due.next = Some(due.next.map_or(at, |next| next.min(at)));
                        break;
                    }
                    if !claims.claim(id) {
                        continue;
                    }
                    match self.claimed(sink, id, Some(at)) {
                        Ok(Some(claim)) => {
                            due.deliveries.push(claim);
                            claims.set_turn(sink.number, queue.tag);
                            left.push(queue);
                            break;
                        }
                        // It moved between the scan and the claim: its entry is as good as gone.
                        Ok(None) => claims.unclaim(&[id]),
                        // Claimed for good, so that it is said once and not read again.
                        Err(fault) => due.damaged.push((id, Unavailable::from(fault))),
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
    ) -> Result<Vec<SourceQueue>, Fault> {
        let prefix = key::due_of(sink);
        let mut queues = Vec::new();
        let mut from = Bound::Included(prefix.clone());
        while let Some(first) = self.tree.range((from, Bound::Unbounded)).keys().next() {
            let first = first?;
            if !first.starts_with(&prefix) {
                break;
            }
            let (tag, _, _) = key::read_due(&first).ok_or(Unreadable::Damaged)?;
            let of_queue = key::due_in(sink, tag);
            from = Bound::Excluded([of_queue.as_slice(), &[0xff; 25]].concat());
            if key::freshness(tag) != wanted.freshness {
                continue;
            }
            let keys: Box<dyn Iterator<Item = _>> = if wanted.newest {
                let end = key::due_at(sink, tag, now.saturating_add(1));
                Box::new(self.tree.range(of_queue..end).keys().rev())
            } else {
                Box::new(self.tree.scan_prefix(of_queue).keys())
            };
            queues.push(SourceQueue { tag, keys });
        }
        Ok(queues)
    }

    /// See [`crate::outbox::Queue::claim_one`].
    pub(super) fn claim_one(
        &self,
        sink: &str,
        id: DeliveryId,
        claims: &Claims,
    ) -> Result<Option<Claim>, Fault> {
        let sink = self.sinks.named(sink)?;
        if !claims.claim(id) {
            return Ok(None);
        }
        let claimed = self.claimed(&sink, id, None);
        if !matches!(claimed, Ok(Some(_))) {
            claims.unclaim(&[id]);
        }
        claimed
    }

    fn claimed(
        &self,
        sink: &KnownSink,
        id: DeliveryId,
        due: Option<Millis>,
    ) -> Result<Option<Claim>, Fault> {
        let Some(delivery) = self.kept(key::WAITING, sink.number, id)? else {
            return Ok(None);
        };
        match (&delivery.state, due) {
            (State::Waiting { .. }, None) => {}
            (State::Waiting { due_at }, Some(due)) if *due_at == due => {}
            _ => return Ok(None),
        }
        let lead = self
            .lead(delivery.lead, delivery.revision)?
            .ok_or(Unreadable::Damaged)?;
        let update = self.was_given_before(&delivery, sink.number)?;
        Ok(Some(Claim {
            id,
            delivery,
            lead,
            update,
        }))
    }

    /// Whether the sink has an earlier revision of the delivery's lead.
    fn was_given_before(&self, delivery: &Delivery, sink: SinkNumber) -> Result<bool, Fault> {
        if delivery.revision == 1 {
            return Ok(false);
        }
        let first = key::order(delivery.lead, sink, 0);
        let this = key::order(delivery.lead, sink, delivery.revision);
        for entry in self.tree.range(first..this).rev() {
            let (_, id) = entry?;
            let id = DeliveryId(Uuid::from_slice(&id).map_err(|_| Unreadable::Damaged)?);
            if let Some(earlier) = self.kept(key::DONE, sink, id)?
                && matches!(earlier.state, State::Delivered { .. })
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn oldest(&self, sink: &str) -> Result<Option<Millis>, Fault> {
        let number = self.sinks.named(sink)?.number;
        let prefix = key::room(key::WAITING, number);
        let Some(entry) = self.tree.scan_prefix(prefix).next() else {
            return Ok(None);
        };
        Ok(Some(record::open(&self.vault, &entry?.1)?.created_at))
    }
}
