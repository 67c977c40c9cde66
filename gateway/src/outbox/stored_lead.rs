//! A stored lead: one revision as it is read back, for plugins and people.

use std::fmt;

use super::LeadId;
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
