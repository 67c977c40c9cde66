//! An engine as the suite sees it: a place that outlives its stores, and the few things that a
//! test must do to it and the traits do not offer.

use std::path::Path;
use std::sync::Arc;

use crate::config::OnUpdate;
use crate::outbox::{ExportHeader, Outbox, SinkPolicy};
use crate::seal::OutboxKey;
use crate::telemetry::metrics::{Metrics, OutboxMetrics};

/// How a store is opened.
#[derive(Clone)]
pub(super) struct Setup {
    /// Arrivals that may wait.
    pub(super) queue: usize,
    /// Keys that seal records, the current one first.
    pub(super) keys: Vec<OutboxKey>,
    /// All configured sinks.
    pub(super) sinks: Vec<SinkPolicy>,
    /// Bytes that must stay free on the disk.
    pub(super) min_free: u64,
    /// Where the store measures.
    pub(super) metrics: OutboxMetrics,
}

/// The sinks of [`Setup::default`] with their policies: one of each kind of `on_update`.
pub(super) const SINKS: [(&str, OnUpdate, Option<&str>); 3] = [
    ("crm", OnUpdate::Each, None),
    ("mail", OnUpdate::Supersede, None),
    ("once", OnUpdate::Ignore, Some("mail")),
];

impl Default for Setup {
    fn default() -> Self {
        let policy = |(name, on_update, on_dead): (&str, OnUpdate, Option<&str>)| SinkPolicy {
            name: name.to_owned(),
            on_update,
            on_dead: on_dead.map(str::to_owned),
        };
        Self {
            queue: 4096,
            keys: Vec::new(),
            sinks: SINKS.map(policy).into(),
            min_free: 0,
            metrics: Metrics::new().outbox,
        }
    }
}

impl Setup {
    /// With these keys.
    pub(super) fn sealed_with(keys: &[OutboxKey]) -> Self {
        Self {
            keys: keys.to_vec(),
            ..Self::default()
        }
    }
}

/// A part of a store that writes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Writer {
    /// Makes a commit of what was asked.
    Committer,
    /// Makes commits durable and tells those who wait.
    Syncer,
}

/// A place for a store: what is there is there after the store was closed, or crashed.
pub(super) trait Engine: Sized + Send + Sync + 'static {
    /// Its store.
    type Store: Outbox;

    /// A place where nothing is stored yet.
    fn new() -> Self;

    /// Opens what is stored there; the error as the engine says it.
    fn open(&self, setup: &Setup) -> Result<Self::Store, String>;

    /// Ends a store as `kill -9` ends a process: what its files do not hold by now is lost.
    fn crash(&self, store: Self::Store);

    /// Closes a store. Blocks.
    fn close(&self, store: Self::Store) {
        use crate::outbox::Maintenance;
        store.close();
    }

    /// Makes of what a closed store left what a leadgate of a later format would leave, or
    /// takes that back.
    fn pretend_newer(&self, newer: bool);
}

/// An engine whose writers can be broken.
pub(super) trait Breakable: Engine {
    /// Lets a part of the store panic, at the next commit.
    fn panic(&self, store: &Arc<Self::Store>, writer: Writer);
}

/// An engine that makes whole stores of copies.
pub(super) trait Copying: Engine {
    /// What the engine's own verification finds wrong in a closed store.
    fn verify(&self, setup: &Setup) -> Vec<String>;

    /// Gives a place where nothing is stored yet the index key of an export.
    fn adopt(&self, setup: &Setup, header: &ExportHeader) -> Result<(), String>;

    /// Restores the backup in that file to this place, where nothing is stored yet.
    fn restore(&self, backup: &Path) -> Result<(), String>;
}

/// An engine whose bytes lie where someone may take them.
pub(super) trait OnDisk: Engine {
    /// All bytes that are stored.
    fn bytes(&self) -> Vec<Vec<u8>>;
}
