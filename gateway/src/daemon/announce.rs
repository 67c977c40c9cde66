//! The first line: what runs, made of what, and what waits.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::reload::deliveries;
use super::{Daemon, orphaned, sweeper};
use crate::clock::Clock;
use crate::config::Config;
use crate::outbox::{Announced, Expiring, Outbox, SinkTotals};

/// Longest wait for what has to be read for it.
const PATIENCE: Duration = Duration::from_secs(1);

impl Daemon {
    /// Says once in the log what was started from `file`, and if its outbox is new: at anything
    /// but the first start that is a wrong path, or a disk that is not mounted.
    pub async fn announce(&self, config: &Config, file: &Path, clock: &dyn Clock) {
        if self.behind.is_new {
            tracing::warn!(
                path = %whole(&config.outbox.path).display(),
                "began a new, empty outbox; if leads were stored before, outbox.path names another folder or its disk is not mounted"
            );
        }
        let store = &self.behind.outbox;
        let expiring = expiring(config, store, clock).await;
        let totals = store.totals();
        let waiting: u64 = totals.sinks.values().map(|sink| sink.waiting).sum();
        let dead: u64 = totals.sinks.values().map(SinkTotals::dead_letters).sum();
        let known = config.sinks.keys().chain(totals.sinks.keys());
        let mut paused: Vec<_> = known.filter(|sink| store.paused(sink)).collect();
        paused.sort();
        paused.dedup();
        let (file, outbox) = (whole(file), whole(&config.outbox.path));
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            configuration = %file.display(),
            revision = &*config.revision_hash(),
            outbox = %outbox.display(),
            bytes = store.size(),
            encrypted = !config.outbox.keys.is_empty(),
            sources = names(config.sources.keys()),
            sinks = names(config.sinks.keys()),
            leads = totals.leads,
            pending = waiting,
            dead,
            quarantined = totals.in_quarantine,
            orphaned = deliveries(&orphaned(config, &**store)),
            paused = names(paused.into_iter()),
            expiring = expiring.map(|soon| soon.dead_letters + soon.quarantine),
            public = %self.public.address(),
            admin = %self.behind.admin.address,
            "leadgate started"
        );
    }
}

/// What needs a person and leaves soon; `None` if that is not known, or not soon enough.
async fn expiring(
    config: &Config,
    outbox: &Arc<dyn Outbox>,
    clock: &dyn Clock,
) -> Option<Expiring> {
    if outbox.time().belief.ahead().is_some() {
        return None;
    }
    let keep = sweeper::retention(&config.outbox);
    let until = clock.now().saturating_add(Announced::ahead(keep.dead_ms));
    let outbox = Arc::clone(outbox);
    let read = tokio::task::spawn_blocking(move || outbox.expiring(keep, until));
    let read = tokio::time::timeout(PATIENCE, read).await;
    read.ok()?.ok()?.ok()
}

/// The path that says by itself where something is.
pub(super) fn whole(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}
