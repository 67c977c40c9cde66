//! Totals: how many of what, known without counting.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{DeathReason, Timekeeping};
use crate::clock::Millis;

/// Counts since the store was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Leads and revisions stored.
    pub accepted: u64,
    /// Pushes that brought nothing new.
    pub duplicate: u64,
    /// Pushes kept aside for a person, since the store was made.
    pub quarantined: u64,
    /// Those of them that are still there.
    pub in_quarantine: u64,
    /// Leads that are stored now.
    pub leads: u64,
    /// The latest time that was written, whatever the clock shows now.
    pub latest: Millis,
    /// By sink.
    pub sinks: BTreeMap<String, SinkTotals>,
    /// Leads that are stored now and that no sink ever wanted.
    pub unrouted: u64,
    /// What is known of the time.
    pub time: Timekeeping,
}

/// The deliveries of a sink that is not configured any more, and that nobody has decided about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Orphaned {
    /// Its name.
    pub sink: String,
    /// Those that wait.
    pub waiting: u64,
    /// Dead letters.
    pub dead: u64,
}

impl Totals {
    /// What is orphaned if these sinks are `configured`, by sink.
    pub fn orphaned(&self, configured: impl Fn(&str) -> bool) -> Vec<Orphaned> {
        let orphaned = self.sinks.iter().map(|(sink, totals)| Orphaned {
            sink: sink.clone(),
            waiting: totals.waiting,
            dead: totals.dead_letters(),
        });
        let some = |one: &Orphaned| one.waiting + one.dead > 0 && !configured(&one.sink);
        orphaned.filter(some).collect()
    }
}

/// Counts of one sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkTotals {
    /// Deliveries that wait, those in flight among them.
    pub waiting: u64,
    /// Those of them that were tried before.
    pub retrying: u64,
    /// Those of them that wait for an earlier revision.
    pub behind: u64,
    /// Deliveries done, since the store was made.
    pub delivered: u64,
    /// Deliveries replaced by a newer revision, since the store was made.
    pub superseded: u64,
    /// Deliveries given up by a person, since the store was made.
    pub cancelled: u64,
    /// Dead letters there are now, by reason.
    pub dead: BTreeMap<DeathReason, u64>,
}

impl SinkTotals {
    /// All dead letters.
    pub fn dead_letters(&self) -> u64 {
        self.dead.values().sum()
    }
}
