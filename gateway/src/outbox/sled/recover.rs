//! Recovery: the entries that a log still holds, put into a new tree.
//!
//! Each leaf is authority for its range of keys; a later one overrides an earlier. Where
//! damage took a leaf's newest state, an older one may stand in, or nothing.

use std::io;

use super::key;
use super::log::{Contents, Log, Page};
use super::page::Leaf;
use super::record;
use crate::outbox::Totals;

/// Keys from `low` on, below `high` (empty: no end), of which no page is left.
pub(super) struct Gap {
    pub(super) low: Vec<u8>,
    pub(super) high: Vec<u8>,
}

/// Puts every entry into `tree` and says what is missing.
pub(super) fn recover(log: &Log, contents: &Contents, tree: &::sled::Tree) -> io::Result<Vec<Gap>> {
    let mut pages: Vec<&Page> = contents.pages.values().collect();
    pages.sort_unstable_by_key(|page| page.written);
    let mut ranges = Vec::new();
    for page in pages {
        let Some(leaf) = leaf(log, page)? else {
            continue;
        };
        put(tree, &leaf).map_err(io::Error::other)?;
        ranges.push((leaf.low, leaf.high));
    }
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
    Ok(gaps)
}

/// The store's counts as its log holds them.
pub(super) fn totals(log: &Log, contents: &Contents) -> io::Result<Option<Totals>> {
    let mut newest = None;
    for page in contents.pages.values() {
        if newest
            .as_ref()
            .is_some_and(|(written, _)| page.written < *written)
        {
            continue;
        }
        if let Some(leaf) = leaf(log, page)?
            && let Some(bytes) = leaf.entries.get(key::TOTALS)
        {
            newest = Some((page.written, record::decode_owned(bytes).ok()));
        }
    }
    Ok(newest.and_then(|(_, totals)| totals))
}

fn leaf(log: &Log, page: &Page) -> io::Result<Option<Leaf>> {
    let Some(mut leaf) = Leaf::read(&log.body(page.state)?) else {
        return Ok(None);
    };
    for change in &page.changes {
        leaf.change(&log.body(*change)?);
    }
    Ok(Some(leaf))
}

fn put(tree: &::sled::Tree, leaf: &Leaf) -> ::sled::Result<()> {
    let mut batch = ::sled::Batch::default();
    let older = if leaf.high.is_empty() {
        tree.range(leaf.low.as_slice()..)
    } else {
        tree.range(leaf.low.as_slice()..leaf.high.as_slice())
    };
    for key in older.keys() {
        batch.remove(key?);
    }
    for (key, value) in &leaf.entries {
        batch.insert(key.as_slice(), value.as_slice());
    }
    tree.apply_batch(batch)
}
