//! The applier: the one thread that writes into sled.
//!
//! A batch is whole puts, and holds the stamp that says so: after a crash sled holds exactly
//! the puts up to its stamp. The digest is kept with it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::IndexFault;
use super::queue::{Closing, Taken, Work};
use super::scrub::Passed;
use super::stamp::{self, Stamp};
use super::{Bytes, Shared};

/// What sled should hold, and what a scrub has seen of it. Locked while a batch is applied.
pub(super) struct Ledger(Mutex<Held>);

pub(super) struct Held {
    pub(super) stamp: Stamp,
    /// The scrub that is under way.
    pub(super) scrub: Option<Passed>,
}

impl Ledger {
    pub(super) fn new(stamp: Stamp) -> Self {
        Self(Mutex::new(Held { stamp, scrub: None }))
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Applies what is put until it is told to end, or the index breaks.
pub(super) fn run(shared: &Shared) {
    let closing = loop {
        let done = match shared.queue.next() {
            Work::Apply(taken) => apply(shared, &taken),
            Work::Flush => flush(shared),
            Work::End(closing) => break Some(closing),
        };
        if done.is_err() {
            break None;
        }
    };
    match closing {
        #[cfg(test)]
        Some(Closing::Killed) => shared.tree.leak(),
        Some(Closing::Whole | Closing::Soon) | None => shared.tree.close(),
    }
}

fn apply(shared: &Shared, taken: &Taken) -> Result<(), IndexFault> {
    let mut held = shared.ledger.held();
    let mut stamp = held.stamp;
    stamp.applied = taken.sequence;
    let mut batch = ::sled::Batch::default();
    let mut changed = false;
    for (key, (old, new)) in &taken.changes {
        if old == new {
            continue;
        }
        told_right(shared, key, old.as_ref())?;
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
    shared.overlay_mut().forget(keys, taken.number);
    shared.queue.applied(taken.sequence, taken.bytes);
    Ok(())
}

/// Makes all that is applied durable.
fn flush(shared: &Shared) -> Result<(), IndexFault> {
    let stamp = shared.ledger.held().stamp;
    let mut batch = ::sled::Batch::default();
    batch.insert(stamp::KEY, stamp.encode());
    shared.tree.apply(batch, 1)?;
    shared.tree.flush()?;
    shared.queue.flushed(stamp.applied);
    Ok(())
}

/// Whether sled holds what a change said was there. Asked only where mistakes of leadgate are
/// looked for: a scrub finds them too, but does not say which key it was.
fn told_right(shared: &Shared, key: &Bytes, old: Option<&Bytes>) -> Result<(), IndexFault> {
    if cfg!(debug_assertions) && shared.tree.get(key)?.as_deref() != old.map(|old| &**old) {
        let kind = key.first().copied().map_or(' ', char::from);
        let fault = IndexFault::Damaged(format!(
            "an entry of kind `{kind}` is not what it was said to be"
        ));
        shared.health.fail(fault.clone());
        return Err(fault);
    }
    Ok(())
}
