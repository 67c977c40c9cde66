//! The syncer: the one thread that makes commits durable and says so.
//!
//! It takes what the committer has put into the tree meanwhile, passes the barrier once for
//! all of it, and wakes everyone. So the next group is written while this one is on its way to
//! the disk.
//!
//! Invariant: an answer is sent only after a barrier that began after its commit was in the
//! tree, and after a failed write or barrier no job succeeds any more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use super::barrier::Barrier;
use super::job::Step;
use super::shared::Shared;
use crate::outbox::{DeliveryId, Totals, Unavailable};

/// A group that is in the tree.
pub(super) struct Applied {
    /// Who is to be told.
    pub(super) steps: Vec<Box<dyn Step>>,
    /// Counts after it.
    pub(super) totals: Totals,
    /// Whether it changed anything.
    pub(super) changed: bool,
    /// Sinks for which something became due.
    pub(super) wake: BTreeSet<Arc<str>>,
    /// Claims that end with it.
    pub(super) ended: Vec<DeliveryId>,
    pub(super) began: Instant,
}

/// The thread's state.
pub(super) struct Syncer {
    pub(super) applied: Receiver<Applied>,
    pub(super) tree: ::sled::Tree,
    pub(super) barrier: Barrier,
    pub(super) shared: Arc<Shared>,
}

impl Syncer {
    /// Runs until the committer has ended and all is told.
    pub(super) fn run(self) {
        while let Ok(first) = self.applied.recv() {
            let mut groups = vec![first];
            groups.extend(self.applied.try_iter());
            self.sync(groups);
        }
        if self.shared.fault().is_none()
            && let Err(error) = self.barrier.pass(&self.tree)
        {
            self.shared.fail(&refused(&error));
        }
    }

    fn sync(&self, groups: Vec<Applied>) {
        let outcome = match self.shared.fault() {
            Some(fault) => Err(Unavailable(fault)),
            None => self.pass(&groups).map_err(|error| {
                let error = refused(&error);
                self.shared.fail(&error);
                error
            }),
        };
        for group in groups {
            if outcome.is_ok() {
                self.shared.claims.unclaim(&group.ended);
                self.shared.committed(group.totals, group.began.elapsed());
            }
            for step in group.steps {
                step.tell(outcome.as_ref().map(|&()| ()));
            }
            if outcome.is_ok() {
                group.wake.iter().for_each(|sink| self.shared.wake(sink));
            }
        }
    }

    fn pass(&self, groups: &[Applied]) -> std::io::Result<()> {
        let Some(last) = groups.iter().rfind(|group| group.changed) else {
            return Ok(());
        };
        let passing = || self.barrier.pass(&self.tree);
        self.shared.syncing.over(passing)?;
        self.shared.mark(&last.totals)
    }
}

fn refused(error: &std::io::Error) -> Unavailable {
    Unavailable(format!("the disk refused: {error}"))
}
