//! The vault: how what is pushed becomes records and tags that tell a thief nothing.
//!
//! Bodies are sealed with the merchant's key. What is looked up by is hashed with a key of the
//! store's own, which is itself sealed, so that a new key does not change the hashes.

use std::sync::Arc;

use super::body::{LeadBody, QuarantineBody};
use super::codec::Codec;
use super::find;
use crate::outbox::state::{NewLead, NewQuarantined, Tag};
use crate::outbox::{Arrival, Find, QuarantinedPush};
use crate::seal::IndexKey;

/// What is hashed, so that equal values of different kinds differ.
const IDENTITY: u8 = 1;
const CONTENT: u8 = 2;
const FIND: u8 = 3;
const FINGERPRINT: u8 = 4;
/// Names failure groups.
pub(super) const FAILURE: u8 = 5;

/// Seals, and hashes what is looked up by.
pub(super) struct Vault {
    pub(super) codec: Arc<Codec>,
    pub(super) index: IndexKey,
}

impl Vault {
    pub(super) fn index(&self, domain: u8, parts: &[&[u8]]) -> [u8; 32] {
        self.index.hash(domain, parts)
    }

    /// A lead as the store takes it.
    pub(super) fn lead(&self, arrival: Arrival) -> NewLead {
        let identity = self.index(IDENTITY, &[&arrival.identity]);
        let identity = find::tag(find::IDENTITY, &identity);
        let content = self.content(&arrival.content);
        let finds = arrival.finds.iter().map(|find| self.tag(find)).collect();
        let body = LeadBody::of(&arrival);
        NewLead {
            body: self.codec.seal_lead(&body, &identity, &content),
            source: arrival.source,
            identity,
            content,
            modified_at: arrival.modified_at,
            received_at: arrival.received_at,
            now: arrival.received_at,
            finds,
            routes: arrival.routes,
        }
    }

    /// A quarantined push as the store takes it.
    pub(super) fn quarantined(&self, push: &QuarantinedPush) -> NewQuarantined {
        let body = QuarantineBody::of(push);
        let content = self.quarantined_content(&push.source, &body);
        let signed = match push.signature.as_bytes() {
            [] => content,
            signature => self.index(
                FINGERPRINT,
                &[push.source.as_bytes(), b"signature", signature],
            ),
        };
        let tags = [signed, content].map(|hash| find::tag(find::FINGERPRINT, &hash));
        NewQuarantined {
            body: self.codec.seal_quarantine(&body, &tags),
            source: Arc::clone(&push.source),
            tags,
            size: (push.body.len() + push.query.len()) as u64,
            received_at: push.received_at,
            ceiling: push.ceiling,
        }
    }

    /// What makes two pushes the same however they are signed: everything but the query, whose
    /// request id and timestamp change with every push of the same content. A push without a
    /// body is its query.
    pub(super) fn quarantined_content(&self, source: &str, body: &QuarantineBody<'_>) -> [u8; 32] {
        let content = match body.body {
            [] => body.query.as_bytes(),
            content => content,
        };
        let (reason, kind) = (body.reason.as_bytes(), body.content_type.as_bytes());
        self.index(FINGERPRINT, &[source.as_bytes(), reason, kind, content])
    }

    /// The keyed hash of a lead's content.
    pub(super) fn content(&self, content: &[u8; 32]) -> [u8; 32] {
        self.index(CONTENT, &[content])
    }

    /// What a value is found by.
    pub(super) fn tag(&self, find: &Find) -> Tag {
        let hash = self.index(
            FIND,
            &[find.field.as_str().as_bytes(), find.value.as_bytes()],
        );
        find::tag(find.field as u8, &hash)
    }
}
