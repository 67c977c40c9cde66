//! The reader: records by their place and segments by their number, for any thread.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::{JournalError, Tried};
use super::files::{Files, OpenFile};
use super::frame;
use super::naming;
use super::scan::{Salvage, Scan, Walk};
use super::segment::{self, Header};
use crate::outbox::sled::codec::{Codec, SegmentFacts, StoreId};
use crate::outbox::sled::place::Place;
use crate::outbox::sled::record;

/// Segments that are kept open.
const HANDLES: usize = 128;

/// Reads the journal.
pub struct Reader {
    files: Arc<dyn Files>,
    folder: PathBuf,
    codec: Arc<Codec>,
    shelf: Mutex<Shelf>,
}

/// The segments there are.
struct Shelf {
    closed: BTreeMap<u32, SegmentFacts>,
    /// The one that is written to, as far as it is.
    open: SegmentFacts,
    handles: BTreeMap<u32, Arc<dyn OpenFile>>,
}

impl Reader {
    pub(super) fn new(
        files: Arc<dyn Files>,
        folder: &Path,
        codec: Arc<Codec>,
        closed: BTreeMap<u32, SegmentFacts>,
        open: SegmentFacts,
    ) -> Self {
        Self {
            files,
            folder: folder.to_owned(),
            codec,
            shelf: Mutex::new(Shelf {
                closed,
                open,
                handles: BTreeMap::new(),
            }),
        }
    }

    /// Reads the journal's records.
    pub fn codec(&self) -> &Arc<Codec> {
        &self.codec
    }

    /// The record at a place, whole.
    pub fn read(&self, place: Place) -> Result<Vec<u8>, JournalError> {
        let (file, facts) = self.handle(place.segment)?;
        let Place {
            segment,
            offset,
            length,
        } = place;
        let damaged = || JournalError::damaged(segment, u64::from(offset), None);
        if u64::from(offset) + u64::from(length) > facts.bytes {
            return Err(damaged());
        }
        let mut bytes = vec![0; length as usize];
        let read = file.read_at(&mut bytes, offset.into());
        let read = read.tried("read", &segment::path(&self.folder, segment))?;
        if read < bytes.len() || record::parse(&bytes).is_none() {
            return Err(damaged());
        }
        Ok(bytes)
    }

    /// The segments that are closed, oldest first.
    pub fn facts(&self) -> Vec<SegmentFacts> {
        self.shelf().closed.values().copied().collect()
    }

    /// The segment that is written to, as far as it is.
    pub fn open_segment(&self) -> SegmentFacts {
        self.shelf().open
    }

    /// Where a segment's file is.
    pub fn path(&self, segment: u32) -> PathBuf {
        segment::path(&self.folder, segment)
    }

    /// The frames of a segment as it is now, those before `from` left out. Each must be whole:
    /// the first that is not is an error, and the end.
    pub fn scan(&self, segment: u32, from: u64) -> Result<Scan, JournalError> {
        Ok(self.hold(segment)?.scan(from))
    }

    /// The file of a segment and what is known of it.
    pub(super) fn handle(
        &self,
        segment: u32,
    ) -> Result<(Arc<dyn OpenFile>, SegmentFacts), JournalError> {
        let mut shelf = self.shelf();
        let facts = if shelf.open.number == segment {
            shelf.open
        } else {
            let facts = shelf.closed.get(&segment).copied();
            facts.ok_or(JournalError::NoSegment(segment))?
        };
        if let Some(file) = shelf.handles.get(&segment) {
            return Ok((Arc::clone(file), facts));
        }
        let path = self.path(segment);
        let file = self.files.open(&path, false).tried("open", &path)?;
        if shelf.handles.len() >= HANDLES {
            // The oldest segments are read least.
            shelf.handles.pop_first();
        }
        shelf.handles.insert(segment, Arc::clone(&file));
        Ok((file, facts))
    }

    /// The open segment was written to.
    pub(super) fn wrote(&self, last: u64, bytes: u64) {
        let open = &mut self.shelf().open;
        (open.last, open.bytes) = (last, bytes);
    }

    /// The open segment was closed, and another one was opened.
    pub(super) fn turn(&self, open: SegmentFacts) {
        let mut shelf = self.shelf();
        let closed = std::mem::replace(&mut shelf.open, open);
        shelf.closed.insert(closed.number, closed);
    }

    /// A segment is removed.
    pub(super) fn forget(&self, segment: u32) {
        let mut shelf = self.shelf();
        shelf.closed.remove(&segment);
        shelf.handles.remove(&segment);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The header of a segment's file.
pub(super) fn header(file: &dyn OpenFile, path: &Path) -> Result<Header, JournalError> {
    let mut bytes = [0; segment::HEADER];
    let read = file.read_at(&mut bytes, 0).tried("read", path)?;
    Header::parse(&bytes[..read], path)
}

/// All that is whole in a segment's file, be it damaged or not, closed or not. The store's id
/// is needed to tell its frames from other bytes; where the header is damaged, the opening
/// says it, else whoever has read another segment must (`store`).
pub fn salvage(
    files: &dyn Files,
    path: &Path,
    store: Option<StoreId>,
) -> Result<Salvage, JournalError> {
    let name = path.file_name().unwrap_or_default();
    let stray = || JournalError::Stray {
        path: path.to_owned(),
    };
    let number = naming::number_of(&name.to_string_lossy()).ok_or_else(stray)?;
    let file = files.open(path, false).tried("open", path)?;
    let length = file.length().tried("read", path)?;
    let (store, first) = match header(&*file, path) {
        Ok(header) => (header.store, Some(header.first)),
        // The name is a segment's, so that is what it was.
        Err(error @ (JournalError::Damaged(_) | JournalError::Foreign { .. })) => {
            let told = store
                .map(Ok)
                .or_else(|| said_by_opening(&*file).transpose());
            let told = told.transpose().tried("read", path)?;
            (told.ok_or(error)?, None)
        }
        Err(other) => return Err(other),
    };
    let mut walk = Walk::new(file, number, segment::seed(store, number), length);
    let first = match first {
        Some(first) => first,
        None => {
            let found = walk.search(segment::HEADER as u64, 0).tried("read", path)?;
            found.map_or(0, |(frame, _)| frame.sequence)
        }
    };
    Ok(Salvage::new(walk, first))
}

/// The store's id, from the record of the opening alone.
fn said_by_opening(file: &dyn OpenFile) -> io::Result<Option<StoreId>> {
    let at = (segment::HEADER + frame::HEADER) as u64;
    let mut head = [0; record::HEADER];
    file.read_at(&mut head, at)?;
    let length = record::number(&head, 0).unwrap_or_default() as usize;
    if !(record::HEADER..=frame::LONGEST).contains(&length) || length as u64 > file.length()? {
        return Ok(None);
    }
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, at)?;
    Ok(Codec::store_of(&bytes[..read]))
}
