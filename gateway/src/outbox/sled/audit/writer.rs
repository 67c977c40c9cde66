//! The one thread that writes the audit log.
//!
//! What comes together is written together, with one sync; then the journal is told how far the
//! log is, and only then whoever waits. A write that fails is taken back, and the next one is
//! tried: a disk that was full is not for ever. A sync that fails is final, as everywhere.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Log;
use super::file::{self, PART, Scan};
use super::format::{self, Stored};
use crate::clock::Millis;
use crate::outbox::sled::codec::{AuditMark, Link};
use crate::outbox::sled::job::Promise;
use crate::outbox::sled::journal::OpenFile;
use crate::outbox::{DAY, Unavailable};

/// Entries of a longer time are in several files, so that old ones can leave.
const PERIOD: Millis = 30 * DAY;
/// A file that is longer gets no more, in bytes.
const FULL: u64 = 4 << 20;
/// What must have room before an action is done of which there must be an entry, in bytes.
const ROOM: usize = 64 << 10;
/// Jobs taken at once.
const GROUP: usize = 256;

/// What the thread is asked to do.
pub(super) enum Job {
    /// Whether an entry can be written.
    Ready(Promise<()>),
    /// Entries are to be kept; gives the number of the last.
    Record(Vec<Stored>, Promise<u64>),
    /// What is older is to leave; gives how many did.
    Retire(Millis, Promise<u64>),
    /// All is to be sealed with the current key; gives how many were not.
    Reseal(Promise<u64>),
    /// End.
    Close,
}

/// The file that entries go to.
pub(super) struct Open {
    pub(super) file: Arc<dyn OpenFile>,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Of its newest entry when it was opened.
    pub(super) period: Millis,
    pub(super) is_synced: bool,
}

/// In which period a time is.
pub(super) const fn period(at: Millis) -> Millis {
    at.div_euclid(PERIOD)
}

/// Tells the journal how far the log is, durably.
pub(super) type TellJournal = dyn Fn(AuditMark) -> Result<(), Unavailable> + Send;

/// The thread's state.
pub(super) struct Writer {
    pub(super) log: Arc<Log>,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) tell_journal: Box<TellJournal>,
    /// The newest entry that is written.
    pub(super) last: Link,
    pub(super) open: Option<Open>,
    /// The newest time in the oldest file, when that was too new to leave.
    pub(super) oldest: Option<(u64, Millis)>,
}

impl Writer {
    /// Runs until it is told to end, or nobody is left who could ask.
    pub(super) fn run(mut self) {
        let mut jobs = Vec::with_capacity(GROUP);
        while self.jobs.blocking_recv_many(&mut jobs, GROUP) > 0 {
            let mut told = Vec::new();
            for job in jobs.drain(..) {
                match job {
                    Job::Record(some, promise) => {
                        told.push((promise, self.put_all(&some)));
                    }
                    Job::Close => self.jobs.close(),
                    job => {
                        self.settle(std::mem::take(&mut told));
                        self.other(job);
                    }
                }
            }
            self.settle(told);
        }
    }

    fn other(&mut self, job: Job) {
        match job {
            Job::Ready(promise) => {
                let ready = self.ready();
                promise.tell(ready.map_err(|error| self.log.refused(&error)));
            }
            Job::Retire(before, promise) => promise.tell(self.retire(before)),
            Job::Reseal(promise) => {
                let resealed = self.reseal();
                promise.tell(resealed.map_err(|error| self.log.refused(&error)));
            }
            Job::Record(..) | Job::Close => {}
        }
    }

    /// Makes what was put durable, and tells.
    fn settle(&mut self, told: Vec<(Promise<u64>, Result<u64, Unavailable>)>) {
        if told.is_empty() {
            return;
        }
        let mark = AuditMark {
            last: self.last,
            ..self.log.mark()
        };
        let done = self.sync().and_then(|()| self.tell(mark));
        for (promise, put) in told {
            promise.tell(done.clone().and(put));
        }
    }

    fn tell(&self, mark: AuditMark) -> Result<(), Unavailable> {
        if mark != self.log.mark() {
            (self.tell_journal)(mark)?;
            self.log.set_mark(mark);
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Unavailable> {
        if let Some(fault) = self.log.fault() {
            return Err(fault);
        }
        let Some(open) = self.open.as_mut().filter(|open| !open.is_synced) else {
            return Ok(());
        };
        open.file.sync().map_err(|error| self.log.fail(&error))?;
        open.is_synced = true;
        Ok(())
    }

    /// Writes entries; gives the number of the last. Those before one that cannot be written stay.
    fn put_all(&mut self, some: &[Stored]) -> Result<u64, Unavailable> {
        if let Some(fault) = self.log.fault() {
            return Err(fault);
        }
        for one in some {
            self.put(one)?;
        }
        Ok(self.last.number)
    }

    fn put(&mut self, one: &Stored) -> Result<(), Unavailable> {
        let period = period(one.event.at);
        let goes_on = |open: &Open| open.bytes < FULL && period <= open.period;
        if !self.open.as_ref().is_some_and(goes_on) {
            self.sync()?;
            self.begin(period)?;
        }
        let mut bytes = Vec::new();
        let link = self.log.linking.append(self.last, one, &mut bytes);
        self.write(&bytes)?;
        if let Some(open) = &mut self.open {
            open.bytes += bytes.len() as u64;
            open.is_synced = false;
        }
        self.last = link;
        Ok(())
    }

    /// Begins another file.
    fn begin(&mut self, period: Millis) -> Result<(), Unavailable> {
        self.open = None;
        let (files, folder) = (&self.log.files, &self.log.folder);
        let path = folder.join(file::name(self.last.number + 1));
        let make = || {
            files.make_folder(folder)?;
            if files.identity(&path)?.is_some() {
                // Begun before, and nothing came of it.
                files.remove(&path)?;
            }
            let file = files.create(&path)?;
            file.write_at(&format::header(self.last), 0)?;
            Ok(file)
        };
        let file = make().map_err(|error: io::Error| self.log.refused(&error))?;
        let synced = file.sync().and_then(|()| files.sync_folder(folder));
        synced.map_err(|error| self.log.fail(&error))?;
        self.open = Some(Open {
            file,
            path,
            bytes: format::header(self.last).len() as u64,
            period,
            is_synced: true,
        });
        Ok(())
    }

    /// Writes behind what is there, or takes it back.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Unavailable> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let Err(error) = open.file.write_at(bytes, open.bytes) else {
            return Ok(());
        };
        let error = self.log.refused(&error);
        if open.file.truncate(open.bytes).is_err() {
            // What was written of it stays behind the end of this file.
            self.sync()?;
            self.open = None;
        }
        Err(error)
    }

    /// Whether the next entry has room: by taking it, and giving it back.
    fn ready(&mut self) -> io::Result<()> {
        if let Some(fault) = self.log.fault() {
            return Err(io::Error::other(fault.0));
        }
        if self.open.is_none() {
            let files = &self.log.files;
            files.make_folder(&self.log.folder)?;
            let path = self.log.folder.join(format!("room{PART}"));
            if files.identity(&path)?.is_some() {
                files.remove(&path)?;
            }
            let room = files.create(&path)?;
            let written = room.write_at(&vec![0; ROOM], 0);
            files.remove(&path)?;
            return written;
        }
        let Some(open) = &self.open else {
            return Ok(());
        };
        let written = open.file.write_at(&vec![0; ROOM], open.bytes);
        open.file.truncate(open.bytes)?;
        written
    }

    /// Lets files leave in which all is older.
    fn retire(&mut self, before: Millis) -> Result<u64, Unavailable> {
        if let Some(fault) = self.log.fault() {
            return Err(fault);
        }
        let gone = self.old(before);
        let gone = gone.map_err(|error| self.log.refused(&error))?;
        let Some((paths, retired)) = gone else {
            return Ok(0);
        };
        // A backup or a verification that is under way would miss them; the next time does it.
        let log = Arc::clone(&self.log);
        let Some(_alone) = log.alone() else {
            return Ok(0);
        };
        let mark = self.log.mark();
        self.sync()?;
        self.tell(AuditMark {
            retired,
            last: self.last,
        })?;
        self.oldest = None;
        if retired == self.last {
            self.open = None;
        }
        let (files, folder) = (&self.log.files, &self.log.folder);
        let removed = paths.iter().try_for_each(|path| files.remove(path));
        let removed = removed.and_then(|()| files.sync_folder(folder));
        removed.map_err(|error| self.log.refused(&error))?;
        Ok(retired.number.saturating_sub(mark.retired.number))
    }

    /// The files that are old enough, and where the chain is behind them.
    fn old(&mut self, before: Millis) -> io::Result<Option<(Vec<PathBuf>, Link)>> {
        let all = file::list(&*self.log.files, &self.log.folder)?;
        let known = self.oldest.filter(|(_, newest)| *newest >= before);
        if known.is_some_and(|(first, _)| all.first().is_some_and(|(one, _)| *one == first)) {
            return Ok(None);
        }
        let (mut old, mut paths) = (None, Vec::new());
        for (at, (first, path)) in all.iter().enumerate() {
            let bytes = file::read(&*self.log.files, path)?;
            let scan = Scan::new(&self.log.linking, &bytes);
            let (newest, end) = scan.map_or((None, None), |mut scan| {
                let times = scan.by_ref().filter_map(|seen| seen.entry.ok());
                (times.map(|entry| entry.event.at).max(), Some(scan.link))
            });
            paths.push(path.clone());
            let Some(newest) = newest else {
                // It goes with what is behind it.
                continue;
            };
            if newest >= before {
                if at == 0 {
                    self.oldest = Some((*first, newest));
                }
                break;
            }
            // What follows says where the chain was; behind the last one it must be whole.
            let end = match all.get(at + 1) {
                Some((_, next)) => {
                    let bytes = file::read(&*self.log.files, next)?;
                    format::begin(&bytes).map(|(link, _)| link)
                }
                None => end.filter(|end| *end == self.last),
            };
            if let Some(end) = end {
                old = Some((paths.clone(), end));
            }
        }
        Ok(old)
    }

    /// Seals all with the key that seals now.
    fn reseal(&mut self) -> io::Result<u64> {
        let mut resealed = 0;
        for (_, path) in file::list(&*self.log.files, &self.log.folder)? {
            resealed += self.reseal_file(&path)?;
        }
        Ok(resealed)
    }

    fn reseal_file(&mut self, path: &PathBuf) -> io::Result<u64> {
        let (files, linking) = (Arc::clone(&self.log.files), &self.log.linking);
        let bytes = file::read(&*files, path)?;
        let Some(scan) = Scan::new(linking, &bytes) else {
            return Ok(0);
        };
        let (mut out, mut resealed) = (format::header(scan.link), 0);
        for seen in scan {
            let again = linking.reseal(seen.frame).map_err(io::Error::other)?;
            resealed += u64::from(again.is_some());
            let sealed = again.as_deref().unwrap_or(seen.frame.sealed);
            format::write(seen.frame.link, sealed, &mut out);
        }
        if resealed == 0 {
            return Ok(0);
        }
        let part = PathBuf::from(format!("{}{PART}", path.display()));
        if files.identity(&part)?.is_some() {
            files.remove(&part)?;
        }
        let file = files.create(&part)?;
        file.write_at(&out, 0)?;
        file.sync()?;
        files.rename(&part, path)?;
        files.sync_folder(&self.log.folder)?;
        if let Some(open) = self.open.as_mut().filter(|open| open.path == *path) {
            (open.file, open.bytes, open.is_synced) = (file, out.len() as u64, true);
        }
        Ok(resealed)
    }
}
