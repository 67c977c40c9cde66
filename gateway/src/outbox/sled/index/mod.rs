//! The index: an ordered map of bytes that is eventually on sled.
//!
//! What is put is visible at once and applied to sled later, in order, by one thread; after a
//! crash the index holds exactly the puts up to [`Index::applied`]. It can be thrown away at any
//! time: a fault of sled, whatever it is, breaks the index and nothing else, and whoever owns it
//! makes it anew from the journal. Knows nothing of what the keys mean.

mod applier;
mod aside;
mod digest;
mod fault;
mod health;
mod overlay;
mod queue;
mod scrub;
mod stamp;
#[cfg(test)]
mod tests;
mod tree;
mod view;

use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::{Duration, Instant};

pub use aside::{aside, delete};
pub use fault::IndexFault;
pub use view::{Range, View};

use applier::Ledger;
use health::Health;
use overlay::{Bytes, Known, Overlay};
use queue::{BOUND, Closing, Queue};
use tree::Tree;

/// How long a closing index may take to write what was put.
const CLOSES: Duration = Duration::from_secs(60);

/// How long one that is only dropped may take to let sled go.
const DROPS: Duration = Duration::from_secs(10);

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What becomes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key; none begins with `m`.
    pub key: Vec<u8>,
    /// What the index shows for it right before.
    pub old: Option<Vec<u8>>,
    /// What it shows from then on.
    pub new: Option<Vec<u8>>,
}

/// In which direction a range is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The lowest key first.
    Ascending,
    /// The highest key first.
    Descending,
}

impl Order {
    /// Of ids, which sort by the time they were made.
    pub const fn of(newest_first: bool) -> Self {
        if newest_first {
            Self::Descending
        } else {
            Self::Ascending
        }
    }
}

/// An ordered map of bytes, applied to sled behind its user's back.
pub struct Index(Arc<Shared>);

struct Shared {
    overlay: RwLock<Overlay>,
    queue: Queue,
    tree: Tree,
    ledger: Ledger,
    health: Arc<Health>,
    /// Held by the scrub that is under way.
    scrub: Mutex<()>,
    /// Whether what sled holds is known to be what was put.
    checked: AtomicBool,
    /// Whether the index was told to close; told when it is.
    closing: (Mutex<bool>, Condvar),
}

impl Index {
    /// Opens the index in `folder`, or makes an empty one there, and says up to which sequence
    /// it holds all puts (0: none). `cache` is what sled may keep in memory, in bytes.
    pub fn open(folder: &Path, cache: usize) -> Result<(Arc<Self>, u64), IndexFault> {
        let health = Arc::<Health>::default();
        let (tree, stamp) = Tree::open(folder, cache, Arc::clone(&health))?;
        let known = stamp.unwrap_or_default();
        let shared = Arc::new(Shared {
            overlay: RwLock::default(),
            queue: Queue::new(known.applied),
            tree,
            ledger: Ledger::new(known),
            health,
            scrub: Mutex::default(),
            checked: AtomicBool::new(stamp.is_none()),
            closing: (Mutex::new(false), Condvar::new()),
        });
        let worker = Arc::clone(&shared);
        spawn("index-applier", move || {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                applier::run(&worker);
            }));
            if ended.is_err() {
                let words = "its applier stopped by an error inside leadgate".to_owned();
                worker.health.fail(IndexFault::Damaged(words));
            }
            worker.queue.end();
        })?;
        Ok((Arc::new(Self(shared)), known.applied))
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault> {
        let pending = self.0.overlay().get(key);
        match pending {
            Known::Here(value) => Ok(value),
            // What is not pending is in sled: an entry leaves the overlay only afterwards.
            Known::Below => self.0.tree.get(key),
        }
    }

    /// The entries between two bounds, `from` being the lower one whatever the order, as they
    /// are now: puts that come while it is read are not seen. Drop it soon: the writer keeps for
    /// it what it changes in there. One that too many changes have outrun says so and ends.
    pub fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Range<'_> {
        Range::now(&self.0, from, to, order)
    }

    /// The whole index as it is now, for reading several entries that belong together. What was
    /// said of [`Index::range`] goes for it, with every change there is.
    pub fn view(&self) -> View<'_> {
        View::new(&self.0)
    }

    /// Makes changes visible, all at once. They are applied to sled later, after those of
    /// earlier puts; sequences never fall. Nothing waits here: see [`Index::wait_for_room`]. An index
    /// that is broken takes nothing any more.
    pub fn put(&self, sequence: u64, changes: Vec<Change>) {
        if self.fault().is_some() {
            return;
        }
        let mut overlay = self.0.overlay_mut();
        let steps = overlay.put(changes);
        self.0.queue.push(sequence, overlay.puts(), steps);
    }

    /// Waits while more is on its way into sled than may be. A broken index lets everybody go.
    pub fn wait_for_room(&self) {
        self.0.queue.wait_for_room(BOUND, &self.0.health);
    }

    /// Up to which sequence all is in sled, though perhaps not on disk.
    pub fn applied(&self) -> u64 {
        self.0.queue.applied_to()
    }

    /// How many sequences, and bytes of memory, are on their way into sled.
    pub fn behind(&self) -> (u64, usize) {
        self.0.queue.behind()
    }

    /// Returns when all that was put before is in sled and on disk, with its sequence.
    pub fn checkpoint(&self) -> Result<u64, IndexFault> {
        self.0.queue.checkpoint(&self.0.health)
    }

    /// Why the index is broken, if it is. That is final: it must be made anew.
    pub fn fault(&self) -> Option<IndexFault> {
        self.0.health.fault()
    }

    /// Breaks the index: whoever reads it saw that it does not hold what was put.
    pub fn fail(&self, fault: IndexFault) {
        self.0.health.fail(fault);
    }

    /// For how long a write into sled hangs, if one does. It may still end.
    pub fn hangs(&self) -> Option<Duration> {
        self.0.health.hangs()
    }

    /// Whether sled is known to hold what was put: a scrub ended well, or it began empty.
    pub fn checked(&self) -> bool {
        self.0.checked.load(Ordering::Acquire)
    }

    /// Compares all that sled holds with what was put, at full speed.
    pub fn scrub(&self) -> Result<(), IndexFault> {
        self.0.scrub_at(0)
    }

    /// Begins the same in the background; what it finds is the index's fault.
    pub fn watch_scrub(&self) {
        let shared = Arc::clone(&self.0);
        let begun = spawn("index-scrub", move || {
            if shared.scrub_at(scrub::REST).is_ok() {
                tracing::debug!("index checked");
            }
        });
        if let Err(fault) = begun {
            tracing::warn!(error = %fault, "index not checked");
        }
    }

    /// Brings everything into sled and onto the disk, as far as the index is well, and lets sled
    /// go. What is put afterwards is lost with the process.
    pub fn close(&self) {
        self.end(Closing::Whole, CLOSES);
    }

    fn end(&self, how: Closing, at_most: Duration) {
        self.0.stop_resting();
        if !self.0.queue.close(how, at_most, &self.0.health) {
            tracing::debug!("index let go before it was closed");
        }
    }

    /// Takes an entry out of sled whose key begins so, as damage does, and forgets that it was
    /// compared.
    #[cfg(test)]
    pub(super) fn lose_an_entry(&self, prefix: &[u8]) {
        let from = Bound::Included(prefix.to_vec());
        let chunk = self
            .0
            .tree
            .chunk(&from, &Bound::Unbounded, Order::Ascending, 1);
        let (key, _) = chunk.expect("reads").0.remove(0);
        let mut batch = ::sled::Batch::default();
        batch.remove(key);
        self.0.tree.apply(batch, 1).expect("applied");
        self.0.checked.store(false, Ordering::Release);
    }

    /// Ends as if the process were killed.
    #[cfg(test)]
    fn kill(&self) {
        self.end(Closing::Killed, CLOSES);
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.end(Closing::Soon, DROPS);
    }
}

impl Shared {
    fn overlay(&self) -> RwLockReadGuard<'_, Overlay> {
        self.overlay.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn overlay_mut(&self) -> RwLockWriteGuard<'_, Overlay> {
        self.overlay.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn scrub_at(&self, rest: u32) -> Result<(), IndexFault> {
        scrub::run(self, rest)?;
        self.checked.store(true, Ordering::Release);
        Ok(())
    }

    fn scrubbing(&self) -> MutexGuard<'_, ()> {
        self.scrub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so long, or until the index is closed.
    fn rest(&self, long: Duration) -> Result<(), IndexFault> {
        let deadline = Instant::now() + long;
        let mut closing = self
            .closing
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if *closing {
                return Err(IndexFault::Closed);
            }
            if left.is_zero() {
                return Ok(());
            }
            let waited = self.closing.1.wait_timeout(closing, left);
            closing = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn stop_resting(&self) {
        *self
            .closing
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.closing.1.notify_all();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), IndexFault> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    // Not joined: whoever closes waits until it said that it ended, and not for ever.
    match thread.spawn(work) {
        Ok(_) => Ok(()),
        Err(error) => Err(IndexFault::Disk(format!("no thread: {error}"))),
    }
}
