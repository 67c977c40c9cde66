//! Bodies: what was pushed, as it is encoded before it is sealed. A version byte, then
//! postcard; borrowed from the push when it is written and from the opened bytes when read.

use serde::{Deserialize, Serialize, Serializer};

use super::unreadable::Unreadable;
use crate::outbox::{Arrival, QuarantinedPush};

/// What was pushed of a lead. Not `Debug`: it is personal data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadBody<'a> {
    /// `false` if the content had to stand in for a missing record id.
    pub stable: bool,
    /// The sender's id of the request.
    pub request_id: Option<&'a str>,
    /// The sender's name of the API.
    pub method: Option<&'a str>,
    /// The event's `lead` object (JSON).
    pub lead: &'a str,
    /// The event's `labels` object (JSON).
    pub labels: &'a str,
    /// The body as text.
    pub raw: &'a str,
    /// The body byte for byte, where it is not `raw`.
    #[serde(borrow)]
    pub original: Option<Whole<'a>>,
}

/// What was pushed and put into quarantine. Not `Debug`: it may be personal data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineBody<'a> {
    /// Why it was quarantined.
    pub reason: &'a str,
    /// The sender's id of the request.
    pub request_id: Option<&'a str>,
    /// The raw query string.
    pub query: &'a str,
    /// The raw content type.
    pub content_type: &'a str,
    /// The raw body.
    #[serde(serialize_with = "bytes")]
    pub body: &'a [u8],
}

/// Version of both.
const VERSION: u8 = 1;

/// Bytes that the lengths, options and sealing of a body take at most, about.
const AROUND: usize = 128;

impl<'a> LeadBody<'a> {
    /// Of an arrival.
    pub fn of(arrival: &'a Arrival) -> Self {
        Self {
            stable: arrival.stable,
            request_id: arrival.request_id.as_deref(),
            method: arrival.method.as_deref(),
            lead: &arrival.lead,
            labels: &arrival.labels,
            raw: &arrival.raw,
            original: arrival.original.as_deref().map(Whole),
        }
    }

    /// As bytes, with room for sealing.
    pub(super) fn encode(&self) -> Vec<u8> {
        let texts = [self.lead, self.labels, self.raw].map(str::len);
        let names = [self.request_id, self.method].map(|name| name.map_or(0, str::len));
        let original = self.original.map_or(0, |original| original.0.len());
        let length = texts.into_iter().chain(names).sum::<usize>() + original;
        encode(self, length)
    }

    /// From what [`LeadBody::encode`] made.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        decode(bytes)
    }
}

impl<'a> QuarantineBody<'a> {
    /// Of a push.
    pub fn of(push: &'a QuarantinedPush) -> Self {
        Self {
            reason: push.reason,
            request_id: push.request_id.as_deref(),
            query: &push.query,
            content_type: &push.content_type,
            body: &push.body,
        }
    }

    /// Bytes that it counts for.
    pub fn size(&self) -> u64 {
        (self.body.len() + self.query.len()) as u64
    }

    /// As bytes, with room for sealing.
    pub(super) fn encode(&self) -> Vec<u8> {
        let texts = [self.reason, self.query, self.content_type].map(str::len);
        let length = texts.into_iter().sum::<usize>()
            + self.request_id.map_or(0, str::len)
            + self.body.len();
        encode(self, length)
    }

    /// From what [`QuarantineBody::encode`] made.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        decode(bytes)
    }
}

fn encode<T: Serialize>(body: &T, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + AROUND);
    out.push(VERSION);
    postcard::to_extend(body, out)
        .expect("bodies are plain structs, which postcard can always write")
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unreadable> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((body, [])) => Ok(body),
            _ => Err(Unreadable::Damaged),
        },
        Some((&version, _)) if version > VERSION => Err(Unreadable::Newer {
            what: "body",
            version,
            known: VERSION,
        }),
        _ => Err(Unreadable::Damaged),
    }
}

/// As one piece; serde writes slices byte by byte.
fn bytes<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(bytes)
}

/// Bytes as one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Whole<'a>(#[serde(borrow)] pub &'a [u8]);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_lead_survives_the_round_trip(
            stable: bool, request_id: Option<String>, method: Option<String>, lead: String,
            labels: String, raw: String, original: Option<Vec<u8>>,
        ) {
            let body = LeadBody {
                stable, request_id: request_id.as_deref(), method: method.as_deref(), lead: &lead,
                labels: &labels, raw: &raw, original: original.as_deref().map(Whole),
            };
            let bytes = body.encode();
            prop_assert!(LeadBody::decode(&bytes).expect("just encoded") == body);
            for end in 0..bytes.len() {
                prop_assert!(LeadBody::decode(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn a_push_survives_the_round_trip(
            reason: String, request_id: Option<String>, query: String, content_type: String,
            pushed: Vec<u8>,
        ) {
            let body = QuarantineBody {
                reason: &reason, request_id: request_id.as_deref(), query: &query,
                content_type: &content_type, body: &pushed,
            };
            let bytes = body.encode();
            prop_assert!(QuarantineBody::decode(&bytes).expect("just encoded") == body);
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes: Vec<u8>) {
            let _ = LeadBody::decode(&bytes);
            let _ = QuarantineBody::decode(&bytes);
        }
    }

    #[test]
    fn a_body_of_a_newer_version_is_named() {
        let error = LeadBody::decode(&[2, 0]).err().expect("refused");
        assert!(error.to_string().contains("version 2"), "{error}");
    }
}
