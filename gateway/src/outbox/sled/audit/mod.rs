//! The audit log: files of its own beside the journal, because an entry must outlive cleaning,
//! erasing and the index.
//!
//! Each entry is sealed for its number and has a hash of itself and of all before it, made with
//! the store's index key: whoever has only the disk of an encrypted store cannot make one up. The
//! journal knows the newest entry of which anybody was told, and up to which all left on purpose;
//! so an end that was cut off is noticed, also where the whole folder is gone, and what was
//! removed is told apart from what left.

mod file;
mod format;
mod open;
mod read;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{
    Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
};
use std::thread::JoinHandle;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

pub(super) use self::file::name;
pub(super) use self::format::Linking;
use self::format::Stored;
pub(super) use self::read::continues;
pub(super) use self::verify::verify;
use self::writer::{Job, TellJournal, Writer};
use super::codec::AuditMark;
use super::job::{Job as CommitterJob, Promise};
use super::journal::Files;
use super::shared::Shared;
use crate::clock::Millis;
use crate::outbox::{AuditEntry, AuditEvent, Origin, Unavailable};
use crate::telemetry::panics::caught;

/// What the folder is called.
pub(super) const FOLDER: &str = "audit";
/// Jobs that may wait.
const QUEUE: usize = 1024;

/// What those who read and the thread that writes share.
pub(super) struct Log {
    files: Arc<dyn Files>,
    folder: PathBuf,
    linking: Linking,
    /// What the journal knows.
    mark: Mutex<AuditMark>,
    /// Held by whoever needs all files to stay; to remove some, alone.
    there: RwLock<()>,
    /// Set once: a log that failed is not trusted again by this process.
    fault: OnceLock<Unavailable>,
}

/// The log of an open store.
pub(super) struct Audit {
    log: Arc<Log>,
    jobs: mpsc::Sender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Hashes of all entries, here and where they were first; once an import asked.
    known: Mutex<Option<HashSet<[u8; 32]>>>,
}

impl Log {
    fn mark(&self) -> AuditMark {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_mark(&self, mark: AuditMark) {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }

    fn fault(&self) -> Option<Unavailable> {
        self.fault.get().cloned()
    }

    /// Nothing is kept any more.
    fn fail(&self, error: &io::Error) -> Unavailable {
        let why = Unavailable(format!(
            "the audit log cannot be written: {error}; actions are refused until the cause is removed and leadgate restarted"
        ));
        if self.fault.set(why.clone()).is_ok() {
            tracing::error!(%error, "audit log could not be made durable; actions are refused until leadgate is restarted");
        }
        why
    }

    /// This one is not kept; the next may be.
    fn refused(&self, error: &io::Error) -> Unavailable {
        if let Some(fault) = self.fault() {
            return fault;
        }
        tracing::error!(%error, "audit log could not be written; actions are refused until it can");
        Unavailable(format!(
            "the audit log cannot be written: {error}; actions are refused until it can"
        ))
    }

    /// Why a job was given up without an answer.
    fn given_up(&self) -> Unavailable {
        let stopping = || Unavailable("leadgate is stopping".to_owned());
        self.fault().unwrap_or_else(stopping)
    }

    /// No file goes away while this is held.
    pub(super) fn all(&self) -> RwLockReadGuard<'_, ()> {
        self.there.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Files may be removed while this is held; `None` if somebody needs them.
    fn alone(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        match self.there.try_write() {
            Ok(alone) => Some(alone),
            Err(TryLockError::Poisoned(alone)) => Some(alone.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Tells the journal through the committer's queue, which may end meanwhile.
pub(super) fn told_by(
    jobs: mpsc::WeakSender<CommitterJob>,
    shared: &Arc<Shared>,
) -> Box<TellJournal> {
    let shared = Arc::clone(shared);
    Box::new(move |mark| {
        let given_up = |_| shared.given_up();
        let jobs = jobs.upgrade().ok_or_else(|| shared.given_up())?;
        let (promise, answer) = Promise::new(None);
        let sent = jobs.blocking_send(CommitterJob::Audited(mark, promise));
        drop(jobs);
        sent.map_err(|_| shared.given_up())?;
        answer.blocking_recv().map_err(given_up)?
    })
}

/// What a store's log needs.
pub(super) struct Place<'a> {
    /// Of the store.
    pub(super) path: &'a Path,
    pub(super) files: Arc<dyn Files>,
    pub(super) linking: Linking,
    /// What the journal knows.
    pub(super) mark: AuditMark,
}

impl Audit {
    /// Opens the log of a store, and starts its thread. Whether all of it is there is looked at
    /// by that; a log that is damaged goes on.
    pub(super) fn open(place: Place<'_>, tell_journal: Box<TellJournal>) -> io::Result<Self> {
        let Place {
            path,
            files,
            linking,
            mark,
        } = place;
        let folder = path.join(FOLDER);
        let opened = open::open(&*files, &folder, &linking, mark)?;
        let mark = AuditMark {
            // Whole, and on disk by now.
            last: opened.last,
            ..mark
        };
        let log = Arc::new(Log {
            files,
            folder,
            linking,
            mark: Mutex::new(mark),
            there: RwLock::default(),
            fault: OnceLock::new(),
        });
        let (jobs, queue) = mpsc::channel(QUEUE);
        let writer = Writer {
            log: Arc::clone(&log),
            jobs: queue,
            tell_journal,
            last: opened.last,
            open: opened.open,
            oldest: None,
        };
        let looked = Arc::clone(&log);
        let thread = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || {
                looked.look();
                if caught(|| writer.run()).is_err() {
                    looked.fail(&io::Error::other("an error inside leadgate"));
                }
            })?;
        Ok(Self {
            log,
            jobs,
            thread: Mutex::new(Some(thread)),
            known: Mutex::default(),
        })
    }

    /// What those who read share.
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Whether an entry can be kept.
    pub(super) fn ready(&self) -> BoxFuture<'static, Result<(), Unavailable>> {
        self.ask(Job::Ready)
    }

    /// Keeps an entry.
    pub(super) fn record(&self, event: AuditEvent) -> BoxFuture<'static, Result<u64, Unavailable>> {
        let stored = Stored {
            event: event.bounded(),
            origin: None,
        };
        self.ask(|promise| Job::Record(vec![stored], promise))
    }

    /// Lets what is older leave. For a thread that may block.
    pub(super) fn retire(&self, before: Millis) -> Result<u64, Unavailable> {
        self.wait(|promise| Job::Retire(before, promise))
    }

    /// Seals all with the current key. For a thread that may block.
    pub(super) fn reseal(&self) -> Result<u64, Unavailable> {
        self.wait(Job::Reseal)
    }

    /// Keeps entries of another store under numbers of this one, but for those that are known;
    /// how many were kept. For a thread that may block.
    pub(super) fn import(&self, entries: Vec<AuditEntry>) -> Result<u64, Unavailable> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Read again after a failure: some of them may have been kept.
        let mut all = match known.take() {
            Some(all) => all,
            None => self.log.hashes()?,
        };
        let stored: Vec<Stored> = entries
            .into_iter()
            .filter(|entry| all.insert(entry.chain.0))
            .map(|entry| Stored {
                event: entry.event.bounded(),
                origin: Some(Origin {
                    number: entry.number,
                    chain: entry.chain,
                }),
            })
            .collect();
        let kept = stored.len() as u64;
        if kept > 0 {
            self.wait(|promise| Job::Record(stored, promise))?;
        }
        *known = Some(all);
        Ok(kept)
    }

    fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(Promise<T>) -> Job,
    ) -> BoxFuture<'static, Result<T, Unavailable>> {
        let (promise, answer) = Promise::new(None);
        let (job, jobs) = (job(promise), self.jobs.clone());
        let log = Arc::clone(&self.log);
        async move {
            jobs.send(job).await.map_err(|_| log.given_up())?;
            answer.await.unwrap_or_else(|_| Err(log.given_up()))
        }
        .boxed()
    }

    fn wait<T>(&self, job: impl FnOnce(Promise<T>) -> Job) -> Result<T, Unavailable> {
        let (promise, answer) = Promise::new(None);
        let sent = self.jobs.blocking_send(job(promise));
        sent.map_err(|_| self.log.given_up())?;
        let answer = answer.blocking_recv();
        answer.unwrap_or_else(|_| Err(self.log.given_up()))
    }

    /// Writes what waits, and ends. Blocks.
    pub(super) fn close(&self) {
        let thread = self.thread.lock();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = self.jobs.blocking_send(Job::Close);
            let _ = thread.join();
        }
    }
}
