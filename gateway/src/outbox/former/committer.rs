//! The committer: the one thread that writes.
//!
//! It drains what has gathered in the queue, writes it as one atomic batch, and hands the
//! group to the [`super::syncer`], which makes it durable and answers. At low load a group is
//! one job and its latency one barrier; nothing ever waits for a timer.

use std::sync::mpsc::{SendError, SyncSender};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::mpsc;
use uuid::ContextV7;

use super::fault::{Fault, WRITER_ENDED, said};
use super::group::{Ground, Group, Sinks};
use super::index::{Compactor, Index};
use super::job::{Job, Step};
use super::key;
use super::record;
use super::shared::Shared;
use super::syncer::Applied;
use super::vault::Vault;
use super::writes::Written;
use crate::outbox::{Totals, Unavailable};

/// Jobs in one commit at most. sled frees what a batch replaced only when the batch is over:
/// with a thousand leads in a batch it grew by gigabytes.
const GROUP: usize = 64;

/// The thread's state.
pub(super) struct Committer {
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) tree: ::sled::Tree,
    pub(super) sinks: Arc<Sinks>,
    pub(super) vault: Arc<Vault>,
    pub(super) index: Arc<RwLock<Index>>,
    pub(super) compactor: Compactor,
    pub(super) shared: Arc<Shared>,
    /// Counts after the last group.
    pub(super) totals: Totals,
    pub(super) applied: SyncSender<Applied>,
}

impl Committer {
    /// Runs until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let ids = ContextV7::new();
        let mut jobs = Vec::with_capacity(GROUP);
        while self.jobs.blocking_recv_many(&mut jobs, GROUP) > 0 {
            let mut steps = Vec::with_capacity(jobs.len());
            for job in jobs.drain(..) {
                match job {
                    Job::Write(step) => steps.push(step),
                    Job::Close => {
                        self.shared.close();
                        self.jobs.close();
                    }
                }
            }
            if !steps.is_empty() {
                self.commit(steps, &ids);
            }
        }
    }

    fn commit(&mut self, steps: Vec<Box<dyn Step>>, ids: &ContextV7) {
        if let Some(fault) = self.shared.fault() {
            let fault = Unavailable(fault);
            steps.into_iter().for_each(|step| step.tell(Err(&fault)));
            return;
        }
        let began = Instant::now();
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let on = Ground {
            sinks: &self.sinks,
            ids,
            vault: &self.vault,
            claims: &self.shared.claims,
            index: &index,
        };
        let mut group = Group::new(on, &self.tree, self.totals.clone());
        let mut told = Vec::with_capacity(steps.len());
        let mut fault: Option<Fault> = None;
        for mut step in steps {
            if fault.is_some() {
                told.push(step);
                continue;
            }
            match group.run(|group| step.write(group)) {
                Ok(()) => told.push(step),
                Err(error) if error.is_final() => {
                    fault = Some(error);
                    told.push(step);
                }
                Err(error) => {
                    let error = Unavailable::from(error);
                    tracing::error!(error = error.0, "a record in the outbox is damaged");
                    step.tell(Err(&error));
                }
            }
        }
        let Group {
            mut writes,
            totals,
            wake,
            reserved,
            ended,
            ..
        } = group;
        let changes = writes.take_entries();
        let planned = match fault {
            Some(fault) => Err(fault),
            None => {
                index.log(&changes, |key, value| writes.put(key, value));
                self.compactor.work(&index, &mut writes, changes.len())
            }
        };
        let changed = !writes.is_empty() || totals != self.totals;
        writes.put(key::TOTALS.to_vec(), record::encode(&totals));
        let written = writes.end();
        drop(index);
        let applied = match planned {
            Err(fault) => Err(fault.into()),
            Ok(_) if !changed => Ok(()),
            Ok(flips) => self.apply(&written).map(|()| {
                let index = self.index.write();
                let mut index = index.unwrap_or_else(PoisonError::into_inner);
                index.publish(changes, flips);
            }),
        };
        self.shared.claims.unreserve(&reserved);
        if let Err(error) = applied {
            self.shared.fail(&error);
            told.into_iter().for_each(|step| step.tell(Err(&error)));
            return;
        }
        self.totals.clone_from(&totals);
        let group = Applied {
            steps: told,
            totals,
            changed,
            wake,
            ended,
            began,
        };
        // The syncer ends after this thread, unless it failed: then nobody makes this durable.
        if let Err(SendError(group)) = self.applied.send(group) {
            let error = Unavailable(WRITER_ENDED.to_owned());
            self.shared.fail(&error);
            group
                .steps
                .into_iter()
                .for_each(|step| step.tell(Err(&error)));
        }
    }

    fn apply(&self, written: &Written) -> Result<(), Unavailable> {
        let applying = || self.tree.apply_batch(written.batch());
        let applied = self.shared.applying.over(applying);
        applied.map_err(|error| Unavailable(said(&error)))?;
        self.shared.tap.batch(written.pairs());
        Ok(())
    }
}
