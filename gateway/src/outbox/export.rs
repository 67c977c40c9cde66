//! Exports: leads and quarantine as JSON lines, the way across engines and versions.
//!
//! The first line says the version and the key of the indexes, so that the store that takes
//! an export still knows what is a re-push and finds leads by phone. Plain text: personal data.

use serde::{Deserialize, Serialize};

use super::{AuditEntry, Delivery, DeliveryId, LeadId, QuarantineId};
use crate::clock::Millis;

/// Version of the lines written now.
pub const EXPORT_VERSION: u32 = 3;

/// The first line.
#[derive(Clone, Serialize, Deserialize)]
pub struct ExportHeader {
    /// Version of the lines.
    pub leadgate_export: u32,
    /// The key that hashes what is looked up by, in hex.
    pub index_key: String,
}

/// Any other line.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exported {
    /// A lead.
    Lead(ExportedLead),
    /// A quarantined push.
    Quarantined(ExportedQuarantinedPush),
    /// An entry of the audit log; since version 3.
    Audit(AuditEntry),
}

/// A lead with all that is stored of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct ExportedLead {
    /// Its id.
    pub id: LeadId,
    /// Its revisions, oldest first.
    pub revisions: Vec<ExportedRevision>,
    /// Its deliveries with their attempts.
    pub deliveries: Vec<ExportedDelivery>,
}

/// A revision. Hashes are in hex, made with the index key.
#[derive(Clone, Serialize, Deserialize)]
pub struct ExportedRevision {
    /// Its number.
    pub revision: u32,
    /// Name of the source.
    pub source: String,
    /// When it was received.
    pub received_at: Millis,
    /// Hash of the lead's identity.
    pub identity: String,
    /// Whether that came from a record id.
    pub stable: bool,
    /// Hash of the content, without the index key: in exports of version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Hash of the content, made with the index key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub keyed_content: String,
    /// The sender's modification time.
    pub modified_at: Option<Millis>,
    /// The sender's id of the request.
    pub request_id: Option<String>,
    /// The sender's name of the API.
    pub method: Option<String>,
    /// The event's `lead` object, as text.
    pub lead: String,
    /// The event's `labels` object, as text.
    pub labels: String,
    /// The body as text.
    pub raw: String,
    /// The body in base64, where it is not `raw`.
    pub original: Option<String>,
    /// Hashes of what it is found by.
    pub finds: Vec<String>,
}

/// A delivery.
#[derive(Clone, Serialize, Deserialize)]
pub struct ExportedDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// It.
    #[serde(flatten)]
    pub delivery: Delivery,
}

/// A quarantined push.
#[derive(Clone, Serialize, Deserialize)]
pub struct ExportedQuarantinedPush {
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
    /// The raw body, in base64.
    pub body: String,
    /// What makes an equal push a duplicate, in hex.
    pub fingerprint: String,
}
