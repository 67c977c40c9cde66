//! A trial: one attempt that a person asks for, with a lead of its own, past the sink's queue,
//! pause, throttle and breaker.
//!
//! Nothing of it is stored or counted. One at a time for each sink, and never for long. That
//! the destination took it is proof that it is back: the breaker closes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::admission::Admission;
use super::lane::Named;
use super::{Destination, Sinks};
use crate::clock::Clock;
use crate::plugin::{Call, Outcome, OutcomeKind};

/// Longest trial, however patient the sink is.
pub const LONGEST: Duration = Duration::from_secs(120);

/// What trials of one sink need.
pub(super) struct Trial {
    sink: Arc<dyn Destination>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    admission: Arc<Admission>,
    named: Arc<Named>,
    free: Semaphore,
}

/// How a trial ended.
pub struct Tried {
    /// As the plugin judged it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// Why there was no trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untried {
    /// No such sink.
    NoSink,
    /// Another trial of the sink is under way.
    Busy,
}

impl Trial {
    pub(super) fn new(
        sink: Arc<dyn Destination>,
        timeout: Duration,
        clock: Arc<dyn Clock>,
        admission: Arc<Admission>,
        named: Arc<Named>,
    ) -> Self {
        Self {
            sink,
            timeout: timeout.min(LONGEST),
            clock,
            admission,
            named,
            free: Semaphore::new(1),
        }
    }

    async fn run(&self, event: Vec<u8>) -> Result<Tried, Untried> {
        let _free = self.free.try_acquire().map_err(|_| Untried::Busy)?;
        let call = Call {
            id: Uuid::now_v7().to_string(),
            attempt: 1,
            timeout: self.timeout,
            event,
            trace_id: format!("{:032x}", fastrand::u128(..)),
            // It has one attempt only.
            step_record: String::new(),
            keep: None,
        };
        let began = self.clock.monotonic();
        let outcome = self.sink.deliver(call).await;
        if matches!(
            outcome.kind,
            OutcomeKind::Delivered | OutcomeKind::Duplicate
        ) {
            self.admission.took_a_trial();
            self.named.wake();
        }
        Ok(Tried {
            outcome,
            took: self.clock.monotonic().saturating_sub(began),
        })
    }
}

impl Sinks {
    /// Hands `event` to `sink` once, now.
    pub async fn try_out(&self, sink: &str, event: Vec<u8>) -> Result<Tried, Untried> {
        match self.find(sink) {
            Some(one) => one.trial.run(event).await,
            None => Err(Untried::NoSink),
        }
    }
}
