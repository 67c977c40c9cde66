//! A journal in front, sled as its index: the engine of format 5.

use std::sync::Arc;

use super::engine::{Breakable, Engine, OnDisk, Setup, Writer};
use super::folder::Folder;
use super::suite::{ordered, sealed, suite, writers};
use crate::outbox::sled::{Options, SledOutbox, inside};

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

impl OnDisk for Sled {
    fn bytes(&self) -> Vec<Vec<u8>> {
        self.0.bytes()
    }
}

suite!(Sled);
ordered!(Sled);
writers!(Sled);
sealed!(Sled);
