//! The index: which leads have a value, which push has a fingerprint.
//!
//! Hashes are random, and a tree that is changed in random places costs several times what an
//! appended one costs, and more the larger it grows. So entries gather in memory, are written
//! in order as a *run* of blocks, and runs are merged into larger ones, bit by bit, with the
//! commits that bring new entries (a log-structured merge tree inside the one tree).
//!
//! | key | value |
//! |---|---|
//! | `m/index` | which runs count, and from where the journal does |
//! | `b` run, first entry | a block: sorted entries, each with whether it was added or removed |
//! | `j` number, part | the changes of one commit that are in no run yet |
//!
//! Invariant: the runs of `m/index`, then the journal from its number on, oldest to newest,
//! are the whole index. All of it is written in the batches of the commits, so a crash leaves
//! either side of each step. What a crash leaves behind of an unfinished run counts nowhere.

mod compactor;
mod entry;
mod filter;
mod merge;

use std::collections::BTreeMap;
use std::sync::Arc;

use ::sled::{IVec, Tree};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(super) use self::compactor::Compactor;
use self::compactor::Flip;
pub(super) use self::entry::{Change, Entry, Tag};
use self::entry::{decode, encode};
use self::filter::Filter;
use self::merge::Merge;
use super::fault::Fault;
use super::key;
use super::record::{self, PART};
use super::writes::Writes;

/// Entries that gather in memory before they become a run: about 1 MiB. Few in unit tests, so
/// that they see all of a run's life.
const GATHERED: usize = if cfg!(test) { 2048 } else { 16 * 1024 };

/// Changes that are in no run yet.
type Memory = BTreeMap<Entry, bool>;

/// What was gathered and is being written as a run.
#[derive(Clone)]
struct Frozen {
    memory: Arc<Memory>,
    /// Where the journal goes on when the run counts.
    journal_from: u64,
}

/// A run as `m/index` has it.
#[derive(Clone, Serialize, Deserialize)]
struct Known {
    number: u32,
    level: u8,
    /// Its entries, and how many of them are removals.
    entries: u64,
    removed: u64,
    /// Entries that have a place in the filter, at most.
    filtered: u64,
}

#[derive(Clone)]
struct Run {
    known: Known,
    filter: Arc<Filter>,
}

/// `m/index`.
#[derive(Serialize, Deserialize)]
struct Manifest {
    /// From the oldest to the newest.
    runs: Vec<Known>,
    /// Journal records of smaller numbers are in runs.
    journal_from: u64,
}

/// The state that lookups need.
pub(super) struct Index {
    runs: Vec<Run>,
    frozen: Option<Frozen>,
    active: Memory,
    journal_from: u64,
    journal_next: u64,
}

impl Index {
    /// An index without entries.
    pub(super) fn empty() -> Self {
        Self {
            runs: Vec::new(),
            frozen: None,
            active: Memory::new(),
            journal_from: 0,
            journal_next: 0,
        }
    }

    /// Removes the index from a tree.
    pub(super) fn clear(tree: &Tree) -> Result<(), Fault> {
        tree.remove(key::INDEX)?;
        for room in [b"b", b"j"] {
            for key in tree.scan_prefix(room).keys() {
                tree.remove(key?)?;
            }
        }
        Ok(())
    }

    /// Reads the index of a store, and what a crash may have left half done.
    pub(super) fn open(tree: &Tree) -> Result<(Self, Compactor), Fault> {
        let manifest = match tree.get(key::INDEX)? {
            Some(bytes) => record::decode_owned(&bytes)?,
            None => Manifest {
                runs: Vec::new(),
                journal_from: 0,
            },
        };
        let mut runs = Vec::with_capacity(manifest.runs.len());
        for known in manifest.runs {
            let filter = Arc::new(read_filter(tree, &known)?);
            runs.push(Run { known, filter });
        }
        let mut active = Memory::new();
        let mut journal_next = manifest.journal_from;
        for record in tree.range(key::journal(manifest.journal_from, 0)..vec![b'j' + 1]) {
            let (key, bytes) = record?;
            journal_next = key::read_journal(&key).ok_or(record::Unreadable::Damaged)? + 1;
            active.extend(decode(&bytes)?);
        }
        let compactor = Compactor::open(tree, runs.iter().map(|run| run.known.number))?;
        let index = Self {
            runs,
            frozen: None,
            active,
            journal_from: manifest.journal_from,
            journal_next,
        };
        Ok((index, compactor))
    }

    /// Puts the journal record of these changes where the commit writes.
    pub(super) fn log(&self, changes: &[Change], mut put: impl FnMut(Vec<u8>, IVec)) {
        for (part, some) in changes.chunks(PART / entry::ENCODED).enumerate() {
            let key = key::journal(self.journal_next, super::accept::part_number(part));
            put(key, encode(some).into());
        }
    }

    /// Takes over what a commit wrote. To be called once the tree has it.
    pub(super) fn publish(&mut self, changes: Vec<Change>, flips: Vec<Flip>) {
        if !changes.is_empty() {
            self.active.extend(changes);
            self.journal_next += 1;
        }
        self.journal_from = self.journal_from_after(&flips);
        for flip in flips {
            if flip.is_gathered() {
                self.frozen = None;
            }
            place(&mut self.runs, flip);
        }
        if self.frozen.is_none() && self.active.len() >= GATHERED {
            self.frozen = Some(Frozen {
                memory: Arc::new(std::mem::take(&mut self.active)),
                journal_from: self.journal_next,
            });
        }
    }

    /// Writes these changes at once, where no committer is.
    pub(super) fn write(
        &mut self,
        tree: &Tree,
        compactor: &mut Compactor,
        changes: Vec<Change>,
    ) -> Result<(), Fault> {
        let mut writes = Writes::new(tree);
        self.log(&changes, |key, value| writes.put(key, value));
        let flips = compactor.work(self, &mut writes, changes.len())?;
        tree.apply_batch(writes.end().batch())?;
        self.publish(changes, flips);
        Ok(())
    }

    /// `m/index` as it is once these flips count.
    fn manifest(&self, flips: &[Flip]) -> Vec<u8> {
        let mut runs = self.runs.clone();
        flips.iter().for_each(|flip| place(&mut runs, flip.clone()));
        record::encode(&Manifest {
            runs: runs.into_iter().map(|run| run.known).collect(),
            journal_from: self.journal_from_after(flips),
        })
    }

    fn journal_from_after(&self, flips: &[Flip]) -> u64 {
        match &self.frozen {
            Some(frozen) if flips.iter().any(Flip::is_gathered) => frozen.journal_from,
            _ => self.journal_from,
        }
    }

    /// Ids that have `tag`, at most `limit`, in their order.
    pub(super) fn find(&self, tree: &Tree, tag: &Tag, limit: usize) -> Result<Vec<Uuid>, Fault> {
        let mut found = Vec::new();
        for change in self.of(tree, tag) {
            let (entry, added) = change?;
            if found.len() == limit {
                break;
            }
            if added {
                found.push(entry.id());
            }
        }
        Ok(found)
    }

    /// Whether that entry is there.
    pub(super) fn has(&self, tree: &Tree, entry: &Entry) -> Result<bool, Fault> {
        for change in self.of(tree, &entry.tag()) {
            match change? {
                (other, added) if other == *entry => return Ok(added),
                (other, _) if other > *entry => break,
                _ => {}
            }
        }
        Ok(false)
    }

    fn of<'a>(&'a self, tree: &'a Tree, tag: &Tag) -> impl Iterator<Item = Result<Change, Fault>> {
        let (first, last) = (Entry::first_of(tag), Entry::last_of(tag));
        let may_have = |run: &&Run| !is_filtered(tag) || run.filter.may_have(tag);
        self.merged(tree, self.runs.iter().filter(may_have), first)
            .take_while(move |change| !matches!(change, Ok((entry, _)) if *entry > last))
    }

    /// Everything that is there, in order.
    pub(super) fn all<'a>(
        &'a self,
        tree: &'a Tree,
    ) -> impl Iterator<Item = Result<Entry, Fault>> + 'a {
        let first = Entry::first_of(&[0; 17]);
        let changes = self.merged(tree, self.runs.iter(), first);
        changes.filter_map(|change| match change {
            Ok((entry, added)) => added.then_some(Ok(entry)),
            Err(fault) => Some(Err(fault)),
        })
    }

    /// These runs and what gathers, from an entry on.
    fn merged<'a>(
        &'a self,
        tree: &'a Tree,
        runs: impl Iterator<Item = &'a Run>,
        from: Entry,
    ) -> Merge<'a> {
        let layers = runs.map(|run| run_from(tree, run.known.number, from));
        let memories = self.memories().map(|memory| memory_from(memory, from));
        Merge::new(layers.chain(memories).collect())
    }

    /// From the oldest to the newest.
    fn memories(&self) -> impl Iterator<Item = &Memory> {
        let frozen = self.frozen.iter().map(|frozen| &*frozen.memory);
        frozen.chain([&self.active])
    }
}

/// Puts a run where those are that it replaces; one of what was gathered is the newest.
fn place(runs: &mut Vec<Run>, flip: Flip) {
    let run = flip.run.map(|(known, filter)| Run { known, filter });
    let replaced = |run: &Run| flip.replaces.contains(&run.known.number);
    let at = runs.iter().position(replaced).unwrap_or(runs.len());
    runs.retain(|run| !replaced(run));
    runs.splice(at..at, run);
}

type Changes<'a> = Box<dyn Iterator<Item = Result<Change, Fault>> + 'a>;

/// The changes of a run from an entry on.
fn run_from(tree: &Tree, run: u32, from: Entry) -> Changes<'_> {
    let first = key::block(run, &from);
    let whole = key::blocks(run);
    // The block that begins before `from` may reach beyond it.
    let before = tree.range(whole.clone()..=first.clone()).keys().next_back();
    let start = match before {
        Some(Ok(key)) => key.to_vec(),
        Some(Err(error)) => return Box::new(std::iter::once(Err(error.into()))),
        None => first,
    };
    let end = key::blocks(run + 1);
    let blocks = tree.range(start..end).map(|block| Ok(decode(&block?.1)?));
    Box::new(
        blocks
            .flat_map(|block: Result<Vec<Change>, Fault>| match block {
                Ok(changes) => either(changes, None),
                Err(fault) => either(Vec::new(), Some(fault)),
            })
            .skip_while(move |change| matches!(change, Ok((entry, _)) if *entry < from)),
    )
}

fn either(
    changes: Vec<Change>,
    fault: Option<Fault>,
) -> impl Iterator<Item = Result<Change, Fault>> {
    changes.into_iter().map(Ok).chain(fault.map(Err))
}

fn memory_from(memory: &Memory, from: Entry) -> Changes<'_> {
    let changes = memory.range(from..);
    Box::new(changes.map(|(entry, added)| Ok((*entry, *added))))
}

/// Whether entries of that kind have a place in the filters: those that every push looks for.
fn is_filtered(tag: &Tag) -> bool {
    matches!(tag[0], key::IDENTITY | key::FINGERPRINT)
}

/// Makes a run's filter anew, from the blocks that hold what is filtered.
fn read_filter(tree: &Tree, known: &Known) -> Result<Filter, Fault> {
    let filtered = usize::try_from(known.filtered).unwrap_or(usize::MAX / 64);
    let mut filter = Filter::new(filtered);
    for kind in [key::IDENTITY, key::FINGERPRINT] {
        let mut first = [0; 17];
        first[0] = kind;
        for change in run_from(tree, known.number, Entry::first_of(&first)) {
            let (entry, _) = change?;
            if entry.tag()[0] != kind {
                break;
            }
            filter.add(&entry.tag());
        }
    }
    Ok(filter)
}

#[cfg(test)]
mod tests;
