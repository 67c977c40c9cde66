//! Merging: many short sorted lists of the index read as one, by the ids that end their keys.
//! Each step costs one look at the index, however long the lists are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Bound;

use uuid::Uuid;

use crate::outbox::sled::keys;
use crate::outbox::sled::map::{Map, Order, Pair};
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

    /// Those made at or after `since` and before `before`.
    pub(super) fn made(since: Option<i64>, before: Option<i64>) -> Self {
        let low = since.map_or(0, keys::first_id);
        match before.map(keys::first_id) {
            Some(0) => Self { low: 1, high: 0 },
            Some(end) => Self { low, high: end - 1 },
            None => Self {
                low,
                high: u128::MAX,
            },
        }
    }

    /// Those of them that come after `last`.
    pub(super) fn after(self, last: Option<u128>, order: Order) -> Self {
        let none = Self { low: 1, high: 0 };
        match (last, order) {
            (None, _) => self,
            (Some(last), Order::Ascending) => last.checked_add(1).map_or(none, |next| Self {
                low: self.low.max(next),
                ..self
            }),
            (Some(last), Order::Descending) => last.checked_sub(1).map_or(none, |next| Self {
                high: self.high.min(next),
                ..self
            }),
        }
    }

    pub(super) const fn has(self, id: u128) -> bool {
        self.low <= id && id <= self.high
    }
}

/// Lists, as one.
pub(super) struct Merge<'a, M> {
    index: &'a M,
    order: Order,
    ids: Ids,
    heads: BinaryHeap<Reverse<Head>>,
}

/// The next of one list. Ordered by rank.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    rank: u128,
    prefix: Vec<u8>,
    value: Vec<u8>,
}

/// One of the merged.
pub(super) struct Merged {
    /// Of the list it is in.
    pub(super) prefix: Vec<u8>,
    /// Its id.
    pub(super) id: Uuid,
    /// What the index keeps under it.
    pub(super) value: Vec<u8>,
}

impl<'a, M: Map> Merge<'a, M> {
    /// Of no lists yet.
    pub(super) fn new(index: &'a M, order: Order, ids: Ids) -> Self {
        Self {
            index,
            order,
            ids,
            heads: BinaryHeap::new(),
        }
    }

    /// Adds a list.
    pub(super) fn add(&mut self, prefix: Vec<u8>) -> Result<(), Fault> {
        self.look(prefix, None)
    }

    /// Adds a list whose first entry is known.
    pub(super) fn add_begun(&mut self, prefix: Vec<u8>, first: Pair) -> Result<(), Fault> {
        let id = keys::id_at_end(&first.0).ok_or_else(|| unreadable("a list"))?;
        let id = id.as_u128();
        if self.order == Order::Ascending && self.ids.low <= id {
            if id <= self.ids.high {
                self.push(prefix, id, first.1);
            }
            return Ok(());
        }
        self.look(prefix, None)
    }

    fn push(&mut self, prefix: Vec<u8>, id: u128, value: Vec<u8>) {
        let rank = self.rank(id);
        self.heads.push(Reverse(Head {
            rank,
            prefix,
            value,
        }));
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
            self.push(prefix, id.as_u128(), value);
        }
        Ok(())
    }

    /// The next of all.
    pub(super) fn next(&mut self) -> Result<Option<Merged>, Fault> {
        let Some(Reverse(head)) = self.heads.pop() else {
            return Ok(None);
        };
        let id = self.rank(head.rank);
        self.look(head.prefix.clone(), Some(id))?;
        Ok(Some(Merged {
            prefix: head.prefix,
            id: Uuid::from_u128(id),
            value: head.value,
        }))
    }
}
