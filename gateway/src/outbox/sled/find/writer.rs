//! The writer: a thread that makes find files of tables and of segments that have none, and
//! sweeps out what removed segments left in memory.
//!
//! A file that cannot be written is tried again; nothing that a push waits for depends on it.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::Tags;
use super::directory::Directory;
use super::segment::{Made, Segment};
use super::table::Table;

/// How long a file that could not be written is left alone.
const AGAIN: Duration = Duration::from_secs(30);

/// What the writer and those that give it work share.
pub(super) struct Shared {
    pub(super) directory: Directory,
    tags: Box<Tags>,
    work: Mutex<Work>,
    /// There is work, or none will come any more.
    wake: Condvar,
}

#[derive(Default)]
struct Work {
    /// There may be some.
    due: bool,
    /// Removed segments that are to be swept.
    gone: Vec<u32>,
    ending: bool,
}

impl Shared {
    pub(super) fn new(directory: Directory, tags: Box<Tags>) -> Self {
        Self {
            directory,
            tags,
            work: Mutex::default(),
            wake: Condvar::new(),
        }
    }

    /// A segment may lack its file.
    pub(super) fn look(&self) {
        self.give(|_| {});
    }

    /// A segment was removed.
    pub(super) fn sweep(&self, number: u32) {
        self.give(|work| work.gone.push(number));
    }

    pub(super) fn end(&self) {
        self.give(|work| work.ending = true);
    }

    fn give(&self, what: impl FnOnce(&mut Work)) {
        let mut work = self.work.lock();
        what(&mut work);
        work.due = true;
        self.wake.notify_one();
    }

    /// Makes a segment's file. The table is given if the disk takes none; an error is what the
    /// segment's records cannot be read for.
    pub(super) fn make(&self, segment: &Segment) -> io::Result<Option<Arc<Table>>> {
        let made = segment.make(&self.tags).inspect_err(|error| {
            said_failed(segment, error);
        })?;
        match made {
            Made::Already => Ok(None),
            Made::Filed(fingerprints) => {
                self.directory.know(segment.number, &fingerprints);
                if segment.failed.swap(false, Ordering::Relaxed) {
                    tracing::info!(segment = segment.number, "find file was written at last");
                }
                Ok(None)
            }
            Made::Failed(error, fingerprints, table) => {
                self.directory.know(segment.number, &fingerprints);
                said_failed(segment, &error);
                Ok(Some(table))
            }
        }
    }

    /// The thread. Ends when told, after the piece of work in hand: what was not made is made
    /// when the store is opened again.
    pub(super) fn run(&self) {
        // What could not be made, and whether the disk took a file at all, since it was last
        // tried.
        let (mut failed, mut refused) = (BTreeSet::new(), false);
        let mut again = Instant::now() + AGAIN;
        loop {
            let gone = {
                let mut work = self.work.lock();
                if work.ending {
                    return;
                }
                std::mem::take(&mut work.gone)
            };
            for number in gone {
                self.directory.sweep(number);
            }
            if Instant::now() >= again {
                failed.clear();
                refused = false;
                again = Instant::now() + AGAIN;
            }
            let Some(segment) = self.directory.without_file(&failed, !refused) else {
                self.sleep(!failed.is_empty());
                continue;
            };
            match self.make(&segment) {
                Ok(None) => {}
                made => {
                    // One is enough to see that the disk takes none; of others that are not
                    // known at all it is learned what is in them.
                    refused |= made.is_ok();
                    failed.insert(segment.number);
                }
            }
        }
    }

    fn sleep(&self, to_try_again: bool) {
        let mut work = self.work.lock();
        if !work.due && to_try_again {
            self.wake.wait_for(&mut work, AGAIN);
        } else if !work.due {
            self.wake.wait(&mut work);
        }
        work.due = false;
    }
}

/// As long as it stays so, it is said once.
fn said_failed(segment: &Segment, error: &io::Error) {
    if !segment.failed.swap(true, Ordering::Relaxed) {
        tracing::error!(
            segment = segment.number,
            %error,
            "find file could not be made; finding leads is slow until it can; see to the disk, or run `leadgate outbox verify`"
        );
    }
}
