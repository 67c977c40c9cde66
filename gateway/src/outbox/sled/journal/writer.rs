//! The writer: appends frames, and turns to a new segment when the open one is full.
//!
//! Owned by one thread. What it wrote is durable when [`Syncing`] says so. Its first error is
//! its last: nothing is written after it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::Batch;
use super::error::{JournalError, Tried};
use super::files::{Files, OpenFile};
use super::frame;
use super::mark::{Mark, Said};
use super::naming;
use super::reader::Reader;
use super::segment::{self, Header, Seed};
use super::sync::{Syncing, Target};
use crate::outbox::sled::codec::{Codec, Entry, Opening, SegmentFacts, Standing};
use crate::outbox::sled::place::Place;

/// What a segment's file is called, behind its name, while it is made.
pub(super) const NEW: &str = ".new";

/// Sizes of files.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A segment is closed before it grows longer, in bytes; only a frame that is longer by
    /// itself makes it so. At most 1 GiB.
    pub segment: u64,
    /// Room is taken ahead in steps of so many bytes.
    pub step: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment: 64 << 20,
            step: 4 << 20,
        }
    }
}

/// A frame was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its sequence number.
    pub sequence: u64,
    /// Where its entries lie, in the order in which they were added.
    pub places: Vec<Place>,
    /// The segment that was closed before it, if one was.
    pub rolled: Option<u32>,
}

/// The segment that is written to.
pub(super) struct Written {
    pub(super) file: Arc<dyn OpenFile>,
    /// As far as it is written.
    pub(super) facts: SegmentFacts,
    /// How long the file is.
    pub(super) allocated: u64,
    /// Whether its last frame is a watermark that says that all before is durable.
    pub(super) watermarked: bool,
}

impl Written {
    /// As it is to be made durable.
    pub(super) fn target(&self, folder: &Path) -> Result<Target, JournalError> {
        let path = segment::path(folder, self.facts.number);
        Ok(Target {
            identity: self.file.identity().tried("find", &path)?,
            file: Arc::clone(&self.file),
            path,
            written: self.facts.last,
        })
    }
}

/// The journal, for the one thread that writes it.
pub struct Journal {
    files: Arc<dyn Files>,
    folder: PathBuf,
    options: Options,
    codec: Arc<Codec>,
    open: Written,
    seed: Seed,
    /// Whether the open segment has its closing frame already: the process ended between the
    /// closing of one segment and the opening of the next.
    pub(super) closed: bool,
    /// Whether its opening stands in it a second time.
    pub(super) told: bool,
    /// Segments of which a frame says that they are removed, and which may still be there, with
    /// that frame's sequence number.
    gone: BTreeMap<u32, u64>,
    syncing: Syncing,
    reader: Arc<Reader>,
}

impl Journal {
    /// Of a segment that is written to and those that are closed. What is made of it may hold
    /// no frame behind `bound`.
    pub(super) fn of(
        files: Arc<dyn Files>,
        folder: &Path,
        options: Options,
        codec: Arc<Codec>,
        open: Written,
        closed: BTreeMap<u32, SegmentFacts>,
        bound: u64,
    ) -> Result<Self, JournalError> {
        let synced = open.facts.last;
        let mark = Mark::open(&*files, folder, codec.store(), Said { synced, bound })?;
        let syncing = Syncing::new(Arc::clone(&files), open.target(folder)?, mark);
        let (ours, theirs) = (Arc::clone(&files), Arc::clone(&codec));
        let reader = Reader::new(ours, folder, theirs, closed, open.facts);
        Ok(Self {
            files,
            folder: folder.to_owned(),
            options,
            seed: segment::seed(codec.store(), open.facts.number),
            codec,
            open,
            closed: false,
            told: false,
            gone: BTreeMap::new(),
            syncing,
            reader: Arc::new(reader),
        })
    }

    /// Encodes for this store.
    pub fn codec(&self) -> &Arc<Codec> {
        &self.codec
    }

    /// Makes what is written durable.
    pub fn syncing(&self) -> Syncing {
        self.syncing.clone()
    }

    /// Reads what is written.
    pub fn reader(&self) -> Arc<Reader> {
        Arc::clone(&self.reader)
    }

    /// Sequence number of the last frame.
    pub fn last_sequence(&self) -> u64 {
        self.open.facts.last
    }

    /// Writes a batch as one frame, which is not durable yet, and empties it. Closes the open
    /// segment first if the frame has no room in it; `standing` gives what stands before this
    /// batch.
    pub fn append(
        &mut self,
        batch: &mut Batch,
        standing: &dyn Fn() -> Standing,
    ) -> Result<Appended, JournalError> {
        self.syncing.sound()?;
        if batch.bytes() > frame::LONGEST {
            return Err(JournalError::TooLong(batch.bytes()));
        }
        let rolled = if self.has_room(batch.bytes()) {
            None
        } else {
            Some(self.roll(&standing())?)
        };
        let offset = self.open.facts.bytes;
        let number = self.open.facts.number;
        let places = batch
            .spans()
            .map(|(start, length)| frame::place(number, offset + start as u64, length));
        let places = places.collect();
        let sequence = self.write(batch.frame())?;
        for gone in batch.gone() {
            self.gone.insert(*gone, sequence);
        }
        batch.clear();
        Ok(Appended {
            sequence,
            places,
            rolled,
        })
    }

    /// Closes the open segment, durably, and opens the next one. Gives the number of the one
    /// that was closed.
    pub fn roll(&mut self, standing: &Standing) -> Result<u32, JournalError> {
        self.syncing.sound()?;
        let rolled = self.turn(standing);
        self.syncing.doubt(rolled)
    }

    /// Writes a frame that says that all before is durable, if it is and none says so yet:
    /// damage to the last frame is not taken for a torn one then. Is not durable itself.
    pub fn watermark(&mut self) -> Result<(), JournalError> {
        self.syncing.sound()?;
        let all = self.syncing.synced() == self.last_sequence();
        if all && !self.open.watermarked && !self.closed {
            self.own(None)?;
            self.open.watermarked = true;
        }
        Ok(())
    }

    /// Makes all durable, and durably says so. Nothing is to be appended after it. What a segment
    /// begins with stands at its end once more then: else a store with one segment would lose the
    /// key of its hashes with the first page of a file.
    pub fn close(&mut self, standing: &Standing) -> Result<(), JournalError> {
        self.syncing.sync()?;
        if !self.told && !self.closed {
            let opening = self.opening(self.reader.facts(), standing);
            self.own(Some(&Entry::Opening(Box::new(opening))))?;
            self.told = true;
            self.syncing.sync()?;
        }
        self.watermark()?;
        self.syncing.sync()?;
        self.syncing.sync_mark()
    }

    /// Removes a closed segment; a frame that says so ([`Entry::SegmentGone`]) must have been
    /// appended. When this returns the file is gone for good.
    pub fn remove(&mut self, segment: u32) -> Result<(), JournalError> {
        self.syncing.sound()?;
        let said = self.gone.get(&segment).copied();
        let said = said.ok_or(JournalError::NoSegment(segment))?;
        // Else the segment could be gone without anything that says so.
        if self.syncing.synced() < said {
            self.syncing.sync()?;
        }
        self.reader.forget(segment);
        let path = segment::path(&self.folder, segment);
        let removed = self.files.remove(&path).tried("remove", &path);
        let durable = removed.and_then(|()| {
            let folder = &self.folder;
            self.files.sync_folder(folder).tried("write to", folder)
        });
        self.syncing.doubt(durable)?;
        self.gone.remove(&segment);
        Ok(())
    }

    /// Whether a frame belongs into the open segment. One that is alone in it may be as long as
    /// it likes.
    fn has_room(&self, frame: usize) -> bool {
        let facts = &self.open.facts;
        let alone = facts.first == facts.last;
        !self.closed && (alone || facts.bytes + frame as u64 <= self.options.segment)
    }

    /// What a segment begins with.
    fn opening(&self, manifest: Vec<SegmentFacts>, standing: &Standing) -> Opening {
        Opening {
            store: self.codec.store(),
            manifest,
            gone: self.gone.keys().copied().collect(),
            standing: standing.clone(),
        }
    }

    /// Writes a frame of the journal's own, with one entry or empty.
    fn own(&mut self, entry: Option<&Entry>) -> Result<u64, JournalError> {
        let mut batch = Batch::default();
        if let Some(entry) = entry {
            batch.entry(&self.codec, entry);
        }
        self.write(batch.frame())
    }

    /// Writes a frame, in one call.
    fn write(&mut self, bytes: &mut Vec<u8>) -> Result<u64, JournalError> {
        let Written {
            file,
            facts,
            allocated,
            watermarked,
        } = &mut self.open;
        let sequence = facts.last + 1;
        let synced = self.syncing.synced();
        frame::finish(bytes, self.seed, facts.number, sequence, synced);
        let end = facts.bytes + bytes.len() as u64;
        let path = || segment::path(&self.folder, facts.number);
        if end > *allocated {
            let until = end.next_multiple_of(self.options.step);
            let taken = file.allocate(*allocated, until);
            self.syncing.doubt(taken.tried("take room for", &path()))?;
            *allocated = until;
        }
        let written = file.write_at(bytes, facts.bytes);
        self.syncing.doubt(written.tried("write to", &path()))?;
        (facts.last, facts.bytes) = (sequence, end);
        *watermarked = false;
        self.reader.wrote(sequence, end);
        self.syncing.wrote(sequence);
        Ok(sequence)
    }

    fn turn(&mut self, standing: &Standing) -> Result<u32, JournalError> {
        if !self.closed {
            self.own(Some(&Entry::Closing))?;
            self.closed = true;
        }
        let facts = self.open.facts;
        let path = segment::path(&self.folder, facts.number);
        let file = &self.open.file;
        file.truncate(facts.bytes).tried("write to", &path)?;
        // Invariant: a segment that has a next one is durable to its end.
        self.syncing.sync()?;
        self.syncing.sync_mark()?;
        let mut manifest = self.reader.facts();
        manifest.push(facts);
        let opening = self.opening(manifest, standing);
        let next = (facts.number + 1, facts.last + 1);
        let (files, folder) = (&*self.files, &self.folder);
        let open = create(files, folder, self.options, &self.codec, next, opening)?;
        self.syncing.turn(open.target(&self.folder)?);
        self.reader.turn(open.facts);
        self.seed = segment::seed(self.codec.store(), next.0);
        self.open = open;
        (self.closed, self.told) = (false, false);
        Ok(facts.number)
    }
}

/// Makes a segment with its opening. It has its name only when that is durable.
pub(super) fn create(
    files: &dyn Files,
    folder: &Path,
    options: Options,
    codec: &Codec,
    (number, first): (u32, u64),
    opening: Opening,
) -> Result<Written, JournalError> {
    let path = segment::path(folder, number);
    let new = folder.join(naming::name(number) + NEW);
    let header = Header {
        number,
        first,
        store: codec.store(),
    };
    let mut batch = Batch::default();
    batch.entry(codec, &Entry::Opening(Box::new(opening)));
    let frame = batch.frame();
    frame::finish(frame, header.seed(), number, first, first - 1);
    let bytes = [&header.encode()[..], &frame[..]].concat();
    let end = bytes.len() as u64;
    let allocated = end.next_multiple_of(options.step);
    let file = files.create(&new).tried("make", &new)?;
    file.allocate(0, allocated).tried("take room for", &new)?;
    file.write_at(&bytes, 0).tried("write to", &new)?;
    file.sync().tried("write to", &new)?;
    files.rename(&new, &path).tried("name", &path)?;
    files.sync_folder(folder).tried("write to", folder)?;
    Ok(Written {
        file,
        facts: SegmentFacts {
            number,
            first,
            last: first,
            bytes: end,
        },
        allocated,
        watermarked: false,
    })
}
