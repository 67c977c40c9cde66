//! Entries: a value's hash, and whose value it is.

use uuid::Uuid;

use super::super::record::Unreadable;

/// What kind of value, then 16 bytes of its hash.
pub(in super::super) type Tag = [u8; 17];

/// Bytes of an entry in a block or a journal record.
pub(super) const ENCODED: usize = 34;

/// A tag and an id. Entries sort by tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Entry([u8; 33]);

impl Entry {
    pub(in super::super) fn new(tag: &Tag, id: Uuid) -> Self {
        let mut bytes = [0; 33];
        bytes[..17].copy_from_slice(tag);
        bytes[17..].copy_from_slice(id.as_bytes());
        Self(bytes)
    }

    /// Before all entries of a tag.
    pub(super) fn first_of(tag: &Tag) -> Self {
        Self::new(tag, Uuid::nil())
    }

    /// Behind all entries of a tag.
    pub(super) fn last_of(tag: &Tag) -> Self {
        Self::new(tag, Uuid::max())
    }

    pub(in super::super) fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    pub(in super::super) fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    pub(in super::super) fn tag(&self) -> Tag {
        let mut tag = [0; 17];
        tag.copy_from_slice(&self.0[..17]);
        tag
    }

    pub(in super::super) fn id(&self) -> Uuid {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0[17..]);
        Uuid::from_bytes(id)
    }
}

/// An entry and whether it was added; else it was removed.
pub(in super::super) type Change = (Entry, bool);

pub(super) fn encode(changes: &[Change]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(changes.len() * ENCODED);
    for (entry, added) in changes {
        bytes.extend_from_slice(&entry.0);
        bytes.push(u8::from(*added));
    }
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Change>, Unreadable> {
    let (whole, rest) = bytes.as_chunks::<ENCODED>();
    if !rest.is_empty() {
        return Err(Unreadable::Damaged);
    }
    whole
        .iter()
        .map(|bytes| match bytes.split_last() {
            Some((added @ (0 | 1), entry)) => {
                let entry = Entry::from_slice(entry).ok_or(Unreadable::Damaged)?;
                Ok((entry, *added == 1))
            }
            _ => Err(Unreadable::Damaged),
        })
        .collect()
}
