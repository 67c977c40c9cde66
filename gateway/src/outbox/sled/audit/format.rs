//! The bytes of the audit log, and the chain of its entries.
//!
//! A file begins with the place in the chain before its first entry, so that each can be checked
//! by itself, and so that what is between two files is known to be missing.
//!
//! | bytes | what |
//! |---|---|
//! | 16 | `leadgate audit 1` |
//! | 8, 32 | number and hash of the entry before, little endian as all numbers here |
//! | 4 | CRC-32 of all of the above |
//! | | entries: length of the sealed part (u32), CRC-32 of what follows, number (u64), hash (32), the sealed part |

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::outbox::sled::codec::{Codec, Link, Unreadable};
use crate::outbox::{AuditEntry, AuditEvent, Chain, Origin};
use crate::seal::IndexKey;

const MAGIC: &[u8; 16] = b"leadgate audit 1";
const NUMBERED: usize = size_of::<u64>() + size_of::<Chain>();
const HEADER: usize = MAGIC.len() + NUMBERED + size_of::<u32>();
const BEFORE: usize = 2 * size_of::<u32>();
/// What an entry says is shorter, in bytes.
const LONGEST: usize = 64 << 10;
/// Version of what is sealed.
const VERSION: u8 = 1;
/// What is hashed, apart from all else that the index key hashes.
const DOMAIN: u8 = 6;

/// What is sealed of an entry.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) event: AuditEvent,
    pub(super) origin: Option<Origin>,
}

/// Seals entries and links them.
#[derive(Clone)]
pub(in crate::outbox::sled) struct Linking {
    codec: Arc<Codec>,
    key: IndexKey,
}

/// An entry as it lies in a file.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) link: Link,
    pub(super) sealed: &'a [u8],
}

/// An entry that was read.
pub(super) struct Seen<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) entry: Result<AuditEntry, Unreadable>,
    /// Whether it follows the one before, as it was written.
    pub(super) fits: bool,
}

impl Linking {
    pub(in crate::outbox::sled) fn new(codec: Arc<Codec>, key: IndexKey) -> Self {
        Self { codec, key }
    }

    /// Writes an entry behind `out`; gives where the chain is then.
    pub(super) fn append(&self, before: Link, stored: &Stored, out: &mut Vec<u8>) -> Link {
        let plain = postcard::to_extend(stored, vec![VERSION])
            .expect("entries are plain structs, which postcard can always write");
        let number = before.number + 1;
        let chain = self.chain(before, number, &plain);
        let link = Link { number, chain };
        write(link, &self.codec.seal_audited(number, &plain), out);
        link
    }

    fn chain(&self, before: Link, number: u64, plain: &[u8]) -> Chain {
        let number = number.to_le_bytes();
        Chain(self.key.hash(DOMAIN, &[&number, &before.chain.0, plain]))
    }

    /// An entry behind `before`.
    pub(super) fn see<'a>(&self, before: Link, frame: Frame<'a>) -> Seen<'a> {
        let Link { number, chain } = frame.link;
        let plain = self.codec.open_audited(number, frame.sealed);
        let plain = plain.map(std::borrow::Cow::into_owned);
        let fits = plain.as_ref().is_ok_and(|plain| {
            number == before.number + 1 && chain == self.chain(before, number, plain)
        });
        let entry = plain.and_then(|plain| decode(&plain)).map(|stored| {
            let Stored { event, origin } = stored;
            AuditEntry {
                number,
                event,
                origin,
                chain,
            }
        });
        Seen { frame, entry, fits }
    }

    /// The same entry sealed with the key that seals now; `None` if it is already.
    pub(super) fn reseal(&self, frame: Frame<'_>) -> Result<Option<Vec<u8>>, Unreadable> {
        if self.codec.is_audited_currently(frame.sealed) {
            return Ok(None);
        }
        let number = frame.link.number;
        let plain = self.codec.open_audited(number, frame.sealed)?;
        Ok(Some(self.codec.seal_audited(number, &plain)))
    }
}

fn decode(plain: &[u8]) -> Result<Stored, Unreadable> {
    match plain.split_first() {
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((stored, [])) => Ok(stored),
            _ => Err(Unreadable::Damaged),
        },
        Some((&version, _)) if version > VERSION => Err(Unreadable::Newer {
            what: "entry of the audit log",
            version,
            known: VERSION,
        }),
        _ => Err(Unreadable::Damaged),
    }
}

/// Writes an entry that is sealed behind `out`.
pub(super) fn write(link: Link, sealed: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let length = u32::try_from(sealed.len()).expect("texts of an entry are bounded");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    put(link, out);
    out.extend_from_slice(sealed);
    let crc = crc32fast::hash(&out[start + BEFORE..]);
    out[start + 4..start + BEFORE].copy_from_slice(&crc.to_le_bytes());
}

/// What a file begins with whose first entry follows `before`.
pub(super) fn header(before: Link) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    put(before, &mut bytes);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn put(link: Link, out: &mut Vec<u8>) {
    out.extend_from_slice(&link.number.to_le_bytes());
    out.extend_from_slice(&link.chain.0);
}

/// The entry before a file's first one, and what is behind its header; `None` if that is not
/// whole.
pub(super) fn begin(bytes: &[u8]) -> Option<(Link, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let (plain, crc) = header.split_last_chunk::<4>()?;
    let whole = plain.starts_with(MAGIC) && crc32fast::hash(plain) == u32::from_le_bytes(*crc);
    let (link, _) = whole.then(|| link(&plain[MAGIC.len()..])).flatten()?;
    Some((link, rest))
}

fn link(bytes: &[u8]) -> Option<(Link, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    let (chain, rest) = rest.split_first_chunk()?;
    let link = Link {
        number: u64::from_le_bytes(*number),
        chain: Chain(*chain),
    };
    Some((link, rest))
}

/// The next entry, and what is behind it; `None` if it is not whole.
pub(super) fn next(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > LONGEST {
        return None;
    }
    let (body, rest) = rest.split_at_checked(NUMBERED + length)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (link, sealed) = link(body)?;
    Some((Frame { link, sealed }, rest))
}
