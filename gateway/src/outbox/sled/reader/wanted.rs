//! Wanted: which lists of deliveries a filter asks for, and which of them there are.

use std::ops::Bound;

use super::merge::Merge;
use crate::outbox::sled::keys::{self, List};
use crate::outbox::sled::map::{Map, Order};
use crate::outbox::sled::unreadable;
use crate::outbox::state::Fault;

/// Lists merged at once, at most: beyond, a page goes through them part by part, in the order
/// of time in each part only.
pub(super) const MERGED: usize = 1_024;

/// Some lists: those whose class, sink, source and group are among these, in that order. `None`
/// is any.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted([Option<Vec<u64>>; 4]);

impl Wanted {
    /// Of these; `None` is any.
    pub(super) fn new(mut some: [Option<Vec<u64>>; 4]) -> Self {
        for numbers in some.iter_mut().flatten() {
            numbers.sort_unstable();
            numbers.dedup();
        }
        Self(some)
    }

    /// Whether that list is wanted.
    pub(super) fn has(&self, list: List) -> bool {
        let some = self.0.iter().zip(numbers(list));
        some.into_iter().all(|(some, number)| {
            some.as_ref()
                .is_none_or(|some| some.binary_search(&number).is_ok())
        })
    }

    /// The first wanted list from that one on, whether there is one or not.
    fn at_least(&self, from: List) -> Option<List> {
        // Else it would count through all numbers in front of the part that nothing fits.
        if self.0.iter().flatten().any(Vec::is_empty) {
            return None;
        }
        let mut at = numbers(from);
        let mut part = 0;
        while part < 4 {
            let next = match &self.0[part] {
                None => Some(at[part]),
                Some(some) => {
                    let next = some.partition_point(|one| *one < at[part]);
                    some.get(next).copied()
                }
            };
            match next {
                Some(next) => {
                    if next > at[part] {
                        at[part] = next;
                        at[part + 1..].fill(0);
                    }
                    part += 1;
                }
                None => part = carry(&mut at, part)?,
            }
        }
        list(at)
    }
}

fn numbers(list: List) -> [u64; 4] {
    [
        u64::from(list.class),
        u64::from(list.sink),
        u64::from(list.source),
        list.group,
    ]
}

fn list([class, sink, source, group]: [u64; 4]) -> Option<List> {
    Some(List {
        class: class.try_into().ok()?,
        sink: sink.try_into().ok()?,
        source: source.try_into().ok()?,
        group,
    })
}

/// Counts one up in front of that part; the part that changed, or `None` at the end of all.
fn carry(at: &mut [u64; 4], mut part: usize) -> Option<usize> {
    let most = numbers(List::LAST);
    while part > 0 {
        part -= 1;
        if at[part] < most[part] {
            at[part] += 1;
            at[part + 1..].fill(0);
            return Some(part);
        }
    }
    None
}

/// The list behind that one; `None` behind the last.
pub(super) fn behind(list: List) -> Option<List> {
    let mut at = numbers(list);
    carry(&mut at, 4)?;
    self::list(at)
}

/// Adds the wanted lists from `low` to `high` that there are to a merge. Where there is more to
/// look at than `most`, ends early; says behind which list.
pub(super) fn gather<M: Map>(
    index: &M,
    wanted: &Wanted,
    (low, high): (List, List),
    most: usize,
    merge: &mut Merge<'_, M>,
) -> Result<List, Fault> {
    let end = List::LAST.delivery(crate::outbox::DeliveryId(uuid::Uuid::max()));
    let mut next = wanted.at_least(low);
    let mut looked_at = 0;
    while let Some(from) = next {
        let from = from.prefix();
        let (from, to) = (Bound::Included(&*from), Bound::Included(&*end));
        let first = index.range(from, to, Order::Ascending).next().transpose()?;
        let Some(first) = first else {
            break;
        };
        let there = List::read(&first.0).ok_or_else(|| unreadable("a list"))?;
        if there > high {
            break;
        }
        if looked_at == most {
            return Ok(before(there));
        }
        looked_at += 1;
        next = if wanted.has(there) {
            merge.add_begun(there.prefix(), first)?;
            behind(there).and_then(|next| wanted.at_least(next))
        } else {
            wanted.at_least(there)
        };
    }
    Ok(high)
}

/// The list before one that is not the first.
fn before(list: List) -> List {
    let mut at = numbers(list);
    let most = numbers(List::LAST);
    for part in (0..4).rev() {
        if at[part] > 0 {
            at[part] -= 1;
            at[part + 1..].copy_from_slice(&most[part + 1..]);
            break;
        }
    }
    self::list(at).unwrap_or(List::FIRST)
}

/// The numbers of some classes.
pub(super) fn classes(some: impl Iterator<Item = crate::outbox::state::Class>) -> Vec<u64> {
    some.map(|class| u64::from(keys::class(class))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some(of: &'static [u64]) -> impl Strategy<Value = Option<Vec<u64>>> {
        proptest::option::of(proptest::sample::subsequence(of, 0..=of.len()))
    }

    proptest! {
        #[test]
        fn the_next_wanted_list_is_the_first_that_is_wanted(
            classes in some(&[0, 1, 2]), sinks in some(&[0, 1, 2]),
            sources in some(&[0, 1, 2]), groups in some(&[0, 1, 2]),
            from in (0_u64..3, 0_u64..3, 0_u64..3, 0_u64..3),
        ) {
            let wanted = Wanted::new([classes, sinks, sources, groups]);
            let from = list([from.0, from.1, from.2, from.3]).expect("small");
            // Of the small ones; where none is left, a greater one may follow.
            let naive = (0..81_u64)
                .filter_map(|at| list([at / 27, at / 9 % 3, at / 3 % 3, at % 3]))
                .find(|one| *one >= from && wanted.has(*one));
            let next = wanted.at_least(from);
            if let Some(next) = next {
                prop_assert!(wanted.has(next) && next >= from);
            }
            if naive.is_some() && next != naive {
                prop_assert!(next < naive, "{next:?} {naive:?}");
            }
            prop_assert!(naive.is_none() || next.is_some());
        }
    }

    #[test]
    fn before_and_behind_undo_each_other() {
        for one in [
            [0, 0, 0, 5],
            [1, 0, 0, 0],
            [3, 7, u64::from(u32::MAX), u64::MAX],
        ] {
            let one = list(one).expect("small");
            assert_eq!(behind(before(one)), Some(one));
            assert_eq!(behind(one).map(before), Some(one));
        }
        assert_eq!(behind(List::LAST), None);
    }
}
