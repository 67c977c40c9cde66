//! Memory: the smallest engine there is, for tests: the rules of [`crate::outbox::state`], and the
//! records that a crash leaves.
//!
//! It shows that the suite asks for nothing but what the traits say, and that the records are all
//! that an engine needs to keep. A crash takes every end of an attempt that need not be durable
//! yet, so it is as unkind as an engine may be. It has no disk, no threads and makes no copies.

mod audited;
mod body;
mod claim;
mod list;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::store::MemoryOutbox;
use super::engine::{Engine, Setup};
use super::suite::{ordered, suite};
use crate::outbox::state::Record;
use crate::outbox::{AuditEntry, Chain, Totals};
use crate::seal::IndexKey;

/// The format written now.
const FORMAT: u32 = 1;

/// A place in memory.
struct Memory(Mutex<Arc<Mutex<Kept>>>);

/// What a store keeps.
#[derive(Clone)]
struct Kept {
    format: u32,
    in_use: bool,
    key: IndexKey,
    records: Vec<Record>,
    totals: Totals,
    /// So many records, and these totals, are durable.
    durable: (usize, Totals),
    /// The audit log; durable at once.
    audit: Vec<AuditEntry>,
    /// Up to which entry all left on purpose.
    retired: (u64, Chain),
}

/// Whatever panicked, what is kept is changed in whole steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine for Memory {
    type Store = MemoryOutbox;

    fn new() -> Self {
        Self(Mutex::new(Arc::new(Mutex::new(Kept {
            format: FORMAT,
            in_use: false,
            key: IndexKey::generate(),
            records: Vec::new(),
            totals: Totals::default(),
            durable: (0, Totals::default()),
            audit: Vec::new(),
            retired: (0, Chain::default()),
        }))))
    }

    fn open(&self, setup: &Setup) -> Result<MemoryOutbox, String> {
        MemoryOutbox::open(Arc::clone(&lock(&self.0)), setup)
    }

    fn crash(&self, store: MemoryOutbox) {
        let mut place = lock(&self.0);
        let mut left = lock(&place).clone();
        left.records.truncate(left.durable.0);
        left.totals.clone_from(&left.durable.1);
        left.in_use = false;
        *place = Arc::new(Mutex::new(left));
        drop(place);
        drop(store);
    }

    fn pretend_newer(&self, newer: bool) {
        lock(&lock(&self.0)).format = FORMAT + u32::from(newer);
    }
}

suite!(Memory);
ordered!(Memory);
