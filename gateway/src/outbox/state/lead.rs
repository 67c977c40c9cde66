//! A lead as the store knows it without reading what was pushed: its revisions and its
//! deliveries. Nothing in it is personal.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
pub use crate::outbox::FailureGroupId as FailureKey;
use crate::outbox::{Budget, DeathReason, Delivery, DeliveryId, Freshness, State, StateName};

/// A lead. The order of `deliveries` is the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lead {
    /// Name of the source.
    pub source: String,
    /// Latest `modified_at` of its revisions.
    pub modified_at: Option<Millis>,
    /// Oldest first; their numbers ascend.
    pub revisions: Vec<Revision>,
    /// All that were ever made for it.
    pub deliveries: Vec<DeliveryHead>,
}

/// One revision, without what was pushed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// 1 for the first.
    pub number: u32,
    /// Hash of the normal form.
    pub content: [u8; 32],
    /// The sender's modification time.
    pub modified_at: Option<Millis>,
    /// Came after a newer one: kept, never delivered.
    pub history: bool,
    /// When it was received.
    pub received_at: Millis,
    /// When it was pushed last.
    pub pushed_at: Millis,
    /// The oldest revision that is kept since it came: those before that one left then, with
    /// their deliveries.
    pub oldest: u32,
}

/// A delivery without its attempts' texts and its plugin's step record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeliveryHead {
    /// Its id.
    pub id: DeliveryId,
    /// Name of the sink.
    pub sink: String,
    /// Which revision.
    pub revision: u32,
    /// When it was made.
    pub created_at: Millis,
    /// Where it stands.
    pub state: State,
    /// Attempts made so far.
    pub attempts: u32,
    /// From where attempts and age are counted.
    pub budget: Budget,
    /// The dead letter in whose place it was made.
    pub fallback_of: Option<DeliveryId>,
    /// The failure group of its last attempt, if it is dead or waits for a retry.
    pub failure: Option<FailureKey>,
}

/// In which list a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Never tried.
    Pending,
    /// Tried before.
    Retrying,
    /// Behind an earlier revision.
    Behind,
    /// The destination has it.
    Delivered,
    /// A newer revision took its place.
    Superseded,
    /// Given up by a person.
    Cancelled,
    /// A dead letter.
    Dead(DeathReason),
}

impl Class {
    /// What an operator calls it where nothing is in flight.
    pub const fn name(self) -> StateName {
        match self {
            Self::Pending => StateName::Pending,
            Self::Retrying => StateName::Retrying,
            Self::Behind => StateName::Behind,
            Self::Delivered => StateName::Delivered,
            Self::Superseded => StateName::Superseded,
            Self::Cancelled => StateName::Cancelled,
            Self::Dead(_) => StateName::Dead,
        }
    }

    /// Whether its deliveries failed last, and stand in a failure group.
    pub const fn is_failing(self) -> bool {
        matches!(self, Self::Retrying | Self::Dead(_))
    }
}

impl DeliveryHead {
    /// In which list it stands.
    pub const fn class(&self) -> Class {
        match self.state {
            State::Waiting { .. } if self.attempts > 0 => Class::Retrying,
            State::Waiting { .. } => Class::Pending,
            State::Behind => Class::Behind,
            State::Delivered { .. } => Class::Delivered,
            State::Superseded { .. } => Class::Superseded,
            State::Cancelled { .. } => Class::Cancelled,
            State::Dead { reason, .. } => Class::Dead(reason),
        }
    }

    /// Whether it is tried for the first time.
    pub const fn freshness(&self) -> Freshness {
        if self.attempts == 0 && self.budget.since <= self.created_at {
            Freshness::Fresh
        } else {
            Freshness::Again
        }
    }

    /// Of a whole delivery.
    pub fn of(id: DeliveryId, delivery: &Delivery, failure: Option<FailureKey>) -> Self {
        Self {
            id,
            sink: delivery.sink.clone(),
            revision: delivery.revision,
            created_at: delivery.created_at,
            state: delivery.state.clone(),
            attempts: delivery.attempts,
            budget: delivery.budget,
            fallback_of: delivery.fallback_of,
            failure,
        }
    }
}

impl Lead {
    /// Whether the sink of a delivery was given an earlier revision.
    pub fn was_given_before(&self, this: &DeliveryHead) -> bool {
        self.deliveries.iter().any(|one| {
            one.sink == this.sink
                && one.revision < this.revision
                && matches!(one.state, State::Delivered { .. })
        })
    }
}
