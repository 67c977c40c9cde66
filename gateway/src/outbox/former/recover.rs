//! Recovery: the entries that a log still holds, put into a new tree.
//!
//! The log is gone through from its beginning, as if everything were written once more. So
//! where damage took a page's newest state, whatever older one is left stands in.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;

use super::judge::Counts;
use super::key;
use super::log::{Damage, Kind, Log};
use super::mark;
use super::page::{Change, Leaf, Range};

/// Keys from `low` on, below `high` (empty: no end), of which no page is left.
pub(super) struct Gap {
    pub(super) low: Vec<u8>,
    pub(super) high: Vec<u8>,
}

/// What was found beside the entries.
pub(super) struct Recovered {
    pub(super) gaps: Vec<Gap>,
    pub(super) damage: Vec<Damage>,
    /// Pushes that the newest counts found speak of.
    pub(super) pushes: Option<u64>,
    /// Changes that belong to no page that is left.
    pub(super) strays: u64,
}

/// Puts every entry into `tree` and says what is missing.
pub(super) fn recover(log: &Log, tree: &::sled::Tree) -> io::Result<Recovered> {
    // Most states of a page are followed by another one of the same range.
    let mut last: HashMap<u64, (u64, u64)> = HashMap::new();
    log.read(|message| {
        if message.kind == Kind::Node
            && let Some(range) = Range::of_leaf(message.body)
        {
            last.insert(message.page, (message.written, digest(&range)));
        }
        Ok(())
    })?;
    let mut pages: HashMap<u64, Known> = HashMap::new();
    let mut counts = Counts::default();
    let (mut pushes, mut strays) = (None, 0);
    let mut ranges = Vec::new();
    let found = log.read(|message| {
        if let Some(totals) = counts.see(message) {
            pushes = Some(mark::pushes(&totals));
        }
        match message.kind {
            Kind::Node => {
                pages.remove(&message.page);
                let Some(range) = Range::of_leaf(message.body) else {
                    return Ok(());
                };
                let follows = last.get(&message.page).is_some_and(|(written, digested)| {
                    *written > message.written && *digested == digest(&range)
                });
                if follows {
                    pages.insert(message.page, Known::Follows);
                } else if let Some(leaf) = Leaf::read(message.body) {
                    put(tree, &leaf).map_err(io::Error::other)?;
                    ranges.push((leaf.range.low.clone(), leaf.range.high.clone()));
                    pages.insert(message.page, Known::Put(leaf.range));
                }
            }
            Kind::Link => match pages.get(&message.page) {
                Some(Known::Put(range)) => {
                    if !change(tree, range, message.body).map_err(io::Error::other)? {
                        strays += 1;
                    }
                }
                Some(Known::Follows) | None => {}
            },
            Kind::Free => {
                pages.remove(&message.page);
            }
            Kind::Own | Kind::Batch | Kind::Other => {}
        }
        Ok(())
    })?;
    Ok(Recovered {
        gaps: gaps(ranges),
        damage: found.damage,
        pushes,
        strays,
    })
}

/// What stands of a page.
enum Known {
    Put(Range),
    /// Nothing yet: a later state has all of it.
    Follows,
}

fn digest(range: &Range) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&range.low, &range.high).hash(&mut hasher);
    hasher.finish()
}

fn put(tree: &::sled::Tree, leaf: &Leaf) -> ::sled::Result<()> {
    let mut batch = ::sled::Batch::default();
    let (low, high) = (leaf.range.low.as_slice(), leaf.range.high.as_slice());
    let older = if high.is_empty() {
        tree.range(low..)
    } else {
        tree.range(low..high)
    };
    for key in older.keys() {
        batch.remove(key?);
    }
    for (key, value) in &leaf.entries {
        batch.insert(key.as_slice(), value.as_slice());
    }
    tree.apply_batch(batch)
}

/// Applies a change; `false` if it fits nowhere. It may belong to a state of the page that is
/// damaged, and lack another prefix than what stands in has.
fn change(tree: &::sled::Tree, range: &Range, bytes: &[u8]) -> ::sled::Result<bool> {
    let fitting = |rest: &[u8]| {
        let mut keys = std::iter::once(range.key(rest)).chain(range.keys(rest));
        keys.find(|key| range.covers(key) && key::is_one(key))
    };
    match Change::read(bytes) {
        Some(Change::Set(rest, value)) => {
            let Some(key) = fitting(&rest) else {
                return Ok(false);
            };
            tree.insert(key, value)?;
        }
        Some(Change::Remove(rest)) => {
            let Some(key) = fitting(&rest) else {
                return Ok(false);
            };
            tree.remove(key)?;
        }
        Some(Change::Merge) => {}
        None => return Ok(false),
    }
    Ok(true)
}

fn gaps(mut ranges: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<Gap> {
    ranges.sort_unstable();
    let mut gaps = Vec::new();
    let mut covered = Some(Vec::new());
    for (low, high) in ranges {
        let Some(end) = &mut covered else { break };
        if low > *end {
            gaps.push(Gap {
                low: end.clone(),
                high: low,
            });
        }
        if high.is_empty() {
            covered = None;
        } else if high > *end {
            *end = high;
        }
    }
    if let Some(low) = covered {
        let high = Vec::new();
        gaps.push(Gap { low, high });
    }
    gaps
}
