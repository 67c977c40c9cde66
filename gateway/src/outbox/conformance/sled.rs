//! A journal in front, sled as its index: the engine of the daemon.

use std::path::Path;
use std::sync::Arc;

use super::engine::{Breakable, Copying, Engine, OnDisk, Setup, Writer};
use super::folder::Folder;
use super::suite::{copies, ordered, sealed, suite, writers};
use crate::outbox::ExportHeader;
use crate::outbox::sled::{Options, SledOutbox, adopt, inside, restore, verify};

/// Memory for cached pages of the index.
const CACHE: usize = 16 << 20;

struct Sled(Folder);

impl Engine for Sled {
    type Store = SledOutbox;

    fn new() -> Self {
        Self(Folder::new())
    }

    fn open(&self, setup: &Setup) -> Result<SledOutbox, String> {
        let opened = SledOutbox::open(Options {
            path: &self.0.store(),
            queue: setup.queue,
            cache: CACHE,
            keys: &setup.keys,
            sinks: setup.sinks.clone(),
            min_free: setup.min_free,
            metrics: setup.metrics.clone(),
        });
        opened.map_err(|error| error.to_string())
    }

    fn crash(&self, store: SledOutbox) {
        self.0.crash(store);
    }

    fn pretend_newer(&self, newer: bool) {
        inside::pretend_newer(&self.0.store(), newer);
    }
}

impl Breakable for Sled {
    fn panic(&self, store: &Arc<SledOutbox>, writer: Writer) {
        inside::panic(store, matches!(writer, Writer::Committer));
    }
}

impl Copying for Sled {
    fn verify(&self, setup: &Setup) -> Vec<String> {
        let verdict = verify(&self.0.store(), &setup.keys, CACHE).expect("verifies");
        let problems = verdict.problems.iter();
        problems
            .map(|one| format!("{}: {}", one.key, one.what))
            .collect()
    }

    fn adopt(&self, setup: &Setup, header: &ExportHeader) -> Result<(), String> {
        let adopted = adopt(&self.0.store(), &setup.keys, header);
        adopted.map_err(|error| error.to_string())
    }

    fn restore(&self, backup: &Path) -> Result<(), String> {
        let restored = restore(backup, &self.0.store(), false);
        restored.map(drop).map_err(|error| error.to_string())
    }
}

impl OnDisk for Sled {
    fn bytes(&self) -> Vec<Vec<u8>> {
        self.0.bytes()
    }
}

suite!(Sled);
ordered!(Sled);
writers!(Sled);
copies!(Sled);
sealed!(Sled);
