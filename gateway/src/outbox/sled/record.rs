//! Records: the bytes of one, as they lie in the journal. Knows where a record's parts begin
//! and whether they are whole, not what they mean.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of the record, these bytes included, little endian as all numbers here |
//! | 4 | CRC-32 of the length and of everything behind this field |
//! | 1 | kind |
//! | 1 | version of the kind |
//! | 4 | length of the clear part |
//! | n | clear part |
//! | m | sealed part |

use crc32fast::Hasher;

/// Bytes before the clear part.
pub const HEADER: usize = 14;

/// The parts of a whole record.
#[derive(Clone, Copy)]
pub struct Raw<'a> {
    /// What it is.
    pub kind: u8,
    /// How it is written.
    pub version: u8,
    /// What may be read by everybody.
    pub clear: &'a [u8],
    /// What is sealed.
    pub sealed: &'a [u8],
}

/// Writes a record behind `out`. `clear` and `sealed` write its parts.
pub(super) fn write(
    out: &mut Vec<u8>,
    kind: u8,
    version: u8,
    clear: impl FnOnce(&mut Vec<u8>),
    sealed: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    clear(out);
    let clear = out.len() - start - HEADER;
    sealed(out);
    let record = &mut out[start..];
    let length = u32_of(record.len());
    record[8] = kind;
    record[9] = version;
    record[10..HEADER].copy_from_slice(&u32_of(clear).to_le_bytes());
    record[..4].copy_from_slice(&length.to_le_bytes());
    let sum = checksum(record);
    record[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// The parts of the record that `bytes` are; `None` if they are not exactly one whole record.
pub fn parse(bytes: &[u8]) -> Option<Raw<'_>> {
    let (record, rest) = cut(bytes)?;
    if !rest.is_empty() || number(record, 4)? != checksum(record) {
        return None;
    }
    let clear = number(record, 10)? as usize;
    let (clear, sealed) = record[HEADER..].split_at_checked(clear)?;
    Some(Raw {
        kind: record[8],
        version: record[9],
        clear,
        sealed,
    })
}

/// Cuts the first record off, by its length alone.
pub(super) fn cut(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = number(bytes, 0)? as usize;
    (length >= HEADER)
        .then(|| bytes.split_at_checked(length))
        .flatten()
}

/// The number that stands at `at`.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let number = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*number))
}

fn checksum(record: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&record[..4]);
    hasher.update(&record[8..]);
    hasher.finalize()
}

// Invariant: `Batch` takes nothing in that makes a frame as long as this.
fn u32_of(length: usize) -> u32 {
    u32::try_from(length).expect("a record is shorter than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(clear: &[u8], sealed: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write(
            &mut out,
            7,
            2,
            |out| out.extend_from_slice(clear),
            |out| out.extend_from_slice(sealed),
        );
        out
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(clear: Vec<u8>, sealed: Vec<u8>) {
            let bytes = record(&clear, &sealed);
            let raw = parse(&bytes).expect("whole");
            prop_assert_eq!((raw.kind, raw.version), (7, 2));
            prop_assert_eq!((raw.clear, raw.sealed), (&clear[..], &sealed[..]));
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
            prop_assert!(parse(&bytes).is_none());
            let _ = cut(&bytes);
        }
    }

    #[test]
    fn a_record_with_any_bit_flipped_or_any_byte_missing_is_none() {
        let bytes = record(b"clear", b"sealed");
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                assert!(parse(&bytes).is_none(), "{at}:{bit}");
            }
            assert!(parse(&bytes[..at]).is_none(), "{at}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(parse(&longer).is_none());
        assert_eq!(cut(&longer), Some((&bytes[..], &b"x"[..])));
    }
}
