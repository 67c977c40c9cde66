//! sled's log, read without sled.
//!
//! sled 0.34 answers a damaged log by panicking or, worse, by cutting off what lies behind
//! the damage. So before it is let near a store, and to save what is left of a damaged one,
//! the file `db` is read here: every message whose checksum fits, whatever lies around it.
//! Never writes. Knows pages and bytes, not keys; keeps nothing of what it read.
//!
//! The file is segments of equal size, each a header of 20 bytes and messages: checksum (4),
//! kind (1), length, number of the segment, page (varints), body. A place in the order of all
//! writes is the segment's number times its size, plus the place in it.
//!
//! Segments are used again without being cleared. So the newest one ends where no message of
//! its own number follows, whatever stands there; all others were written to their end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::page::{Varint, read_varint};

const SEGMENT_HEADER: usize = 20;
/// A segment ends where less than this is left.
const LONGEST_HEADER: usize = 32;
const SEGMENT: usize = 512 << 10;

/// The rest of a segment that was filled.
const CAP: u8 = 2;
/// The last kind there is.
const LAST_KIND: u8 = 11;

/// The log of a store.
pub(super) struct Log {
    file: File,
    segment: usize,
    segments: u64,
}

/// A whole message.
pub(super) struct Message<'a> {
    /// Its place in the order of all writes.
    pub(super) written: u64,
    pub(super) kind: Kind,
    pub(super) page: u64,
    pub(super) body: &'a [u8],
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A page's whole state.
    Node,
    /// A change to it.
    Link,
    /// The page is free.
    Free,
    /// The state of one of sled's own pages.
    Own,
    /// A batch begins; the body says where its last message stands.
    Batch,
    /// Nothing about a page.
    Other,
}

/// Bytes of the file that should be a message and are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Its place in the order of all writes.
    pub(super) written: u64,
}

/// What a reading found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// In the order of all writes.
    pub(super) damage: Vec<Damage>,
    /// The end of the last message.
    pub(super) end: u64,
}

/// A message and where it lies in its segment.
struct Lying {
    kind: u8,
    segment: u64,
    page: u64,
    body: usize,
    end: usize,
}

impl Log {
    /// Opens the log of the store in `folder`.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let file = File::open(folder.join("db"))?;
        let segment = std::fs::read(folder.join("conf"))
            .ok()
            .and_then(|conf| segment_size(&conf))
            .unwrap_or(SEGMENT);
        let segments = file.metadata()?.len().div_ceil(segment as u64);
        Ok(Self {
            file,
            segment,
            segments,
        })
    }

    /// Reads all of it, in the order in which it was written.
    pub(super) fn read(
        &self,
        mut each: impl FnMut(&Message<'_>) -> io::Result<()>,
    ) -> io::Result<Found> {
        let mut found = Found::default();
        let order = self.order()?;
        let mut bytes = Vec::new();
        for (place, segment) in order.iter().enumerate() {
            let newest = place + 1 == order.len();
            self.load(segment.index, self.segment, &mut bytes)?;
            self.replay(&bytes, segment, newest, &mut found, &mut each)?;
        }
        Ok(found)
    }

    /// Where it ends, without reading more than its newest segment.
    pub(super) fn end(&self) -> io::Result<u64> {
        let mut found = Found::default();
        if let Some(newest) = self.order()?.last() {
            let mut bytes = Vec::new();
            self.load(newest.index, self.segment, &mut bytes)?;
            self.replay(&bytes, newest, true, &mut found, &mut |_| Ok(()))?;
        }
        Ok(found.end)
    }

    /// The segment that holds this place in the order of all writes.
    pub(super) fn segment_of(&self, written: u64) -> u64 {
        written / self.segment as u64
    }

    /// All segments that hold something, in the order in which they were written.
    fn order(&self) -> io::Result<Vec<Segment>> {
        let mut order = Vec::new();
        let mut bytes = Vec::new();
        for index in 0..self.segments {
            self.load(index, SEGMENT_HEADER, &mut bytes)?;
            if let Some(number) = number(&bytes, self.segment) {
                let whole = true;
                order.push(Segment {
                    number,
                    index,
                    whole,
                });
                continue;
            }
            self.load(index, self.segment, &mut bytes)?;
            let first = (SEGMENT_HEADER..bytes.len()).find_map(|at| message(&bytes, at, None));
            if let Some(first) = first {
                let (number, whole) = (first.segment, false);
                order.push(Segment {
                    number,
                    index,
                    whole,
                });
            }
        }
        order.sort_unstable();
        Ok(order)
    }

    /// Reads up to `length` bytes of a segment; the last one of the file may be shorter.
    fn load(&self, index: u64, length: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.resize(length, 0);
        let mut filled = 0;
        while filled < bytes.len() {
            let at = index * self.segment as u64 + filled as u64;
            match self.file.read_at(&mut bytes[filled..], at)? {
                0 => break,
                more => filled += more,
            }
        }
        bytes.truncate(filled);
        Ok(())
    }

    fn replay(
        &self,
        bytes: &[u8],
        segment: &Segment,
        newest: bool,
        found: &mut Found,
        each: &mut impl FnMut(&Message<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let start = segment.index * self.segment as u64;
        let first = segment.number * self.segment as u64;
        let mut damaged = |from: usize, to: usize| {
            found.damage.push(Damage {
                from: start + from as u64,
                to: start + to as u64,
                written: first + from as u64,
            });
        };
        if !segment.whole {
            damaged(0, SEGMENT_HEADER);
        }
        found.end = first + SEGMENT_HEADER as u64;
        let mut at = SEGMENT_HEADER;
        let mut hole = None;
        while at + LONGEST_HEADER <= bytes.len() {
            let Some(message) = message(bytes, at, Some(segment.number)) else {
                hole.get_or_insert(at);
                at += 1;
                continue;
            };
            if let Some(from) = hole.take() {
                damaged(from, at);
            }
            found.end = first + message.end as u64;
            if message.kind == CAP {
                return Ok(());
            }
            each(&Message {
                written: first + at as u64,
                kind: kind(message.kind),
                page: message.page,
                body: &bytes[message.body..message.end],
            })?;
            at = message.end;
        }
        let cut_short = at + LONGEST_HEADER <= self.segment;
        if !newest && (hole.is_some() || cut_short) {
            damaged(hole.unwrap_or(at), self.segment);
        }
        Ok(())
    }
}

/// A segment by what it holds.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Segment {
    number: u64,
    index: u64,
    /// Whether its header can be read.
    whole: bool,
}

fn kind(byte: u8) -> Kind {
    match byte {
        3 => Kind::Batch,
        4 => Kind::Free,
        5..=7 => Kind::Own,
        8 | 9 => Kind::Node,
        10 | 11 => Kind::Link,
        _ => Kind::Other,
    }
}

/// The number of a segment, from its header.
fn number(bytes: &[u8], segment: usize) -> Option<u64> {
    let header = bytes.get(..SEGMENT_HEADER)?;
    let sum = u32::from_le_bytes(header[..4].try_into().ok()?) ^ u32::MAX;
    let lsn = u64::from_le_bytes(header[4..12].try_into().ok()?) ^ (u64::MAX >> 1);
    (crc32fast::hash(&header[4..]) == sum).then_some(lsn / segment as u64)
}

/// The message at `at`, if there is a whole one (of that segment).
fn message(bytes: &[u8], at: usize, segment: Option<u64>) -> Option<Lying> {
    let header = bytes.get(at..)?;
    let kind = *header.get(4)?;
    if kind == 0 || kind > LAST_KIND {
        return None;
    }
    let Varint(length, a) = read_varint(header.get(5..)?)?;
    let Varint(number, b) = read_varint(header.get(5 + a..)?)?;
    if segment.is_some_and(|segment| segment != number) {
        return None;
    }
    let Varint(page, c) = read_varint(header.get(5 + a + b..)?)?;
    let body = 5 + a + b + c;
    let end = body.checked_add(usize::try_from(length).ok()?)?;
    let whole = header.get(body..end)?;
    let mut sum = crc32fast::Hasher::new();
    sum.update(whole);
    sum.update(&header[4..body]);
    let found = u32::from_le_bytes(header[..4].try_into().ok()?) ^ u32::MAX;
    (sum.finalize() == found).then_some(Lying {
        kind,
        segment: number,
        page,
        body: at + body,
        end: at + end,
    })
}

fn segment_size(conf: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(conf);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("segment_size: "))?;
    let size: usize = line.trim().parse().ok()?;
    (size.is_power_of_two() && (256..=1 << 30).contains(&size)).then_some(size)
}
