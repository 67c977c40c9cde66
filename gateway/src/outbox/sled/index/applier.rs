//! The applier: the one thread that writes into sled.
//!
//! A batch is whole puts, and holds the stamp that says so: after a crash sled holds exactly
//! the puts up to its stamp. The digest is kept with it.

use super::Shared;
use super::fault::IndexFault;
use super::queue::Taken;
use super::scrub::Passed;
use super::stamp::{self, Stamp};

/// What sled should hold, and what a scrub has seen of it. Locked while sled is written.
pub(super) struct Ledger {
    pub(super) stamp: Stamp,
    /// The scrub that is under way.
    pub(super) scrub: Option<Passed>,
}

/// Applies what is put until it is told to end, or the index breaks.
pub(super) fn run(shared: &Shared) {
    while let Some(taken) = shared.queue.next()
        && apply(shared, &taken).is_ok()
    {}
    shared.tree.close();
}

fn apply(shared: &Shared, taken: &Taken) -> Result<(), IndexFault> {
    let mut held = shared.ledger.lock();
    let mut stamp = held.stamp;
    stamp.applied = taken.sequence;
    let mut batch = ::sled::Batch::default();
    let mut changed = false;
    for (key, (old, new)) in &taken.changes {
        if old == new {
            continue;
        }
        stamp.digest.change(key, old.as_deref(), new.as_deref());
        match new {
            Some(new) => batch.insert(&**key, &**new),
            None => batch.remove(&**key),
        }
        changed = true;
    }
    if changed {
        batch.insert(stamp::KEY, stamp.encode());
        shared.tree.apply(batch, taken.changes.len())?;
        if let Some(scrub) = &mut held.scrub {
            for (key, (old, new)) in &taken.changes {
                scrub.changed(key, old.as_deref(), new.as_deref());
            }
        }
    }
    // Without a change the stamp goes along with the next batch, or the next flush.
    held.stamp = stamp;
    drop(held);
    let keys = taken.changes.keys();
    shared.overlay.write().forget(keys, taken.number);
    shared.queue.applied(taken);
    Ok(())
}

/// Makes all that is applied durable, and says up to where that is.
pub(super) fn flush(shared: &Shared) -> Result<u64, IndexFault> {
    let ledger = shared.ledger.lock();
    let mut batch = ::sled::Batch::default();
    batch.insert(stamp::KEY, ledger.stamp.encode());
    shared.tree.apply(batch, 1)?;
    shared.tree.flush()?;
    Ok(ledger.stamp.applied)
}
