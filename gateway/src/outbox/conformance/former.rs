//! sled in front: the engine of format 4.

use std::path::Path;
use std::sync::Arc;

use super::engine::{Breakable, Copying, Engine, OnDisk, Setup, Writer};
use super::folder::Folder;
use super::suite::{copies, sealed, suite, writers};
use crate::outbox::ExportHeader;
use crate::outbox::former::{self, Options, SledOutbox, tests::inside};

/// Memory for cached pages.
const CACHE: usize = 16 << 20;

struct Former(Folder);

impl Engine for Former {
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

impl Breakable for Former {
    fn panic(&self, store: &Arc<SledOutbox>, writer: Writer) {
        inside::panic(store, matches!(writer, Writer::Committer));
    }
}

impl Copying for Former {
    fn verify(&self, setup: &Setup) -> Vec<String> {
        match former::verify(&self.0.store(), &setup.keys, CACHE) {
            Ok(verdict) => {
                let problems = verdict.problems.iter();
                problems.map(|problem| problem.what.to_string()).collect()
            }
            Err(error) => vec![error.to_string()],
        }
    }

    fn adopt(&self, setup: &Setup, header: &ExportHeader) -> Result<(), String> {
        let adopted = former::adopt(&self.0.store(), CACHE, &setup.keys, header);
        adopted.map_err(|error| error.to_string())
    }

    fn restore(&self, backup: &Path) -> Result<(), String> {
        let restored = former::restore(backup, &self.0.store(), false);
        restored.map(drop).map_err(|error| error.to_string())
    }
}

impl OnDisk for Former {
    fn bytes(&self) -> Vec<Vec<u8>> {
        self.0.bytes()
    }
}

suite!(Former);
writers!(Former);
copies!(Former);
sealed!(Former);
