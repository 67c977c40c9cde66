//! Segments: the files of the journal, by number, and what each begins with.
//!
//! | bytes | what |
//! |---|---|
//! | 6 | `LGSEG\0` |
//! | 2 | format, little endian as all numbers here |
//! | 4 | number |
//! | 4 | CRC-32 of all the rest |
//! | 8 | sequence number of the first frame |
//! | 16 | id of the store |

use std::path::{Path, PathBuf};

use super::error::JournalError;
use super::naming::{name, number_of};
use crate::outbox::sled::codec::StoreId;
use crate::outbox::sled::record::number;

/// Bytes before the first frame.
pub(super) const HEADER: usize = 40;

const MAGIC: &[u8; 6] = b"LGSEG\0";
/// The format that is written, and the newest that is read.
const FORMAT: u16 = 6;

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u32,
    pub(super) first: u64,
    pub(super) store: StoreId,
}

/// Where the checksums of a segment's frames begin.
#[derive(Clone, Copy)]
pub(super) struct Seed(pub(super) u32);

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..6].copy_from_slice(MAGIC);
        bytes[6..8].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..].copy_from_slice(&self.store.0);
        let sum = checksum(&bytes);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the header of the segment at `path`.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, JournalError> {
        let path = || path.to_owned();
        let foreign = || JournalError::Foreign {
            path: path(),
            zeros: bytes.iter().all(|byte| *byte == 0),
        };
        let named = number_of(&file_name(&path())).ok_or_else(foreign)?;
        let damaged = JournalError::damaged(named, 0, None);
        let Some(bytes) = bytes.first_chunk::<HEADER>() else {
            return Err(damaged);
        };
        let whole = number(bytes, 12) == Some(checksum(bytes));
        if !bytes.starts_with(MAGIC) {
            // One flipped bit makes no other kind of file of it.
            let alike = bytes.iter().zip(MAGIC).filter(|(a, b)| a == b).count();
            return Err(if alike + 1 >= MAGIC.len() {
                damaged
            } else {
                foreign()
            });
        }
        let format = u16::from_le_bytes([bytes[6], bytes[7]]);
        if whole && format > FORMAT {
            return Err(JournalError::Newer {
                path: path(),
                format,
                known: FORMAT,
            });
        }
        if whole && format < FORMAT {
            return Err(JournalError::Older { path: path() });
        }
        if !whole {
            return Err(damaged);
        }
        let mut store = [0; 16];
        store.copy_from_slice(&bytes[24..]);
        let mut first = [0; 8];
        first.copy_from_slice(&bytes[16..24]);
        let header = Self {
            number: u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
            first: u64::from_le_bytes(first),
            store: StoreId(store),
        };
        if header.number != named {
            return Err(JournalError::Renamed {
                path: path(),
                number: header.number,
            });
        }
        Ok(header)
    }

    pub(super) fn seed(&self) -> Seed {
        seed(self.store, self.number)
    }
}

/// The seed of a store's segment.
pub(super) fn seed(store: StoreId, number: u32) -> Seed {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&store.0);
    hasher.update(&number.to_le_bytes());
    Seed(hasher.finalize())
}

/// Where a segment is.
pub(super) fn path(folder: &Path, number: u32) -> PathBuf {
    folder.join(name(number))
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn checksum(header: &[u8; HEADER]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[..12]);
    hasher.update(&header[16..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_segment_s_own_name_is_one() {
        assert_eq!(number_of("00000007.seg"), Some(7));
        assert_eq!(number_of("123456789.seg"), Some(123_456_789));
        for name in [
            "7.seg",
            "00000000.seg",
            "00000007.find",
            "+0000007.seg",
            "00000007.seg.new",
        ] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }
}
