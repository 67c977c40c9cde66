//! Sealing: records are encrypted one by one before they are stored.
//!
//! XChaCha20-Poly1305 with a random nonce for each record. A sealed record says with which key
//! it was sealed, so keys can be rotated: the first key of the [`Keyring`] seals, all of them
//! open. Without a key records stay as they are, and both kinds may lie side by side.
//! Protects what is stored from being read; what was sealed cannot be changed or moved to
//! another place unnoticed. Knows nothing of what records mean, nor of the engine.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | `0x80`: sealed. A plain record begins with its version, which is less |
//! | 4 | id of the key, big endian |
//! | 24 | nonce |
//! | n | the record, encrypted |
//! | 16 | tag; it also covers the place, the bytes that say what the record is of |

mod index;
mod key;

use std::borrow::Cow;
use std::fmt;

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};

pub use index::IndexKey;
pub use key::{BadKey, KeyId, OutboxKey};

/// First byte of a sealed record.
const SEALED: u8 = 0x80;
const NONCE: usize = 24;
const TAG: usize = 16;
const HEADER: usize = 1 + size_of::<u32>() + NONCE;

/// Bytes by which a sealed record is longer than the plain one.
pub const OVERHEAD: usize = HEADER + TAG;

/// The keys of a store.
#[derive(Clone, Default)]
pub struct Keyring {
    /// The first one seals.
    keys: Vec<(KeyId, XChaCha20Poly1305)>,
}

/// Why a record could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Its key is none of ours.
    #[error("encrypted with key {0}, which is not configured; add it to outbox.key")]
    UnknownKey(KeyId),
    /// It is not what was sealed, or not at the place it was sealed for.
    #[error("an encrypted record is damaged")]
    Damaged,
}

impl Keyring {
    /// The first key seals and opens, the others only open. Without any key nothing is sealed.
    pub fn new(keys: &[OutboxKey]) -> Self {
        let ring = |key: &OutboxKey| (key.id(), XChaCha20Poly1305::new(key.bytes().into()));
        Self {
            keys: keys.iter().map(ring).collect(),
        }
    }

    /// The key that seals.
    pub fn current(&self) -> Option<KeyId> {
        self.keys.first().map(|(id, _)| *id)
    }

    /// Seals a record for `place`; gives it back as it is if there is no key.
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(plain.len() + OVERHEAD);
        bytes.extend_from_slice(plain);
        self.seal_vec(place, bytes)
    }

    /// [`Keyring::seal`] in the memory of the record itself, which should have room for
    /// [`OVERHEAD`] more bytes.
    pub fn seal_vec(&self, place: &[u8], mut plain: Vec<u8>) -> Vec<u8> {
        self.seal_tail(place, &mut plain, 0);
        plain
    }

    /// [`Keyring::seal`] of the record that `bytes` ends with from `start` on, where it lies.
    pub fn seal_tail(&self, place: &[u8], bytes: &mut Vec<u8>, start: usize) {
        let Some((id, cipher)) = self.keys.first() else {
            unsealed(&bytes[start..]);
            return;
        };
        let end = bytes.len();
        bytes.reserve(OVERHEAD);
        bytes.resize(end + HEADER, 0);
        bytes.copy_within(start..end, start + HEADER);
        let tag = encrypt(place, *id, cipher, &mut bytes[start..]);
        bytes.extend_from_slice(&tag);
    }

    /// The record that was sealed for `place`; a plain one as it is.
    pub fn open<'a>(&self, place: &[u8], bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, SealError> {
        if is_plain(bytes) {
            return Ok(Cow::Borrowed(bytes));
        }
        let id = key_of(bytes).ok_or(SealError::Damaged)?;
        let (_, cipher) = self
            .keys
            .iter()
            .find(|(known, _)| *known == id)
            .ok_or(SealError::UnknownKey(id))?;
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or(SealError::Damaged)?;
        let (body, tag) = rest.split_last_chunk::<TAG>().ok_or(SealError::Damaged)?;
        let nonce = header.last_chunk::<NONCE>().ok_or(SealError::Damaged)?;
        let mut plain = vec![0; body.len()];
        let buffer = InOutBuf::new(body, &mut plain).map_err(|_| SealError::Damaged)?;
        cipher
            .decrypt_inout_detached(&XNonce::from(*nonce), place, buffer, &Tag::from(*tag))
            .map_err(|_| SealError::Damaged)?;
        Ok(Cow::Owned(plain))
    }

    /// Whether a record is stored as [`Keyring::seal`] would store it now: sealed with the
    /// current key, or plain if there is none.
    pub fn is_current(&self, bytes: &[u8]) -> bool {
        match self.current() {
            Some(id) => key_of(bytes) == Some(id),
            None => is_plain(bytes),
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.keys.iter().map(|(id, _)| id);
        formatter.debug_list().entries(ids).finish()
    }
}

/// The key with which a record is sealed; `None` if it is plain.
pub fn key_of(bytes: &[u8]) -> Option<KeyId> {
    let (SEALED, rest) = bytes.split_first().map(|(first, rest)| (*first, rest))? else {
        return None;
    };
    rest.first_chunk().map(|id| KeyId::from_be_bytes(*id))
}

/// Writes the header before the record that lies behind the header's place, and gives the tag.
fn encrypt(place: &[u8], id: KeyId, cipher: &XChaCha20Poly1305, bytes: &mut [u8]) -> Tag {
    let mut nonce = [0; NONCE];
    random(&mut nonce);
    bytes[0] = SEALED;
    bytes[1..HEADER - NONCE].copy_from_slice(&id.to_be_bytes());
    bytes[HEADER - NONCE..HEADER].copy_from_slice(&nonce);
    let body = InOutBuf::from(&mut bytes[HEADER..]);
    cipher
        .encrypt_inout_detached(&XNonce::from(nonce), place, body)
        .expect("a record is shorter than the 256 GiB that one nonce can encrypt")
}

/// Random bytes straight from the kernel: a generator of our own would be faster by less than
/// encrypting costs, and would repeat its nonces in a virtual machine that was copied while it
/// ran.
pub fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the kernel gives random bytes");
}

fn is_plain(bytes: &[u8]) -> bool {
    bytes.first().is_none_or(|first| *first < SEALED)
}

// Invariant: versions of records stay below SEALED, or they would be taken for sealed ones.
fn unsealed(plain: &[u8]) -> &[u8] {
    debug_assert!(is_plain(plain), "a plain record begins like a sealed one");
    plain
}

#[cfg(test)]
mod tests;
