//! The compactor: gathered entries become runs, and runs larger runs, a little with each
//! commit.
//!
//! Eight runs of a level are merged into one of the next. A removal is forgotten when nothing
//! older is left: so when removals have become a quarter of all entries, all runs are merged
//! into one, and what is kept stays in proportion to what is there. Work is in proportion to what commits add, two entries on each level for
//! each new one, so a level is merged before the next eight runs of it are there. Writes only
//! into the commit it is given. Owned by whoever commits.

use std::collections::VecDeque;
use std::sync::Arc;

use ::sled::Tree;

use super::super::fault::Fault;
use super::super::key;
use super::super::writes::Writes;
use super::entry::{Change, Entry, encode};
use super::filter::Filter;
use super::merge::Merge;
use super::{Frozen, GATHERED, Index, Known, is_filtered, memory_from, run_from};

/// Runs of one level that are merged into one of the next.
const FAN: usize = 8;
/// Removals may be one in so many entries before all runs are merged.
const REMOVED: u64 = 4;
/// Entries in a block: about 4 KiB, well below what a value may have.
const BLOCK: usize = 120;
/// Level of the run that all others are merged into, until it is written.
const ALL: u8 = u8::MAX;
/// Work is done in pieces of this many entries at least.
const PIECE: usize = 256;
/// Entries of work on each level for each new one.
const PACE: usize = 2;
/// Keys of what counts no more that are removed in one piece.
const SWEPT: usize = 48;

/// A run that begins to count when its commit is in the tree.
#[derive(Clone)]
pub(in super::super) struct Flip {
    /// `None` if all its entries were removals.
    pub(super) run: Option<(Known, Arc<Filter>)>,
    /// The runs it is made of; none if it is made of what was gathered.
    pub(super) replaces: Vec<u32>,
}

impl Flip {
    /// Whether it is made of what was gathered.
    pub(super) fn is_gathered(&self) -> bool {
        self.replaces.is_empty()
    }
}

/// A run that is being written.
struct Build {
    known: Known,
    filter: Filter,
    from: Layers,
    /// Where the merge goes on.
    cursor: Entry,
    /// The block that is not full yet.
    block: Vec<Change>,
    /// Whether nothing older is left that a removal must hide.
    oldest: bool,
}

enum Layers {
    Gathered(Frozen),
    Runs(Vec<u32>),
}

/// Runs under way, and what is to be swept away.
pub(in super::super) struct Compactor {
    builds: Vec<Build>,
    swept: VecDeque<u32>,
    next_run: u32,
    credit: usize,
}

impl Compactor {
    /// Finds runs that do not count: a crash left them.
    pub(super) fn open(tree: &Tree, count: impl Iterator<Item = u32>) -> Result<Self, Fault> {
        let live: Vec<u32> = count.collect();
        let mut swept = VecDeque::new();
        let mut next_run = live.iter().max().map_or(0, |newest| newest + 1);
        let mut from = key::blocks(0);
        while let Some(entry) = tree.range(from..vec![b'b' + 1]).keys().next() {
            let run = key::read_block(&entry?).ok_or(super::super::record::Unreadable::Damaged)?;
            if !live.contains(&run) {
                swept.push_back(run);
            }
            next_run = next_run.max(run + 1);
            from = key::blocks(run + 1);
        }
        Ok(Self {
            builds: Vec::new(),
            swept,
            next_run,
            credit: 0,
        })
    }

    /// Does the share of work that goes with `added` new entries; gives what the index must
    /// be told when the commit is in the tree.
    pub(in super::super) fn work(
        &mut self,
        index: &Index,
        writes: &mut Writes<'_>,
        added: usize,
    ) -> Result<Vec<Flip>, Fault> {
        self.credit += added * PACE;
        if self.credit < PIECE {
            return Ok(Vec::new());
        }
        let piece = std::mem::take(&mut self.credit);
        self.begin(index);
        let mut flips = Vec::new();
        for mut build in std::mem::take(&mut self.builds) {
            if build.go_on(writes, piece)? {
                flips.push(build.finish());
            } else {
                self.builds.push(build);
            }
        }
        if !flips.is_empty() {
            writes.put(key::INDEX.to_vec(), index.manifest(&flips));
        }
        self.sweep(index, writes, SWEPT.max(piece / BLOCK * FAN))?;
        for flip in &flips {
            self.swept.extend(&flip.replaces);
        }
        Ok(flips)
    }

    /// Starts what has become due.
    fn begin(&mut self, index: &Index) {
        let building =
            |from: &Self, level: u8| from.builds.iter().any(|build| build.known.level == level);
        if let Some(frozen) = &index.frozen
            && !building(self, 0)
        {
            let from = Layers::Gathered(frozen.clone());
            let filtered = frozen
                .memory
                .keys()
                .filter(|entry| is_filtered(&entry.tag()));
            let filtered = filtered.count() as u64;
            self.build(from, 0, index.runs.is_empty(), filtered);
        }
        if self.builds.iter().any(|build| build.known.level == ALL) {
            return;
        }
        let merging = self.builds.iter().any(|build| build.known.level > 0);
        if is_wasteful(index) {
            // Merges under way end first, and none begins before all are one.
            if !merging {
                let all: Vec<&Known> = index.runs.iter().map(|run| &run.known).collect();
                self.merge(&all, ALL, true);
            }
            return;
        }
        let top = index.runs.first().map_or(0, |run| run.known.level);
        for level in 0..=top {
            let of_level = index.runs.iter().map(|run| &run.known);
            let of_level: Vec<&Known> = of_level.filter(|run| run.level == level).collect();
            if of_level.len() < FAN || building(self, level + 1) {
                continue;
            }
            let runs = of_level[..FAN].to_vec();
            let oldest = index.runs.first().map(|run| run.known.number) == Some(runs[0].number);
            self.merge(&runs, level + 1, oldest);
        }
    }

    fn merge(&mut self, runs: &[&Known], level: u8, oldest: bool) {
        let filtered = runs.iter().map(|run| run.filtered).sum();
        let from = Layers::Runs(runs.iter().map(|run| run.number).collect());
        self.build(from, level, oldest, filtered);
    }

    fn build(&mut self, from: Layers, level: u8, oldest: bool, filtered: u64) {
        let number = self.next_run;
        self.next_run += 1;
        self.builds.push(Build {
            known: Known {
                number,
                level,
                entries: 0,
                removed: 0,
                filtered,
            },
            filter: Filter::new(usize::try_from(filtered).unwrap_or(usize::MAX / 64)),
            from,
            cursor: Entry::first_of(&[0; 17]),
            block: Vec::with_capacity(BLOCK),
            oldest,
        });
    }

    /// Removes blocks and journal records that count no more.
    fn sweep(
        &mut self,
        index: &Index,
        writes: &mut Writes<'_>,
        mut keys: usize,
    ) -> Result<(), Fault> {
        let journal = key::journal(0, 0)..key::journal(index.journal_from, 0);
        for key in writes.tree().range(journal).keys().take(keys) {
            writes.remove(key?.to_vec());
            keys -= 1;
        }
        while let Some(run) = self.swept.front().copied() {
            for key in writes
                .tree()
                .scan_prefix(key::blocks(run))
                .keys()
                .take(keys)
            {
                writes.remove(key?.to_vec());
                keys -= 1;
            }
            if keys == 0 {
                break;
            }
            self.swept.pop_front();
        }
        Ok(())
    }

    /// Whether nothing is left to do but what new entries bring.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.builds.is_empty() && self.swept.is_empty()
    }
}

impl Build {
    /// Merges so many entries; `true` if none is left.
    fn go_on(&mut self, writes: &mut Writes<'_>, piece: usize) -> Result<bool, Fault> {
        let tree = writes.tree();
        let layers = match &self.from {
            Layers::Gathered(frozen) => vec![memory_from(&frozen.memory, self.cursor)],
            Layers::Runs(runs) => {
                let runs = runs.iter().map(|run| run_from(tree, *run, self.cursor));
                runs.collect()
            }
        };
        let mut changes = Merge::new(layers);
        let mut blocks = Vec::new();
        let mut done = 0;
        let ended = loop {
            let Some(change) = changes.next().transpose()? else {
                break true;
            };
            if done >= piece {
                self.cursor = change.0;
                break false;
            }
            done += 1;
            if change.1 || !self.oldest {
                self.block.push(change);
                self.known.entries += 1;
                self.known.removed += u64::from(!change.1);
                if is_filtered(&change.0.tag()) {
                    self.filter.add(&change.0.tag());
                }
            }
            if self.block.len() == BLOCK {
                blocks.push(std::mem::replace(
                    &mut self.block,
                    Vec::with_capacity(BLOCK),
                ));
            }
        };
        drop(changes);
        if ended && !self.block.is_empty() {
            blocks.push(std::mem::take(&mut self.block));
        }
        for block in blocks {
            writes.put(key::block(self.known.number, &block[0].0), encode(&block));
        }
        Ok(ended)
    }

    fn finish(mut self) -> Flip {
        if self.known.level == ALL {
            // Its place among the others is that of a run of its size.
            let gathered = self.known.entries / GATHERED as u64;
            let level = gathered.checked_ilog(FAN as u64).unwrap_or(0);
            self.known.level = u8::try_from(level).expect("a logarithm below 64");
        }
        let replaces = match self.from {
            Layers::Gathered(_) => Vec::new(),
            Layers::Runs(runs) => runs,
        };
        Flip {
            run: (self.known.entries > 0).then(|| (self.known, Arc::new(self.filter))),
            replaces,
        }
    }
}

/// Whether too much of what the runs hold is removals and what they hide.
fn is_wasteful(index: &Index) -> bool {
    let runs = index.runs.iter().map(|run| &run.known);
    let (entries, removed) = runs.fold((0, 0), |(entries, removed), run| {
        (entries + run.entries, removed + run.removed)
    });
    removed >= GATHERED as u64 && removed * REMOVED >= entries
}

// A build of what was gathered must be done before as much is gathered again.
const _: () = assert!(PACE >= 2 && PIECE * 4 < GATHERED);
