//! Bodies: what was pushed, as it is kept beside the records.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::outbox::state::{NewLead, NewQuarantined, QuarantineHead, Revision, Tag};
use crate::outbox::{
    Arrival, Find, LeadId, QuarantineId, QuarantinedPush, StoredLead, StoredQuarantinedPush,
};
use crate::seal::IndexKey;

/// What is hashed, so that equal values of different kinds differ.
const IDENTITY: u8 = 1;
const FIND: u8 = 3;
const FINGERPRINT: u8 = 4;

#[derive(Serialize, Deserialize)]
pub(super) struct LeadBody {
    pub(super) identity: [u8; 32],
    pub(super) stable: bool,
    pub(super) request_id: Option<String>,
    pub(super) method: Option<String>,
    pub(super) lead: String,
    pub(super) labels: String,
    pub(super) raw: String,
    pub(super) original: Option<Vec<u8>>,
    pub(super) finds: Vec<Tag>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct QuarantineBody {
    pub(super) reason: String,
    pub(super) request_id: Option<String>,
    pub(super) query: String,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
    pub(super) fingerprint: [u8; 32],
}

pub(super) fn encode<T: Serialize>(body: &T) -> Bytes {
    postcard::to_stdvec(body).expect("plain structs").into()
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).expect("as it was encoded")
}

pub(super) fn tag(kind: u8, hash: &[u8; 32]) -> Tag {
    let mut tag = [kind; 17];
    tag[1..].copy_from_slice(&hash[..16]);
    tag
}

pub(super) fn identity_tag(hash: &[u8; 32]) -> Tag {
    tag(0xf0, hash)
}

pub(super) fn find_tag(key: &IndexKey, find: &Find) -> Tag {
    let parts = [find.field.as_str().as_bytes(), find.value.as_bytes()];
    tag(find.field as u8, &key.hash(FIND, &parts))
}

impl LeadBody {
    pub(super) fn arrived(key: &IndexKey, arrival: Arrival, now: i64) -> NewLead {
        let finds = arrival.finds.iter().map(|find| find_tag(key, find));
        let body = Self {
            identity: key.hash(IDENTITY, &[&arrival.identity]),
            stable: arrival.stable,
            request_id: arrival.request_id,
            method: arrival.method,
            lead: arrival.lead,
            labels: arrival.labels,
            raw: arrival.raw,
            original: arrival.original,
            finds: finds.collect(),
        };
        NewLead {
            source: arrival.source,
            identity: identity_tag(&body.identity),
            content: arrival.content,
            modified_at: arrival.modified_at,
            received_at: arrival.received_at,
            now,
            finds: body.finds.clone(),
            routes: arrival.routes,
            body: encode(&body),
        }
    }

    pub(super) fn stored(self, id: LeadId, source: &str, revision: &Revision) -> StoredLead {
        StoredLead {
            id,
            revision: revision.number,
            source: source.to_owned(),
            received_at: revision.received_at,
            lead: self.lead,
            labels: self.labels,
            raw: self.raw,
            original: self.original,
        }
    }
}

impl QuarantineBody {
    pub(super) fn pushed(key: &IndexKey, push: QuarantinedPush) -> NewQuarantined {
        let mut body = Self {
            reason: push.reason.to_owned(),
            request_id: push.request_id,
            query: push.query,
            content_type: push.content_type,
            body: push.body,
            fingerprint: [0; 32],
        };
        let content = body.content(key, &push.source);
        body.fingerprint = match push.signature.as_bytes() {
            [] => content,
            signature => {
                let parts = [push.source.as_bytes(), b"signature", signature];
                key.hash(FINGERPRINT, &parts)
            }
        };
        NewQuarantined {
            tags: body.tags(key, &push.source),
            size: body.size(),
            source: push.source,
            received_at: push.received_at,
            ceiling: push.ceiling,
            body: encode(&body),
        }
    }

    fn content(&self, key: &IndexKey, source: &str) -> [u8; 32] {
        let content = if self.body.is_empty() {
            self.query.as_bytes()
        } else {
            &self.body
        };
        let parts = [source, &self.reason, &self.content_type].map(str::as_bytes);
        key.hash(FINGERPRINT, &[parts[0], parts[1], parts[2], content])
    }

    pub(super) fn tags(&self, key: &IndexKey, source: &str) -> [Tag; 2] {
        [self.fingerprint, self.content(key, source)].map(|hash| tag(0xf1, &hash))
    }

    pub(super) fn size(&self) -> u64 {
        (self.body.len() + self.query.len()) as u64
    }

    pub(super) fn stored(self, id: QuarantineId, head: &QuarantineHead) -> StoredQuarantinedPush {
        StoredQuarantinedPush {
            id,
            source: head.source.clone(),
            reason: self.reason,
            received_at: head.received_at,
            request_id: self.request_id,
            query: self.query,
            content_type: self.content_type,
            body: self.body,
        }
    }
}

pub(super) fn hex<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let digits = text.get(2 * at..2 * at + 2);
        let read = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        *byte = read.ok_or("a hash is damaged")?;
    }
    Ok(bytes)
}
