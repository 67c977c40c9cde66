//! Bulk: what a person wants done to all that a filter takes: planned, run, gone on with after a
//! restart.
//!
//! A job is a record of the outbox ([`crate::outbox::BulkJob`]); this says what its targets are
//! ([`selection`]), how many ([`plan`]), and makes its steps ([`runner`]). Knows nothing of who
//! asks, nor of how sinks deliver: it meets them in the outbox.

mod plan;
mod runner;
mod selection;
#[cfg(test)]
mod tests;
mod turns;
mod waits;

use std::sync::Arc;

use tokio::sync::Notify;

pub use self::plan::{Planned, plan};
pub use self::runner::Runner;
pub use self::selection::{REACH, Selected, is_reachable, select};
pub use self::turns::behind;
pub use self::waits::Waits;
use crate::clock::Clock;
use crate::lead::Tables;
use crate::outbox::{Arrival, BulkJob, JobId, Outbox, StoredQuarantinedPush};

/// Reads a push in quarantine again as the lead that a person says it is; `None` if its
/// source is not configured any more.
pub type Reread = dyn Fn(&StoredQuarantinedPush) -> Option<Arrival> + Send + Sync;

/// What jobs work with.
#[derive(Clone)]
pub struct Ground {
    /// The store.
    pub outbox: Arc<dyn Outbox>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The lookup tables that conditions use, as they are configured now: others after a reload.
    pub tables: Arc<dyn Fn() -> Arc<Tables> + Send + Sync>,
    /// How a push is taken out of quarantine.
    pub reread: Arc<Reread>,
    /// Told when a job may have something to do.
    pub wake: Arc<Notify>,
    /// Why jobs do not get on.
    pub waits: Arc<Waits>,
}

/// Says in the log what happened to a job, through whom, and what it is; `by` may be empty if it
/// is whoever planned it. Its note stays with the job: people write what they like.
pub fn log(event: &str, id: JobId, job: &BulkJob, by: &str) {
    let plan = &job.plan;
    let by = if by.is_empty() { &plan.by } else { by };
    tracing::info!(
        job = %id,
        action = plan.action.as_str(),
        by,
        count = plan.count.number(),
        exact = plan.count.is_exact(),
        done = job.done,
        skipped = job.seen() - job.done,
        "{event}"
    );
}
