//! Waits: why the jobs that run do not get on, for whoever looks at them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::lang::Text;
use crate::outbox::JobId;

/// By job, why its next step could not be made. Memory: known again after the first try.
#[derive(Default)]
pub struct Waits(Mutex<BTreeMap<JobId, Text>>);

impl Waits {
    /// Why a job waits, if it does.
    pub fn of(&self, id: JobId) -> Option<Text> {
        self.lock().get(&id).cloned()
    }

    /// A job waits; whether it did not before.
    pub(super) fn begin(&self, id: JobId, why: Text) -> bool {
        self.lock().insert(id, why).is_none()
    }

    /// A job gets on; whether it waited.
    pub(super) fn end(&self, id: JobId) -> bool {
        self.lock().remove(&id).is_some()
    }

    /// Forgets the jobs that are not to run.
    pub(super) fn retain(&self, runs: impl Fn(JobId) -> bool) {
        self.lock().retain(|id, _| runs(*id));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Text>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
