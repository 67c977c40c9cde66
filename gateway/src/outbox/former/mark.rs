//! The mark: how many pushes were acknowledged, in a small file of its own.
//!
//! A log that lost its newest commits looks like an older log. The mark, written behind every
//! commit's barrier, says how far it had come. It is not synced: after a power cut it may be
//! old, which proves less and never too much.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::outbox::Totals;

const NAME: &str = "mark";

/// The file, open.
pub(super) struct Mark {
    file: File,
}

impl Mark {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(folder.join(NAME))?;
        Ok(Self { file })
    }

    /// Notes what is on disk.
    pub(super) fn note(&self, totals: &Totals) -> io::Result<()> {
        let count = pushes(totals).to_be_bytes();
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&count);
        bytes[8..].copy_from_slice(&crc32fast::hash(&count).to_be_bytes());
        self.file.write_all_at(&bytes, 0)
    }
}

/// What it says, if it is there and whole.
pub(super) fn read(folder: &Path) -> Option<u64> {
    let bytes = std::fs::read(folder.join(NAME)).ok()?;
    let bytes: [u8; 12] = bytes.try_into().ok()?;
    let (count, sum) = bytes.split_first_chunk::<8>()?;
    (crc32fast::hash(count).to_be_bytes() == *sum).then(|| u64::from_be_bytes(*count))
}

/// How many acknowledged pushes the store does not know of, if any.
pub(super) fn missing(folder: &Path, totals: &Totals) -> Option<u64> {
    let missing = read(folder)?.saturating_sub(pushes(totals));
    (missing > 0).then_some(missing)
}

/// Pushes that brought something: this number never falls.
pub(super) fn pushes(totals: &Totals) -> u64 {
    totals.accepted + totals.quarantined
}
