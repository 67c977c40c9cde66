//! The stamp: the index's own entry, written in the same batch as what it says.

use super::digest::Digest;
use super::fault::IndexFault;

/// Its key. No other key begins with it.
pub(super) const KEY: &[u8] = b"m";

/// Version of the index's layout. An index of another version is made anew.
pub(super) const VERSION: u8 = 4;

const ENCODED: usize = 1 + 8 + 8 + 16 + 8;

/// Up to which sequence the journal is applied, and what is there then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) applied: u64,
    pub(super) digest: Digest,
}

impl Stamp {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ENCODED);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.applied.to_le_bytes());
        bytes.extend_from_slice(&self.digest.entries.to_le_bytes());
        bytes.extend_from_slice(&self.digest.sum.to_le_bytes());
        let sum = blake3::hash(&bytes);
        bytes.extend_from_slice(&sum.as_bytes()[..8]);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, IndexFault> {
        let damaged = || IndexFault::Damaged("its own record cannot be read".to_owned());
        let (said, sum) = bytes.split_last_chunk::<8>().ok_or_else(damaged)?;
        if blake3::hash(said).as_bytes()[..8] != *sum {
            return Err(damaged());
        }
        let (version, rest) = said.split_first().ok_or_else(damaged)?;
        if *version != VERSION {
            return Err(IndexFault::Version {
                found: *version,
                known: VERSION,
            });
        }
        let (applied, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (entries, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let sum: &[u8; 16] = rest.try_into().map_err(|_| damaged())?;
        Ok(Self {
            applied: u64::from_le_bytes(*applied),
            digest: Digest {
                entries: u64::from_le_bytes(*entries),
                sum: u128::from_le_bytes(*sum),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_back_and_no_other_byte_does() {
        let stamp = Stamp {
            applied: 7,
            digest: Digest {
                entries: 3,
                sum: u128::MAX - 5,
            },
        };
        let bytes = stamp.encode();
        assert_eq!(bytes.len(), ENCODED);
        assert_eq!(Stamp::decode(&bytes), Ok(stamp));
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(matches!(Stamp::decode(&other), Err(IndexFault::Damaged(_))));
            assert!(Stamp::decode(&bytes[..at]).is_err());
        }
    }
}
