//! Keys: the rooms of the one tree.
//!
//! | key | value |
//! |---|---|
//! | `m/format` | format version of the store (u32) |
//! | `m/totals` | counts, written with every commit |
//! | `s` name | number of a sink (u32) |
//! | `i` identity | which lead this is, and the content hashes of its revisions |
//! | `l` lead revision part | a lead revision, in parts of at most [`super::record::PART`] bytes |
//! | `w` sink delivery | a waiting delivery; the first of a sink is its oldest |
//! | `q` sink due delivery | nothing: the order in which waiting deliveries are due |
//! | `d` delivery | a delivery that is done |
//! | `x` sink delivery | a dead letter |
//! | `u` quarantine part | a push kept aside |
//!
//! All numbers are big-endian so that keys sort by value.
//! Invariant: a delivery is in exactly one of `w`, `d` and `x`, and in `q` if and only if in `w`.

use uuid::Uuid;

use crate::clock::Millis;
use crate::outbox::{DeliveryId, LeadId, QuarantineId};

pub(super) const FORMAT: &[u8] = b"m/format";
pub(super) const TOTALS: &[u8] = b"m/totals";

/// Number of a sink inside keys.
pub(super) type SinkNumber = u32;

pub(super) fn sink(name: &str) -> Vec<u8> {
    [b"s", name.as_bytes()].concat()
}

pub(super) fn identity(hash: &[u8; 32]) -> Vec<u8> {
    [b"i".as_slice(), hash].concat()
}

pub(super) fn lead(id: LeadId, revision: u32, part: u16) -> Vec<u8> {
    [lead_revision(id, revision).as_slice(), &part.to_be_bytes()].concat()
}

/// Prefix of all parts of a revision.
pub(super) fn lead_revision(id: LeadId, revision: u32) -> Vec<u8> {
    [b"l".as_slice(), id.0.as_bytes(), &revision.to_be_bytes()].concat()
}

/// Prefix of all revisions of a lead.
pub(super) fn lead_revisions(id: LeadId) -> Vec<u8> {
    [b"l".as_slice(), id.0.as_bytes()].concat()
}

pub(super) fn waiting(sink: SinkNumber, id: DeliveryId) -> Vec<u8> {
    [b"w".as_slice(), &sink.to_be_bytes(), id.0.as_bytes()].concat()
}

/// Prefix of all waiting deliveries of a sink.
pub(super) fn waiting_of(sink: SinkNumber) -> Vec<u8> {
    [b"w".as_slice(), &sink.to_be_bytes()].concat()
}

pub(super) fn due(sink: SinkNumber, at: Millis, id: DeliveryId) -> Vec<u8> {
    // Times before 1970 do not occur; a negative one would sort last and never be reached.
    [
        b"q".as_slice(),
        &sink.to_be_bytes(),
        &at.max(0).to_be_bytes(),
        id.0.as_bytes(),
    ]
    .concat()
}

/// Prefix of the due index of a sink.
pub(super) fn due_of(sink: SinkNumber) -> Vec<u8> {
    [b"q".as_slice(), &sink.to_be_bytes()].concat()
}

/// What a key of the due index says.
pub(super) fn read_due(key: &[u8]) -> Option<(Millis, DeliveryId)> {
    let at = Millis::from_be_bytes(key.get(5..13)?.try_into().ok()?);
    Some((at, delivery_at_end(key)?))
}

pub(super) fn done(id: DeliveryId) -> Vec<u8> {
    [b"d".as_slice(), id.0.as_bytes()].concat()
}

pub(super) fn dead(sink: SinkNumber, id: DeliveryId) -> Vec<u8> {
    [b"x".as_slice(), &sink.to_be_bytes(), id.0.as_bytes()].concat()
}

pub(super) fn quarantine(id: QuarantineId, part: u16) -> Vec<u8> {
    [b"u".as_slice(), id.0.as_bytes(), &part.to_be_bytes()].concat()
}

/// The delivery id that ends keys of `w`, `q`, `d` and `x`.
pub(super) fn delivery_at_end(key: &[u8]) -> Option<DeliveryId> {
    let start = key.len().checked_sub(16)?;
    Uuid::from_slice(&key[start..]).ok().map(DeliveryId)
}
