//! Jobs: what the committer is asked to write, and who waits for the answer.
//!
//! A job writes into the group first and answers only when told whether the group is on disk.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::fault::Fault;
use super::group::Group;
use crate::outbox::Unavailable;

/// In the committer's queue.
pub(super) enum Job {
    /// To be written.
    Write(Box<dyn Step>),
    /// Take no more; what is queued is still written.
    Close,
}

/// Where a result goes.
pub(super) type Answer<T> = oneshot::Receiver<Result<T, Unavailable>>;

/// One thing to write.
pub(super) trait Step: Send {
    /// Writes into the group.
    fn write(&mut self, group: &mut Group<'_>) -> Result<(), Fault>;
    /// Tells whoever waits, once it is known whether the group is on disk. Whoever stopped
    /// waiting (a push past its deadline) does not need to be told.
    fn tell(self: Box<Self>, outcome: Result<(), &Unavailable>);
}

impl Job {
    /// A job that does `write` and answers what that gave.
    pub(super) fn new<T, F>(permit: Option<OwnedSemaphorePermit>, write: F) -> (Self, Answer<T>)
    where
        T: Send + 'static,
        F: FnOnce(&mut Group<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (promise, answer) = oneshot::channel();
        let step = Once {
            write: Some(write),
            gave: None,
            promise,
            _permit: permit,
        };
        (Self::Write(Box::new(step)), answer)
    }
}

struct Once<T, F> {
    write: Option<F>,
    gave: Option<T>,
    promise: oneshot::Sender<Result<T, Unavailable>>,
    /// A place in the queue, free again once this is told.
    _permit: Option<OwnedSemaphorePermit>,
}

impl<T, F> Step for Once<T, F>
where
    T: Send,
    F: FnOnce(&mut Group<'_>) -> Result<T, Fault> + Send,
{
    fn write(&mut self, group: &mut Group<'_>) -> Result<(), Fault> {
        if let Some(write) = self.write.take() {
            self.gave = Some(write(group)?);
        }
        Ok(())
    }

    fn tell(self: Box<Self>, outcome: Result<(), &Unavailable>) {
        let answer = match (outcome, self.gave) {
            (Ok(()), Some(gave)) => Ok(gave),
            (Ok(()), None) => Err(Unavailable("the job was not written".to_owned())),
            (Err(error), _) => Err(error.clone()),
        };
        let _ = self.promise.send(answer);
    }
}
