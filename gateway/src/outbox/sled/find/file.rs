//! Find files: what one closed segment is searched by, sorted and never changed.
//!
//! | bytes | what |
//! |---|---|
//! | 40 | header: magic, version, segment, binding, counts, crc of the next two; its own crc |
//! | 4 each | fingerprints of the engine's own tags, sorted |
//! | 17 each | the first tag of each block |
//! | 4096 each | blocks: 124 entries, sorted, and a crc over them and where they belong |
//!
//! Numbers are little-endian. A file is made of its segment alone, so one that is damaged in
//! any way is thrown away. No file stays open: a store has many segments.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::entry::{ENCODED, Entry, fingerprint, is_own};
use crate::outbox::state::Tag;

const MAGIC: &[u8; 6] = b"LGFIND";
const VERSION: u16 = 2;
const HEADER: usize = 40;
/// Entries of a block; with its crc it has 4096 bytes.
const ENTRIES: usize = 124;
const BLOCK: usize = ENTRIES * ENCODED + 4;
const TAG: usize = size_of::<Tag>();

/// Where a find file is and what stands before its blocks.
pub(super) struct FindFile {
    path: PathBuf,
    segment: u32,
    binding: u64,
    entries: usize,
    /// First byte of the first block.
    blocks_at: usize,
    /// The first tag of each block.
    firsts: Vec<Tag>,
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
        let blocks = sorted.chunks(ENTRIES);
        let firsts: Vec<Tag> = blocks.clone().map(|block| *block[0].tag()).collect();
        let file = Self {
            path: path.to_owned(),
            segment,
            binding,
            entries: sorted.len(),
            blocks_at: HEADER + fingerprints.len() * 4 + firsts.len() * TAG,
            firsts,
        };
        let new = temporary(path);
        let written = file
            .write_to(&new, &fingerprints, blocks)
            .and_then(|()| std::fs::rename(&new, path))
            .and_then(|()| sync_folder(path));
        if let Err(error) = written {
            _ = std::fs::remove_file(&new);
            return Err(error);
        }
        Ok((file, fingerprints))
    }

    fn write_to<'a>(
        &self,
        path: &Path,
        fingerprints: &[u32],
        blocks: impl Iterator<Item = &'a [Entry]>,
    ) -> io::Result<()> {
        let own = fingerprints.iter().flat_map(|one| one.to_le_bytes());
        let firsts = self.firsts.as_flattened().iter().copied();
        let before: Vec<u8> = own.chain(firsts).collect();
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(&self.binding.to_le_bytes());
        let counts = [self.segment, short(self.entries), short(fingerprints.len())];
        for number in counts.into_iter().chain([crc32fast::hash(&before)]) {
            header.extend_from_slice(&number.to_le_bytes());
        }
        header.resize(HEADER - 4, 0);
        let crc = crc32fast::hash(&header);
        let mut file = io::BufWriter::with_capacity(1 << 18, File::create(path)?);
        file.write_all(&header)?;
        file.write_all(&crc.to_le_bytes())?;
        file.write_all(&before)?;
        for (number, block) in blocks.enumerate() {
            let bytes: Vec<u8> = block.iter().flat_map(|entry| entry.0).collect();
            file.write_all(&bytes)?;
            file.write_all(&self.crc(number, &bytes).to_le_bytes())?;
        }
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()
    }

    /// Reads what stands before the blocks. An error means that the file is of no use. Without
    /// a `binding` it need not have been made of the segment as it is now.
    pub(super) fn open(
        path: &Path,
        segment: u32,
        binding: Option<u64>,
    ) -> io::Result<(Self, Vec<u32>)> {
        let file = File::open(path)?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)?;
        let number = |at: usize| {
            let bytes = header[at..].first_chunk().expect("within the header");
            u32::from_le_bytes(*bytes)
        };
        let whole = crc32fast::hash(&header[..HEADER - 4]) == number(HEADER - 4);
        if !whole || !header.starts_with(MAGIC) {
            return Err(damaged("its header is damaged"));
        }
        if header[6..8] != VERSION.to_le_bytes() {
            return Err(damaged("another version of leadgate wrote it"));
        }
        let bound = u64::from(number(12)) << 32 | u64::from(number(8));
        if number(16) != segment || binding.is_some_and(|binding| binding != bound) {
            return Err(damaged("it was made of another segment"));
        }
        let (entries, fingerprints) = (number(20) as usize, number(24) as usize);
        let blocks = entries.div_ceil(ENTRIES);
        let blocks_at = HEADER + fingerprints * 4 + blocks * TAG;
        let length = blocks_at + entries * ENCODED + blocks * 4;
        if file.metadata()?.len() != length as u64 {
            return Err(damaged("its length is wrong"));
        }
        let mut before = vec![0; blocks_at - HEADER];
        file.read_exact_at(&mut before, HEADER as u64)?;
        if crc32fast::hash(&before) != number(28) {
            return Err(damaged("its fingerprints are damaged"));
        }
        let (own, firsts) = before.split_at(fingerprints * 4);
        let own = own.as_chunks().0.iter();
        let found = Self {
            path: path.to_owned(),
            segment,
            binding: bound,
            entries,
            blocks_at,
            firsts: firsts.as_chunks().0.to_vec(),
        };
        Ok((found, own.map(|one| u32::from_le_bytes(*one)).collect()))
    }

    /// All ids of a tag, newest first. An error means that the file is of no use.
    pub(super) fn find(&self, tag: &Tag) -> io::Result<Vec<Uuid>> {
        let file = File::open(&self.path)?;
        let end = self.firsts.partition_point(|first| first <= tag);
        let first = self.firsts.partition_point(|first| first < tag);
        let mut found = Vec::new();
        // The block before them may end with it.
        for number in first.saturating_sub(1)..end {
            let block = self.block(&file, number)?.into_iter();
            let those = block.filter(|entry| entry.tag() == tag);
            found.extend(those.map(|entry| entry.id()));
        }
        found.reverse();
        Ok(found)
    }

    /// All entries. An error means that the file is of no use.
    pub(super) fn all(&self) -> io::Result<Vec<Entry>> {
        let file = File::open(&self.path)?;
        let mut all = Vec::with_capacity(self.entries);
        for number in 0..self.firsts.len() {
            all.extend(self.block(&file, number)?);
        }
        Ok(all)
    }

    fn block(&self, file: &File, number: usize) -> io::Result<Vec<Entry>> {
        let entries = (self.entries - number * ENTRIES).min(ENTRIES);
        let mut bytes = vec![0; entries * ENCODED + 4];
        file.read_exact_at(&mut bytes, (self.blocks_at + number * BLOCK) as u64)?;
        let (entries, crc) = bytes.split_last_chunk().expect("as long as a crc");
        if self.crc(number, entries) != u32::from_le_bytes(*crc) {
            return Err(damaged("one of its blocks is damaged"));
        }
        let entries = entries.as_chunks().0.iter();
        Ok(entries.map(|bytes| Entry(*bytes)).collect())
    }

    fn crc(&self, number: usize, entries: &[u8]) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.segment.to_le_bytes());
        crc.update(&self.binding.to_le_bytes());
        crc.update(&short(number).to_le_bytes());
        crc.update(entries);
        crc.finalize()
    }
}

fn short(count: usize) -> u32 {
    u32::try_from(count).expect("a segment has fewer entries")
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

pub(super) fn damaged(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
