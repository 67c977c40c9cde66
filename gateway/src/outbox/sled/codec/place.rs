//! What a record is sealed for: bytes that say of what it is. They do not name where it lies,
//! so that a record can be moved to another segment as it is; but put in another's place it
//! does not open.

use super::entry::StoreId;
use super::kind;
use crate::outbox::state::Tag;
use crate::outbox::{DeliveryId, JobId, LeadId, TokenId};

/// What was pushed of a lead: the lead's own id is not known when it is sealed.
pub(super) fn lead(identity: &Tag, content: &[u8; 32]) -> Vec<u8> {
    join(kind::REVISION, &[identity, content])
}

/// What was pushed and quarantined.
pub(super) fn quarantine(tags: &[Tag; 2]) -> Vec<u8> {
    join(kind::QUARANTINED, &[&tags[0], &tags[1]])
}

/// The attempts of a delivery and what its plugin keeps.
pub(super) fn details(lead: LeadId, delivery: DeliveryId) -> Vec<u8> {
    join(kind::DELIVERY, &[lead.0.as_bytes(), delivery.0.as_bytes()])
}

/// Why a sink is paused.
pub(super) fn pause(sink: &str) -> Vec<u8> {
    join(kind::PAUSED, &[sink.as_bytes()])
}

/// What a sink's plugin keeps.
pub(super) fn sink_state(sink: &str, key: &str) -> Vec<u8> {
    join(kind::SINK_STATE, &[sink.as_bytes(), b"\0", key.as_bytes()])
}

/// What a person wants of a bulk job, and how far it is.
pub(super) fn job(id: JobId) -> Vec<u8> {
    join(kind::JOB, &[id.0.as_bytes()])
}

/// A token of the API.
pub(super) fn token(id: TokenId) -> Vec<u8> {
    join(kind::TOKEN, &[id.0.as_bytes()])
}

/// Small things as they stand.
pub(super) fn standing(store: StoreId) -> Vec<u8> {
    join(kind::OPENING, &[&store.0])
}

/// Why routes of a lead that arrived could not be judged.
pub(super) fn routes(identity: &Tag, content: &[u8; 32]) -> Vec<u8> {
    join(kind::ARRIVED_LEAD, &[identity, content])
}

/// An entry of the audit log, which lies beside the journal.
pub(super) fn audited(number: u64) -> Vec<u8> {
    join(kind::AUDITED, &[&number.to_le_bytes()])
}

fn join(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut place = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    place.push(kind);
    for part in parts {
        place.extend_from_slice(part);
    }
    place
}
