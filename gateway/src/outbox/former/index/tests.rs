//! The index against a plain set of entries.

use std::collections::BTreeSet;

use super::*;

struct Desk {
    tree: ::sled::Db,
    index: Index,
    compactor: Compactor,
}

impl Desk {
    fn new() -> Self {
        let tree = ::sled::Config::new().temporary(true).open().expect("opens");
        let (index, compactor) = Index::open(&tree).expect("an empty index");
        Self {
            tree,
            index,
            compactor,
        }
    }

    fn write(&mut self, changes: Vec<Change>) {
        self.index
            .write(&self.tree, &mut self.compactor, changes)
            .expect("writes");
    }

    /// As after a crash: only the tree is left.
    fn reopen(&mut self) {
        (self.index, self.compactor) = Index::open(&self.tree).expect("opens");
    }

    fn all(&self) -> BTreeSet<Entry> {
        let all = self.index.all(&self.tree).collect::<Result<Vec<_>, _>>();
        let all = all.expect("reads");
        let set: BTreeSet<Entry> = all.iter().copied().collect();
        assert_eq!(set.len(), all.len(), "each once");
        set
    }
}

fn tag(number: u64) -> Tag {
    let kind = [key::IDENTITY, 0, 3][usize::try_from(number % 3).expect("small")];
    key::tag(kind, blake3::hash(&number.to_be_bytes()).as_bytes())
}

#[test]
fn after_any_adds_removals_and_crashes_it_holds_what_a_set_would() {
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut desk = Desk::new();
        let mut model: BTreeSet<Entry> = BTreeSet::new();
        let mut most_runs = 0;
        for _ in 0..200 {
            let count = random.usize(1..1_500);
            let mut changes = BTreeMap::new();
            for _ in 0..count {
                if random.u8(..5) == 0 && !model.is_empty() {
                    let at = Entry::first_of(&tag(random.u64(..100_000)));
                    if let Some(entry) = model.range(at..).next() {
                        changes.insert(*entry, false);
                    }
                } else {
                    let id = Uuid::from_u128(random.u128(..));
                    changes.insert(Entry::new(&tag(random.u64(..100_000)), id), true);
                }
            }
            for (entry, added) in &changes {
                if *added {
                    model.insert(*entry);
                } else {
                    model.remove(entry);
                }
            }
            desk.write(changes.into_iter().collect());
            most_runs = most_runs.max(desk.index.runs.len());
            if random.u8(..20) == 0 {
                desk.reopen();
            }
        }
        assert!(desk.all() == model, "seed {seed}");
        desk.reopen();
        assert!(desk.all() == model, "seed {seed}, reopened");
        assert!(most_runs > 1 && most_runs < 4 * 8, "{most_runs} runs");
        for number in 0..1_000 {
            let tag = tag(number);
            let expected = model.range(Entry::first_of(&tag)..=Entry::last_of(&tag));
            let expected: Vec<Uuid> = expected.map(Entry::id).collect();
            let found = desk.index.find(&desk.tree, &tag, 1_000).expect("reads");
            assert_eq!(found, expected);
            let first = desk.index.find(&desk.tree, &tag, 1).expect("reads");
            assert_eq!(first, expected[..expected.len().min(1)]);
            for id in &expected {
                let there = desk.index.has(&desk.tree, &Entry::new(&tag, *id));
                assert!(there.expect("reads"));
            }
            let other = Entry::new(&tag, Uuid::from_u128(u128::from(number)));
            assert!(!desk.index.has(&desk.tree, &other).expect("reads"));
        }
    }
}

#[test]
fn what_counts_no_more_is_swept_away_and_removals_vanish() {
    let mut desk = Desk::new();
    let entry = |number: u64| Entry::new(&tag(number), Uuid::from_u128(u128::from(number)));
    let some = |from: u64| (from..from + 1_000).map(entry);
    // Added and removed again, over and over: nothing may be left but what is in flight.
    for round in 0..180 {
        desk.write(some(round * 1_000).map(|entry| (entry, true)).collect());
        desk.write(some(round * 1_000).map(|entry| (entry, false)).collect());
    }
    assert_eq!(desk.all().len(), 0);
    let records = |room: &[u8]| desk.tree.scan_prefix(room).count();
    let (blocks, journal) = (records(b"b"), records(b"j"));
    // 180,000 removals would fill 1,500 blocks, 360,000 changes 2,160 records.
    assert!(blocks < 200, "{blocks} blocks");
    assert!(journal < 100, "{journal} journal records");
    assert!(desk.index.active.len() < 2 * GATHERED);
}

#[test]
fn a_run_that_a_crash_left_unfinished_is_swept_away() {
    let mut desk = Desk::new();
    let entry = |number: u64| Entry::new(&tag(number), Uuid::from_u128(u128::from(number)));
    let mut next = 0;
    let mut more = |desk: &mut Desk, count: u64| {
        let changes = (next..next + count).map(|number| (entry(number), true));
        desk.write(changes.collect());
        next += count;
    };
    more(&mut desk, GATHERED as u64);
    more(&mut desk, 300);
    assert!(!desk.compactor.is_idle(), "a run is under way");
    assert!(desk.tree.scan_prefix(b"b").next().is_some());
    desk.reopen();
    assert!(!desk.compactor.is_idle(), "its blocks are to be swept");
    for _ in 0..40 {
        more(&mut desk, 300);
    }
    let runs: BTreeSet<u32> = desk
        .tree
        .scan_prefix(b"b")
        .keys()
        .filter_map(|key| key::read_block(&key.expect("reads")))
        .collect();
    let count: BTreeSet<u32> = desk.index.runs.iter().map(|run| run.known.number).collect();
    assert!(
        runs.is_superset(&count) && runs.len() <= count.len() + 1,
        "{runs:?} {count:?}"
    );
    assert!(!runs.contains(&0), "the unfinished one is gone");
    assert_eq!(desk.all().len() as u64, next);
}
