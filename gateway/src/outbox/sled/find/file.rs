//! Find files: what one closed segment is searched by, sorted and never changed.
//!
//! | bytes | what |
//! |---|---|
//! | 2048 | header: magic, version, segment, binding, counts, where each kind begins; crc |
//! | 4 each | fingerprints of the engine's own tags, sorted; their crc is in the header |
//! | 4096 each | blocks: 124 entries, sorted, and a crc over them and where they belong |
//!
//! Numbers are little-endian. A file is made of its segment alone, so one that is damaged in
//! any way is thrown away. No file stays open: a store has many segments.

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::entry::{ENCODED, Entry, fingerprint, is_own};
use crate::outbox::state::Tag;

const MAGIC: &[u8; 6] = b"LGFIND";
const VERSION: u16 = 1;
const HEADER: usize = 2048;
/// Where the list of kinds starts in the header, and bytes of each.
const KINDS: usize = 34;
const KIND: usize = 5;
/// Entries of a block; with its crc it has 4096 bytes.
const ENTRIES: u32 = 124;

/// Where a find file is and what its header says.
pub(super) struct FindFile {
    path: PathBuf,
    segment: u32,
    binding: u64,
    entries: u32,
    /// First byte of the first block.
    blocks_at: u64,
    /// By kind: its first entry.
    kinds: Vec<(u8, u32)>,
}

impl FindFile {
    /// Writes the file of a segment. Under its name it is whole and on disk, or it is not
    /// there. Gives the fingerprints too.
    pub(super) fn write(
        path: &Path,
        segment: u32,
        binding: u64,
        sorted: &[Entry],
    ) -> io::Result<(Self, Vec<u32>)> {
        let fingerprints = fingerprints(sorted);
        let section = encoded(&fingerprints);
        let file = Self::of(path, segment, binding, sorted, section.len());
        let new = temporary(path);
        let written = file
            .write_to(&new, &section, sorted)
            .and_then(|()| std::fs::rename(&new, path))
            .and_then(|()| sync_folder(path));
        if let Err(error) = written {
            _ = std::fs::remove_file(&new);
            return Err(error);
        }
        Ok((file, fingerprints))
    }

    fn of(path: &Path, segment: u32, binding: u64, sorted: &[Entry], section: usize) -> Self {
        let mut kinds: Vec<(u8, u32)> = Vec::new();
        for (at, entry) in (0..).zip(sorted) {
            if kinds.last().is_none_or(|(kind, _)| *kind != entry.kind()) {
                kinds.push((entry.kind(), at));
            }
        }
        Self {
            path: path.to_owned(),
            segment,
            binding,
            entries: u32::try_from(sorted.len()).expect("a segment has fewer entries"),
            blocks_at: (HEADER + section) as u64,
            kinds,
        }
    }

    fn write_to(&self, path: &Path, section: &[u8], sorted: &[Entry]) -> io::Result<()> {
        let mut file = io::BufWriter::with_capacity(1 << 18, File::create(path)?);
        file.write_all(&self.header(section))?;
        file.write_all(section)?;
        let mut bytes = Vec::with_capacity(4096);
        for (number, block) in (0..).zip(sorted.chunks(ENTRIES as usize)) {
            bytes.clear();
            block
                .iter()
                .for_each(|entry| bytes.extend_from_slice(&entry.0));
            let crc = self.block_crc(number, &bytes);
            bytes.extend_from_slice(&crc.to_le_bytes());
            file.write_all(&bytes)?;
        }
        file.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()
    }

    fn header(&self, section: &[u8]) -> Vec<u8> {
        let kinds = u16::try_from(self.kinds.len()).expect("256 kinds at most");
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&self.segment.to_le_bytes());
        header.extend_from_slice(&self.binding.to_le_bytes());
        header.extend_from_slice(&self.entries.to_le_bytes());
        let fingerprints = u32::try_from(section.len() / 4).expect("no more than entries");
        header.extend_from_slice(&fingerprints.to_le_bytes());
        header.extend_from_slice(&crc32fast::hash(section).to_le_bytes());
        header.extend_from_slice(&kinds.to_le_bytes());
        for (kind, first) in &self.kinds {
            header.push(*kind);
            header.extend_from_slice(&first.to_le_bytes());
        }
        header.resize(HEADER - 4, 0);
        let crc = crc32fast::hash(&header);
        header.extend_from_slice(&crc.to_le_bytes());
        header
    }

    /// Reads header and fingerprints. An error means that the file is of no use. Without a
    /// `binding` it need not have been made of the segment as it is now.
    pub(super) fn open(
        path: &Path,
        segment: u32,
        binding: Option<u64>,
    ) -> io::Result<(Self, Vec<u32>)> {
        let file = File::open(path)?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)?;
        let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let number = |at: usize| {
            let bytes = header[at..].first_chunk().expect("within the header");
            u32::from_le_bytes(*bytes)
        };
        let bound = header[12..].first_chunk().expect("within the header");
        let whole = crc32fast::hash(&header[..HEADER - 4]) == number(HEADER - 4);
        if !whole || !header.starts_with(MAGIC) {
            return Err(damaged("its header is damaged"));
        }
        if short(6) != VERSION {
            return Err(damaged("another version of leadgate wrote it"));
        }
        let bound = u64::from_le_bytes(*bound);
        if number(8) != segment || binding.is_some_and(|binding| binding != bound) {
            return Err(damaged("it was made of another segment"));
        }
        let kinds = (0..usize::from(short(32))).map(|kind| KINDS + kind * KIND);
        let found = Self {
            path: path.to_owned(),
            segment,
            binding: bound,
            entries: number(20),
            blocks_at: HEADER as u64 + u64::from(number(24)) * 4,
            kinds: kinds.map(|at| (header[at], number(at + 1))).collect(),
        };
        let blocks = u64::from(found.entries.div_ceil(ENTRIES));
        let length = found.blocks_at + u64::from(found.entries) * ENCODED as u64 + blocks * 4;
        if file.metadata()?.len() != length {
            return Err(damaged("its length is wrong"));
        }
        let mut section = vec![0; number(24) as usize * 4];
        file.read_exact_at(&mut section, HEADER as u64)?;
        if crc32fast::hash(&section) != number(28) {
            return Err(damaged("its fingerprints are damaged"));
        }
        let (whole, _) = section.as_chunks::<4>();
        let fingerprints = whole.iter().map(|bytes| u32::from_le_bytes(*bytes));
        Ok((found, fingerprints.collect()))
    }

    /// All ids of a tag, newest first. An error means that the file is of no use.
    pub(super) fn find(&self, tag: &Tag) -> io::Result<Vec<Uuid>> {
        let Some(within) = self.kind(tag[0]) else {
            return Ok(Vec::new());
        };
        let end = within.end;
        let mut pages = Pages {
            of: self,
            file: File::open(&self.path)?,
            block: None,
        };
        let mut found = Vec::new();
        let mut at = pages.first(tag, within)?;
        while at < end {
            let entry = pages.entry(at)?;
            if entry.tag() != tag {
                break;
            }
            found.push(entry.id());
            at += 1;
        }
        found.reverse();
        Ok(found)
    }

    /// All entries. An error means that the file is of no use.
    pub(super) fn all(&self) -> io::Result<Vec<Entry>> {
        let pages = Pages {
            of: self,
            file: File::open(&self.path)?,
            block: None,
        };
        let mut all = Vec::with_capacity(self.entries as usize);
        for number in 0..self.entries.div_ceil(ENTRIES) {
            all.extend(pages.read(number)?);
        }
        Ok(all)
    }

    /// The entries of a kind.
    fn kind(&self, kind: u8) -> Option<Range<u32>> {
        let at = self.kinds.iter().position(|(one, _)| *one == kind)?;
        let end = self.kinds.get(at + 1).map_or(self.entries, |(_, end)| *end);
        Some(self.kinds[at].1..end)
    }

    fn block_crc(&self, number: u32, entries: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.segment.to_le_bytes());
        crc.update(&self.binding.to_le_bytes());
        crc.update(&number.to_le_bytes());
        crc.update(entries);
        crc.finalize()
    }
}

/// The blocks of a file while it is searched.
struct Pages<'a> {
    of: &'a FindFile,
    file: File,
    /// The one read last: its number and its entries.
    block: Option<(u32, Vec<Entry>)>,
}

impl Pages<'_> {
    fn block(&mut self, number: u32) -> io::Result<&[Entry]> {
        if self.block.as_ref().is_none_or(|(read, _)| *read != number) {
            self.block = Some((number, self.read(number)?));
        }
        Ok(self.block.as_ref().map_or(&[], |(_, entries)| entries))
    }

    fn read(&self, number: u32) -> io::Result<Vec<Entry>> {
        let first = number * ENTRIES;
        let count = (self.of.entries.saturating_sub(first)).min(ENTRIES) as usize;
        let mut bytes = vec![0; count * ENCODED + 4];
        let at = self.of.blocks_at + u64::from(number) * (ENTRIES as usize * ENCODED + 4) as u64;
        self.file.read_exact_at(&mut bytes, at)?;
        let (entries, crc) = bytes.split_last_chunk().expect("as long as a crc");
        if self.of.block_crc(number, entries) != u32::from_le_bytes(*crc) {
            return Err(damaged("one of its blocks is damaged"));
        }
        let (entries, _) = entries.as_chunks::<ENCODED>();
        Ok(entries.iter().map(|bytes| Entry(*bytes)).collect())
    }

    fn entry(&mut self, at: u32) -> io::Result<Entry> {
        let block = self.block(at / ENTRIES)?;
        let entry = block.get((at % ENTRIES) as usize).copied();
        entry.ok_or_else(|| damaged("its counts are wrong"))
    }

    /// The first entry of a kind that is not before the tag, or the kind's end.
    ///
    /// Hashes are spread evenly, so the tag's own value says about where it must be; ids of
    /// deliveries are not, so after some guesses the middle is taken. Every step leaves out a
    /// whole block at least.
    fn first(&mut self, tag: &Tag, within: Range<u32>) -> io::Result<u32> {
        let wanted = value(tag);
        let (mut low, mut high) = (within.start, within.end);
        let (mut least, mut most) = (0, u64::MAX);
        let mut guesses = 0;
        while low < high {
            let guess = if guesses < 4 {
                between(low, high, wanted.saturating_sub(least), most - least)
            } else {
                low + (high - low) / 2
            };
            guesses += 1;
            let number = guess / ENTRIES;
            let start = number * ENTRIES;
            let block = self.block(number)?;
            let from = low.max(start);
            let to = high.min(start + ENTRIES);
            let here = block
                .get((from - start) as usize..(to - start) as usize)
                .ok_or_else(|| damaged("its counts are wrong"))?;
            let before = here.partition_point(|entry| entry.tag() < tag);
            if before == 0 {
                high = from;
                most = here.first().map_or(most, |entry| value(entry.tag()));
            } else if before == here.len() {
                low = to;
                least = here.last().map_or(least, |entry| value(entry.tag()));
            } else {
                return Ok(from + u32::try_from(before).expect("within a block"));
            }
            if most < least {
                return Err(damaged("it is not sorted"));
            }
        }
        Ok(low)
    }
}

/// What a tag is sorted by within its kind, as far as a number holds it.
fn value(tag: &Tag) -> u64 {
    u64::from_be_bytes(*tag[1..].first_chunk().expect("longer"))
}

/// The entry in `low..high` that is as far in as `part` of `whole`.
fn between(low: u32, high: u32, part: u64, whole: u64) -> u32 {
    let many = u128::from(high - low - 1);
    let far = many * u128::from(part.min(whole)) / u128::from(whole.max(1));
    low + u32::try_from(far).expect("no more than there are")
}

/// The name under which a file is written.
pub(super) fn temporary(path: &Path) -> PathBuf {
    path.with_extension("find.new")
}

/// After it a name that was given or taken in the folder of `path` is on disk.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The fingerprints of the engine's own tags, sorted, each once.
pub(super) fn fingerprints(sorted: &[Entry]) -> Vec<u32> {
    let own = sorted.iter().filter(|entry| is_own(entry.tag()));
    let mut all: Vec<u32> = own.map(|entry| fingerprint(entry.tag())).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn encoded(fingerprints: &[u32]) -> Vec<u8> {
    let all = fingerprints.iter();
    all.flat_map(|one| one.to_le_bytes()).collect()
}

fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
