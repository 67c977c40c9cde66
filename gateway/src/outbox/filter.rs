//! Filters: which deliveries, leads and quarantined pushes are meant. Kept with bulk jobs, so
//! the order of what is in them is part of an engine's format.

use serde::{Deserialize, Serialize};

use super::{DeathReason, FailureGroupId, StateName, StoredQuarantinedPush};
use crate::clock::Millis;

/// Which deliveries to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Of this sink.
    pub sink: Option<String>,
    /// In this state.
    pub state: Option<StateName>,
    /// Made before.
    pub before: Option<Millis>,
    /// Made at or after.
    pub since: Option<Millis>,
    /// Of a lead of this source.
    pub source: Option<String>,
    /// Dead for this reason.
    pub reason: Option<DeathReason>,
    /// In a failure group of this rule.
    pub rule: Option<String>,
    /// In this failure group, of whatever sink.
    pub group: Option<FailureGroupId>,
    /// Waiting, or dead, for a sink that is not configured any more.
    pub orphaned: bool,
    /// The newest first, rather than the oldest.
    pub newest_first: bool,
}

/// Which leads to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadFilter {
    /// Of this source.
    pub source: Option<String>,
    /// First pushed at or after.
    pub since: Option<Millis>,
    /// First pushed before.
    pub before: Option<Millis>,
    /// The newest first, rather than the oldest.
    pub newest_first: bool,
}

/// Which quarantined pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushFilter {
    /// Of this source.
    pub source: Option<String>,
    /// Kept for this reason.
    pub reason: Option<String>,
    /// Received at or after.
    pub since: Option<Millis>,
    /// Received before.
    pub before: Option<Millis>,
}

impl PushFilter {
    /// Whether that push is meant.
    pub fn passes(&self, push: &StoredQuarantinedPush) -> bool {
        let at = push.received_at;
        self.source.as_ref().is_none_or(|one| *one == push.source)
            && self.reason.as_ref().is_none_or(|one| *one == push.reason)
            && self.since.is_none_or(|since| at >= since)
            && self.before.is_none_or(|before| at < before)
    }
}
