//! Syncing: how frames become durable, by a thread that does not write them.
//!
//! An error is final for this process: the kernel may have dropped what was written, so a
//! second try could report success for data that is gone.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::error::{JournalError, Tried};
use super::files::{Files, Identity, OpenFile};
use super::mark::Mark;

/// The segment that is written to.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) file: Arc<dyn OpenFile>,
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    /// Sequence number of the last frame that was written.
    pub(super) written: u64,
}

/// Makes what was written durable. Cheap to clone; for any thread.
#[derive(Clone)]
pub struct Syncing(Arc<Inner>);

struct Inner {
    files: Arc<dyn Files>,
    target: Mutex<Target>,
    mark: Mutex<Mark>,
    synced: AtomicU64,
    poison: OnceLock<String>,
}

impl Syncing {
    /// Of a segment all of which is durable, as the mark says.
    pub(super) fn new(files: Arc<dyn Files>, target: Target, mark: Mark) -> Self {
        Self(Arc::new(Inner {
            files,
            synced: AtomicU64::new(target.written),
            target: Mutex::new(target),
            mark: Mutex::new(mark),
            poison: OnceLock::new(),
        }))
    }

    /// Makes all frames durable that are written by now, and gives the sequence number of the
    /// last of them.
    pub fn sync(&self) -> Result<u64, JournalError> {
        self.sound()?;
        let target = self.target().clone();
        let synced = target.file.sync().tried("write to", &target.path);
        let done = synced
            .and_then(|()| self.at_its_path(&target))
            .and_then(|()| self.mark().say(target.written));
        self.doubt(done)?;
        self.0.synced.fetch_max(target.written, Ordering::AcqRel);
        Ok(target.written)
    }

    /// Sequence number up to which all is durable.
    pub fn synced(&self) -> u64 {
        self.0.synced.load(Ordering::Acquire)
    }

    /// The error after which nothing is written any more.
    pub fn poisoned(&self) -> Option<&str> {
        self.0.poison.get().map(String::as_str)
    }

    /// Says that nothing is to be written any more: what is on disk is in doubt.
    pub fn poison(&self, why: String) {
        let _ = self.0.poison.set(why);
    }

    /// That nothing failed so far.
    pub(super) fn sound(&self) -> Result<(), JournalError> {
        match self.poisoned() {
            Some(why) => Err(JournalError::Poisoned(why.to_owned())),
            None => Ok(()),
        }
    }

    /// Makes an error final.
    pub(super) fn doubt<T>(&self, done: Result<T, JournalError>) -> Result<T, JournalError> {
        done.inspect_err(|error| self.poison(error.to_string()))
    }

    /// A frame was written.
    pub(super) fn wrote(&self, sequence: u64) {
        self.target().written = sequence;
    }

    /// What was written so far is durable, and another segment is written to.
    pub(super) fn turn(&self, target: Target) {
        let written = target.written;
        *self.target() = target;
        self.0.synced.fetch_max(written, Ordering::AcqRel);
    }

    /// The last frame that what is made of the journal, and was not looked at since it was
    /// opened, may hold.
    pub fn bound(&self) -> u64 {
        self.mark().bound()
    }

    /// It was looked at, or is made anew: it holds no frame that was lost.
    pub fn unbind(&self) -> Result<(), JournalError> {
        let unbound = self.mark().unbind();
        self.doubt(unbound)
    }

    /// Makes durable how far all is.
    pub(super) fn sync_mark(&self) -> Result<(), JournalError> {
        let synced = self.mark().sync();
        self.doubt(synced)
    }

    /// That the segment is the file at its path. One that is not written to any more may have
    /// been removed meanwhile: whoever turned to the next has asked before.
    fn at_its_path(&self, target: &Target) -> Result<(), JournalError> {
        let found = self.0.files.identity(&target.path);
        if found.tried("find", &target.path)? == Some(target.identity)
            || self.target().path != target.path
        {
            return Ok(());
        }
        Err(JournalError::Moved {
            path: target.path.clone(),
        })
    }

    fn mark(&self) -> MutexGuard<'_, Mark> {
        self.0.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn target(&self) -> MutexGuard<'_, Target> {
        self.0.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
