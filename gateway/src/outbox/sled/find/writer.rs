//! The writer: a thread that makes find files of tables and of segments that have none, and
//! sweeps out what removed segments left in memory.
//!
//! A file that cannot be written is tried again; nothing that a push waits for depends on it.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::directory::Directory;
use super::fingerprints::Slot;
use super::segment::{Made, Segment};
use super::{TABLES, Tags};

/// How long a file that could not be written is left alone.
const AGAIN: Duration = Duration::from_secs(30);

pub(super) enum Job {
    /// The file of a segment.
    Make(u32),
    /// What is left of a removed one.
    Sweep(Slot),
}

/// What the writer and those that give it work share.
pub(super) struct Shared {
    pub(super) directory: Directory,
    pub(super) tags: Box<Tags>,
    work: Mutex<Work>,
    /// There is work, or none will come any more.
    wake: Condvar,
    /// A piece of work is done.
    done: Condvar,
}

#[derive(Default)]
struct Work {
    queue: VecDeque<Job>,
    /// Those whose files could not be made.
    failed: BTreeSet<u32>,
    /// The one of them that was tried last.
    tried: u32,
    ending: bool,
    /// The writer ended, however that came.
    ended: bool,
}

impl Shared {
    pub(super) fn new(directory: Directory, tags: Box<Tags>, missing: Vec<u32>) -> Self {
        let queue = missing.into_iter().map(Job::Make).collect();
        Self {
            directory,
            tags,
            work: Mutex::new(Work {
                queue,
                ..Work::default()
            }),
            wake: Condvar::new(),
            done: Condvar::new(),
        }
    }

    /// Next, before all that waits already.
    pub(super) fn give(&self, job: Job) {
        self.lock().queue.push_front(job);
        self.wake.notify_one();
    }

    pub(super) fn end(&self) {
        self.lock().ending = true;
        self.wake.notify_one();
    }

    /// Waits while more tables than may be wait for their files. `false` if that will not
    /// change soon.
    pub(super) fn wait_for_room(&self) -> bool {
        let mut work = self.lock();
        while self.directory.waiting() > TABLES {
            if work.ended || work.ending || !work.failed.is_empty() {
                return false;
            }
            work = self.done.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Makes a segment's file. The result is what its records cannot be read for.
    pub(super) fn make(&self, segment: &Segment) -> io::Result<()> {
        let room = || self.directory.waiting() < TABLES;
        let number = segment.number;
        match segment.make(&self.tags, room)? {
            Made::Already => {}
            Made::Filed(fingerprints) => {
                self.directory.know(number, &fingerprints);
                let mut work = self.lock();
                if work.failed.remove(&number) {
                    tracing::info!(segment = number, "find file was written at last");
                    // So can the others be, it seems.
                    let next = work.failed.first().copied();
                    work.queue.extend(next.map(Job::Make));
                }
            }
            Made::Failed(error, fingerprints) => {
                self.directory.know(number, &fingerprints);
                self.failed(number, &error);
            }
        }
        Ok(())
    }

    fn failed(&self, segment: u32, error: &io::Error) {
        if self.lock().failed.insert(segment) {
            tracing::error!(
                segment,
                %error,
                "find file could not be made; finding leads is slow until it can"
            );
        }
    }

    /// The thread. Ends when told, after the piece of work in hand: what was not made is made
    /// when the store is opened again.
    pub(super) fn run(self: &Arc<Self>) {
        let _ended = Ended(self);
        while let Some(job) = self.next() {
            match job {
                Job::Sweep(slot) => self.directory.sweep(slot),
                Job::Make(number) => {
                    if let Some(segment) = self.directory.get(number)
                        && let Err(error) = self.make(&segment)
                        && self.directory.get(number).is_some()
                    {
                        self.failed(number, &error);
                    }
                }
            }
            // Whoever waits looks and sleeps again with this lock held.
            drop(self.lock());
            self.done.notify_all();
        }
    }

    fn next(&self) -> Option<Job> {
        let mut work = self.lock();
        loop {
            if work.ending {
                return None;
            }
            if let Some(job) = work.queue.pop_front() {
                return Some(job);
            }
            if work.failed.is_empty() {
                work = self.wake.wait(work).unwrap_or_else(PoisonError::into_inner);
            } else {
                let woken = self.wake.wait_timeout(work, AGAIN);
                let (now, waited) = woken.unwrap_or_else(PoisonError::into_inner);
                work = now;
                if waited.timed_out() {
                    // One is enough to see whether it can be done now; each in its turn, so
                    // that one whose records are damaged does not stand before all others.
                    let next = work.failed.range(work.tried.saturating_add(1)..).next();
                    let next = next.or_else(|| work.failed.first()).copied();
                    work.tried = next.unwrap_or(0);
                    work.queue.extend(next.map(Job::Make));
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A removed segment is no failure any more.
    pub(super) fn forget(&self, number: u32) {
        self.lock().failed.remove(&number);
    }
}

/// Says that the writer ended, also by a panic, to whoever waits for it.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.done.notify_all();
    }
}
