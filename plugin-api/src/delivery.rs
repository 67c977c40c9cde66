//! A delivery as a sink gets it: one attempt to hand over one lead revision.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::export::Keeper;
use crate::{Event, Problem, abi};

/// One attempt.
#[derive(Clone)]
pub struct Delivery {
    pub(crate) id: String,
    pub(crate) attempt: u32,
    pub(crate) timeout: Duration,
    pub(crate) trace_id: String,
    pub(crate) event: Vec<u8>,
    pub(crate) step_record: StepRecord,
}

/// What is kept of a delivery between its attempts. Clones are the same record.
#[derive(Clone, Default)]
pub(crate) struct StepRecord {
    text: Arc<Mutex<String>>,
    keeper: Keeper,
}

impl StepRecord {
    pub(crate) fn new(text: String, keeper: Keeper) -> Self {
        Self {
            text: Arc::new(Mutex::new(text)),
            keeper,
        }
    }
}

impl Delivery {
    /// A delivery made by hand, for a sink's own tests.
    pub fn new(
        id: impl Into<String>,
        attempt: u32,
        timeout: Duration,
        event: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            id: id.into(),
            attempt,
            timeout,
            trace_id: String::new(),
            event: event.into(),
            step_record: StepRecord::default(),
        }
    }

    /// Stable over all attempts: give it to the destination as idempotency key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// 1 for the first attempt.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The host stops waiting after this, and counts the attempt as ambiguous.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long a sink may wait itself, so that its own outcome arrives before the host stops
    /// waiting: 100 ms less than [`Self::timeout`], or half of it if that is very short.
    ///
    /// ```
    /// use std::time::Duration;
    /// use leadgate_plugin::Delivery;
    /// let patience = |ms| Delivery::new("d1", 1, Duration::from_millis(ms), "{}").patience();
    /// assert_eq!(patience(10_000), Duration::from_millis(9_900));
    /// assert_eq!(patience(100), Duration::from_millis(50));
    /// ```
    pub fn patience(&self) -> Duration {
        let sooner = self.timeout.saturating_sub(Duration::from_millis(100));
        sooner.max(self.timeout / 2)
    }

    /// 32 hex digits for the destination's logs; may be empty.
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// What was kept last of this delivery, in this attempt or an earlier one; empty if nothing.
    pub fn step_record(&self) -> String {
        let text = self.step_record.text.lock();
        text.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps `step_record` with the delivery, instead of what was kept before, so that a later
    /// attempt can go on where this one ends. At most 4 KiB; never a secret. It is on disk soon,
    /// and at the latest with the end of the attempt.
    pub fn keep(&self, step_record: &str) -> Result<(), Problem> {
        if step_record.len() > abi::JOURNAL_MAX {
            let message = format!("a step record has at most {} bytes", abi::JOURNAL_MAX);
            return Err(Problem::at("", message));
        }
        let text = self.step_record.text.lock();
        step_record.clone_into(&mut text.unwrap_or_else(PoisonError::into_inner));
        self.step_record.keeper.keep(step_record);
        Ok(())
    }

    /// The event as JSON, byte for byte as the host gave it.
    pub fn event_bytes(&self) -> &[u8] {
        &self.event
    }

    /// The event as JSON of no particular type, as templates take it.
    pub fn json(&self) -> Result<serde_json::Value, Problem> {
        serde_json::from_slice(&self.event).map_err(|_| Problem::at("", "the event is not JSON"))
    }

    /// The event, parsed.
    pub fn event(&self) -> Result<Event, serde_json::Error> {
        serde_json::from_slice(&self.event)
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The event is personal data.
        formatter
            .debug_struct("Delivery")
            .field("id", &self.id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
