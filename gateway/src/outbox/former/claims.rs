//! Claims: which deliveries are in a dispatcher's hands, and which the committer is about to
//! change under its own. Memory only: a crash gives all back.
//!
//! Invariant: a delivery is never claimed and reserved at once. So what is superseded,
//! cancelled or moved has no attempt under way, and what is attempted is not moved.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::key::{self, QueueTag, SinkNumber};
use crate::outbox::{DeliveryId, Freshness};

/// Both kinds of hold on deliveries.
#[derive(Default)]
pub(super) struct Claims(Mutex<Holds>);

#[derive(Default)]
struct Holds {
    claimed: HashSet<DeliveryId>,
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
    pub(super) fn claim(&self, id: DeliveryId) -> bool {
        let mut holds = self.holds();
        !holds.reserved.contains(&id) && holds.claimed.insert(id)
    }

    pub(super) fn unclaim(&self, ids: &[DeliveryId]) {
        let mut holds = self.holds();
        for id in ids {
            holds.claimed.remove(id);
        }
    }

    pub(super) fn is_claimed(&self, id: DeliveryId) -> bool {
        self.holds().claimed.contains(&id)
    }

    /// For a change by the committer; `false` if an attempt is under way.
    pub(super) fn reserve(&self, id: DeliveryId) -> bool {
        let mut holds = self.holds();
        if holds.claimed.contains(&id) {
            return false;
        }
        holds.reserved.insert(id);
        true
    }

    pub(super) fn unreserve(&self, ids: &[DeliveryId]) {
        if ids.is_empty() {
            return;
        }
        let mut holds = self.holds();
        for id in ids {
            holds.reserved.remove(id);
        }
    }

    /// The queue whose delivery was claimed last for `sink`.
    pub(super) fn turn(&self, sink: SinkNumber, freshness: Freshness) -> Option<QueueTag> {
        let turn = (sink, freshness == Freshness::Again);
        self.holds().turns.get(&turn).copied()
    }

    pub(super) fn set_turn(&self, sink: SinkNumber, queue: QueueTag) {
        let again = key::freshness(queue) == Freshness::Again;
        self.holds().turns.insert((sink, again), queue);
    }
}
