//! Backup and restore.
//!
//! sled has no snapshots. A backup is a scan of all keys while writing goes on, followed by
//! every batch that was committed since the scan began, in order. Applied one after the other
//! they give the state at the last of these batches, whatever the scan saw of them.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::OpenError;
use super::{SledOutbox, archive, engine, restored};
use crate::outbox::{BackedUp, Restored, Unavailable, UpkeepError};

/// Memory for the store that is being restored.
const CACHE: usize = 64 << 20;
/// Entries put at once.
const BATCH: usize = 1_000;

impl SledOutbox {
    /// See [`crate::outbox::Outbox::backup`].
    pub(super) fn write_backup(&self, to: &mut dyn Write) -> Result<BackedUp, UpkeepError> {
        let tap = self.shared.tap.open(&self.path)?;
        let mut archive = archive::Writer::new(BufWriter::new(to))?;
        let mut done = BackedUp::default();
        for entry in &self.reader.tree {
            let (key, value) = entry.map_err(|error| Unavailable(error.to_string()))?;
            archive::write_change(&mut archive, &key, Some(&value))?;
            done.entries += 1;
        }
        // Closed by the committer, between two commits: what the scan saw is in there whole.
        let shared = std::sync::Arc::clone(&self.shared);
        let closed = self.write_and_wait(move |_| Ok(shared.tap.close()))?;
        let (mut spill, changes) = closed?;
        drop(tap);
        io::copy(&mut spill, &mut archive)?;
        done.changes = changes;
        archive.finish()?;
        Ok(done)
    }
}

/// Reads a backup to its end without storing anything.
pub fn check(from: &Path) -> Result<(), UpkeepError> {
    archive::read(BufReader::new(opened(from)?), |_, _| Ok(()))
}

/// The file; an error names it.
fn opened(file: &Path) -> io::Result<File> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
    File::open(file).map_err(named)
}

/// Makes a store of a backup in `to`, which must be empty or not there. The backup is checked
/// to its end before anything is written. With `paused` all of its sinks are.
pub fn restore(from: &Path, to: &Path, paused: bool) -> Result<Restored, UpkeepError> {
    check(from)?;
    build(to, |tree| {
        let file: Box<dyn Read> = Box::new(BufReader::new(opened(from)?));
        let mut done = BackedUp::default();
        let mut batch = ::sled::Batch::default();
        let mut waiting = 0;
        archive::read(file, |key, value| {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
            done.entries += 1;
            waiting += 1;
            if waiting == BATCH {
                waiting = 0;
                tree.apply_batch(std::mem::take(&mut batch))
                    .map_err(io::Error::other)?;
            }
            Ok(())
        })?;
        tree.apply_batch(batch).map_err(io::Error::other)?;
        restored::look(tree, done, paused)
    })
}

/// Builds a new store in the empty folder `to`: beside it first, and moved there when it is
/// whole and on disk.
pub(super) fn build<T>(
    to: &Path,
    fill: impl FnOnce(&::sled::Tree) -> Result<T, UpkeepError>,
) -> Result<T, UpkeepError> {
    let empty = match std::fs::read_dir(to) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !empty {
        return Err(UpkeepError::Invalid(format!(
            "{} is not empty; name a new folder",
            to.display()
        )));
    }
    let to = std::path::absolute(to)?;
    let parent = to.parent().unwrap_or(&to);
    std::fs::create_dir_all(parent)?;
    let place = tempfile::Builder::new()
        .prefix(".leadgate-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)?;
    let db = engine::open(place.path(), CACHE)
        .map_err(|error: OpenError| UpkeepError::Invalid(error.to_string()))?;
    let filled =
        engine::guarded(|| fill(&db)).map_err(|panic| UpkeepError::Store(Unavailable(panic)))??;
    db.flush()
        .map_err(|error| UpkeepError::Store(Unavailable(error.to_string())))?;
    drop(db);
    sync(place.path())?;
    let place = place.keep();
    std::fs::rename(&place, &to)?;
    File::open(parent)?.sync_all()?;
    Ok(filled)
}

/// Makes a folder's files durable.
fn sync(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}
