//! A batch: entries on their way into one frame, encoded where the frame is written from.

use super::frame;
use crate::outbox::sled::codec::{Codec, Entry};
use crate::outbox::state::Record;

/// Memory that is kept for the next batch, in bytes.
const KEPT: usize = 8 << 20;

/// Entries that are to be written at once.
pub struct Batch {
    /// The place of the frame's header, then the records.
    bytes: Vec<u8>,
    /// Where each record begins in `bytes`.
    starts: Vec<usize>,
    /// Segments that the batch says are removed.
    gone: Vec<u32>,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            bytes: vec![0; frame::HEADER],
            starts: Vec::new(),
            gone: Vec::new(),
        }
    }
}

impl Batch {
    /// Adds a record; `segments` are those that hold any bytes of what is gone, else empty.
    pub fn record(&mut self, codec: &Codec, record: &Record, segments: &[u32]) {
        self.starts.push(self.bytes.len());
        codec.encode_record(record, segments, &mut self.bytes);
    }

    /// Adds an entry.
    pub fn entry(&mut self, codec: &Codec, entry: &Entry) {
        if let Entry::SegmentGone(number) = entry {
            self.gone.push(*number);
        }
        self.starts.push(self.bytes.len());
        codec.encode(entry, &mut self.bytes);
    }

    /// Adds a record as it was read from a frame.
    pub fn raw(&mut self, record: &[u8]) {
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(record);
    }

    /// Entries in it.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Bytes that its frame will have.
    pub fn bytes(&self) -> usize {
        frame::padded(self.bytes.len())
    }

    /// Makes it empty.
    pub fn clear(&mut self) {
        self.bytes.truncate(frame::HEADER);
        self.bytes.shrink_to(KEPT);
        self.starts.clear();
        self.gone.clear();
    }

    pub(super) fn gone(&self) -> &[u32] {
        &self.gone
    }

    /// Where each record lies in the frame, and how long it is. Only before the frame is made.
    pub(super) fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        let ends = self.starts.iter().skip(1).copied();
        let ends = ends.chain([self.bytes.len()]);
        let starts = self.starts.iter().copied();
        starts.zip(ends).map(|(start, end)| (start, end - start))
    }

    pub(super) fn frame(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}
