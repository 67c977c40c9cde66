//! Merging: many short sorted lists of the index read as one, by the ids that end their keys.
//! Each step costs one look at the index, however long the lists are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Bound;

use uuid::Uuid;

use crate::outbox::sled::keys;
use crate::outbox::sled::map::{Map, Order};
use crate::outbox::sled::unreadable;
use crate::outbox::state::Fault;

/// Which ids, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) low: u128,
    pub(super) high: u128,
}

impl Ids {
    /// All.
    pub(super) const ALL: Self = Self {
        low: 0,
        high: u128::MAX,
    };
    const NONE: Self = Self { low: 1, high: 0 };

    /// Those made at or after `since` and before `before`.
    pub(super) fn made(since: Option<i64>, before: Option<i64>) -> Self {
        let low = since.map_or(0, keys::first_id);
        let high = before.map_or(Some(u128::MAX), |end| keys::first_id(end).checked_sub(1));
        high.map_or(Self::NONE, |high| Self { low, high })
    }

    /// Those of them that come after `last`.
    pub(super) fn after(self, last: Option<u128>, order: Order) -> Self {
        let Some(last) = last else { return self };
        let (low, high) = match order {
            Order::Ascending => (last.checked_add(1), Some(self.high)),
            Order::Descending => (Some(self.low), last.checked_sub(1)),
        };
        low.zip(high).map_or(Self::NONE, |(low, high)| Self {
            low: self.low.max(low),
            high: self.high.min(high),
        })
    }

    pub(super) const fn has(self, id: Uuid) -> bool {
        self.low <= id.as_u128() && id.as_u128() <= self.high
    }
}

/// Lists, as one: ids with what the index keeps under them.
pub(super) struct Merge<'a, M> {
    index: &'a M,
    order: Order,
    ids: Ids,
    heads: BinaryHeap<Reverse<Head>>,
    /// The one that was given last.
    last: Option<u128>,
}

/// The next of one list. Ordered by rank.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    rank: u128,
    prefix: Vec<u8>,
    value: Vec<u8>,
}

impl<'a, M: Map> Merge<'a, M> {
    /// Of those entries that are in the lists with these prefixes and among `ids`.
    pub(super) fn new(
        index: &'a M,
        order: Order,
        ids: Ids,
        lists: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<Self, Fault> {
        let mut merge = Self {
            index,
            order,
            ids,
            heads: BinaryHeap::new(),
            last: None,
        };
        for prefix in lists {
            merge.look(prefix, None)?;
        }
        Ok(merge)
    }

    /// The order of ids, or its reverse: its own inverse.
    const fn rank(&self, id: u128) -> u128 {
        match self.order {
            Order::Ascending => id,
            Order::Descending => !id,
        }
    }

    /// The first of a list after `last`.
    fn look(&mut self, prefix: Vec<u8>, last: Option<u128>) -> Result<(), Fault> {
        let Ids { low, high } = self.ids.after(last, self.order);
        if low > high {
            return Ok(());
        }
        let low = [prefix.as_slice(), &low.to_be_bytes()].concat();
        let high = [prefix.as_slice(), &high.to_be_bytes()].concat();
        let (low, high) = (Bound::Included(&*low), Bound::Included(&*high));
        let first = self.index.range(low, high, self.order).next().transpose()?;
        if let Some((key, value)) = first {
            let id = keys::id_at_end(&key).ok_or_else(|| unreadable("a list"))?;
            self.heads.push(Reverse(Head {
                rank: self.rank(id.as_u128()),
                prefix,
                value,
            }));
        }
        Ok(())
    }
}

impl<M: Map> Iterator for Merge<'_, M> {
    type Item = Result<(Uuid, Vec<u8>), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Reverse(head) = self.heads.pop()?;
            let id = self.rank(head.rank);
            if let Err(fault) = self.look(head.prefix, Some(id)) {
                return Some(Err(fault));
            }
            // One that moved from list to list meanwhile stands in both.
            if self.last.replace(id) != Some(id) {
                return Some(Ok((Uuid::from_u128(id), head.value)));
            }
        }
    }
}
