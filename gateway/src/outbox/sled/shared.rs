//! What the committer and the readers of the store share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::outbox::{Totals, Unavailable};
use crate::telemetry::metrics::OutboxMetrics;

/// Counts, the fault if there is one, and who waits for what.
pub(super) struct Shared {
    totals: Mutex<Totals>,
    /// Set once, never cleared: a store that failed is not trusted again by this process.
    fault: OnceLock<String>,
    arrivals: HashMap<Arc<str>, Arc<Notify>>,
    metrics: OutboxMetrics,
}

impl Shared {
    pub(super) fn new(
        totals: Totals,
        sinks: impl Iterator<Item = Arc<str>>,
        metrics: OutboxMetrics,
    ) -> Self {
        Self {
            totals: Mutex::new(totals),
            fault: OnceLock::new(),
            arrivals: sinks.map(|name| (name, Arc::default())).collect(),
            metrics,
        }
    }

    pub(super) fn totals(&self) -> Totals {
        // The lock guards a plain value that is replaced whole: a poisoned one is still right.
        self.totals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn committed(&self, totals: Totals, took: Duration) {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner) = totals;
        self.metrics.commit_duration.observe(took.as_secs_f64());
    }

    pub(super) fn fault(&self) -> Option<String> {
        self.fault.get().cloned()
    }

    pub(super) fn fail(&self, error: &Unavailable) {
        self.metrics.write_errors.inc();
        if self.fault.set(error.0.clone()).is_ok() {
            tracing::error!(
                error = error.0,
                "outbox write failed; nothing is accepted until the cause is removed and leadgate restarted"
            );
        }
    }

    pub(super) fn wake(&self, sink: &str) {
        if let Some(notify) = self.arrivals.get(sink) {
            notify.notify_one();
        }
    }

    pub(super) fn arrivals(&self, sink: &str) -> Arc<Notify> {
        self.arrivals.get(sink).cloned().unwrap_or_default()
    }
}
