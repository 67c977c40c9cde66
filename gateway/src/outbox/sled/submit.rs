//! Submitting: how jobs get into the committer's queue, and what comes back.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::mpsc;

use super::SledOutbox;
use super::job::{Answer, Job, Promise};
use crate::outbox::state::{Change, Done};
use crate::outbox::{Refusal, Unavailable};

impl SledOutbox {
    /// Queues an arrival without waiting for room.
    pub(super) fn arrive(&self, change: Change) -> BoxFuture<'static, Result<Done, Refusal>> {
        // Waiting would only end at the deadline; and a disk that hangs is not asked for room.
        if let Some(why) = self.shared.hangs() {
            return ready(Err(Unavailable(why).into())).boxed();
        }
        if self.shared.space.short() {
            return ready(Err(Refusal::NoSpace)).boxed();
        }
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            return ready(Err(Refusal::Full)).boxed();
        };
        let (promise, answer) = Promise::new(Some(permit));
        let shared = Arc::clone(&self.shared);
        match self.jobs.try_send(Job::Change(Box::new(change), promise)) {
            Ok(()) => async move {
                let answer = answer.await.unwrap_or_else(|_| Err(shared.given_up()));
                answer.map_err(Refusal::from)
            }
            .boxed(),
            Err(mpsc::error::TrySendError::Full(_)) => ready(Err(Refusal::Full)).boxed(),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                ready(Err(shared.given_up().into())).boxed()
            }
        }
    }

    /// Queues any other change, waiting for room.
    pub(super) fn change(&self, change: Change) -> BoxFuture<'static, Result<Done, Unavailable>> {
        self.own(|promise| Job::Change(Box::new(change), promise))
    }

    /// Queues what is asked of the committer itself, waiting for room.
    pub(super) fn own<T: Send + 'static>(
        &self,
        job: impl FnOnce(Promise<T>) -> Job,
    ) -> BoxFuture<'static, Result<T, Unavailable>> {
        let jobs = self.jobs.clone();
        let shared = Arc::clone(&self.shared);
        let (promise, answer) = Promise::new(None);
        let job = job(promise);
        async move {
            jobs.send(job).await.map_err(|_| shared.given_up())?;
            answer.await.unwrap_or_else(|_| Err(shared.given_up()))
        }
        .boxed()
    }

    /// Queues all of `changes` at once; what each gave, in order. For a thread that may block.
    pub(super) fn change_all(&self, changes: Vec<Change>) -> Result<Vec<Done>, Unavailable> {
        let answers = self.queue(changes.into_iter())?.into_iter();
        answers.map(|answer| self.wait(answer)).collect()
    }

    /// Queues all of `changes` at once, so that one that cannot be made does not keep the
    /// others; what those that were made gave. For a thread that may block.
    pub(super) fn change_each(
        &self,
        changes: impl Iterator<Item = Change>,
    ) -> Result<Vec<Done>, Unavailable> {
        let mut done = Vec::new();
        for answer in self.queue(changes)? {
            match self.wait(answer) {
                Ok(one) => done.push(one),
                // The committer has told of the damaged record.
                Err(_) if self.shared.fault().is_none() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn queue(
        &self,
        changes: impl Iterator<Item = Change>,
    ) -> Result<Vec<Answer<Done>>, Unavailable> {
        changes
            .map(|change| {
                let (promise, answer) = Promise::new(None);
                let job = Job::Change(Box::new(change), promise);
                let sent = self.jobs.blocking_send(job);
                sent.map_err(|_| self.shared.given_up())?;
                Ok(answer)
            })
            .collect()
    }

    fn wait(&self, answer: Answer<Done>) -> Result<Done, Unavailable> {
        let answer = answer.blocking_recv();
        answer.unwrap_or_else(|_| Err(self.shared.given_up()))
    }
}
