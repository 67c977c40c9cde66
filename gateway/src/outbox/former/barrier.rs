//! The barrier: after it, everything written before is on disk.
//!
//! sled 0.34's `flush` on Linux ends in `sync_file_range`, which persists neither the file's
//! size nor the disk's own cache (spacejam/sled#1452). So a commit is `flush`, which moves
//! sled's buffers into the file, and then `sync_data` on a handle of our own.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A handle on sled's file.
pub(super) struct Barrier {
    file: File,
    /// Where it is.
    path: PathBuf,
    /// Its device and inode.
    identity: (u64, u64),
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
        let db = path.join("db");
        let file = File::open(&db)?;
        let facts = file.metadata()?;
        for folder in [Some(path), path.parent()].into_iter().flatten() {
            if !folder.as_os_str().is_empty() {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok(Self {
            file,
            path: db,
            identity: (facts.dev(), facts.ino()),
        })
    }

    /// Returns only when all of `tree`'s writes are on disk, in the file that the path leads
    /// to: what is written to one that was moved or removed is not there after a restart.
    ///
    /// An error is final: the kernel may have dropped the dirty pages, so a second try could
    /// report success for data that is gone.
    pub(super) fn pass(&self, tree: &::sled::Tree) -> io::Result<()> {
        tree.flush().map_err(io::Error::other)?;
        self.file.sync_data()?;
        let found = std::fs::metadata(&self.path).map(|facts| (facts.dev(), facts.ino()));
        match found {
            Ok(found) if found == self.identity => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Err(io::Error::other(format!(
                "{} was moved, removed or replaced while leadgate had it open; \
                 put it back, or restart leadgate to begin with what is there now",
                self.path.display()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_not_at_its_path_any_more_passes_no_barrier() {
        type Meddle = fn(&Path);
        let cases: [Meddle; 4] = [
            |store| std::fs::remove_file(store.join("db")).expect("removes"),
            |store| std::fs::rename(store.join("db"), store.join("old")).expect("moves"),
            |store| std::fs::rename(store, store.with_extension("old")).expect("moves"),
            |store| {
                std::fs::copy(store.join("db"), store.join("new")).expect("copies");
                std::fs::rename(store.join("new"), store.join("db")).expect("replaces");
            },
        ];
        for meddle in cases {
            let folder = tempfile::tempdir().expect("a folder");
            let store = folder.path().join("store");
            let db = ::sled::open(&store).expect("opens");
            db.insert("a", "1").expect("inserts");
            let barrier = Barrier::open(&store).expect("opens");
            barrier.pass(&db).expect("passes");
            meddle(&store);
            db.insert("b", "2").expect("inserts");
            let error = barrier.pass(&db).expect_err("does not pass");
            assert!(
                error.to_string().contains("was moved, removed or replaced"),
                "{error}"
            );
        }
    }
}
