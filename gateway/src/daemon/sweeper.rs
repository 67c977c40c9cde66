//! The sweeper: lets leads leave the outbox when their retention is over.
//!
//! Runs now and then in small steps, so that pushes never wait behind it, and not while the
//! clock is doubted ([`super::timekeeper`]). Owns its task; ends when told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::timekeeper::Timekeeper;
use crate::clock::{Clock, Millis};
use crate::config;
use crate::outbox::{Outbox, Retention, Swept, Unavailable};
use crate::telemetry::metrics::OutboxMetrics;

/// Wait between two sweeps, by the wall clock as what is kept: a machine that slept, or whose
/// clock was set, sweeps soon after.
const INTERVAL: Duration = Duration::from_secs(600);
/// How long a step of the clock may go unnoticed.
const LOOK: Duration = Duration::from_secs(30);
/// Leads looked at in one step.
const STEP: usize = 64;
/// Pause between two steps.
const BREATH: Duration = Duration::from_millis(20);

/// The running task.
pub(super) struct Sweeper {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Sweeper {
    /// Starts it; leads are kept for as long as `keep` says last. Must be called inside a tokio
    /// runtime.
    pub(super) fn start(
        outbox: Arc<dyn Outbox>,
        clock: Arc<dyn Clock>,
        mut keep: watch::Receiver<Keep>,
        metrics: &OutboxMetrics,
    ) -> Self {
        let mut keeper = Timekeeper::new(
            Arc::clone(&outbox),
            Arc::clone(&clock),
            metrics.clone(),
            keep.borrow().leads,
        );
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            'run: loop {
                let kept = *keep.borrow_and_update();
                keeper.keep(kept.leads);
                retire(&outbox, &mut keeper, kept.audit_ms).await;
                let swept = match keeper.announce(kept.leads).await {
                    Ok(Some(now)) => {
                        let is_over = || *stopped.borrow() || keep.has_changed().unwrap_or(false);
                        sweep(&outbox, &mut keeper, now, is_over).await
                    }
                    Ok(None) => Ok(Swept::default()),
                    Err(error) => Err(error),
                };
                match swept {
                    Ok(swept) if swept.leads + swept.quarantined > 0 => tracing::info!(
                        leads = swept.leads,
                        dead_letters = swept.dead_letters,
                        quarantine = swept.quarantined,
                        "what was kept long enough left the outbox"
                    ),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(error = error.0, "sweep ended early"),
                }
                let swept_at = clock.now();
                while clock.now().abs_diff(swept_at) < millis(INTERVAL).unsigned_abs() {
                    tokio::select! {
                        () = tokio::time::sleep(LOOK) => {}
                        // Looked at at once: the other retention may be a mended mistake.
                        Ok(()) = keep.changed() => continue 'run,
                        _ = stopped.wait_for(|stop| *stop) => break 'run,
                    }
                    keeper.look();
                    keeper.sum_unrouted();
                    note(&mut keeper, false).await;
                }
            }
            keeper.look();
            note(&mut keeper, true).await;
        });
        Self { stop, task }
    }

    /// Ends it after the step under way.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.task.await;
    }
}

/// How long what is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Keep {
    /// Leads and what is in quarantine.
    pub(super) leads: Retention,
    /// Entries of the audit log, in milliseconds.
    audit_ms: Millis,
}

impl Keep {
    /// As configured.
    pub(super) fn of(config: &config::Outbox) -> Self {
        Self {
            leads: retention(config),
            audit_ms: millis(config.retention_audit),
        }
    }
}

/// Lets entries leave the audit log.
async fn retire(outbox: &Arc<dyn Outbox>, keeper: &mut Timekeeper, audit_ms: Millis) {
    let Some(now) = keeper.now() else {
        return;
    };
    let outbox = Arc::clone(outbox);
    let before = now.saturating_sub(audit_ms);
    let retired = tokio::task::spawn_blocking(move || outbox.retire_audit(before)).await;
    match retired.unwrap_or_else(|error| Err(Unavailable(error.to_string()))) {
        Ok(0) => {}
        Ok(entries) => tracing::info!(entries, "what was kept long enough left the audit log"),
        Err(error) => tracing::warn!(error = error.0, "the audit log was not swept"),
    }
}

/// How long what is over is to be kept.
pub(super) fn retention(config: &config::Outbox) -> Retention {
    Retention {
        done_ms: millis(config.retention),
        dead_ms: millis(config.retention_dead),
        dead_by: 0,
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

async fn note(keeper: &mut Timekeeper, always: bool) {
    if let Err(error) = keeper.note(always).await {
        tracing::warn!(error = error.0, "the time could not be noted");
    }
}

/// One sweep over everything that may be old enough, until `is_over` between two steps: what is
/// to be kept may be another by then, because it was a mistake.
pub(super) async fn sweep(
    outbox: &Arc<dyn Outbox>,
    keeper: &mut Timekeeper,
    keep: Retention,
    is_over: impl Fn() -> bool,
) -> Result<Swept, Unavailable> {
    let mut all = Swept::default();
    loop {
        // At each step: what is swept by a time that is doubted by then would be gone.
        let Some(now) = keeper.now() else {
            return Ok(all);
        };
        let outbox = Arc::clone(outbox);
        let from = all.next;
        let step = tokio::task::spawn_blocking(move || outbox.sweep(keep, now, from, STEP));
        let step = step
            .await
            .unwrap_or_else(|error| Err(Unavailable(error.to_string())))?;
        all.leads += step.leads;
        all.quarantined += step.quarantined;
        all.dead_letters += step.dead_letters;
        all.next = step.next;
        if all.next.is_none() || is_over() {
            return Ok(all);
        }
        tokio::time::sleep(BREATH).await;
    }
}
