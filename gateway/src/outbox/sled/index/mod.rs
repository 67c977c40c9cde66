//! The index: an ordered map of bytes that is eventually on sled.
//!
//! What is put is visible at once and applied to sled later, in order, by one thread; after a
//! crash the index holds exactly the puts up to [`Index::applied`]. It can be thrown away at any
//! time: a fault of sled, whatever it is, breaks the index and nothing else, and whoever owns it
//! makes it anew from the journal. Knows nothing of what the keys mean.

mod applier;
mod digest;
mod fault;
mod health;
mod overlay;
mod queue;
mod range;
mod scrub;
mod stamp;
#[cfg(test)]
mod tests;
mod tree;

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

pub use fault::IndexFault;
pub use range::Range;

use applier::Ledger;
use health::Health;
use overlay::{Overlay, owned};
use queue::Queue;
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
    ledger: Mutex<Ledger>,
    health: Arc<Health>,
    /// Held by the scrub that is under way.
    scrub: Mutex<()>,
    /// Somebody waits for it.
    hurry: AtomicBool,
    /// Whether what sled holds is known to be what was put.
    checked: AtomicBool,
}

impl Index {
    /// Opens the index in `folder`, or makes an empty one there, and says up to which sequence
    /// it holds all puts (0: none). `cache` is what sled may keep in memory, in bytes.
    pub fn open(folder: &Path, cache: usize) -> Result<(Arc<Self>, u64), IndexFault> {
        let health = Arc::<Health>::default();
        let (tree, stamp) = Tree::open(folder, cache, Arc::clone(&health))?;
        let ledger = Ledger {
            stamp: stamp.unwrap_or_default(),
            scrub: None,
        };
        let applied = ledger.stamp.applied;
        let shared = Arc::new(Shared {
            overlay: RwLock::default(),
            queue: Queue::new(applied),
            tree,
            ledger: Mutex::new(ledger),
            health,
            scrub: Mutex::default(),
            hurry: AtomicBool::default(),
            checked: AtomicBool::new(stamp.is_none()),
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
            worker.queue.ended();
        })?;
        Ok((Arc::new(Self(shared)), applied))
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault> {
        // A broken one takes nothing any more: what is pending here may not be the last.
        if let Some(fault) = self.0.health.known() {
            return Err(fault);
        }
        if let Some(pending) = self.0.overlay.read().get(key) {
            return Ok(owned(pending.new.as_ref()));
        }
        // What is not pending is in sled: an entry leaves the overlay only afterwards.
        self.0.tree.get(key)
    }

    /// The entries between two bounds, `from` being the lower one whatever the order. They are
    /// read in chunks as they are asked for; each chunk shows every put whole, or not at all.
    pub fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Range<'_> {
        Range::new(&self.0, from, to, order)
    }

    /// Makes changes visible, all at once. They are applied to sled later, after those of
    /// earlier puts; sequences never fall. Nothing waits here: see [`Index::wait_for_room`]. An index
    /// that is broken takes nothing any more.
    pub fn put(&self, sequence: u64, changes: Vec<Change>) {
        if self.fault().is_some() {
            return;
        }
        let mut overlay = self.0.overlay.write();
        let steps = overlay.put(changes);
        self.0.queue.push(sequence, overlay.puts(), steps);
    }

    /// Waits while more is on its way into sled than may be. A broken index lets everybody go.
    pub fn wait_for_room(&self) {
        self.0.queue.wait_for_room(&self.0.health);
    }

    /// Up to which sequence all is in sled, though perhaps not on disk.
    pub fn applied(&self) -> u64 {
        self.0.queue.applied_to()
    }

    /// Returns when all that was put before is in sled and on disk, with its sequence.
    pub fn checkpoint(&self) -> Result<u64, IndexFault> {
        self.checkpoint_by(None)
    }

    fn checkpoint_by(&self, deadline: Option<Instant>) -> Result<u64, IndexFault> {
        self.0.queue.wait_for_all(&self.0.health, deadline)?;
        applier::flush(&self.0)
    }

    /// Why the index is broken, if it is. That is final: it must be made anew.
    pub fn fault(&self) -> Option<IndexFault> {
        self.0.health.fault()
    }

    /// Breaks the index: whoever reads it saw that it does not hold what was put.
    pub fn fail(&self, fault: IndexFault) {
        self.0.health.fail(fault);
    }

    /// Whether sled is known to hold what was put: a scrub ended well, or it began empty.
    pub fn checked(&self) -> bool {
        self.0.checked.load(Ordering::Acquire)
    }

    /// Compares all that sled holds with what was put, at full speed.
    pub fn scrub(&self) -> Result<(), IndexFault> {
        scrub::run(&self.0, 0)
    }

    /// Returns when that is known; a comparison that is under way is hurried.
    pub fn check(&self) -> Result<(), IndexFault> {
        if self.checked() {
            return Ok(());
        }
        self.0.hurry.store(true, Ordering::Release);
        // Whoever compares now is waited for.
        drop(self.0.scrub.lock());
        if self.checked() { Ok(()) } else { self.scrub() }
    }

    /// Begins the same in the background; what it finds is the index's fault.
    pub fn watch_scrub(&self) {
        let shared = Arc::clone(&self.0);
        let begun = spawn("index-scrub", move || {
            if scrub::run(&shared, scrub::REST).is_ok() {
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
        let deadline = Instant::now() + CLOSES;
        // What it says is the index's fault, which is known.
        _ = self.checkpoint_by(Some(deadline));
        self.0.queue.end(&self.0.health, deadline);
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
        self.0.tree.leak();
        self.0.queue.end(&self.0.health, Instant::now() + CLOSES);
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let deadline = Instant::now() + DROPS;
        self.0.queue.end(&self.0.health, deadline);
    }
}

/// Deletes the index in `folder`, durably. Nothing being there is fine.
pub fn delete(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match folder.parent() {
        Some(parent) => std::fs::File::open(parent)?.sync_all(),
        None => Ok(()),
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
