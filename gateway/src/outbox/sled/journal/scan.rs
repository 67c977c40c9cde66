//! Scans: a segment's frames, read from its start.
//!
//! [`Scan`] wants every frame and ends at the first that is not whole; [`Salvage`] takes every
//! whole frame, whatever lies around it, and says what is missing.

use std::io;
use std::sync::Arc;

use super::error::JournalError;
use super::files::OpenFile;
use super::frame::{self, Frame, Head};
use super::naming;
use super::segment::{self, Seed};

/// Read at once, in bytes.
const CHUNK: usize = 1 << 20;

/// A part of a file, in memory.
struct Window {
    file: Arc<dyn OpenFile>,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The bytes from `at` on, `length` of them or as many as there are.
    fn get(&mut self, at: u64, length: usize) -> io::Result<&[u8]> {
        let held = at >= self.start && at + length as u64 <= self.start + self.bytes.len() as u64;
        if !held {
            self.start = at;
            self.bytes.resize(length.max(CHUNK), 0);
            let read = self.file.read_at(&mut self.bytes, at)?;
            self.bytes.truncate(read);
        }
        let from = usize::try_from(at - self.start).unwrap_or(usize::MAX);
        let rest = self.bytes.get(from..).unwrap_or_default();
        Ok(&rest[..length.min(rest.len())])
    }
}

/// A segment's bytes as frames.
pub(super) struct Walk {
    window: Window,
    pub(super) segment: u32,
    seed: Seed,
    /// Where its frames end at the latest.
    end: u64,
}

impl Walk {
    pub(super) fn new(file: Arc<dyn OpenFile>, segment: u32, seed: Seed, end: u64) -> Self {
        let window = Window {
            file,
            start: 0,
            bytes: Vec::new(),
        };
        Self {
            window,
            segment,
            seed,
            end,
        }
    }

    /// The whole frame at `at`, and where it ends; `None` if there is none.
    pub(super) fn at(&mut self, at: u64) -> io::Result<Option<(Frame, u64)>> {
        let (segment, seed) = (self.segment, self.seed);
        let Some(head) = Head::parse(self.window.get(at, frame::HEADER)?, segment, seed) else {
            return Ok(None);
        };
        let end = at + head.total() as u64;
        if end > self.end {
            return Ok(None);
        }
        let bytes = self.window.get(at, head.total())?;
        let records = head.records(bytes, seed);
        Ok(records.map(|records| (Frame::new(&head, at, records), end)))
    }

    /// The first whole frame at or behind `at` whose sequence number is at least `sequence`.
    pub(super) fn search(
        &mut self,
        mut at: u64,
        sequence: u64,
    ) -> io::Result<Option<(Frame, u64)>> {
        while at + frame::HEADER as u64 <= self.end {
            match self.at(at)? {
                Some((frame, end)) if frame.sequence >= sequence => return Ok(Some((frame, end))),
                _ => at += frame::STEP,
            }
        }
        Ok(None)
    }

    /// The end of the last byte from `at` on that is not zero, if there is one.
    pub(super) fn last_byte(&mut self, mut at: u64) -> io::Result<Option<u64>> {
        let mut last = None;
        while at < self.end {
            let bytes = self.window.get(at, CHUNK)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(found) = bytes.iter().rposition(|byte| *byte != 0) {
                last = Some(at + found as u64 + 1);
            }
            at += bytes.len() as u64;
        }
        Ok(last)
    }
}

/// The frames of a segment, each of which must be whole.
pub struct Scan {
    walk: Walk,
    at: u64,
    /// Sequence number of the frame at `at`.
    next: u64,
    /// From which on they are given.
    from: u64,
    /// Sequence number of the last frame.
    last: u64,
    over: bool,
}

impl Scan {
    pub(super) fn new(walk: Walk, first: u64, from: u64, last: u64) -> Self {
        Self {
            walk,
            at: segment::HEADER as u64,
            next: first,
            from,
            last,
            over: false,
        }
    }

    fn step(&mut self) -> Result<Option<Frame>, JournalError> {
        while self.at < self.walk.end {
            let path = naming::name(self.walk.segment);
            let found = self.walk.at(self.at).map_err(|source| JournalError::Io {
                what: "read",
                path: path.into(),
                source,
            })?;
            match found {
                Some((frame, end)) if frame.sequence == self.next => {
                    (self.at, self.next) = (end, self.next + 1);
                    if frame.sequence >= self.from {
                        return Ok(Some(frame));
                    }
                }
                _ => return Err(self.damage()),
            }
        }
        // Invariant: what a segment is known to hold, its frames say.
        if self.next != self.last + 1 {
            return Err(self.damage());
        }
        Ok(None)
    }

    fn damage(&self) -> JournalError {
        JournalError::damaged(self.walk.segment, self.at, Some(self.next))
    }
}

impl Iterator for Scan {
    type Item = Result<Frame, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let step = self.step().transpose();
        self.over = !matches!(step, Some(Ok(_)));
        step
    }
}

/// What is found in a segment that is damaged.
pub enum Salvaged {
    /// A whole frame.
    Frame(Frame),
    /// Bytes that hold no whole frame.
    Gap {
        /// Where they begin.
        offset: u64,
        /// How many there are.
        bytes: u64,
        /// Sequence number of the first frame that is missing.
        from: u64,
        /// Of the last one, if a whole frame follows.
        to: Option<u64>,
    },
}

/// All whole frames of a segment, and what is missing between them.
pub struct Salvage {
    walk: Walk,
    at: u64,
    next: u64,
    /// The whole frame behind a gap, and where it ends.
    behind: Option<(Frame, u64)>,
}

impl Salvage {
    pub(super) fn new(walk: Walk, first: u64) -> Self {
        Self {
            walk,
            at: segment::HEADER as u64,
            next: first,
            behind: None,
        }
    }

    fn take(&mut self, frame: Frame, end: u64) -> Salvaged {
        (self.at, self.next) = (end, frame.sequence + 1);
        Salvaged::Frame(frame)
    }

    fn step(&mut self) -> io::Result<Option<Salvaged>> {
        if let Some((frame, end)) = self.behind.take() {
            return Ok(Some(self.take(frame, end)));
        }
        let (offset, from) = (self.at, self.next);
        match self.walk.search(offset, from)? {
            Some((frame, end)) if frame.offset == offset && frame.sequence == from => {
                Ok(Some(self.take(frame, end)))
            }
            Some((frame, end)) => {
                let gap = Salvaged::Gap {
                    offset,
                    bytes: frame.offset - offset,
                    from,
                    to: frame.sequence.checked_sub(1),
                };
                self.behind = Some((frame, end));
                Ok(Some(gap))
            }
            None => {
                let last = self.walk.last_byte(offset)?;
                self.at = self.walk.end;
                Ok(last.map(|last| Salvaged::Gap {
                    offset,
                    bytes: last - offset,
                    from,
                    to: None,
                }))
            }
        }
    }
}

impl Iterator for Salvage {
    type Item = io::Result<Salvaged>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
