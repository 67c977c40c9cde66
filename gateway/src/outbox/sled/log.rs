//! sled's log, read without sled.
//!
//! sled 0.34 answers a damaged log by panicking or, worse, by cutting everything off behind
//! the damage and overwriting it. So before it is let near a store, and to save what is left
//! of a damaged one, the file `db` is read here: every message whose checksum fits, whatever
//! lies around it. Never writes. Knows pages and bytes, not keys.
//!
//! The file is segments of equal size, each a header of 20 bytes and messages: checksum (4),
//! kind (1), length, number of the segment, page (varints), body.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::page::{Varint, read_varint};

const SEGMENT_HEADER: usize = 20;
/// A segment ends where less than this is left.
const LONGEST_HEADER: usize = 32;
const SEGMENT: usize = 512 << 10;

const CAP: u8 = 2;
const FREE: u8 = 4;
const NODE: u8 = 8;
const LINK: u8 = 10;
/// The last kind there is.
const LAST_KIND: u8 = 11;

/// The log of a store.
pub(super) struct Log {
    file: File,
    segment: usize,
    segments: u64,
}

/// Bytes of the file that should be a message and are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Where a message's body is.
#[derive(Clone, Copy)]
pub(super) struct Body {
    at: u64,
    length: usize,
}

/// A page: its newest whole state and the changes to it since, in order.
pub(super) struct Page {
    /// Where in the order of all writes its state stands.
    pub(super) written: u64,
    pub(super) state: Body,
    pub(super) changes: Vec<Body>,
}

/// What the log holds.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) pages: BTreeMap<u64, Page>,
    /// In full segments: never the work of a crash.
    pub(super) damage: Vec<Damage>,
    /// In the newest segment: what a crash left of a commit, or damage.
    pub(super) torn: Option<Damage>,
}

/// What to do about a torn newest segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tear {
    /// Take nothing behind it, as sled does.
    Stop,
    /// Take all that is whole.
    GoOn,
}

struct Message {
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
    pub(super) fn read(&self, tear: Tear) -> io::Result<Contents> {
        let mut contents = Contents::default();
        let mut order = Vec::new();
        for index in 0..self.segments {
            let bytes = self.load(index)?;
            if let Some(number) = number(&bytes, self.segment) {
                order.push((number, index));
                continue;
            }
            let first = (SEGMENT_HEADER..bytes.len()).find_map(|at| message(&bytes, at, None));
            if let Some(first) = first {
                let from = index * self.segment as u64;
                let to = from + SEGMENT_HEADER as u64;
                contents.damage.push(Damage { from, to });
                order.push((first.segment, index));
            }
        }
        order.sort_unstable();
        let newest = order.last().map(|(number, _)| *number);
        for (number, index) in order {
            let bytes = self.load(index)?;
            let tear = (Some(number) == newest).then_some(tear);
            self.replay(&bytes, number, index, tear, &mut contents);
        }
        Ok(contents)
    }

    /// The bytes of a body.
    pub(super) fn body(&self, body: Body) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; body.length];
        self.file.read_exact_at(&mut bytes, body.at)?;
        Ok(bytes)
    }

    fn load(&self, index: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.segment];
        let mut filled = 0;
        while filled < bytes.len() {
            let at = index * self.segment as u64 + filled as u64;
            match self.file.read_at(&mut bytes[filled..], at)? {
                0 => break,
                more => filled += more,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// `tear` is given for the newest segment.
    fn replay(
        &self,
        bytes: &[u8],
        number: u64,
        index: u64,
        tear: Option<Tear>,
        into: &mut Contents,
    ) {
        let start = index * self.segment as u64;
        let mut at = SEGMENT_HEADER;
        let mut hole = None;
        let mut damaged = |from: usize, to: usize| {
            let from = start + from as u64;
            let to = start + to as u64;
            match tear {
                None => into.damage.push(Damage { from, to }),
                Some(_) => into.torn = Some(Damage { from, to }),
            }
        };
        while at + LONGEST_HEADER <= bytes.len() {
            let Some(message) = message(bytes, at, Some(number)) else {
                hole.get_or_insert(at);
                at += 1;
                continue;
            };
            if let Some(from) = hole.take() {
                damaged(from, at);
                if tear == Some(Tear::Stop) {
                    return;
                }
            }
            if message.kind == CAP {
                return;
            }
            let body = Body {
                at: start + message.body as u64,
                length: message.end - message.body,
            };
            let written = number * self.segment as u64 + at as u64;
            match message.kind {
                NODE => {
                    let page = Page {
                        written,
                        state: body,
                        changes: Vec::new(),
                    };
                    into.pages.insert(message.page, page);
                }
                LINK => {
                    if let Some(page) = into.pages.get_mut(&message.page) {
                        page.changes.push(body);
                    }
                }
                FREE => {
                    into.pages.remove(&message.page);
                }
                _ => {}
            }
            at = message.end;
        }
        // The newest segment ends where writing stopped; any other is full.
        if let Some(from) = hole
            && (tear.is_none() || bytes[from..].iter().any(|byte| *byte != 0))
        {
            damaged(from, bytes.len());
        }
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
fn message(bytes: &[u8], at: usize, segment: Option<u64>) -> Option<Message> {
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
    (sum.finalize() == found).then_some(Message {
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
