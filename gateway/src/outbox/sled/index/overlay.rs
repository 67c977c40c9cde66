//! The overlay: what was put and is not in sled yet.
//!
//! Invariant: the overlay over sled is exactly all that was put, at every moment at which the
//! overlay's lock is held: an entry leaves only after the batch that holds it is in sled.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::{Change, Order, Pair};

/// A key or a value, shared by the overlay and the queue.
pub(super) type Bytes = Arc<[u8]>;

/// What one change of a put is to the applier.
pub(super) struct Step {
    pub(super) key: Bytes,
    pub(super) old: Option<Bytes>,
    pub(super) new: Option<Bytes>,
}

#[derive(Default)]
pub(super) struct Overlay {
    pending: BTreeMap<Bytes, Pending>,
    /// Puts so far: who reads the overlay and then sled learns by it that none came between.
    puts: u64,
}

/// What became of a key.
pub(super) struct Pending {
    pub(super) new: Option<Bytes>,
    /// The last put that changed it, by [`Overlay::puts`].
    put: u64,
}

/// Entries in order, or that there is none of that key; and whether these are all.
type Chunk<T> = (Vec<(Vec<u8>, T)>, bool);

impl Overlay {
    /// Makes a put visible. What the applier needs of it is returned.
    pub(super) fn put(&mut self, changes: Vec<Change>) -> Vec<Step> {
        self.puts += 1;
        let mut steps = Vec::with_capacity(changes.len());
        for change in changes {
            let key: Bytes = change.key.into();
            let new: Option<Bytes> = change.new.map(Into::into);
            let pending = Pending {
                new: new.clone(),
                put: self.puts,
            };
            // What is pending is known better than what was said.
            let old = match self.pending.insert(Arc::clone(&key), pending) {
                Some(pending) => pending.new,
                None => change.old.map(Into::into),
            };
            steps.push(Step { key, old, new });
        }
        steps
    }

    /// Forgets what a batch up to that put brought into sled.
    pub(super) fn forget<'a>(&mut self, keys: impl Iterator<Item = &'a Bytes>, up_to: u64) {
        for key in keys {
            if self.get(key).is_some_and(|pending| pending.put <= up_to) {
                self.pending.remove(key);
            }
        }
    }

    pub(super) fn puts(&self) -> u64 {
        self.puts
    }

    /// What is pending for a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<&Pending> {
        self.pending.get(key)
    }

    /// The first of what is pending between the bounds. `from` is not above `to`.
    pub(super) fn chunk(
        &self,
        (from, to): (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
        order: Order,
        limit: usize,
    ) -> Chunk<Option<Vec<u8>>> {
        let slice = |bound| Bound::as_ref(bound).map(Vec::as_slice);
        let pending = self.pending.range::<[u8], _>((slice(from), slice(to)));
        let pending = pending.map(|(key, pending)| (key.to_vec(), owned(pending.new.as_ref())));
        let mut found: Vec<_> = match order {
            Order::Ascending => pending.take(limit + 1).collect(),
            Order::Descending => pending.rev().take(limit + 1).collect(),
        };
        let all = found.len() <= limit;
        found.truncate(limit);
        (found, all)
    }
}

/// Lays what is pending over what was read of sled. Returned are the entries, in order, up to
/// where all of both were read, and that key, if there may be more behind it.
pub(super) fn merge(
    (below, all_below): Chunk<Vec<u8>>,
    (above, all_above): Chunk<Option<Vec<u8>>>,
    order: Order,
) -> (Vec<Pair>, Option<Vec<u8>>) {
    let below_ends = below.last().filter(|_| !all_below).map(|(key, _)| key);
    let above_ends = above.last().filter(|_| !all_above).map(|(key, _)| key);
    let ends = below_ends.into_iter().chain(above_ends);
    let until = match order {
        Order::Ascending => ends.min(),
        Order::Descending => ends.max(),
    }
    .cloned();
    let below = below.into_iter().map(|(key, value)| (key, Some(value)));
    // The later one of a key stays.
    let mut merged: BTreeMap<_, _> = below.chain(above).collect();
    if let Some(until) = &until {
        merged.retain(|key, _| match order {
            Order::Ascending => key <= until,
            Order::Descending => key >= until,
        });
    }
    let merged = merged.into_iter();
    let merged = merged.filter_map(|(key, value)| Some((key, value?)));
    let entries = match order {
        Order::Ascending => merged.collect(),
        Order::Descending => merged.rev().collect(),
    };
    (entries, until)
}

pub(super) fn owned(value: Option<&Bytes>) -> Option<Vec<u8>> {
    value.map(|value| value.to_vec())
}
