//! Claims: which deliveries are in a dispatcher's hands, and which the committer is about to
//! change under its own. Memory only: a crash gives all back.
//!
//! Invariant: a delivery is never claimed and reserved at once. So what is superseded,
//! cancelled or moved has no attempt under way, and what is attempted is not moved.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::keys::{self, QueueTag, SinkNumber};
use crate::outbox::state;
use crate::outbox::{DeliveryId, Freshness, LeadId};

/// Both kinds of hold on deliveries.
#[derive(Default)]
pub struct Claims(Mutex<Holds>);

#[derive(Default)]
struct Holds {
    /// With the lead, so that what is in flight can be listed.
    claimed: BTreeMap<DeliveryId, LeadId>,
    reserved: HashSet<DeliveryId>,
    /// The queue whose delivery was claimed last, by sink and kind.
    turns: HashMap<(SinkNumber, bool), QueueTag>,
}

impl Claims {
    fn holds(&self) -> MutexGuard<'_, Holds> {
        // Sets of ids cannot be left half-changed by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For an attempt; `false` if someone has it.
    pub fn claim(&self, id: DeliveryId, lead: LeadId) -> bool {
        let mut holds = self.holds();
        if holds.reserved.contains(&id) || holds.claimed.contains_key(&id) {
            return false;
        }
        holds.claimed.insert(id, lead);
        true
    }

    /// Gives claims back.
    pub fn unclaim(&self, ids: &[DeliveryId]) {
        let mut holds = self.holds();
        for id in ids {
            holds.claimed.remove(id);
        }
    }

    /// Whether an attempt is under way.
    pub fn is_claimed(&self, id: DeliveryId) -> bool {
        self.holds().claimed.contains_key(&id)
    }

    /// All that are claimed, with their leads, by id.
    pub fn claimed(&self) -> Vec<(DeliveryId, LeadId)> {
        let holds = self.holds();
        holds
            .claimed
            .iter()
            .map(|(id, lead)| (*id, *lead))
            .collect()
    }

    /// Ends the committer's holds.
    pub fn unreserve(&self, ids: &[DeliveryId]) {
        if ids.is_empty() {
            return;
        }
        let mut holds = self.holds();
        for id in ids {
            holds.reserved.remove(id);
        }
    }

    /// The queue whose delivery was claimed last for `sink`.
    pub fn turn(&self, sink: SinkNumber, freshness: Freshness) -> Option<QueueTag> {
        let turn = (sink, freshness == Freshness::Again);
        self.holds().turns.get(&turn).copied()
    }

    /// Notes which queue was served last for `sink`.
    pub fn set_turn(&self, sink: SinkNumber, queue: QueueTag) {
        let again = keys::freshness(queue) == Freshness::Again;
        self.holds().turns.insert((sink, again), queue);
    }
}

impl state::Holds for Claims {
    fn reserve(&self, id: DeliveryId) -> bool {
        let mut holds = self.holds();
        if holds.claimed.contains_key(&id) {
            return false;
        }
        holds.reserved.insert(id);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::state::Holds as _;
    use uuid::Uuid;

    #[test]
    fn a_delivery_is_never_claimed_and_reserved_at_once() {
        let claims = Claims::default();
        let (one, other) = (
            DeliveryId(Uuid::from_u128(1)),
            DeliveryId(Uuid::from_u128(2)),
        );
        let lead = LeadId(Uuid::from_u128(9));
        assert!(claims.claim(one, lead) && !claims.claim(one, lead));
        assert!(!claims.reserve(one), "an attempt is under way");
        assert!(claims.reserve(other) && !claims.claim(other, lead));
        assert_eq!(claims.claimed(), [(one, lead)]);
        claims.unreserve(&[other]);
        claims.unclaim(&[one]);
        assert!(claims.reserve(one) && claims.claim(other, lead));
    }
}
