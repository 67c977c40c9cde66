//! The scrub: reads all of sled once and compares it with the digest.
//!
//! sled 0.34 may lose entries silently when a byte of its file changes. What it holds is read in
//! key order, in small parts between the batches; a batch's changes of keys that were passed
//! already are taken into account.

use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::digest::Digest;
use super::fault::IndexFault;
use super::{Order, Shared};

/// Entries that are read while no batch can be applied.
const CHUNK: usize = 256;

/// In the background a scrub rests this many times as long as it reads.
pub(super) const REST: u32 = 3;

/// What counts of a step that had to wait: a scrub that rests ends with it when the index closes.
const LONGEST_STEP: Duration = Duration::from_millis(300);

/// What a scrub has seen.
#[derive(Default)]
pub(super) struct Passed {
    /// The last key; nothing yet.
    last: Option<Vec<u8>>,
    digest: Digest,
}

impl Passed {
    /// Takes a change into account that is applied behind the scrub's back.
    pub(super) fn changed(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if self.last.as_deref().is_some_and(|last| key <= last) {
            self.digest.change(key, old, new);
        }
    }
}

/// Reads everything, and breaks the index if it is not what was put.
pub(super) fn run(shared: &Shared, rest: u32) -> Result<(), IndexFault> {
    // One at a time.
    let _alone = shared.scrub.lock();
    shared.ledger.lock().scrub = Some(Passed::default());
    let done = pass(shared, rest);
    shared.ledger.lock().scrub = None;
    match &done {
        Ok(()) => shared.checked.store(true, Ordering::Release),
        Err(IndexFault::Closed) => {}
        Err(fault) => shared.health.fail(fault.clone()),
    }
    done
}

fn pass(shared: &Shared, rest: u32) -> Result<(), IndexFault> {
    loop {
        let began = Instant::now();
        if step(shared)? {
            return Ok(());
        }
        if !shared.hurry.load(Ordering::Acquire) {
            std::thread::sleep(began.elapsed().min(LONGEST_STEP) * rest);
        }
    }
}

/// Reads on; whether that was the end.
fn step(shared: &Shared) -> Result<bool, IndexFault> {
    let mut held = shared.ledger.lock();
    let stamp = held.stamp;
    let passed = held.scrub.get_or_insert_default();
    let from = passed
        .last
        .clone()
        .map_or(Bound::Unbounded, Bound::Excluded);
    let (entries, all) = shared
        .tree
        .chunk(&from, &Bound::Unbounded, Order::Ascending, CHUNK)?;
    for (key, value) in entries {
        passed.digest.add(&key, &value);
        passed.last = Some(key);
    }
    if !all {
        return Ok(false);
    }
    let (found, wanted) = (passed.digest, stamp.digest);
    if found == wanted {
        return Ok(true);
    }
    Err(IndexFault::Damaged(if found.entries == wanted.entries {
        "some of its entries are not what was put there".to_owned()
    } else {
        format!(
            "it holds {} entries instead of {}",
            found.entries, wanted.entries
        )
    }))
}
