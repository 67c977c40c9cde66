//! Frames: what is written at once. A frame is whole or it is not there.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | mark, made of the segment's seed |
//! | 4 | length of the records, little endian as all numbers here |
//! | 8 | sequence number: dense over all frames ever |
//! | 8 | the highest sequence number that was known to be on disk when this was written |
//! | 4 | number of the segment |
//! | 4 | CRC-32 of the segment's seed, of all of the above and of all of the below |
//! | n | records, one behind the other |
//! | 0–7 | zeros, up to a multiple of 8 |
//!
//! The seed is made of the store's random id: no sender can push bytes that, lying in a frame
//! that was torn, would be taken for a frame, or tried as one again and again.

use super::segment::Seed;
use crate::outbox::sled::place::Place;
use crate::outbox::sled::record::{self, number};

/// Bytes before the records.
pub(super) const HEADER: usize = 32;
/// Frames begin at multiples of this.
pub(super) const STEP: u64 = 8;
/// Longest frame, in bytes.
pub(super) const LONGEST: usize = 1 << 30;

const MARK: u32 = u32::from_le_bytes(*b"LGfr");
const SUM: usize = HEADER - size_of::<u32>();

/// What stands before the records.
#[derive(Clone, Copy)]
pub(super) struct Head {
    length: usize,
    pub(super) sequence: u64,
    pub(super) synced: u64,
    segment: u32,
    sum: u32,
}

impl Head {
    /// Reads it; `None` if no frame of that segment begins so.
    pub(super) fn parse(bytes: &[u8], segment: u32, seed: Seed) -> Option<Self> {
        let wide = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        if number(bytes, 0)? != mark(seed) {
            return None;
        }
        let head = Self {
            length: number(bytes, 4)? as usize,
            sequence: wide(8)?,
            synced: wide(16)?,
            segment: number(bytes, 24)?,
            sum: number(bytes, SUM)?,
        };
        (head.segment == segment && head.length <= LONGEST).then_some(head)
    }

    /// Bytes of the frame.
    pub(super) fn total(&self) -> usize {
        padded(HEADER + self.length)
    }

    /// The records of the frame that `bytes` are, if it is whole.
    pub(super) fn records<'a>(&self, bytes: &'a [u8], seed: Seed) -> Option<&'a [u8]> {
        let whole = bytes.len() == self.total() && checksum(bytes, seed) == self.sum;
        let records = &bytes.get(HEADER..HEADER + self.length)?;
        (whole && tiled(records)).then_some(records)
    }
}

/// Makes a frame of `bytes`: the place of the header, then the records.
pub(super) fn finish(bytes: &mut Vec<u8>, seed: Seed, segment: u32, sequence: u64, synced: u64) {
    let length = u32::try_from(bytes.len() - HEADER).expect("a frame is shorter than 1 GiB");
    bytes.resize(padded(bytes.len()), 0);
    bytes[..4].copy_from_slice(&mark(seed).to_le_bytes());
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes[8..16].copy_from_slice(&sequence.to_le_bytes());
    bytes[16..24].copy_from_slice(&synced.to_le_bytes());
    bytes[24..SUM].copy_from_slice(&segment.to_le_bytes());
    let sum = checksum(bytes, seed);
    bytes[SUM..HEADER].copy_from_slice(&sum.to_le_bytes());
}

/// Bytes of a frame whose header and records are that long.
pub(super) const fn padded(length: usize) -> usize {
    length.next_multiple_of(8)
}

fn mark(seed: Seed) -> u32 {
    MARK ^ seed.0.rotate_left(16)
}

fn checksum(frame: &[u8], seed: Seed) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed.0);
    hasher.update(&frame[..SUM]);
    hasher.update(&frame[HEADER..]);
    hasher.finalize()
}

/// Whether records lie one behind the other up to the end.
fn tiled(mut records: &[u8]) -> bool {
    while !records.is_empty() {
        match record::cut(records) {
            Some((_, rest)) => records = rest,
            None => return false,
        }
    }
    true
}

/// A whole frame as it was read.
#[derive(Clone)]
pub struct Frame {
    /// Its sequence number.
    pub sequence: u64,
    /// The highest one that was on disk when it was written.
    pub synced: u64,
    /// Number of the segment.
    pub segment: u32,
    /// Where it begins.
    pub offset: u64,
    records: Vec<u8>,
}

impl Frame {
    pub(super) fn new(head: &Head, offset: u64, records: &[u8]) -> Self {
        Self {
            sequence: head.sequence,
            synced: head.synced,
            segment: head.segment,
            offset,
            records: records.to_vec(),
        }
    }

    /// Its records and where they lie.
    pub fn records(&self) -> impl Iterator<Item = (Place, &[u8])> {
        let mut rest = &self.records[..];
        let first = self.offset + HEADER as u64;
        std::iter::from_fn(move || {
            let offset = first + (self.records.len() - rest.len()) as u64;
            let (record, behind) = record::cut(rest)?;
            rest = behind;
            Some((place(self.segment, offset, record.len()), record))
        })
    }

    /// How long it is, its header included.
    pub fn bytes(&self) -> u64 {
        padded(HEADER + self.records.len()) as u64
    }

    /// Whether it holds nothing: it only says how far the disk had come.
    pub fn is_watermark(&self) -> bool {
        self.records.is_empty()
    }
}

// Invariant: a segment is at most 1 GiB and one frame long.
pub(super) fn place(segment: u32, offset: u64, length: usize) -> Place {
    Place {
        segment,
        offset: u32::try_from(offset).expect("a segment is shorter than 4 GiB"),
        length: u32::try_from(length).expect("a record is shorter than 4 GiB"),
    }
}
