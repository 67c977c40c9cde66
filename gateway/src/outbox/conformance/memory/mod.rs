//! Memory: the smallest engine there is, for tests: the rules of [`crate::outbox::state`], and a
//! journal of records that a crash leaves.
//!
//! It shows that the suite asks for nothing but what the traits say, and that the records are all
//! that an engine needs to keep. A crash takes every end of an attempt that need not be durable
//! yet, so it is as unkind as an engine may be. It cannot show what lies on a disk.

mod body;
mod claim;
mod committer;
mod export;
mod journal;
mod list;
mod store;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::journal::Kept;
use self::store::MemoryOutbox;
use super::engine::{Breakable, Copying, Engine, Setup, Writer};
use super::suite::{copies, ordered, suite, writers};
use crate::outbox::ExportHeader;
use crate::seal::IndexKey;

/// The format written now.
const FORMAT: u32 = 1;

/// A place in memory.
struct Memory(Mutex<Arc<Mutex<Kept>>>);

/// Whatever panicked, what is kept is changed in whole steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    fn kept(&self) -> Arc<Mutex<Kept>> {
        Arc::clone(&lock(&self.0))
    }
}

impl Engine for Memory {
    type Store = MemoryOutbox;

    fn new() -> Self {
        Self(Mutex::new(Arc::new(Mutex::new(Kept {
            format: FORMAT,
            in_use: false,
            index_key: IndexKey::generate(),
            sealed_with: None,
            frames: Vec::new(),
            synced: 0,
        }))))
    }

    fn open(&self, setup: &Setup) -> Result<MemoryOutbox, String> {
        MemoryOutbox::open(self.kept(), setup)
    }

    fn crash(&self, store: MemoryOutbox) {
        let mut kept = lock(&self.0);
        let mut left = lock(&kept).clone();
        left.frames.truncate(left.synced);
        left.in_use = false;
        *kept = Arc::new(Mutex::new(left));
        drop(kept);
        drop(store);
    }

    fn pretend_newer(&self, newer: bool) {
        lock(&self.kept()).format = FORMAT + u32::from(newer);
    }
}

impl Breakable for Memory {
    fn panic(&self, store: &Arc<MemoryOutbox>, writer: Writer) {
        store.let_panic(writer);
    }
}

impl Copying for Memory {
    fn verify(&self, _: &Setup) -> Vec<String> {
        let kept = self.kept();
        let kept = lock(&kept);
        let read = kept.frames.iter().map(|frame| journal::decode(frame));
        read.filter_map(Result::err).collect()
    }

    fn adopt(&self, setup: &Setup, header: &ExportHeader) -> Result<(), String> {
        let kept = self.kept();
        let mut kept = lock(&kept);
        kept.unlock(setup)?;
        let key = body::hex::<32>(&header.index_key)?;
        if *kept.index_key.as_bytes() != key && !kept.frames.is_empty() {
            return Err("it has leads of its own".to_owned());
        }
        kept.index_key = IndexKey::from_bytes(key);
        Ok(())
    }

    fn restore(&self, backup: &Path) -> Result<(), String> {
        let bytes = std::fs::read(backup).map_err(|error| error.to_string())?;
        let kept = self.kept();
        let mut kept = lock(&kept);
        if !kept.frames.is_empty() {
            return Err("there is something already".to_owned());
        }
        (kept.index_key, kept.frames) = journal::read_backup(&bytes)?;
        kept.synced = kept.frames.len();
        Ok(())
    }
}

suite!(Memory);
ordered!(Memory);
writers!(Memory);
copies!(Memory);
