//! The overlay: what was put and is not in sled yet, and what readers must still see as it was.
//!
//! Invariant: the overlay over sled is exactly all that was put, at every moment at which the
//! overlay's lock is held: an entry leaves only after the batch that holds it is in sled.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::fault::IndexFault;
use super::{Change, Order, Pair};

/// A key or a value, shared by the overlay, the queue and the views.
pub(super) type Bytes = Arc<[u8]>;

/// Keys that one view remembers the old values of. One that is read so slowly is given up.
const REMEMBERED: usize = 65_536;

/// What one change of a put is to the applier.
pub(super) struct Step {
    pub(super) key: Bytes,
    pub(super) old: Option<Bytes>,
    pub(super) new: Option<Bytes>,
}

/// What the overlay knows of a key.
pub(super) enum Known {
    /// Its value, or that it has none.
    Here(Option<Vec<u8>>),
    /// Nothing: it is as in sled.
    Below,
}

#[derive(Default)]
pub(super) struct Overlay {
    pending: BTreeMap<Bytes, Pending>,
    views: BTreeMap<u64, Seen>,
    next_view: u64,
    /// Puts so far: who reads the overlay and then sled learns by it that none came between.
    puts: u64,
}

struct Pending {
    new: Option<Bytes>,
    /// The last put that changed it, by [`Overlay::puts`].
    put: u64,
}

/// What a view must see instead of what is there now.
struct Seen {
    bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    before: BTreeMap<Bytes, Option<Bytes>>,
    outrun: bool,
}

/// What a view must see over sled, in order: an entry, or that there is none; and whether this
/// is all of it.
pub(super) type Layer = (Vec<(Vec<u8>, Option<Vec<u8>>)>, bool);

impl Overlay {
    /// Makes a put visible. What the applier needs of it is returned.
    pub(super) fn put(&mut self, changes: Vec<Change>) -> Vec<Step> {
        self.puts += 1;
        let mut steps = Vec::with_capacity(changes.len());
        for change in changes {
            let key: Bytes = change.key.into();
            let new: Option<Bytes> = change.new.map(Into::into);
            // What is pending is known better than what was said.
            let old = match self.pending.get_mut(&key) {
                Some(pending) => {
                    pending.put = self.puts;
                    std::mem::replace(&mut pending.new, new.clone())
                }
                None => {
                    let pending = Pending {
                        new: new.clone(),
                        put: self.puts,
                    };
                    self.pending.insert(Arc::clone(&key), pending);
                    change.old.map(Into::into)
                }
            };
            for view in self.views.values_mut() {
                view.remember(&key, old.as_ref());
            }
            steps.push(Step { key, old, new });
        }
        steps
    }

    /// Forgets what a batch up to that put brought into sled.
    pub(super) fn forget<'a>(&mut self, keys: impl Iterator<Item = &'a Bytes>, up_to: u64) {
        for key in keys {
            if self
                .pending
                .get(key)
                .is_some_and(|pending| pending.put <= up_to)
            {
                self.pending.remove(key);
            }
        }
    }

    pub(super) fn puts(&self) -> u64 {
        self.puts
    }

    /// What is pending for a key.
    pub(super) fn get(&self, key: &[u8]) -> Known {
        match self.pending.get(key) {
            Some(pending) => Known::Here(owned(pending.new.as_ref())),
            None => Known::Below,
        }
    }

    /// Begins a view of what is there now, between the bounds.
    pub(super) fn see(&mut self, from: Bound<Vec<u8>>, to: Bound<Vec<u8>>) -> u64 {
        self.next_view += 1;
        let seen = Seen {
            bounds: (from, to),
            before: BTreeMap::new(),
            outrun: false,
        };
        self.views.insert(self.next_view, seen);
        self.next_view
    }

    pub(super) fn unsee(&mut self, view: u64) {
        self.views.remove(&view);
    }

    /// What a view sees of a key, if that is not what is in sled.
    pub(super) fn seen(&self, view: u64, key: &[u8]) -> Result<Known, IndexFault> {
        let view = self.view(view)?;
        Ok(match view.before.get(key) {
            Some(before) => Known::Here(owned(before.as_ref())),
            None => self.get(key),
        })
    }

    /// What a view sees between the bounds and over sled: first what is pending, then what it
    /// must see instead. `from` is not above `to`.
    pub(super) fn layers(
        &self,
        view: u64,
        (from, to): (&Bound<Vec<u8>>, &Bound<Vec<u8>>),
        order: Order,
        limit: usize,
    ) -> Result<[Layer; 2], IndexFault> {
        let bounds = (slice(from), slice(to));
        let pending = self.pending.range::<[u8], _>(bounds);
        let pending = pending.map(|(key, pending)| (key, pending.new.as_ref()));
        let before = self.view(view)?.before.range::<[u8], _>(bounds);
        let before = before.map(|(key, before)| (key, before.as_ref()));
        Ok([layer(pending, order, limit), layer(before, order, limit)])
    }

    fn view(&self, view: u64) -> Result<&Seen, IndexFault> {
        match self.views.get(&view) {
            Some(view) if !view.outrun => Ok(view),
            _ => Err(IndexFault::Outrun),
        }
    }
}

impl Seen {
    fn remember(&mut self, key: &Bytes, old: Option<&Bytes>) {
        let (from, to) = &self.bounds;
        let bounds = (slice(from), slice(to));
        if self.outrun || !RangeBounds::<[u8]>::contains(&bounds, &**key) {
            return;
        }
        if self.before.len() >= REMEMBERED {
            self.outrun = true;
            self.before.clear();
            return;
        }
        // Only the first change since the view began.
        let entry = self.before.entry(Arc::clone(key));
        entry.or_insert_with(|| old.cloned());
    }
}

fn layer<'a>(
    entries: impl DoubleEndedIterator<Item = (&'a Bytes, Option<&'a Bytes>)>,
    order: Order,
    limit: usize,
) -> Layer {
    let entries = entries.map(|(key, value)| (key.to_vec(), owned(value)));
    let mut found: Vec<_> = match order {
        Order::Ascending => entries.take(limit + 1).collect(),
        Order::Descending => entries.rev().take(limit + 1).collect(),
    };
    let all = found.len() <= limit;
    found.truncate(limit);
    (found, all)
}

/// Lays layers over what was read of sled. Returned are the entries, in order, up to where all
/// of them were read, and that key, if there may be more behind it.
pub(super) fn merge(
    (below, all): (Vec<Pair>, bool),
    layers: [Layer; 2],
    order: Order,
) -> (Vec<Pair>, Option<Vec<u8>>) {
    let below = below.into_iter().map(|(key, value)| (key, Some(value)));
    let mut until: Option<Vec<u8>> = None;
    let mut merged = BTreeMap::new();
    for (entries, all) in [(below.collect(), all)].into_iter().chain(layers) {
        if let (false, Some((last, _))) = (all, entries.last()) {
            let sooner = until.as_ref().is_none_or(|until| match order {
                Order::Ascending => last < until,
                Order::Descending => last > until,
            });
            if sooner {
                until = Some(last.clone());
            }
        }
        // The later layer is the upper one.
        merged.extend(entries);
    }
    let read = |key: &Vec<u8>| match (&until, order) {
        (None, _) => true,
        (Some(until), Order::Ascending) => key <= until,
        (Some(until), Order::Descending) => key >= until,
    };
    let merged = merged
        .into_iter()
        .filter(|(key, _)| read(key))
        .filter_map(|(key, value)| Some((key, value?)));
    let entries = match order {
        Order::Ascending => merged.collect(),
        Order::Descending => merged.rev().collect(),
    };
    (entries, until)
}

fn owned(value: Option<&Bytes>) -> Option<Vec<u8>> {
    value.map(|value| value.to_vec())
}

fn slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}
