//! What is stored of a lead and of a quarantined push, and how it is looked for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DeathReason, Delivery, DeliveryId, FailureGroupId, LeadId, QuarantineId, StateName};
use crate::clock::Millis;

/// A lead revision as stored.
#[derive(Clone)]
pub struct StoredLead {
    /// The lead.
    pub id: LeadId,
    /// Its revision.
    pub revision: u32,
    /// Name of the source.
    pub source: String,
    /// When it was received.
    pub received_at: Millis,
    /// The event's `lead` object (JSON).
    pub lead: String,
    /// The event's `labels` object (JSON).
    pub labels: String,
    /// The body as text.
    pub raw: String,
    /// The body byte for byte, where it is not `raw`.
    pub original: Option<Vec<u8>>,
}

impl fmt::Debug for StoredLead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Personal data stays out of any log.
        formatter
            .debug_struct("StoredLead")
            .field("id", &self.id)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// How many deliveries of a source for a sink stand in a state now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SinkCount {
    /// Name of the sink.
    pub sink: String,
    /// Name of the source.
    pub source: String,
    /// The state; what is in flight counts as what it was before, pending or retrying.
    pub state: StateName,
    /// How many; never 0.
    pub count: u64,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What is on it. May be fewer than asked for, even none, although `next` is set:
    /// how much one page reads is bounded.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one. Opaque.
    pub next: Option<String>,
}

/// A delivery in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id.
    pub id: DeliveryId,
    /// It.
    pub delivery: Delivery,
    /// What an operator calls its state.
    pub state: StateName,
}

/// A lead with all that is stored of it.
#[derive(Debug)]
pub struct History {
    /// The lead.
    pub id: LeadId,
    /// Its revisions, oldest first.
    pub revisions: Vec<StoredLead>,
    /// Its deliveries, by revision.
    pub deliveries: Vec<Listed>,
}

/// A quarantined push, as listed.
#[derive(Clone)]
pub struct StoredQuarantinedPush {
    /// Its id.
    pub id: QuarantineId,
    /// Name of the source.
    pub source: String,
    /// Why it was quarantined.
    pub reason: String,
    /// When it was received.
    pub received_at: Millis,
    /// The sender's id of the request.
    pub request_id: Option<String>,
    /// The raw query string.
    pub query: String,
    /// The raw content type.
    pub content_type: String,
    /// The raw body.
    pub body: Vec<u8>,
}

impl fmt::Debug for StoredQuarantinedPush {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoredQuarantinedPush")
            .field("id", &self.id)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// How much of a source is in quarantine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineCount {
    /// Pushes.
    pub entries: u64,
    /// Bytes of their bodies and queries.
    pub bytes: u64,
    /// Pushes that were only counted, because as many as may be were kept already; since
    /// there were none the last time.
    pub not_kept: u64,
    /// When the first of them came.
    pub first_not_kept_at: Millis,
    /// When the last of them came.
    pub last_not_kept_at: Millis,
}

/// What one step of rekeying did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Records that were sealed again.
    pub resealed: u64,
    /// Where to go on; `None` at the end. Opaque.
    pub next: Option<String>,
}

/// What one step of the retention sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Leads that left.
    pub leads: u64,
    /// Dead letters that left with them.
    pub dead_letters: u64,
    /// Quarantined pushes that left.
    pub quarantined: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<LeadId>,
}

/// How long what is over is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Leads whose deliveries are all done, since the last of them was, in milliseconds.
    pub done_ms: Millis,
    /// Leads with a dead letter, since the last attempt, and quarantined pushes; in milliseconds.
    pub dead_ms: Millis,
    /// They leave only if their time ended before this: later ends were not announced yet.
    pub dead_by: Millis,
}

/// What needs a person and leaves soon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiring {
    /// Dead letters.
    pub dead_letters: u64,
    /// Pushes in quarantine.
    pub quarantine: u64,
    /// When the first of them leaves.
    pub first: Option<Millis>,
}
