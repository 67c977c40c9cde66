//! Copies: the bytes of segments as they are, for whoever keeps them elsewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{JournalError, Tried};
use super::files::OpenFile;
use super::frame;
use super::reader::{self, Reader};
use super::scan::{Scan, Walk};
use super::segment::{self, Header};
use crate::outbox::sled::codec::{Codec, SegmentFacts, StoreId};
use crate::seal::KeyId;

/// Read at once, in bytes.
const CHUNK: usize = 64 << 10;

/// A segment as far as it was written at some moment. It can be read even if it is removed
/// meanwhile.
pub struct Held {
    file: Arc<dyn OpenFile>,
    path: PathBuf,
    header: Header,
    /// As far as it was written.
    pub facts: SegmentFacts,
}

impl Reader {
    /// Holds a segment as far as it is written now.
    pub fn hold(&self, segment: u32) -> Result<Held, JournalError> {
        let path = self.path(segment);
        let (file, facts) = self.handle(segment)?;
        let header = reader::header(&*file, &path)?;
        if header.store != self.codec().store() || header.first != facts.first {
            return Err(JournalError::Stray { path });
        }
        Ok(Held {
            file,
            path,
            header,
            facts,
        })
    }
}

impl Held {
    /// Its frames, those before `from` left out. Each must be whole.
    pub fn scan(&self, from: u64) -> Scan {
        let facts = self.facts;
        let file = Arc::clone(&self.file);
        let walk = Walk::new(file, facts.number, self.header.seed(), facts.bytes);
        Scan::new(walk, facts.first, from, facts.last)
    }

    /// Gives its bytes from `at` on to `each`; `failed` makes an error of the journal theirs.
    pub fn bytes<E>(
        &self,
        mut at: u64,
        failed: impl Fn(JournalError) -> E,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut buffer = vec![0; CHUNK];
        while at < self.facts.bytes {
            let left = usize::try_from(self.facts.bytes - at);
            let some = &mut buffer[..left.map_or(CHUNK, |left| left.min(CHUNK))];
            let read = self.file.read_at(some, at).tried("read", &self.path);
            if read.map_err(&failed)? < some.len() {
                let damaged = JournalError::damaged(self.facts.number, at, None);
                return Err(failed(damaged));
            }
            each(some)?;
            at += some.len() as u64;
        }
        Ok(())
    }

    /// The key that its opening is sealed with; without it no store can be made of it.
    pub fn sealed_with(&self) -> Result<Option<KeyId>, JournalError> {
        let Some(first) = self.scan(0).next().transpose()? else {
            return Ok(None);
        };
        let mut records = first.records();
        Ok(records
            .next()
            .and_then(|(_, opening)| Codec::sealer_of(opening)))
    }
}

/// The bytes of a frame that holds `records` and stands behind the last one of a segment, all of
/// which is durable.
pub fn frame_behind(store: StoreId, segment: u32, last: u64, records: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; frame::HEADER];
    bytes.extend_from_slice(records);
    let seed = segment::seed(store, segment);
    frame::finish(&mut bytes, seed, segment, last + 1, last);
    bytes
}

/// Where the segment is in the journal at `folder`.
pub fn path_in(folder: &Path, segment: u32) -> PathBuf {
    segment::path(folder, segment)
}
