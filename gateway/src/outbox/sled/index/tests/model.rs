//! The index against a map, with crashes.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Put(Vec<(u8, Option<u8>)>),
    Get(u8),
    Range(Bound<u8>, Bound<u8>, bool),
    Checkpoint,
    Scrub,
    Close,
    Crash,
}

fn bound() -> impl Strategy<Value = Bound<u8>> {
    prop_oneof![
        any::<u8>().prop_map(Bound::Included),
        any::<u8>().prop_map(Bound::Excluded),
        Just(Bound::Unbounded),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let changes = prop::collection::vec((any::<u8>(), any::<Option<u8>>()), 0..60);
    prop_oneof![
        20 => changes.prop_map(Op::Put),
        4 => any::<u8>().prop_map(Op::Get),
        6 => (bound(), bound(), any::<bool>()).prop_map(|(from, to, up)| Op::Range(from, to, up)),
        1 => Just(Op::Checkpoint),
        1 => Just(Op::Scrub),
        1 => Just(Op::Close),
        2 => Just(Op::Crash),
    ]
}

/// Keys of several lengths, some beginning with others.
fn named(key: u8) -> Vec<u8> {
    let mut name = vec![b'a' + key % 3];
    name.extend(std::iter::repeat_n(key, usize::from(key % 5)));
    name
}

fn value(value: u8) -> Vec<u8> {
    vec![value; usize::from(value) * 3]
}

fn wanted(raw: &[(u8, Option<u8>)]) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let named = |(key, new): &(u8, Option<u8>)| (named(*key), new.map(value));
    raw.iter().map(named).collect()
}

/// What a map holds between two bounds.
fn between(model: &Model, from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>, up: bool) -> Vec<Pair> {
    use std::ops::RangeBounds;
    let bounds = (from.clone(), to.clone());
    let inside = model.iter().filter(|(key, _)| bounds.contains(*key));
    let mut found: Vec<Pair> = inside
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !up {
        found.reverse();
    }
    found
}

fn slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn an_index_is_a_map_that_a_crash_takes_back_to_what_was_applied(
        ops in prop::collection::vec(op(), 1..60)
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut path = folder.path().join("0");
        let (mut index, _) = open(&path);
        // What each put left behind, from nothing on.
        let mut history = vec![(0_u64, Model::new())];
        for (at, op) in ops.into_iter().enumerate() {
            let (last, model) = history.last().expect("there is one").clone();
            match op {
                Op::Put(raw) => {
                    let mut model = model;
                    index.put(last + 1, changes(&mut model, &wanted(&raw)));
                    history.push((last + 1, model));
                }
                Op::Get(key) => {
                    let key = named(key);
                    prop_assert_eq!(index.get(&key), Ok(model.get(&key).cloned()));
                }
                Op::Range(from, to, up) => {
                    let (from, to) = (from.map(named), to.map(named));
                    let order = if up { Order::Ascending } else { Order::Descending };
                    let found: Result<Vec<Pair>, _> =
                        index.range(slice(&from), slice(&to), order).collect();
                    prop_assert_eq!(found, Ok(between(&model, &from, &to, up)));
                }
                Op::Checkpoint => prop_assert_eq!(index.checkpoint(), Ok(last)),
                Op::Scrub => prop_assert_eq!(index.scrub(), Ok(())),
                Op::Close => {
                    index.close();
                    let (again, applied) = open(&path);
                    prop_assert_eq!(applied, last);
                    index = again;
                }
                Op::Crash => {
                    index.kill();
                    let next = folder.path().join((at + 1).to_string());
                    copy(&path, &next);
                    path = next;
                    let (again, applied) = open(&path);
                    index = again;
                    // It holds exactly what one of the puts left behind; the rest comes again.
                    let found = history.iter().position(|(sequence, _)| *sequence == applied);
                    let found = found.expect("it is one of the puts");
                    prop_assert_eq!(content(&index), Ok(history[found].1.clone()));
                    prop_assert_eq!(index.scrub(), Ok(()));
                    for pair in history[found..].windows(2) {
                        let ((_, before), (sequence, after)) = (&pair[0], &pair[1]);
                        index.put(*sequence, difference(before, after));
                    }
                }
            }
            prop_assert_eq!(index.fault(), None);
        }
        let (last, model) = history.pop().expect("there is one");
        prop_assert_eq!(content(&index), Ok(model.clone()));
        prop_assert_eq!(index.checkpoint(), Ok(last));
        prop_assert_eq!(content(&index), Ok(model));
        prop_assert_eq!(index.scrub(), Ok(()));
    }
}

fn difference(before: &Model, after: &Model) -> Vec<Change> {
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let change = |key: &Vec<u8>| Change {
        key: key.clone(),
        old: before.get(key).cloned(),
        new: after.get(key).cloned(),
    };
    keys.into_iter().map(change).collect()
}
