//! Arrivals: what receiving gives the store, and what it is told.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{LeadId, QuarantineId};
use crate::clock::Millis;
use crate::config::Ceiling;
use crate::lead::mask;

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
        let value = match field {
            FindBy::Phone => crate::lead::Phone::parse(value)
                .map_or_else(|| value.to_owned(), |phone| phone.as_str().to_owned()),
            FindBy::PhoneEnd => phone_end(value).unwrap_or_default(),
            _ => value.to_owned(),
        };
        Self { field, value }
    }

    /// Of what a person asks for: a phone of exactly four digits is the end of one.
    pub fn asked(field: FindBy, value: &str) -> Self {
        let digits = |text: &str| text.chars().all(|letter| mask::digit(letter).is_some());
        let value = value.trim();
        if field == FindBy::Phone && value.chars().count() == END && digits(value) {
            return Self::new(FindBy::PhoneEnd, value);
        }
        Self::new(field, value)
    }
}

/// Digits that people know a phone by.
const END: usize = 4;

/// The last four digits of a phone, however it is written.
fn phone_end(phone: &str) -> Option<String> {
    let digits: String = phone.chars().filter_map(mask::digit).collect();
    let start = digits.len().checked_sub(END)?;
    Some(digits[start..].to_owned())
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
    /// The last four digits of `phone`.
    PhoneEnd,
}

impl FindBy {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Phone,
        Self::RecordId,
        Self::OrderNum,
        Self::Nick,
        Self::Openid,
        Self::PhoneEnd,
    ];

    /// Its name in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::RecordId => "record_id",
            Self::OrderNum => "order_num",
            Self::Nick => "nick",
            Self::Openid => "openid",
            Self::PhoneEnd => "phone_end",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_has_its_last_four_digits_however_it_is_written() {
        for (phone, end) in [
            ("13567658911", "8911"),
            ("+86 135-6765-8911", "8911"),
            ("１３５６７６５８９１１", "8911"),
            ("0571-88157888", "7888"),
            (" 8911 ", "8911"),
            ("911", ""),
            ("", ""),
        ] {
            let find = Find::new(FindBy::PhoneEnd, phone);
            assert_eq!(find.value, end, "{phone}");
        }
    }

    #[test]
    fn exactly_four_digits_ask_for_the_end_of_a_phone_and_nothing_else_does() {
        for (field, value, meant) in [
            (FindBy::Phone, "8911", FindBy::PhoneEnd),
            (FindBy::Phone, " ８９１１\n", FindBy::PhoneEnd),
            (FindBy::Phone, "13567658911", FindBy::Phone),
            (FindBy::Phone, "58911", FindBy::Phone),
            (FindBy::Phone, "a911", FindBy::Phone),
            (FindBy::OrderNum, "8911", FindBy::OrderNum),
            (FindBy::PhoneEnd, "13567658911", FindBy::PhoneEnd),
        ] {
            assert_eq!(Find::asked(field, value).field, meant, "{value}");
        }
    }
}
