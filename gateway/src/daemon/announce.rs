//! The first line: what runs, made of what, and what waits.

use std::path::Path;

use super::Daemon;
use crate::config::Config;
use crate::outbox::SinkTotals;

impl Daemon {
    /// Says once in the log what was started from `file`, and if its outbox is new: at anything
    /// but the first start that is a wrong path, or a disk that is not mounted.
    pub fn announce(&self, config: &Config, file: &Path) {
        if self.behind.is_new {
            tracing::warn!(
                path = %whole(&config.outbox.path).display(),
                "began a new, empty outbox; if leads were stored before, outbox.path names another folder or its disk is not mounted"
            );
        }
        let totals = self.behind.outbox.totals();
        let waiting: u64 = totals.sinks.values().map(|sink| sink.waiting).sum();
        let dead: u64 = totals.sinks.values().map(SinkTotals::dead_letters).sum();
        let (file, outbox) = (whole(file), whole(&config.outbox.path));
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            configuration = %file.display(),
            outbox = %outbox.display(),
            encrypted = !config.outbox.keys.is_empty(),
            sources = names(config.sources.keys()),
            sinks = names(config.sinks.keys()),
            leads = totals.leads,
            pending = waiting,
            dead,
            quarantined = totals.in_quarantine,
            public = %self.public.address(),
            admin = %self.behind.admin.address,
            "leadgate started"
        );
    }
}

/// The path that says by itself where something is.
pub(super) fn whole(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}
