//! Arrivals: what receiving gives the store, and what it is told.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{LeadId, QuarantineId};
use crate::clock::Millis;
use crate::config::Ceiling;

/// A verified lead on its way into the store. Not `Debug`: it is personal data.
#[derive(Clone)]
pub struct Arrival {
    /// Name of the source.
    pub source: Arc<str>,
    /// When the push was received.
    pub received_at: Millis,
    /// Key of the lead across pushes.
    pub identity: [u8; 32],
    /// `false` if the content had to stand in for a missing record id.
    pub stable: bool,
    /// Hash of the normal form; equal content is a duplicate.
    pub content: [u8; 32],
    /// The sender's own modification time, if it gave one.
    pub modified_at: Option<Millis>,
    /// The sender's id of the request.
    pub request_id: Option<String>,
    /// The sender's name of the API.
    pub method: Option<String>,
    /// The event's `lead` object (JSON).
    pub lead: String,
    /// The event's `labels` object (JSON).
    pub labels: String,
    /// The body as text.
    pub raw: String,
    /// The body byte for byte, where it is not `raw`.
    pub original: Option<Vec<u8>>,
    /// What the lead can be found by.
    pub finds: Vec<Find>,
    /// The sinks that want it, by name.
    pub routes: Vec<Route>,
}

/// One value by which a lead can be found. Stored only as a keyed hash. Not `Debug`: it may
/// be a phone number.
#[derive(Clone, PartialEq, Eq)]
pub struct Find {
    /// Which field.
    pub field: FindBy,
    /// Its value; a phone in E.164 where it is one.
    pub value: String,
}

impl Find {
    /// Of a value as a person or a push gives it: white space around it does not count, and
    /// a Chinese mobile is the same however it is written.
    pub fn new(field: FindBy, value: &str) -> Self {
        let value = value.trim();
        let phone = (field == FindBy::Phone)
            .then(|| crate::lead::Phone::parse(value))
            .flatten();
        let value = phone.map_or_else(|| value.to_owned(), |phone| phone.as_str().to_owned());
        Self { field, value }
    }
}

/// The fields by which leads can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindBy {
    /// `phone`, as E.164 where it is a Chinese mobile, else as it came.
    Phone,
    /// `record_id`
    RecordId,
    /// `order_num`
    OrderNum,
    /// `taobao_nick`
    Nick,
    /// `openid`
    Openid,
}

impl FindBy {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Phone,
        Self::RecordId,
        Self::OrderNum,
        Self::Nick,
        Self::Openid,
    ];

    /// Its name in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::RecordId => "record_id",
            Self::OrderNum => "order_num",
            Self::Nick => "nick",
            Self::Openid => "openid",
        }
    }
}

/// One sink that an arrival goes to.
#[derive(Clone, Debug)]
pub struct Route {
    /// Name of the sink.
    pub sink: Arc<str>,
    /// Set when the sink's condition could not be evaluated: the delivery is made as a dead
    /// letter with this explanation, so that a person sees it.
    pub failed: Option<String>,
}

/// What became of an arrival. All variants are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A lead, or a revision of one, that was not known.
    New {
        /// The lead.
        lead: LeadId,
        /// 1 for the first.
        revision: u32,
        /// Older than what was known: kept, but not delivered.
        history: bool,
    },
    /// Exactly this content was stored before.
    Duplicate {
        /// The lead.
        lead: LeadId,
        /// The revision that has this content.
        revision: u32,
    },
    /// Exactly this content was stored before, and no sink had wanted the lead until now.
    Routed {
        /// The lead.
        lead: LeadId,
        /// The revision that has this content.
        revision: u32,
    },
    /// Kept as it came: whether it is new is seen when the store's index has been made anew.
    Deferred,
}

impl Accepted {
    /// The lead, if it is known already.
    pub const fn lead(&self) -> Option<LeadId> {
        match self {
            Self::New { lead, .. } | Self::Duplicate { lead, .. } | Self::Routed { lead, .. } => {
                Some(*lead)
            }
            Self::Deferred => None,
        }
    }
}

/// An authentic push that could not be read.
#[derive(Clone)]
pub struct QuarantinedPush {
    /// Name of the source.
    pub source: Arc<str>,
    /// Why it was quarantined.
    pub reason: &'static str,
    /// When it was received.
    pub received_at: Millis,
    /// The sender's id of the request.
    pub request_id: Option<String>,
    /// What signs it: one captured push can be cut and labelled in endless ways, all of which
    /// have the same. Empty where there is none.
    pub signature: String,
    /// The raw query string.
    pub query: String,
    /// The raw content type.
    pub content_type: String,
    /// The raw body.
    pub body: Vec<u8>,
    /// How much of its source may be kept.
    pub ceiling: Ceiling,
}

/// What became of a quarantined push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quarantined {
    /// Kept.
    New(QuarantineId),
    /// The same signature, or the same content, was kept before.
    Duplicate,
    /// Not kept, only counted: as much of its source as may be is kept already.
    Full,
    /// Kept as it came: whether it is new is seen when the store's index has been made anew.
    Deferred,
}

/// Why an arrival was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many arrivals are waiting already; the sender should try again.
    #[error("the outbox queue is full")]
    Full,
    /// The disk has less room left than `outbox.min_free`.
    #[error("the disk is almost full")]
    NoSpace,
    /// The store cannot be trusted or is closing.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outbox is unavailable: {0}")]
pub struct Unavailable(pub String);
