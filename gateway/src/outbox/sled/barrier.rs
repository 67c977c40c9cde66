//! The barrier: after it, everything written before is on disk.
//!
//! sled 0.34's `flush` on Linux ends in `sync_file_range`, which persists neither the file's
//! size nor the disk's own cache (spacejam/sled#1452). So a commit is `flush`, which moves
//! sled's buffers into the file, and then `sync_data` on a handle of our own.

use std::fs::File;
use std::io;
use std::path::Path;

/// A handle on sled's file.
pub(super) struct Barrier {
    file: File,
}

impl Barrier {
    /// Opens the barrier for a sled database at `path`, and makes durable what is there: sled
    /// never syncs its file `conf`, nor the files' names.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                File::open(entry.path())?.sync_all()?;
            }
        }
        let file = File::open(path.join("db"))?;
        for folder in [Some(path), path.parent()].into_iter().flatten() {
            if !folder.as_os_str().is_empty() {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok(Self { file })
    }

    /// Returns only when all of `tree`'s writes are on disk.
    ///
    /// An error is final: the kernel may have dropped the dirty pages, so a second try could
    /// report success for data that is gone.
    pub(super) fn pass(&self, tree: &::sled::Tree) -> io::Result<()> {
        tree.flush().map_err(io::Error::other)?;
        self.file.sync_data()
    }
}
