//! The index key: makes hashes by which a lead is found and that tell nobody what it is.
//!
//! A phone has so few digits that a plain hash of it can be undone by trying them all; a keyed
//! one cannot without the key. Each store draws its own and keeps it sealed.

use std::fmt;

use zeroize::Zeroizing;

/// The secret of a store's indexes. Never printed, wiped from memory when dropped.
#[derive(Clone)]
pub struct IndexKey(Zeroizing<[u8; 32]>);

impl IndexKey {
    /// A new one, from the kernel's randomness.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        super::random(&mut *bytes);
        Self(bytes)
    }

    /// The one that a store keeps.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// What a store keeps of it: everything, so only sealed.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of `parts` in `domain`. Parts are hashed with their lengths, so the same bytes
    /// cut differently have another hash; so have the same parts in another domain.
    pub fn hash(&self, domain: u8, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[domain]);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IndexKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_hash_depends_on_the_key_the_domain_and_where_parts_end() {
        let key = IndexKey::from_bytes([7; 32]);
        let hashes = [
            key.hash(1, &[b"ab", b"c"]),
            key.hash(1, &[b"a", b"bc"]),
            key.hash(1, &[b"abc"]),
            key.hash(1, &[b"abc", b""]),
            key.hash(1, &[]),
            key.hash(2, &[b"abc"]),
            IndexKey::generate().hash(1, &[b"abc"]),
        ];
        assert_eq!(BTreeSet::from(hashes).len(), hashes.len());
    }

    #[test]
    fn a_stored_key_makes_the_same_hashes() {
        let key = IndexKey::generate();
        let stored = IndexKey::from_bytes(*key.as_bytes());
        assert_eq!(key.hash(1, &[b"x"]), stored.hash(1, &[b"x"]));
    }

    #[test]
    fn debug_prints_a_mask() {
        assert_eq!(format!("{:?}", IndexKey::generate()), "IndexKey(***)");
    }
}
