//! The syncer: the one thread that makes commits durable and says so.
//!
//! It takes what the committer has written meanwhile, syncs the journal once for all of it, and
//! tells everyone. So the next group is written while this one is on its way to the disk.
//!
//! Invariant: an answer is sent only after a sync that began after its frame was written, and
//! after a failed write or sync nothing succeeds any more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use tokio::sync::mpsc;

use super::job::{Job, Telling};
use super::journal::Syncing;
use super::shared::Shared;
use crate::outbox::{DeliveryId, Totals, Unavailable};

/// A group whose frame is written.
pub(super) struct Written {
    /// Who is to be told.
    pub(super) told: Vec<Telling>,
    /// Counts after it.
    pub(super) totals: Totals,
    /// Its frame; `None` if it changed nothing.
    pub(super) sequence: Option<u64>,
    /// Sinks for which something became due.
    pub(super) wake: BTreeSet<Arc<str>>,
    /// Claims that end with it.
    pub(super) ended: Vec<DeliveryId>,
    pub(super) began: Instant,
}

impl Written {
    /// A group that wakes nobody and ends no claim.
    pub(super) fn plain(told: Vec<Telling>, totals: &Totals, sequence: Option<u64>) -> Self {
        Self {
            told,
            totals: totals.clone(),
            sequence,
            wake: BTreeSet::new(),
            ended: Vec::new(),
            began: Instant::now(),
        }
    }
}

/// The thread's state.
pub(super) struct Syncer {
    pub(super) written: Receiver<Written>,
    pub(super) journal: Syncing,
    pub(super) shared: Arc<Shared>,
    /// The committer's queue; weak, so that it ends.
    pub(super) jobs: mpsc::WeakSender<Job>,
}

impl Syncer {
    /// Runs until the committer has ended and all is told.
    pub(super) fn run(mut self) {
        while let Ok(first) = self.written.recv() {
            let mut groups = vec![first];
            groups.extend(self.written.try_iter());
            self.sync(groups);
        }
    }

    fn sync(&mut self, groups: Vec<Written>) {
        let outcome = match self.shared.fault() {
            Some(fault) => Err(Unavailable(fault)),
            None => self
                .pass(&groups)
                .inspect_err(|error| self.shared.fail(error)),
        };
        for group in groups {
            if outcome.is_ok() {
                self.shared.claims.unclaim(&group.ended);
                self.shared.committed(group.totals, group.began.elapsed());
            }
            for tell in group.told {
                tell(outcome.as_ref().map(|&()| ()));
            }
            if outcome.is_ok() {
                group.wake.iter().for_each(|sink| self.shared.wake(sink));
            }
        }
        // Where the committer has nothing else to do, it notes how far the disk is.
        if outcome.is_ok()
            && let Some(jobs) = self.jobs.upgrade()
        {
            let _ = jobs.try_send(Job::Synced);
        }
    }

    fn pass(&mut self, groups: &[Written]) -> Result<(), Unavailable> {
        if groups.iter().all(|group| group.sequence.is_none()) {
            return Ok(());
        }
        let synced = self.shared.syncing.over(|| self.journal.sync());
        synced
            .map_err(|error| Unavailable(error.to_string()))
            .map(drop)
    }
}
