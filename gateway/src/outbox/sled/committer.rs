//! The committer: the one thread that writes.
//!
//! It drains what has gathered in the queue while the last commit was on its way, writes it
//! as one atomic batch, passes the barrier once, and wakes everyone in the group. At low load
//! a group is one job and its latency one barrier; nothing ever waits for a timer.
//!
//! Invariant: an answer is sent only after the barrier, and after a failed write or barrier
//! no job succeeds any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use uuid::ContextV7;

use super::barrier::Barrier;
use super::group::{EncodedLead, EncodedSuspect, Ground, Group};
use super::key::{self, SinkNumber};
use super::record;
use super::shared::Shared;
use crate::outbox::{Accepted, Finish, Quarantined, Refusal, Unavailable};

/// Jobs in one commit at most.
const GROUP: usize = 1024;

/// Something to write, and whom to tell.
pub(super) enum Job {
    Accept(Box<EncodedLead>, Promise<Accepted>, OwnedSemaphorePermit),
    Quarantine(
        Box<EncodedSuspect>,
        Promise<Quarantined>,
        OwnedSemaphorePermit,
    ),
    Finish(Box<Finish>, oneshot::Sender<Result<(), Unavailable>>),
    Close,
}

/// Where the result of an arrival goes.
pub(super) type Promise<T> = oneshot::Sender<Result<T, Refusal>>;

/// What is told once the group is on disk.
enum Told {
    Accept(Promise<Accepted>, Accepted),
    Quarantine(Promise<Quarantined>, Quarantined),
    Finish(oneshot::Sender<Result<(), Unavailable>>),
}

/// The thread's state.
pub(super) struct Committer {
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) tree: ::sled::Tree,
    pub(super) barrier: Barrier,
    pub(super) sinks: HashMap<Arc<str>, SinkNumber>,
    pub(super) shared: Arc<Shared>,
}

impl Committer {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let ids = ContextV7::new();
        let mut jobs = Vec::with_capacity(GROUP);
        while self.jobs.blocking_recv_many(&mut jobs, GROUP) > 0 {
            self.commit(&mut jobs, &ids);
        }
        if self.shared.fault().is_none()
            && let Err(error) = self.barrier.pass(&self.tree)
        {
            self.shared.fail(&Unavailable(error.to_string()));
        }
    }

    fn commit(&mut self, jobs: &mut Vec<Job>, ids: &ContextV7) {
        if let Some(fault) = self.shared.fault() {
            let fault = Unavailable(fault);
            jobs.drain(..).for_each(|job| job.refuse(&fault));
            return;
        }
        let began = Instant::now();
        let mut group = Group::new(self.shared.totals());
        let mut told = Vec::with_capacity(jobs.len());
        let mut fault = None;
        {
            let on = Ground {
                tree: &self.tree,
                sinks: &self.sinks,
                ids,
            };
            for job in jobs.drain(..) {
                if let Some(fault) = &fault {
                    job.refuse(fault);
                    continue;
                }
                match job {
                    Job::Accept(lead, promise, _permit) => match group.accept(*lead, &on) {
                        Ok(accepted) => told.push(Told::Accept(promise, accepted)),
                        Err(error) => {
                            let _ = promise.send(Err(error.clone().into()));
                            fault = Some(error);
                        }
                    },
                    Job::Quarantine(suspect, promise, _permit) => {
                        match group.quarantine(&suspect, &on) {
                            Ok(quarantined) => told.push(Told::Quarantine(promise, quarantined)),
                            Err(error) => {
                                let _ = promise.send(Err(error.clone().into()));
                                fault = Some(error);
                            }
                        }
                    }
                    Job::Finish(finish, promise) => match group.finish(&finish, &on) {
                        Ok(()) => told.push(Told::Finish(promise)),
                        Err(error) => {
                            let _ = promise.send(Err(error.clone()));
                            fault = Some(error);
                        }
                    },
                    Job::Close => self.jobs.close(),
                }
            }
        }
        if told.is_empty() && fault.is_none() {
            return;
        }
        let written = match fault {
            Some(fault) => Err(fault),
            None => self.write(&mut group),
        };
        match written {
            Ok(()) => {
                self.shared.committed(group.totals, began.elapsed());
                told.into_iter().for_each(Told::succeed);
                group.wake.iter().for_each(|sink| self.shared.wake(sink));
            }
            Err(error) => {
                self.shared.fail(&error);
                told.into_iter().for_each(|one| one.refuse(&error));
            }
        }
    }

    fn write(&self, group: &mut Group) -> Result<(), Unavailable> {
        group
            .batch
            .insert(key::TOTALS, record::encode(&group.totals));
        let batch = std::mem::take(&mut group.batch);
        self.tree
            .apply_batch(batch)
            .map_err(|error| Unavailable(error.to_string()))?;
        self.barrier
            .pass(&self.tree)
            .map_err(|error| Unavailable(error.to_string()))
    }
}

// Whoever stopped waiting (a push past its deadline) does not need to be told.
impl Job {
    fn refuse(self, fault: &Unavailable) {
        match self {
            Self::Accept(_, promise, _) => drop(promise.send(Err(fault.clone().into()))),
            Self::Quarantine(_, promise, _) => drop(promise.send(Err(fault.clone().into()))),
            Self::Finish(_, promise) => drop(promise.send(Err(fault.clone()))),
            Self::Close => {}
        }
    }
}

impl Told {
    fn succeed(self) {
        match self {
            Self::Accept(promise, accepted) => drop(promise.send(Ok(accepted))),
            Self::Quarantine(promise, quarantined) => drop(promise.send(Ok(quarantined))),
            Self::Finish(promise) => drop(promise.send(Ok(()))),
        }
    }

    fn refuse(self, fault: &Unavailable) {
        match self {
            Self::Accept(promise, _) => drop(promise.send(Err(fault.clone().into()))),
            Self::Quarantine(promise, _) => drop(promise.send(Err(fault.clone().into()))),
            Self::Finish(promise) => drop(promise.send(Err(fault.clone()))),
        }
    }
}
