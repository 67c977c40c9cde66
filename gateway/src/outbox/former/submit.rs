//! Submitting: how jobs get into the committer's queue, and what comes back.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::mpsc;

use super::SledOutbox;
use super::fault::Fault;
use super::group::Group;
use super::job::Job;
use crate::outbox::{Refusal, Unavailable};

impl SledOutbox {
    /// Queues the write of an arrival without waiting for room.
    pub(super) fn arrive<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Group<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Refusal>> {
        if self.shared.space.short() {
            return ready(Err(Refusal::NoSpace)).boxed();
        }
        // Waiting would only end at the deadline.
        if let Some(why) = self.shared.hangs() {
            return ready(Err(Unavailable(why).into())).boxed();
        }
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            return ready(Err(Refusal::Full)).boxed();
        };
        let (job, answer) = Job::new(Some(permit), write);
        let shared = Arc::clone(&self.shared);
        match self.jobs.try_send(job) {
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

    /// Queues any other write, waiting for room.
    pub(super) fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Group<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, Unavailable>> {
        let jobs = self.jobs.clone();
        let shared = Arc::clone(&self.shared);
        let (job, answer) = Job::new(None, write);
        async move {
            jobs.send(job).await.map_err(|_| shared.given_up())?;
            answer.await.unwrap_or_else(|_| Err(shared.given_up()))
        }
        .boxed()
    }

    /// [`Self::write`] for a thread that may block.
    pub(super) fn write_and_wait<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Group<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let (job, answer) = Job::new(None, write);
        self.jobs
            .blocking_send(job)
            .map_err(|_| self.shared.given_up())?;
        answer
            .blocking_recv()
            .unwrap_or_else(|_| Err(self.shared.given_up()))
    }

    /// A job for each of `ids`, so that one damaged record does not keep the others; what those
    /// gave that did something. For a thread that may block.
    pub(super) fn write_each<I: Copy + Send + 'static, T: Send + 'static>(
        &self,
        ids: Vec<I>,
        write: impl Fn(&mut Group<'_>, I) -> Result<Option<T>, Fault> + Copy + Send + 'static,
    ) -> Result<Vec<T>, Unavailable> {
        let mut answers = Vec::with_capacity(ids.len());
        for id in ids {
            let (job, answer) = Job::new(None, move |group| write(group, id));
            self.jobs
                .blocking_send(job)
                .map_err(|_| self.shared.given_up())?;
            answers.push(answer);
        }
        let mut done = Vec::new();
        for answer in answers {
            match answer
                .blocking_recv()
                .unwrap_or_else(|_| Err(self.shared.given_up()))
            {
                Ok(did) => done.extend(did),
                // The committer has told of the damaged record.
                Err(_) if self.shared.fault().is_none() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}
