//! The tap: what is committed while a backup is being made.
//!
//! Costs one look at a flag while none is. Spills into a file without a name beside the store;
//! an error there fails the backup, never the commit.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::archive;
use crate::outbox::UpkeepError;

/// Where batches go.
#[derive(Default)]
pub(super) struct Tap {
    open: AtomicBool,
    spill: Mutex<Option<io::Result<Spill>>>,
}

/// Changes in order, as in a backup's file.
pub(super) struct Spill {
    file: BufWriter<File>,
    changes: u64,
}

impl Tap {
    /// Begins to gather. Fails if it does already.
    pub(super) fn open(&self, folder: &Path) -> Result<Open<'_>, UpkeepError> {
        let mut spill = self.lock();
        if spill.is_some() {
            return Err(UpkeepError::Busy);
        }
        *spill = Some(Ok(Spill {
            file: BufWriter::new(tempfile::tempfile_in(folder)?),
            changes: 0,
        }));
        self.open.store(true, Ordering::SeqCst);
        Ok(Open { tap: self })
    }

    /// Takes what a commit wrote.
    ///
    /// Invariant: called once the batch can be read from the tree and before the next job
    /// runs, so that whoever closes the tap in a job misses nothing it has read.
    pub(super) fn batch<'a>(&self, pairs: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) {
        if !self.open.load(Ordering::SeqCst) {
            return;
        }
        let mut spill = self.lock();
        if let Some(Ok(open)) = &mut *spill {
            let written = pairs.into_iter().try_for_each(|(key, value)| {
                open.changes += 1;
                archive::write_change(&mut open.file, key, value)
            });
            if let Err(error) = written {
                *spill = Some(Err(error));
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<io::Result<Spill>>> {
        self.spill.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was gathered; nothing more is.
    pub(super) fn close(&self) -> io::Result<(File, u64)> {
        self.open.store(false, Ordering::SeqCst);
        let spill = self.lock().take();
        let gone = || io::Error::other("the backup was given up");
        let Spill { mut file, changes } = spill.ok_or_else(gone)??;
        file.flush()?;
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok((file, changes))
    }
}

/// An open tap; closes when the backup is given up.
pub(super) struct Open<'a> {
    tap: &'a Tap,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let _ = self.tap.close();
    }
}
