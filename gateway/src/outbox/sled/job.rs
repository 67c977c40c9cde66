//! Jobs: what the committer is asked to do, and who waits for the answer.

use std::collections::BTreeMap;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::codec::AuditMark;
use super::place::Place;
use super::rebuild::Made;
use super::snapshot::Snapshot;
use crate::outbox::state::{Change, Done};
use crate::outbox::{SinkPolicy, Unavailable};

/// In the committer's queue.
pub(super) enum Job {
    /// To be decided and written.
    Change(Box<Change>, Promise<Done>),
    /// Records of a segment are to be written once more at the journal's end, those of them
    /// that still count.
    Move(Vec<Place>, Promise<Moved>),
    /// Segments hold nothing that counts any more: they are removed. Gives those that are gone.
    Remove(Vec<u32>, Promise<Vec<u32>>),
    /// The open segment is closed, and another one begun.
    Roll(Promise<()>),
    /// What makes the store now is to be told, once it is on disk; `None` if too much is not
    /// copied yet of those numbers, as far as is said.
    Snapshot(BTreeMap<u32, u64>, Promise<Option<Snapshot>>),
    /// The audit log is so far, and has let so much go.
    Audited(AuditMark, Promise<()>),
    /// These sinks are configured from now on.
    Sinks(Vec<SinkPolicy>, Promise<()>),
    /// An index was made, or opened.
    Made(Box<Made>),
    /// The journal is on disk as far as it was written.
    Synced,
    /// Look at what is broken.
    Look,
    /// Take no more; what is queued is still written.
    Close,
    /// Panic: the committer, or else the syncer.
    #[cfg(test)]
    Break {
        /// Which.
        committer: bool,
    },
}

/// A change and who waits for what becomes of it.
pub(super) type Wanted = (Change, Promise<Done>);

/// What moving did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// Records that were written once more.
    pub(super) records: u64,
    /// Bytes of them.
    pub(super) bytes: u64,
}

/// Who waits for an answer. Whoever stopped waiting (a push past its deadline) does not need to
/// be told.
pub(super) struct Promise<T> {
    to: oneshot::Sender<Result<T, Unavailable>>,
    /// A place in the queue, free again once this is told.
    _permit: Option<OwnedSemaphorePermit>,
}

/// Where a result comes.
pub(super) type Answer<T> = oneshot::Receiver<Result<T, Unavailable>>;

impl<T> Promise<T> {
    pub(super) fn new(permit: Option<OwnedSemaphorePermit>) -> (Self, Answer<T>) {
        let (to, answer) = oneshot::channel();
        let promise = Self {
            to,
            _permit: permit,
        };
        (promise, answer)
    }

    pub(super) fn tell(self, outcome: Result<T, Unavailable>) {
        let _ = self.to.send(outcome);
    }
}

/// Something that is told once it is known whether it is on disk.
pub(super) type Telling = Box<dyn FnOnce(Result<(), &Unavailable>) + Send>;

/// Tells `gave`, if it is on disk.
pub(super) fn telling<T: Send + 'static>(promise: Promise<T>, gave: T) -> Telling {
    Box::new(move |outcome| promise.tell(outcome.map(|()| gave).map_err(Clone::clone)))
}
