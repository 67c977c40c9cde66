//! What is stored of a quarantined push, and how long what is kept.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{LeadId, QuarantineId};
use crate::clock::Millis;

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
