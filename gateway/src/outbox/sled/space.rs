//! Space: how much room the store takes and how much is left on its disk.
//!
//! Measured at most once a second, by whoever asks first, so that a disk that was full is
//! seen to have room again although nothing is committed meanwhile.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two measurements.
const INTERVAL: Duration = Duration::from_secs(1);

/// Room taken and left, in bytes.
pub(super) struct Space {
    folder: PathBuf,
    /// Below this many free bytes nothing more is accepted.
    floor: AtomicU64,
    began: Instant,
    /// Milliseconds since `began` of the last measurement, plus one; 0 before the first.
    measured: AtomicU64,
    free: AtomicU64,
    size: AtomicU64,
}

impl Space {
    pub(super) fn new(folder: &Path, floor: u64) -> Self {
        let space = Self {
            folder: folder.to_owned(),
            floor: AtomicU64::new(floor),
            began: Instant::now(),
            measured: AtomicU64::new(0),
            free: AtomicU64::new(u64::MAX),
            size: AtomicU64::new(0),
        };
        space.refresh();
        space
    }

    /// Whether less is free than there must be.
    pub(super) fn short(&self) -> bool {
        self.free() < self.floor()
    }

    pub(super) fn floor(&self) -> u64 {
        self.floor.load(Ordering::Relaxed)
    }

    pub(super) fn set_floor(&self, floor: u64) {
        self.floor.store(floor, Ordering::Relaxed);
    }

    /// How much is free and how much must be, if there is no room for so many bytes of the store's
    /// own work. It may use half of what is kept free: what it writes is what makes room.
    pub(super) fn lacks(&self, bytes: u64) -> Option<(u64, u64)> {
        let (free, needed) = (self.free(), bytes.saturating_add(self.floor() / 2));
        (free < needed).then_some((free, needed))
    }

    pub(super) fn free(&self) -> u64 {
        self.refresh();
        self.free.load(Ordering::Relaxed)
    }

    pub(super) fn size(&self) -> u64 {
        self.refresh();
        self.size.load(Ordering::Relaxed)
    }

    fn refresh(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let last = self.measured.load(Ordering::Relaxed);
        let fresh = Duration::from_millis(now.saturating_sub(last)) < INTERVAL;
        // Of several that find it old, one measures.
        if last != 0 && fresh
            || self
                .measured
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        if let Ok(disk) = rustix::fs::statvfs(&self.folder) {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            self.free.store(free, Ordering::Relaxed);
        }
        self.size.store(used(&self.folder), Ordering::Relaxed);
    }
}

/// Bytes that the files below `folder` take on disk; holes are not counted.
fn used(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let facts = entry.metadata().ok()?;
            let below = facts.is_dir().then(|| used(&entry.path()));
            Some(facts.blocks() * 512 + below.unwrap_or(0))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_folders_counts_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("journal/deeper");
        std::fs::create_dir_all(&below).expect("makes");
        let empty = used(folder.path());
        std::fs::write(below.join("file"), vec![7; 100_000]).expect("writes");
        assert!(used(folder.path()) >= empty + 100_000);
    }
}
