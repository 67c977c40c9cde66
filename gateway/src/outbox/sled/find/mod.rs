//! Find files: by what leads are looked up, beside each closed segment of the journal.
//!
//! Nothing here is a truth of its own: a file that is missing or damaged is made anew from its
//! segment, also when the damage shows at a look-up, so an answer is never wrong for it. Names
//! ids of leads that may not be stored any more. Knows keyed hashes and ids, no person.
//!
//! In memory: 60 to 100 bytes for each entry of the open segment and of [`TABLES`] closed ones
//! at most whose files are not written yet; about 5 bytes for each identity, fingerprint and
//! delivery of all others, 17 for each 124 entries, and some 300 for each segment.

mod binding;
mod directory;
mod entry;
mod file;
mod fingerprints;
mod segment;
mod table;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use uuid::Uuid;

use self::directory::Directory;
pub use self::entry::{DELIVERY, FINGERPRINT, IDENTITY, delivery_tag, tag};
use self::segment::Segment;
use self::writer::Shared;
use crate::outbox::state::Tag;

/// Tables of closed segments that may wait for their files: some 20 MB each.
pub const TABLES: usize = 4;
/// How often is searched again because a segment left meanwhile.
const SEARCHED_AGAIN: usize = 8;

/// Reads all tags of a segment from its records, oldest first.
pub type Tags = dyn Fn(u32) -> io::Result<Vec<(Tag, Uuid)>> + Send + Sync;

/// A segment could not be searched: neither its find file nor its records could be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "segment {segment:08} could not be searched: {error}; see to the disk, or run `leadgate outbox verify`"
)]
pub struct FindError {
    /// Its number.
    pub segment: u32,
    /// What came of reading its records.
    #[source]
    pub error: io::Error,
}

/// Everything that a store's leads are looked up by.
pub struct Finds {
    shared: Arc<Shared>,
    /// Segments that left.
    left: AtomicU64,
    writer: Option<JoinHandle<()>>,
}

impl Finds {
    /// Opens the find files of the `closed` segments in `folder`, and removes those of others.
    /// What is missing or damaged is made in the background, or by the first look-up that
    /// needs it. Fails only when there can be no thread.
    pub fn open(
        folder: &Path,
        closed: &[u32],
        segment_tags: impl Fn(u32) -> io::Result<Vec<(Tag, Uuid)>> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let closed: BTreeSet<u32> = closed.iter().copied().collect();
        remove_others(folder, &closed)?;
        let segments = closed.into_iter().map(|number| {
            let path = directory::path(folder, number);
            let (segment, fingerprints) = Segment::closed(number, path);
            if let Err(error) = &fingerprints {
                segment::said(number, error);
            }
            (segment, fingerprints.ok())
        });
        let directory = Directory::new(folder.to_owned(), segments.collect());
        let shared = Arc::new(Shared::new(directory, Box::new(segment_tags)));
        let writer = std::thread::Builder::new().name("outbox-find".to_owned());
        let writer = writer.spawn({
            let shared = Arc::clone(&shared);
            move || shared.run()
        })?;
        Ok(Self {
            shared,
            left: AtomicU64::new(0),
            writer: Some(writer),
        })
    }

    /// Adds what a segment that is still open has. Nothing is added to a closed one: its file
    /// has all.
    pub fn add(&self, segment: u32, entries: &[(Tag, Uuid)]) {
        self.shared.directory.get_or_open(segment).add(entries);
    }

    /// A segment is closed, and its file will not change any more: its find file is written in
    /// the background.
    pub fn close(&self, number: u32) {
        let directory = &self.shared.directory;
        let room = directory.waiting() < TABLES;
        let Some(table) = directory.get_or_open(number).close(room) else {
            return;
        };
        if !room {
            // So that only what may be in it has to read its records.
            directory.know(number, &file::fingerprints(&table.sorted()));
        }
        self.shared.look();
    }

    /// The ids that have a tag: those of the newest segments, `limit` at most, newest last.
    pub fn find(&self, tag: &Tag, limit: usize) -> Result<Vec<Uuid>, FindError> {
        let mut left = self.left.load(Ordering::Acquire);
        for _ in 0..SEARCHED_AGAIN {
            let found = self.find_once(tag, limit)?;
            let now = self.left.load(Ordering::Acquire);
            if now == left {
                return Ok(found);
            }
            // What it had was moved behind what was searched already.
            left = now;
        }
        self.find_once(tag, limit)
    }

    fn find_once(&self, tag: &Tag, limit: usize) -> Result<Vec<Uuid>, FindError> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for segment in self.shared.directory.candidates(tag) {
            for id in self.search(&segment, tag)? {
                if found.len() < limit && seen.insert(id) {
                    found.push(id);
                }
            }
            if found.len() >= limit {
                break;
            }
        }
        found.reverse();
        Ok(found)
    }

    /// A segment leaves: nothing finds it, and its file is off the disk. To be called before
    /// the segment itself is removed.
    pub fn remove(&self, segment: u32) -> io::Result<()> {
        self.left.fetch_add(1, Ordering::AcqRel);
        let known = self.shared.directory.remove(segment);
        self.shared.sweep(segment);
        match known {
            Some(known) => known.remove(),
            None => segment::remove(&self.shared.directory.path(segment)),
        }
    }

    /// All ids of a tag in a segment, newest first.
    fn search(&self, segment: &Segment, tag: &Tag) -> Result<Vec<Uuid>, FindError> {
        if let Some(found) = segment.find(tag) {
            return Ok(found);
        }
        let error = match self.shared.make(segment) {
            // The disk takes no file.
            Ok(Some(table)) => return Ok(table.find(tag)),
            Ok(None) => file::damaged("it is damaged as soon as it is made"),
            Err(error) => error,
        };
        // There is a file now; or it has left meanwhile.
        segment.find(tag).ok_or(FindError {
            segment: segment.number,
            error,
        })
    }
}

impl Drop for Finds {
    fn drop(&mut self) {
        self.shared.end();
        if let Some(writer) = self.writer.take() {
            // A panic was said when it came.
            _ = writer.join();
        }
    }
}

/// Removes find files of segments that are not there, and what was begun of any.
fn remove_others(folder: &Path, closed: &BTreeSet<u32>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let whole = name.strip_suffix(".find");
        let number = whole.or_else(|| name.strip_suffix(".find.new"));
        let Some(number) = number.and_then(|number| number.parse().ok()) else {
            continue;
        };
        if whole.is_none() || !closed.contains(&number) {
            std::fs::remove_file(folder.join(name))?;
        }
    }
    Ok(())
}

/// Whether the find file of a closed segment has exactly its tags; an error says why it is of no
/// use. `NotFound` if there is none.
pub fn check(folder: &Path, segment: u32, tags: &[(Tag, Uuid)]) -> io::Result<()> {
    let path = directory::path(folder, segment);
    let binding = binding::of(&path.with_extension("seg"))?;
    let (file, _) = file::FindFile::open(&path, segment, Some(binding))?;
    let right = table::Table::of(tags).sorted();
    if file.all()? == right {
        Ok(())
    } else {
        Err(io::Error::other("it does not say what its segment says"))
    }
}
