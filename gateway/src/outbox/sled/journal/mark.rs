//! The mark: up to which frame all is on disk, told outside of the segments.
//!
//! A segment that lost its end looks like one that is shorter; the mark tells the two apart. It
//! is written behind each sync and made durable when a segment is closed, so it may be late and
//! is never ahead. It has two places that are written in turns: one that a crash tore leaves
//! the other.
//!
//! It has a second number, for what is made of the journal and kept beside it: frames are written
//! before that is looked at, and numbers of frames that were lost are given again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{JournalError, Tried};
use super::files::{Files, OpenFile};
use crate::outbox::sled::codec::StoreId;

/// Between the two places: no sector of a disk has both.
const APART: usize = 4096;

/// Store, both numbers, checksum of these.
const ENCODED: usize = 16 + 8 + 8 + 4;

/// What the mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Up to which frame all was on disk, at least.
    pub(super) synced: u64,
    /// What is made of the journal and holds frames behind this one was made of frames that are
    /// lost. No limit once it was looked at.
    pub(super) bound: u64,
}

/// That nothing says anything.
const NOTHING: Said = Said {
    synced: 0,
    bound: u64::MAX,
};

/// The mark of an open journal.
pub(super) struct Mark {
    file: Arc<dyn OpenFile>,
    path: PathBuf,
    store: StoreId,
    said: Said,
    /// Which place is written next.
    second: bool,
}

/// Where the mark of the journal in `folder` is.
fn path_of(folder: &Path) -> PathBuf {
    folder.with_file_name("synced")
}

/// What the mark of the journal in `folder` says.
pub(super) fn read(files: &dyn Files, folder: &Path, store: StoreId) -> Result<Said, JournalError> {
    let path = path_of(folder);
    if files.identity(&path).tried("find", &path)?.is_none() {
        return Ok(NOTHING);
    }
    let file = files.open(&path, false).tried("open", &path)?;
    let said = [0, APART].map(|at| place(&*file, at as u64, store).tried("read", &path));
    let [one, other] = said;
    let (one, other) = (one?, other?);
    // The later one.
    Ok(if (one.synced, one.bound) < (other.synced, other.bound) {
        other
    } else {
        one
    })
}

/// What one place says; nothing if it cannot be read, or is of another store.
fn place(file: &dyn OpenFile, at: u64, store: StoreId) -> std::io::Result<Said> {
    let mut bytes = [0; ENCODED];
    file.read_at(&mut bytes, at)?;
    let number = |at: usize| {
        let bytes = bytes[at..].first_chunk().expect("within it");
        u64::from_le_bytes(*bytes)
    };
    let said = Said {
        synced: number(16),
        bound: number(24),
    };
    let whole = encode(store, said) == bytes;
    Ok(if whole { said } else { NOTHING })
}

fn encode(store: StoreId, said: Said) -> [u8; ENCODED] {
    let mut bytes = [0; ENCODED];
    bytes[..16].copy_from_slice(&store.0);
    bytes[16..24].copy_from_slice(&said.synced.to_le_bytes());
    bytes[24..32].copy_from_slice(&said.bound.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..32]);
    bytes[32..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

impl Mark {
    /// Opens or makes the mark of the journal in `folder`, and lets it say that, durably.
    pub(super) fn open(
        files: &dyn Files,
        folder: &Path,
        store: StoreId,
        said: Said,
    ) -> Result<Self, JournalError> {
        let path = path_of(folder);
        let there = files.identity(&path).tried("find", &path)?.is_some();
        let file = if there {
            files.open(&path, true).tried("open", &path)?
        } else {
            files.create(&path).tried("make", &path)?
        };
        let mut mark = Self {
            file,
            path,
            store,
            said,
            second: false,
        };
        // Both places: neither is of another store then, nor of a time before damage.
        mark.write()?;
        mark.write()?;
        mark.sync()?;
        if !there {
            let parent = mark.path.parent().unwrap_or(folder);
            files.sync_folder(parent).tried("write to", parent)?;
        }
        Ok(mark)
    }

    /// All up to that frame is on disk.
    pub(super) fn say(&mut self, sequence: u64) -> Result<(), JournalError> {
        if sequence <= self.said.synced {
            return Ok(());
        }
        self.said.synced = sequence;
        self.write()
    }

    /// What is made of the journal may hold any of its frames from now on, durably.
    pub(super) fn unbind(&mut self) -> Result<(), JournalError> {
        self.said.bound = u64::MAX;
        self.write()?;
        self.sync()
    }

    pub(super) fn bound(&self) -> u64 {
        self.said.bound
    }

    fn write(&mut self) -> Result<(), JournalError> {
        let at = if self.second { APART as u64 } else { 0 };
        let written = self.file.write_at(&encode(self.store, self.said), at);
        self.second = !self.second;
        written.tried("write to", &self.path)
    }

    /// Makes what it says durable.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.file.sync().tried("write to", &self.path)
    }
}
