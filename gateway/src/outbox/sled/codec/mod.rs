//! The codec: entries as bytes and back, with sealing.
//!
//! Ids, times, numbers, names of sinks and sources, and keyed hashes are in a record's clear
//! part, so that a replay opens nothing; whatever a person, a sender or a plugin wrote is in
//! the sealed part. Each kind of record has its own version; an unknown one is an error that
//! names it.

mod decode;
mod encode;
mod entry;
mod first;
mod kind;
mod place;
mod remains;
mod standing;

use std::borrow::Cow;

use bytes::Bytes;

use super::body::{LeadBody, QuarantineBody};
use super::record;
use crate::outbox::state::{Record, Tag};
use crate::seal::{KeyId, Keyring};

pub use super::unreadable::Unreadable;
pub use entry::{AuditMark, Entry, Link, Opening, SegmentFacts, Standing, StoreId};
pub use remains::Remains;

/// Encodes and decodes the entries of one store.
pub struct Codec {
    keyring: Keyring,
    store: StoreId,
}

impl Codec {
    /// For the store of that id.
    pub fn new(keyring: Keyring, store: StoreId) -> Self {
        Self { keyring, store }
    }

    /// The store.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// Whether a record is about segments: an opening, a closing, a removal.
    pub(super) fn is_about_segments(record: &[u8]) -> bool {
        let raw = record::parse(record);
        raw.is_some_and(|raw| {
            matches!(raw.kind, kind::OPENING | kind::CLOSING | kind::SEGMENT_GONE)
        })
    }

    /// The store that an opening is of, without a key.
    pub(super) fn store_of(opening: &[u8]) -> Option<StoreId> {
        let raw = record::parse(opening).filter(|raw| raw.kind == kind::OPENING)?;
        let (store, _) = postcard::take_from_bytes(raw.clear).ok()?;
        Some(store)
    }

    /// The key that an opening is sealed with.
    pub(super) fn sealer_of(opening: &[u8]) -> Option<KeyId> {
        let raw = record::parse(opening).filter(|raw| raw.kind == kind::OPENING)?;
        crate::seal::key_of(raw.sealed)
    }

    /// What was pushed of a lead, encoded and sealed.
    pub fn seal_lead(&self, body: &LeadBody<'_>, identity: &Tag, content: &[u8; 32]) -> Bytes {
        let place = place::lead(identity, content);
        self.keyring.seal_vec(&place, body.encode()).into()
    }

    /// What [`Codec::seal_lead`] sealed, for [`LeadBody::decode`].
    pub fn open_lead<'a>(
        &self,
        sealed: &'a [u8],
        identity: &Tag,
        content: &[u8; 32],
    ) -> Result<Cow<'a, [u8]>, Unreadable> {
        Ok(self.keyring.open(&place::lead(identity, content), sealed)?)
    }

    /// What was pushed and quarantined, encoded and sealed.
    pub fn seal_quarantine(&self, body: &QuarantineBody<'_>, tags: &[Tag; 2]) -> Bytes {
        let place = place::quarantine(tags);
        self.keyring.seal_vec(&place, body.encode()).into()
    }

    /// What [`Codec::seal_quarantine`] sealed, for [`QuarantineBody::decode`].
    pub fn open_quarantine<'a>(
        &self,
        sealed: &'a [u8],
        tags: &[Tag; 2],
    ) -> Result<Cow<'a, [u8]>, Unreadable> {
        Ok(self.keyring.open(&place::quarantine(tags), sealed)?)
    }

    /// An entry of the audit log, sealed for its number. The first byte is less than `0x80`.
    pub(super) fn seal_audited(&self, number: u64, plain: &[u8]) -> Vec<u8> {
        self.keyring.seal(&place::audited(number), plain)
    }

    /// What [`Codec::seal_audited`] sealed.
    pub(super) fn open_audited<'a>(
        &self,
        number: u64,
        sealed: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, Unreadable> {
        Ok(self.keyring.open(&place::audited(number), sealed)?)
    }

    /// Whether an entry of the audit log is sealed as it would be now.
    pub(super) fn is_audited_currently(&self, sealed: &[u8]) -> bool {
        self.keyring.is_current(sealed)
    }

    /// Whether nothing in a record is sealed otherwise than it would be now.
    pub fn is_current(&self, bytes: &[u8]) -> bool {
        // What cannot be read is found out by whoever reads it.
        let Some(raw) = record::parse(bytes) else {
            return false;
        };
        let sealed = match raw.kind {
            kind::ARRIVED_LEAD => raw.sealed.get(LENGTH..).unwrap_or_default(),
            _ => raw.sealed,
        };
        sealed.is_empty() || self.keyring.is_current(sealed)
    }

    /// The whole record again, sealed with the key that seals now; `None` if it is already, or
    /// if nothing in it is sealed.
    pub fn reseal(&self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        if self.is_current(bytes) {
            return Ok(None);
        }
        let again = |place: &[u8], body: &mut Bytes| -> Result<(), Unreadable> {
            let plain = self.keyring.open(place, body)?;
            *body = self.keyring.seal(place, &plain).into();
            Ok(())
        };
        let mut entry = self.decode(bytes)?;
        match &mut entry {
            Entry::Record {
                record:
                    Record::Revision {
                        identity,
                        revision,
                        body,
                        ..
                    },
                ..
            } => again(&place::lead(identity, &revision.content), body)?,
            Entry::Record {
                record: Record::Quarantined { head, body, .. },
                ..
            } => again(&place::quarantine(&head.tags), body)?,
            Entry::ArrivedLead(lead) => {
                again(&place::lead(&lead.identity, &lead.content), &mut lead.body)?;
            }
            Entry::ArrivedPush(push) => again(&place::quarantine(&push.tags), &mut push.body)?,
            _ => {}
        }
        let mut out = Vec::with_capacity(bytes.len() + crate::seal::OVERHEAD);
        self.encode(&entry, &mut out);
        Ok(Some(out))
    }
}

/// Bytes before the body of a lead that arrived: its length.
const LENGTH: usize = size_of::<u32>();

#[cfg(test)]
mod tests;
