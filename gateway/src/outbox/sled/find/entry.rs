//! Entries: a tag, and whose it is.

use uuid::Uuid;

use crate::outbox::DeliveryId;
use crate::outbox::state::Tag;

/// Kind of tag: a lead's identity. Smaller kinds are fields that a lead is found by.
pub const IDENTITY: u8 = 0xf0;
/// Kind of tag: what makes two quarantined pushes the same.
pub const FINGERPRINT: u8 = 0xf1;
/// Kind of tag: a delivery; the rest of the tag is its id, and the id is its lead's.
pub const DELIVERY: u8 = 0xf2;

/// The tag of a keyed hash.
pub fn tag(kind: u8, hash: &[u8; 32]) -> Tag {
    let mut tag = [kind; 17];
    tag[1..].copy_from_slice(&hash[..16]);
    tag
}

/// The tag by which the lead of a delivery is found.
pub fn delivery_tag(delivery: DeliveryId) -> Tag {
    let mut tag = [DELIVERY; 17];
    tag[1..].copy_from_slice(delivery.0.as_bytes());
    tag
}

/// Whether the engine itself looks such tags up, and most often in vain.
pub(super) const fn is_own(tag: &Tag) -> bool {
    tag[0] >= IDENTITY
}

/// Bytes of an entry.
pub(super) const ENCODED: usize = 33;

/// A tag and an id. Entries sort by tag, then by id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry(pub(super) [u8; ENCODED]);

impl Entry {
    pub(super) fn new(tag: &Tag, id: Uuid) -> Self {
        let mut bytes = [0; ENCODED];
        bytes[..17].copy_from_slice(tag);
        bytes[17..].copy_from_slice(id.as_bytes());
        Self(bytes)
    }

    pub(super) fn tag(&self) -> &Tag {
        self.0.first_chunk().expect("longer than a tag")
    }

    pub(super) fn id(&self) -> Uuid {
        Uuid::from_bytes(*self.0.last_chunk().expect("longer than an id"))
    }
}

/// What is known of a tag in four bytes. Hashes and random ids are spread already; a kind is
/// mixed in, and ids that only count are spread as well.
pub(super) fn fingerprint(tag: &Tag) -> u32 {
    let half = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&tag[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let kind = u64::from(tag[0]).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let mixed = half(1).rotate_left(32) ^ half(9) ^ kind;
    let spread = (mixed ^ (mixed >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (spread >> 32) as u32
}
