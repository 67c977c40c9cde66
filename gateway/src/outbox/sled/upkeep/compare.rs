//! Comparing: the store's index with what the journal says, key by key, in order.

use std::cmp::Ordering;
use std::iter::Peekable;

use super::super::current::Catalog;
use super::super::index::Pair;
use super::super::indexed::{Indexed, IndexedPush, decode};
use super::super::keys;
use super::super::map::Map;
use super::words::{self, REMAKE};
use crate::outbox::Verdict;
use crate::outbox::state::Fault;

/// All that the projection keeps.
const ROOMS: [u8; 11] = [
    keys::SINK,
    keys::SOURCE,
    keys::LEAD,
    keys::DUE,
    keys::DELIVERY,
    keys::FAILING,
    keys::UNROUTED,
    keys::QUARANTINED,
    keys::GROUP,
    keys::COUNT,
    keys::SEGMENT,
];

/// Names every difference. `right` was made of the journal, with the numbers of `found`.
pub(super) fn compare(
    found: &Catalog,
    right: &Catalog,
    verdict: &mut Verdict,
) -> Result<(), Fault> {
    for room in ROOMS {
        let mut ours = found.index.prefixed(&[room]).peekable();
        let mut theirs = right.index.prefixed(&[room]).peekable();
        while let Some(order) = order(&mut ours, &mut theirs) {
            let (pair, other) = match order {
                Ordering::Less => (ours.next(), None),
                Ordering::Greater => (None, theirs.next()),
                Ordering::Equal => (ours.next(), theirs.next()),
            };
            let (pair, other) = (pair.transpose()?, other.transpose()?);
            let what = match (&pair, &other) {
                (Some((_, ours)), Some((_, theirs))) if same(room, ours, theirs) => continue,
                (Some(_), Some(_)) => (
                    "the index says another thing than the journal",
                    "索引与日志不一致",
                ),
                // A name that nothing needs any more stays.
                (Some(_), None) if [keys::SINK, keys::SOURCE].contains(&room) => continue,
                (Some(_), None) => (
                    "it is in the index and not in the journal",
                    "索引中有，日志中没有",
                ),
                (None, _) => (
                    "it is in the journal and not in the index",
                    "日志中有，索引中没有",
                ),
            };
            if let Some((key, _)) = pair.as_ref().or(other.as_ref()) {
                verdict.problem(what, words::key(key, &right.names), REMAKE);
            }
        }
    }
    Ok(())
}

/// Which side comes first; an error comes at once.
fn order<I, J>(ours: &mut Peekable<I>, theirs: &mut Peekable<J>) -> Option<Ordering>
where
    I: Iterator<Item = Result<Pair, Fault>>,
    J: Iterator<Item = Result<Pair, Fault>>,
{
    match (ours.peek(), theirs.peek()) {
        (None, None) => None,
        (Some(Err(_)), _) | (Some(_), None) => Some(Ordering::Less),
        (_, Some(Err(_))) | (None, Some(_)) => Some(Ordering::Greater),
        (Some(Ok((ours, _))), Some(Ok((theirs, _)))) => Some(ours.cmp(theirs)),
    }
}

fn same(room: u8, found: &[u8], right: &[u8]) -> bool {
    if found == right {
        return true;
    }
    match room {
        keys::LEAD => match (decode::<Indexed>(found), decode::<Indexed>(right)) {
            (Ok(found), Ok(right)) => same_lead(found, right),
            _ => false,
        },
        keys::QUARANTINED => {
            let both = (decode::<IndexedPush>(found), decode::<IndexedPush>(right));
            matches!(both, (Ok(found), Ok(right)) if found.head == right.head
                && found.place == right.place
                && all_in(&right.segments, &found.segments))
        }
        _ => false,
    }
}

/// Records that were moved are read in another order than they were written in, and segments
/// that are gone are still named: neither makes a difference.
fn same_lead(mut found: Indexed, mut right: Indexed) -> bool {
    if !all_in(&right.places.segments, &found.places.segments) {
        return false;
    }
    for one in [&mut found, &mut right] {
        one.places.segments.clear();
        let heads = std::mem::take(&mut one.lead.deliveries);
        let places = std::mem::take(&mut one.places.deliveries);
        if heads.len() != places.len() {
            return false;
        }
        let mut both: Vec<_> = heads.into_iter().zip(places).collect();
        both.sort_by_key(|(head, _)| head.id);
        (one.lead.deliveries, one.places.deliveries) = both.into_iter().unzip();
    }
    found == right
}

fn all_in(some: &[u32], all: &[u32]) -> bool {
    some.iter().all(|one| all.contains(one))
}
