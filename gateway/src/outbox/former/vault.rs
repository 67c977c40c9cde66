//! The vault: how records and index values become bytes that tell a thief nothing.
//!
//! Records are sealed with the merchant's key. Indexes are hashed with a key of the store's
//! own, which is itself a sealed record, so that a new key does not change the indexes.

use std::borrow::Cow;

use ::sled::Tree;

use super::fault::Fault;
use super::key;
use super::record::{self, Unreadable};
use crate::seal::{IndexKey, Keyring, OutboxKey};

/// What the index key is sealed for.
const ROOM: u8 = b'm';

/// Seals and opens records, and hashes what is looked up by.
pub(super) struct Vault {
    keyring: Keyring,
    index: IndexKey,
}

impl Vault {
    /// Opens the vault of a store, or makes it. What is written here is not durable before
    /// the next barrier. Fails if the store was sealed with a key that is not among `keys`.
    pub(super) fn open(tree: &Tree, keys: &[OutboxKey]) -> Result<Self, Fault> {
        let keyring = Keyring::new(keys);
        let index = match tree.get(key::INDEX_KEY)? {
            Some(bytes) => {
                let plain = keyring.open(&[ROOM], &bytes).map_err(Unreadable::from)?;
                IndexKey::from_bytes(record::decode(&plain)?)
            }
            None => IndexKey::generate(),
        };
        let sealed = keyring.seal_vec(&[ROOM], record::encode(index.as_bytes()));
        tree.insert(key::INDEX_KEY, sealed)?;
        Ok(Self { keyring, index })
    }

    pub(super) fn index_key(&self) -> &IndexKey {
        &self.index
    }

    /// Puts another index key into a store that has nothing to look up yet.
    pub(super) fn replace_index_key(&self, tree: &Tree, index: &IndexKey) -> Result<(), Fault> {
        let sealed = self
            .keyring
            .seal_vec(&[ROOM], record::encode(index.as_bytes()));
        tree.insert(key::INDEX_KEY, sealed)?;
        Ok(())
    }

    pub(super) fn seal(&self, room: u8, plain: Vec<u8>) -> Vec<u8> {
        self.keyring.seal_vec(&[room], plain)
    }

    pub(super) fn unseal<'a>(
        &self,
        room: u8,
        bytes: &'a [u8],
    ) -> Result<Cow<'a, [u8]>, Unreadable> {
        Ok(self.keyring.open(&[room], bytes)?)
    }

    /// Whether a record that begins with `bytes` is sealed as it would be now.
    pub(super) fn is_current(&self, bytes: &[u8]) -> bool {
        self.keyring.is_current(bytes)
    }

    pub(super) fn index(&self, domain: u8, parts: &[&[u8]]) -> [u8; 32] {
        self.index.hash(domain, parts)
    }
}
