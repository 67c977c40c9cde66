//! The tree: sled behind a door, so that what sled does to its callers stays in here.
//!
//! sled 0.34 panics on damage, and has one lock for the whole process that a batch holds to its
//! end: a batch that hangs would take every reader with it. So each call is caught, and readers
//! wait outside of sled, where they learn of a fault.

use std::fs::File;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{RwLock, RwLockReadGuard};

use super::fault::{GAVE_UP, IndexFault, meaning};
use super::health::{Health, usable};
use super::stamp::{self, Stamp};
use super::{Order, Pair};
use crate::telemetry::panics::caught;

/// How often who waits asks whether the index broke.
pub(super) const ASKS: Duration = Duration::from_millis(500);

/// sled's own threads may hold on to a folder for a moment after it was closed.
const LETS_GO: Duration = Duration::from_secs(2);

/// How often sled writes what it holds back, syncs it, and moves pages out of segments that are
/// mostly empty, which it does at no other time. Closing may wait for half of it.
const FLUSH_EVERY_MS: u64 = 1_000;

pub(super) struct Tree {
    db: RwLock<Option<::sled::Db>>,
    health: Arc<Health>,
    /// sled's file.
    file: File,
}

impl Tree {
    /// Opens or makes the tree in `folder`; no stamp if it was made.
    pub(super) fn open(
        folder: &Path,
        cache: usize,
        health: Arc<Health>,
    ) -> Result<(Self, Option<Stamp>), IndexFault> {
        usable()?;
        let disk = |error: std::io::Error| IndexFault::Disk(error.to_string());
        drop_half_snapshots(folder).map_err(disk)?;
        let db = open_db(folder, cache)?;
        let tree = Self {
            db: RwLock::new(Some(db)),
            health,
            file: File::open(folder.join("db")).map_err(disk)?,
        };
        let stamp = match tree.get(stamp::KEY)? {
            Some(bytes) => Some(Stamp::decode(&bytes)?),
            None if tree.read(|db| Ok(db.is_empty()))? => None,
            None => {
                return Err(IndexFault::Damaged("its own record is missing".to_owned()));
            }
        };
        Ok((tree, stamp))
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault> {
        let found = self.read(|db| db.get(key))?;
        Ok(found.map(|value| value.to_vec()))
    }

    /// The first `limit` entries between the bounds, the stamp left out, and whether these are
    /// all. `from` is below `to` whatever the order.
    pub(super) fn chunk(
        &self,
        from: &Bound<Vec<u8>>,
        to: &Bound<Vec<u8>>,
        order: Order,
        limit: usize,
    ) -> Result<(Vec<Pair>, bool), IndexFault> {
        let bounds = (from.as_ref(), to.as_ref());
        self.read(|db| {
            let mut range = db.range::<&Vec<u8>, _>(bounds);
            let mut found = Vec::new();
            while found.len() < limit {
                let next = match order {
                    Order::Ascending => range.next(),
                    Order::Descending => range.next_back(),
                };
                match next.transpose()? {
                    Some((key, _)) if key == stamp::KEY => {}
                    Some((key, value)) => found.push((key.to_vec(), value.to_vec())),
                    None => return Ok((found, true)),
                }
            }
            Ok((found, false))
        })
    }

    /// Applies a batch of so many keys. Watched: this is the call that may hang.
    pub(super) fn apply(&self, batch: ::sled::Batch, keys: usize) -> Result<(), IndexFault> {
        self.health.over(|| {
            self.called(self.db.write().as_ref(), |db| db.apply_batch(batch))?;
            self.tidy(keys)
        })
    }

    /// Lets sled free the pages that a batch replaced. It does so a little at every 128th call
    /// of a thread, and a batch is one call: without this, large batches hold hundreds of
    /// megabytes that nobody needs, and are slower.
    fn tidy(&self, keys: usize) -> Result<(), IndexFault> {
        self.read(|db| (0..keys).try_for_each(|_| db.get(stamp::KEY).map(drop)))
    }

    /// Returns when all that was applied is on disk.
    pub(super) fn flush(&self) -> Result<(), IndexFault> {
        self.health.over(|| self.read(|db| db.flush()))?;
        // sled's own flush ends in sync_file_range (spacejam/sled#1452). Not watched: this is
        // the disk's business, and holds nobody up.
        self.file.sync_data().map_err(|error| {
            let fault = IndexFault::Disk(error.to_string());
            self.health.fail(fault.clone());
            fault
        })
    }

    /// Closes sled and returns when it let the folder go. After a fault it may never do so:
    /// then a thread is left behind for it.
    pub(super) fn close(&self) {
        // A reader that hangs in sled keeps it: then it is never dropped.
        let Some(mut db) = self.db.try_write_for(LETS_GO) else {
            return;
        };
        let db = db.take();
        // Dropping sled writes, and waits for its threads, which may have died.
        let dropped = || drop(caught(|| drop(db)));
        if self.health.fault().is_none() {
            self.health.over(dropped);
        } else {
            let reaper = std::thread::Builder::new().name("index-reaper".to_owned());
            // Without a thread it is dropped with the closure, which is caught by nobody.
            drop(reaper.spawn(dropped));
        }
    }

    /// Lets sled go without closing it, as a killed process would.
    #[cfg(test)]
    pub(super) fn leak(&self) {
        std::mem::forget(self.db.write().take());
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&::sled::Db) -> ::sled::Result<T>,
    ) -> Result<T, IndexFault> {
        let db = self.enter()?;
        self.called(db.as_ref(), work)
    }

    /// Waits until no batch is under way.
    fn enter(&self) -> Result<RwLockReadGuard<'_, Option<::sled::Db>>, IndexFault> {
        loop {
            if let Some(fault) = self.health.fault() {
                return Err(fault);
            }
            if let Some(db) = self.db.try_read_for(ASKS) {
                return Ok(db);
            }
        }
    }

    /// Calls sled. Whatever goes wrong in there is a fault of the index.
    fn called<T>(
        &self,
        db: Option<&::sled::Db>,
        work: impl FnOnce(&::sled::Db) -> ::sled::Result<T>,
    ) -> Result<T, IndexFault> {
        let Some(db) = db else {
            return Err(self.health.fault().unwrap_or(IndexFault::Closed));
        };
        guarded(|| work(db)).inspect_err(|fault| self.health.fail(fault.clone()))
    }
}

fn guarded<T>(work: impl FnOnce() -> ::sled::Result<T>) -> Result<T, IndexFault> {
    match caught(work) {
        Ok(done) => done.map_err(|error| meaning(&error)),
        // What a panic says may quote what is stored.
        Err(_) => Err(IndexFault::Damaged(GAVE_UP.to_owned())),
    }
}

fn open_db(folder: &Path, cache: usize) -> Result<::sled::Db, IndexFault> {
    let deadline = Instant::now() + LETS_GO;
    loop {
        let opened = guarded(|| {
            ::sled::Config::new()
                .path(folder)
                .cache_capacity(cache as u64)
                .flush_every_ms(Some(FLUSH_EVERY_MS))
                .open()
        });
        match opened {
            Err(IndexFault::InUse) if Instant::now() < deadline => {
                std::thread::sleep(LETS_GO / 100);
            }
            done => return done,
        }
    }
}

/// Removes snapshots that a crash left half written: sled would take one for its newest and
/// refuse to open. They are only a shortcut; the log has everything.
fn drop_half_snapshots(folder: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().ends_with(b".generating") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_call_is_a_fault_that_lets_waiting_readers_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let health = Arc::<Health>::default();
        let opened = Tree::open(folder.path(), 1 << 20, Arc::clone(&health));
        let (tree, stamp) = opened.expect("opens");
        assert_eq!(stamp, None);
        std::thread::scope(|scope| {
            // A batch is under way, so that a reader has to wait.
            let batch = tree.db.write();
            let reader = scope.spawn(|| tree.get(b"a"));
            let panicked: Result<(), _> =
                tree.called(batch.as_ref(), |_| panic!("a person's name"));
            let fault = panicked.expect_err("it panicked");
            assert_eq!(fault, IndexFault::Damaged(GAVE_UP.to_owned()));
            assert_eq!(reader.join().expect("ends"), Err(fault));
            drop(batch);
        });
        assert_eq!(tree.get(b"a"), Err(IndexFault::Damaged(GAVE_UP.to_owned())));
        tree.close();
    }
}
