//! Cleaning: segments that are mostly dead are written anew in small steps, and removed.
//!
//! A record that counts is moved to the journal's end by the committer; then nothing in the
//! segment counts, and its file goes. An erasure cleans at once all segments in which anything of
//! what left still lies; one that a crash cut short is finished here.
//!
//! Space: while a segment is cleaned, at most what still counts in it is there twice. It is begun
//! only where that has room, without more than half of what is kept free for such things: a disk
//! that runs full would be the end of all writing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::bodies::Bodies;
use super::codec::Standing;
use super::committer::read;
use super::current::Current;
use super::job::{Job, Moved, Promise};
use super::place::Place;
use super::shared::Shared;
use crate::outbox::Unavailable;
use crate::telemetry::panics::caught;

/// Records in one step at most, so that pushes that come meanwhile wait little.
const STEP: usize = 256;
/// Bytes in one step, about.
const STEP_BYTES: u64 = 1 << 20;
/// A segment of which less than one in so many bytes counts is cleaned.
const MOSTLY: u64 = 2;
/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(5);
/// Before what could not be done is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// For how long what wins nothing is left alone, unless room was won meanwhile.
const BARREN: Duration = Duration::from_secs(60 * 60);
/// What the journal may take ahead while it grows, in bytes.
const AHEAD: u64 = 8 << 20;

/// Cleans segments.
#[derive(Clone)]
pub(super) struct Cleaner {
    pub(super) jobs: mpsc::WeakSender<Job>,
    pub(super) bodies: Arc<Bodies>,
    pub(super) current: Arc<Current>,
    pub(super) shared: Arc<Shared>,
    pub(super) standing: Arc<RwLock<Standing>>,
    /// One segment at a time.
    pub(super) one: Arc<Mutex<()>>,
}

/// What was tried and could not be done, and when: it is left alone for a while, so that it
/// keeps nothing else from being cleaned and does not fill the log.
#[derive(Default)]
pub(super) struct LeftAlone {
    erasure: Option<Instant>,
    segments: HashMap<u32, Instant>,
    /// Segments that got what another was full of and nothing can be done about yet, such as
    /// which leads are gone: to write those anew, too, would win nothing.
    barren: HashMap<u32, Instant>,
}

#[cfg(test)]
impl LeftAlone {
    /// Segments that could not be cleaned.
    pub(super) fn segments(&self) -> impl Iterator<Item = u32> {
        self.segments.keys().copied()
    }
}

/// Whether what failed then is left alone still.
fn is_recent(failed: Option<&Instant>) -> bool {
    failed.is_some_and(|at| at.elapsed() < AGAIN)
}

impl Cleaner {
    /// Runs until the store closes.
    pub(super) fn run(self) {
        let mut slept = Duration::ZERO;
        let mut left = LeftAlone::default();
        let mut tried = Instant::now();
        while !self.shared.is_closing() && self.shared.fault().is_none() {
            // Short naps, so that closing does not wait.
            let nap = Duration::from_millis(100);
            std::thread::sleep(nap);
            slept += nap;
            let due = tried.elapsed() >= AGAIN;
            if due {
                tried = Instant::now();
            }
            self.watch(due);
            if slept < INTERVAL {
                continue;
            }
            slept = Duration::ZERO;
            // The next look may do better.
            if caught(|| self.look(&mut left)).is_err() {
                tracing::error!(
                    "the cleaning of the outbox stopped by an error inside leadgate; it is tried again"
                );
            }
        }
    }

    /// Finishes an erasure that was cut short, and cleans one segment, but for what is `left` alone.
    pub(super) fn look(&self, left: &mut LeftAlone) {
        if self.standing().remains.is_erasing() && !is_recent(left.erasure.as_ref()) {
            match self.wipe() {
                Ok(()) => {
                    left.erasure = None;
                    tracing::debug!("what was erased is off the disk");
                }
                Err(error) => {
                    left.erasure = Some(Instant::now());
                    tracing::warn!(error = error.0, "an erasure was not finished");
                }
            }
        }
        // Also where an erasure waits: this makes the room that it may want.
        let (segment, size) = match self.mostly_dead(left) {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(error) => {
                return tracing::warn!(error = error.0, "outbox was not looked through");
            }
        };
        // Before it is tried: a panic is a failure, too.
        let known = left.segments.insert(segment, Instant::now()).is_some();
        let first = self.bodies.journal().open_segment().number;
        match self.clean(segment) {
            Ok(Moved { records, bytes }) => {
                left.segments.remove(&segment);
                if bytes < size / MOSTLY {
                    left.barren.clear();
                } else {
                    let last = self.bodies.journal().open_segment().number;
                    let now = Instant::now();
                    left.barren
                        .extend((first..=last).map(|segment| (segment, now)));
                }
                tracing::debug!(segment, records, bytes, "outbox segment was cleaned");
            }
            Err(error) if known => {
                tracing::debug!(segment, error = error.0, "outbox segment was not cleaned");
            }
            Err(error) => {
                tracing::warn!(
                    segment,
                    error = error.0,
                    "outbox segment was not cleaned; the others are, and it is tried again"
                );
            }
        }
    }

    /// An index that broke while nothing is written is seen, too, and what is deferred and could
    /// not be accepted is tried again where that is `due`.
    fn watch(&self, due: bool) {
        let current = self.current.get();
        let broken = current.is_some_and(|catalog| catalog.index.fault().is_some());
        let stuck = due && !self.standing().deferred.is_empty();
        if (broken || stuck)
            && let Some(jobs) = self.jobs.upgrade()
        {
            let _ = jobs.try_send(Job::Look);
        }
    }

    /// The closed segment of which the smallest part counts, if that is little.
    fn mostly_dead(&self, left: &LeftAlone) -> Result<Option<(u32, u64)>, Unavailable> {
        let Some(catalog) = self.current.get() else {
            return Ok(None);
        };
        let mut dead: Option<(u64, (u32, u64))> = None;
        for facts in self.bodies.journal().facts() {
            let barren = left.barren.get(&facts.number);
            if is_recent(left.segments.get(&facts.number))
                || barren.is_some_and(|at| at.elapsed() < BARREN)
                || self.standing().defers_in(facts.number)
            {
                continue;
            }
            let live = catalog.live(facts.number);
            let live = live.map_err(|error| Unavailable(error.to_string()))?.bytes;
            if live < facts.bytes / MOSTLY && dead.is_none_or(|(least, _)| live < least) {
                dead = Some((live, (facts.number, facts.bytes)));
            }
        }
        Ok(dead.map(|(_, found)| found))
    }

    /// Returns when no segment holds anything any more of what had left before. An error says what
    /// may still be there.
    pub(super) fn wipe(&self) -> Result<(), Unavailable> {
        let remains = self.standing().remains.all();
        let mut wiped = Ok(());
        for segment in remains {
            // One that cannot be cleaned does not keep the others.
            let cleaned = self.clean(segment).map(drop);
            wiped = wiped.and(cleaned);
        }
        if let Some(fault) = self.shared.fault() {
            return Err(Unavailable(fault));
        }
        match self.standing().deferred.len() {
            0 => wiped,
            unknown => Err(Unavailable(format!(
                "{unknown} pushes that came while the outbox had no index are not judged yet, so \
                 nobody knows whose they are"
            ))),
        }
    }

    fn standing(&self) -> RwLockReadGuard<'_, Standing> {
        read(&self.standing)
    }

    /// Moves what counts in a segment, and removes it. Returns when its file is gone.
    pub(super) fn clean(&self, segment: u32) -> Result<Moved, Unavailable> {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = self.bodies.journal();
        // Before anything is written: a disk that runs full would be the end of all writing.
        self.checked()?;
        self.has_room(segment)?;
        if segment == reader.open_segment().number {
            self.ask(Job::Roll)?;
        }
        if reader.facts().iter().all(|facts| facts.number != segment) {
            // Somebody else has cleaned it.
            return Ok(Moved::default());
        }
        let unavailable = |error: &dyn std::fmt::Display| Unavailable(error.to_string());
        let mut all = Moved::default();
        let mut places = Vec::new();
        let mut bytes = 0;
        let frames = reader.scan(segment, 0);
        for frame in frames.map_err(|error| unavailable(&error))? {
            let frame = frame.map_err(|error| unavailable(&error))?;
            for (place, _) in frame.records() {
                places.push(place);
                bytes += u64::from(place.length);
                if places.len() >= STEP || bytes >= STEP_BYTES {
                    bytes = 0;
                    self.step(&mut all, std::mem::take(&mut places))?;
                }
            }
        }
        self.step(&mut all, places)?;
        let catalog = self.current.get().ok_or_else(|| self.shared.is_making())?;
        let checked = catalog.index.checkpoint();
        checked.map_err(|error| unavailable(&error))?;
        drop(catalog);
        let gone = self.ask(|promise| Job::Remove(vec![segment], promise))?;
        if gone.is_empty() {
            return Err(Unavailable(format!(
                "segment {segment} holds a push that was not judged yet; try again in a minute, \
                 and see `leadgate outbox verify` if that does not help"
            )));
        }
        Ok(all)
    }

    /// That the index holds what was put: one that lost an entry would say of a record that counts
    /// that it does not, and it would go with its segment.
    fn checked(&self) -> Result<(), Unavailable> {
        let catalog = self.current.get().ok_or_else(|| self.shared.is_making())?;
        let checked = catalog.index.check();
        checked.map_err(|error| Unavailable(error.to_string()))
    }

    /// That what counts in a segment can be there twice.
    fn has_room(&self, segment: u32) -> Result<(), Unavailable> {
        let catalog = self.current.get().ok_or_else(|| self.shared.is_making())?;
        let live = catalog.live(segment);
        let live = live.map_err(|error| Unavailable(error.to_string()))?.bytes;
        match self.shared.space.lacks(live + AHEAD) {
            None => Ok(()),
            Some((free, needed)) => Err(Unavailable(format!(
                "segment {segment} cannot be written anew: {free} bytes are free on the disk, \
                 {needed} are needed; make room"
            ))),
        }
    }

    fn step(&self, all: &mut Moved, places: Vec<Place>) -> Result<(), Unavailable> {
        if !places.is_empty() {
            let moved = self.ask(|promise| Job::Move(places, promise))?;
            all.records += moved.records;
            all.bytes += moved.bytes;
        }
        Ok(())
    }

    /// Queues what `job` makes of a promise, and waits. For a thread that may block.
    pub(super) fn ask<T>(&self, job: impl FnOnce(Promise<T>) -> Job) -> Result<T, Unavailable> {
        let (promise, answer) = Promise::new(None);
        let jobs = self.jobs.upgrade().ok_or_else(|| self.shared.given_up())?;
        jobs.blocking_send(job(promise))
            .map_err(|_| self.shared.given_up())?;
        drop(jobs);
        answer
            .blocking_recv()
            .unwrap_or_else(|_| Err(self.shared.given_up()))
    }
}
