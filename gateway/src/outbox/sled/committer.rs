//! The committer: the one thread that writes.
//!
//! It drains what has gathered in the queue, lets [`crate::outbox::state`] decide, writes what is
//! different as one frame of the journal, shows it to readers through the index, and hands the
//! group to the [`super::syncer`], which makes it durable and answers. At low load a group is
//! one job and its latency one sync; nothing ever waits for a timer.
//!
//! Without an index it goes on taking pushes: see [`super::defer`].

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::mpsc::{SendError, SyncSender};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::mpsc;
use uuid::ContextV7;

use super::bodies::Bodies;
use super::codec::{AuditMark, Entry, Standing};
use super::current::{Catalog, Current};
use super::find::Finds;
use super::index::IndexFault;
use super::job::{Job, Promise, Telling, Wanted, telling};
use super::journal::{Batch, Journal, JournalError};
use super::place::Place;
use super::publish::{Publishing, add_tags};
use super::rebuild::Rebuild;
use super::shared::{Shared, WRITER_ENDED};
use super::snapshot::Snapshot;
use super::syncer::Written;
use super::vault::{FAILURE, Vault};
use super::view::Seen;
use crate::outbox::state::{Change, Done, Effects, Fault, Ground, Record, Sinks, State, known};
use crate::outbox::{LeadId, QuarantineId, SinkPolicy, Stepped, Totals, Unavailable};

/// Jobs in one frame at most: enough that a slow disk is shared by all who wait for it, few
/// enough that nobody waits long for the others' turn.
const GROUP: usize = 1024;
/// Bytes that were pushed in one frame, about, at most.
pub(super) const GROUP_BYTES: usize = 8 << 20;

/// The thread's state.
pub(super) struct Committer {
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) journal: Journal,
    pub(super) batch: Batch,
    pub(super) standing: Arc<RwLock<Standing>>,
    pub(super) sinks: Arc<Sinks>,
    pub(super) vault: Arc<Vault>,
    pub(super) bodies: Arc<Bodies>,
    pub(super) finds: Arc<Finds>,
    pub(super) shared: Arc<Shared>,
    pub(super) current: Arc<Current>,
    pub(super) rebuild: Rebuild,
    /// Gone once the syncer is to end.
    pub(super) written: Option<SyncSender<Written>>,
    pub(super) syncer: Option<JoinHandle<()>>,
    /// Where pushes stand that wait for an index, oldest first.
    pub(super) deferred: VecDeque<Place>,
    /// Those that could not be accepted so far.
    pub(super) stuck: BTreeSet<Place>,
    /// Ends of attempts that wait for one.
    pub(super) held: Vec<Wanted>,
    /// Counts after the last group.
    pub(super) totals: Totals,
    pub(super) ids: ContextV7,
}

/// What a group writes beside its records.
struct Aside {
    /// Segments that hold bytes of a lead, too.
    held: Vec<(LeadId, Vec<u32>)>,
    /// Where pushes stood that are accepted now.
    settled: Vec<Place>,
}

/// The lead that a push became, or was.
fn lead_of(done: &Done) -> Option<LeadId> {
    match done {
        Done::Accepted(accepted) | Done::Released(Some(accepted)) => accepted.lead(),
        _ => None,
    }
}

/// The leads that a step of a job made of quarantined pushes.
fn released(done: &Done) -> &[(QuarantineId, LeadId)] {
    match done {
        Done::Stepped(Stepped::Made { released, .. }) => released,
        _ => &[],
    }
}

/// Shows what is different; an index that cannot take it is made anew: the journal has it all.
pub(super) fn show(publishing: Publishing, catalog: &Catalog, sequence: u64) {
    if let Err(fault) = publishing.publish(catalog, sequence) {
        catalog.index.fail(IndexFault::Damaged(fault.to_string()));
    }
}

// What stands is replaced piece by piece: a panic leaves nothing half-changed.
pub(super) fn read(standing: &RwLock<Standing>) -> RwLockReadGuard<'_, Standing> {
    standing.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write(standing: &RwLock<Standing>) -> RwLockWriteGuard<'_, Standing> {
    standing.write().unwrap_or_else(PoisonError::into_inner)
}

impl Committer {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut jobs = Vec::with_capacity(GROUP);
        self.look();
        while self.next(&mut jobs) {
            let mut group = Vec::with_capacity(jobs.len());
            let mut bytes = 0;
            for job in jobs.drain(..) {
                match job {
                    Job::Change(change, promise) => {
                        // An erasure is a frame of its own, so that what it says of where bytes
                        // lie is all there is; a step of a job may be one.
                        let alone = matches!(*change, Change::Erase(_) | Change::StepJob { .. });
                        if alone {
                            self.commit(std::mem::take(&mut group));
                        }
                        bytes += change.bytes();
                        group.push((*change, promise));
                        if bytes > GROUP_BYTES || alone {
                            bytes = 0;
                            self.commit(std::mem::take(&mut group));
                        }
                    }
                    job => {
                        self.commit(std::mem::take(&mut group));
                        self.other(job);
                    }
                }
            }
            self.commit(group);
            self.look();
            self.settle();
            self.end_attempts();
        }
        self.end();
    }

    /// Waits for jobs, unless there is other work; `false` if no more will come.
    fn next(&mut self, jobs: &mut Vec<Job>) -> bool {
        if !self.has_to_settle() {
            return self.jobs.blocking_recv_many(jobs, GROUP) > 0;
        }
        while jobs.len() < GROUP {
            match self.jobs.try_recv() {
                Ok(job) => jobs.push(job),
                Err(mpsc::error::TryRecvError::Empty) => break,
                // What is deferred stays so.
                Err(mpsc::error::TryRecvError::Disconnected) => return !jobs.is_empty(),
            }
        }
        true
    }

    fn other(&mut self, job: Job) {
        match job {
            Job::Change(change, promise) => self.commit(vec![(*change, promise)]),
            Job::Move(places, promise) => {
                let moved = self.move_records(&places);
                self.answer(promise, moved);
            }
            Job::Remove(segments, promise) => {
                let removed = self.remove(&segments);
                promise.tell(removed);
            }
            Job::Roll(promise) => {
                let rolled = self.roll();
                promise.tell(rolled);
            }
            Job::Snapshot(copied, promise) => {
                let sinks = self.sinks.keys().map(ToString::to_string).collect();
                let reader = self.bodies.journal();
                let snapshot = Snapshot::take(reader, &copied, &self.standing(), sinks);
                let last = Some(self.journal.last_sequence());
                let snapshot = snapshot.map(|snapshot| (snapshot, last));
                let unreadable = |error: JournalError| Unavailable(error.to_string());
                self.answer(promise, snapshot.map_err(unreadable));
            }
            Job::Audited(mark, promise) => {
                let noted = self.note_audit(mark);
                self.answer(promise, noted.map(|sequence| ((), sequence)));
            }
            Job::Sinks(policies, promise) => promise.tell(self.set_sinks(policies)),
            Job::Made(made) => self.made(*made),
            Job::Synced => {
                // Only where nothing else follows at once: the next frame says as much.
                if self.jobs.is_empty() && self.shared.fault().is_none() {
                    let journal = &mut self.journal;
                    let marked = self.shared.writing.over(|| journal.watermark());
                    self.refused(marked);
                }
            }
            Job::Look => self.try_stuck(),
            Job::Close => {
                self.shared.close();
                self.jobs.close();
            }
            #[cfg(test)]
            Job::Break { committer } => {
                assert!(!committer, "injected: the committer's");
                let told: Telling = Box::new(|_| panic!("injected: the syncer's"));
                self.hand_over(Written::plain(vec![told], &self.totals, None));
            }
        }
    }

    /// Decides, writes and shows a group.
    pub(super) fn commit(&mut self, group: Vec<Wanted>) {
        if group.is_empty() {
            return;
        }
        if let Some(fault) = self.shared.fault() {
            let fault = Unavailable(fault);
            for (_, promise) in group {
                promise.tell(Err(fault.clone()));
            }
            return;
        }
        // In the order in which they came: those that were deferred are first.
        if self.current.get().is_none() || self.has_to_settle() {
            self.commit_without_index(group);
            return;
        }
        if let Err(group) = self.decide(group, &[]) {
            // The index failed under it, and nothing was written.
            self.look();
            self.commit_without_index(group);
        }
    }

    /// Gives the group back if the index failed before anything was written.
    /// `settled` says where the first of them stood.
    pub(super) fn decide(
        &mut self,
        group: Vec<Wanted>,
        settled: &[Place],
    ) -> Result<(), Vec<Wanted>> {
        let Some(catalog) = self.current.get() else {
            return Err(group);
        };
        let began = Instant::now();
        let standing = Arc::clone(&self.standing);
        let standing = read(&standing);
        let (finds, bodies) = (Arc::clone(&self.finds), Arc::clone(&self.bodies));
        let seen = Seen::new(Some(&catalog), &finds, &bodies, &standing);
        let vault = Arc::clone(&self.vault);
        let hash = |parts: &[&[u8]]| vault.index(FAILURE, parts);
        let shared = Arc::clone(&self.shared);
        let sinks = Arc::clone(&self.sinks);
        let ground = Ground {
            view: &seen,
            sinks: &sinks,
            ids: &self.ids,
            holds: &shared.claims,
            hash: &hash,
        };
        let mut state = State::new(ground, self.totals.clone());
        let mut outcomes = Vec::with_capacity(group.len());
        for (change, _) in &group {
            outcomes.push(state.apply(change));
            if seen.failed() {
                break;
            }
        }
        let effects = state.into_effects();
        if seen.failed() {
            self.shared.claims.unreserve(&effects.reserved);
            return Err(group);
        }
        let mut told: Vec<Telling> = Vec::with_capacity(group.len());
        // Leads of which bytes lie elsewhere, too.
        let mut held = Vec::new();
        // A push that was not accepted stays where it is.
        let mut accepted = Vec::new();
        for (at, ((change, promise), outcome)) in group.into_iter().zip(outcomes).enumerate() {
            match outcome {
                Ok(done) => {
                    accepted.extend(settled.get(at));
                    if let (Some(lead), Some(place)) = (lead_of(&done), settled.get(at)) {
                        held.push((lead, vec![place.segment]));
                    }
                    if let (Some(lead), Change::Release { id, .. }) = (lead_of(&done), &change) {
                        held.push((lead, seen.segments_of(*id)));
                    }
                    for (push, lead) in released(&done) {
                        held.push((*lead, seen.segments_of(*push)));
                    }
                    told.push(telling(promise, done));
                }
                Err(fault) => {
                    let error = Unavailable(fault.to_string());
                    if !matches!(fault, Fault::Sink(_)) {
                        tracing::error!(error = error.0, "a record in the outbox is damaged");
                    }
                    promise.tell(Err(error));
                }
            }
        }
        let publishing = Publishing::of(seen);
        drop(standing);
        let aside = Aside {
            held,
            settled: accepted,
        };
        self.write(&catalog, effects, publishing, told, &aside, began);
        Ok(())
    }

    /// Writes what is different and shows it.
    fn write(
        &mut self,
        catalog: &Catalog,
        effects: Effects,
        mut publishing: Publishing,
        told: Vec<Telling>,
        aside: &Aside,
        began: Instant,
    ) {
        let Effects {
            records,
            totals,
            wake,
            reserved,
            ended,
            ..
        } = effects;
        let codec = Arc::clone(self.journal.codec());
        let mut left = Vec::with_capacity(records.len());
        for record in &records {
            let segments = publishing.segments_of(record);
            self.batch.record(&codec, record, &segments);
            left.push(segments);
        }
        for (lead, segments) in &aside.held {
            let (lead, segments) = (*lead, segments.clone());
            self.batch.entry(&codec, &Entry::Holds { lead, segments });
        }
        for place in &aside.settled {
            self.batch.entry(&codec, &Entry::Settled(*place));
        }
        let outcome = self.append(totals).map(|appended| {
            let (sequence, places) = appended?;
            for ((record, place), left) in records.iter().zip(&places).zip(&left) {
                add_tags(record, *place, &self.finds);
                publishing.take(record, *place);
                self.note(record, left);
            }
            if left.iter().any(|left| !left.is_empty()) {
                self.forget_removed();
            }
            for (lead, segments) in &aside.held {
                publishing.hold(*lead, segments);
            }
            self.note_settled(&aside.settled);
            show(publishing, catalog, sequence);
            Some(sequence)
        });
        self.shared.claims.unreserve(&reserved);
        match outcome {
            Err(error) => {
                self.shared.fail(&error);
                told.into_iter().for_each(|tell| tell(Err(&error)));
            }
            Ok(sequence) => {
                self.hand_over(Written {
                    told,
                    totals: self.totals.clone(),
                    sequence,
                    wake,
                    ended,
                    began,
                });
                // Whoever writes waits, and so do they who queue, until the index has followed.
                catalog.index.wait_for_room();
            }
        }
    }

    /// Appends the batch with the counts after it; nothing if it is empty and they are the same.
    pub(super) fn append(
        &mut self,
        totals: Totals,
    ) -> Result<Option<(u64, Vec<Place>)>, Unavailable> {
        let changed = totals != self.totals;
        if !changed && self.batch.is_empty() {
            return Ok(None);
        }
        let codec = Arc::clone(self.journal.codec());
        if changed {
            self.batch.entry(&codec, &Entry::Totals(totals.clone()));
        }
        let before = || read(&self.standing).clone();
        let (journal, batch) = (&mut self.journal, &mut self.batch);
        let appended = self.shared.writing.over(|| journal.append(batch, &before));
        let appended = appended.map_err(|error| Unavailable(error.to_string()))?;
        if let Some(closed) = appended.rolled {
            self.finds.close(closed);
        }
        if changed {
            write(&self.standing).totals.clone_from(&totals);
            self.totals = totals;
        }
        Ok(Some((appended.sequence, appended.places)))
    }

    /// Writes down how far the audit log is; gives the frame that says so.
    fn note_audit(&mut self, mark: AuditMark) -> Result<Option<u64>, Unavailable> {
        if let Some(fault) = self.shared.fault() {
            return Err(Unavailable(fault));
        }
        let codec = Arc::clone(self.journal.codec());
        self.batch.entry(&codec, &Entry::Audited(mark));
        let appended = self.append(self.totals.clone());
        let appended = appended.inspect_err(|error| self.shared.fail(error))?;
        write(&self.standing).audit = mark;
        Ok(appended.map(|(sequence, _)| sequence))
    }

    /// Keeps in memory what stands in no index; `left` says where bytes of what is gone lie.
    pub(super) fn note(&self, record: &Record, left: &[u32]) {
        if matches!(
            record,
            Record::Paused { .. }
                | Record::SinkState { .. }
                | Record::Job { .. }
                | Record::Token { .. }
                | Record::QuarantineCount { .. }
                | Record::LeadGone { .. }
                | Record::QuarantineGone { .. }
        ) {
            write(&self.standing).take_record(record, left);
        }
    }

    /// What is said to lie in segments that were removed before is nowhere.
    fn forget_removed(&self) {
        let reader = self.bodies.journal();
        let open = reader.open_segment().number;
        let there: HashSet<u32> = reader.facts().iter().map(|facts| facts.number).collect();
        let is_there = |segment| segment == open || there.contains(&segment);
        write(&self.standing).remains.retain(is_there);
    }

    /// From now on these sinks are configured; all others that are known are not. A failed
    /// store takes no other configuration: what is read of it would not be what it does.
    fn set_sinks(&mut self, policies: Vec<SinkPolicy>) -> Result<(), Unavailable> {
        if let Some(fault) = self.shared.fault() {
            return Err(Unavailable(fault));
        }
        let names: Vec<_> = self.sinks.keys().map(Arc::clone).collect();
        self.sinks = Arc::new(known(names, policies));
        let standing = read(&self.standing);
        let pause = |name: &str| standing.pause(name);
        self.shared.set_sinks(Arc::clone(&self.sinks), pause);
        Ok(())
    }

    /// What is to stand in the opening of a segment.
    pub(super) fn standing(&self) -> Standing {
        read(&self.standing).clone()
    }

    pub(super) fn hand_over(&self, group: Written) {
        let unsent = match &self.written {
            Some(written) => match written.send(group) {
                Ok(()) => return,
                Err(SendError(group)) => group,
            },
            None => group,
        };
        // The syncer ends after this thread, unless it failed: then nobody makes this durable.
        let error = Unavailable(WRITER_ENDED.to_owned());
        self.shared.fail(&error);
        unsent.told.into_iter().for_each(|tell| tell(Err(&error)));
    }

    /// Tells what an own step of the store gave, once it is on disk.
    fn answer<T: Send + 'static>(
        &self,
        promise: Promise<T>,
        gave: Result<(T, Option<u64>), Unavailable>,
    ) {
        match gave {
            Ok((gave, sequence)) => {
                let told = vec![telling(promise, gave)];
                self.hand_over(Written::plain(told, &self.totals, sequence));
            }
            Err(error) => promise.tell(Err(error)),
        }
    }

    /// A failed write is final.
    pub(super) fn refused<T>(&self, done: Result<T, super::journal::JournalError>) -> Option<T> {
        done.inspect_err(|error| self.shared.fail(&Unavailable(error.to_string())))
            .ok()
    }

    /// Everything that was answered is on disk; the rest is tidying up.
    fn end(mut self) {
        self.written = None;
        if let Some(syncer) = self.syncer.take()
            && syncer.join().is_err()
        {
            return;
        }
        if self.shared.fault().is_none() {
            let closed = self.journal.close(&self.standing());
            self.refused(closed);
        }
        if let Some(catalog) = self.current.get() {
            catalog.index.close();
        }
    }
}
