//! What reading and projecting see of the index: an ordered map of bytes.

use std::ops::Bound;
use std::sync::Arc;

pub use super::index::{Change, Order, Pair};
use super::index::{Index, IndexFault, Range};
use crate::outbox::state::Fault;

/// An ordered map of bytes. What is put at once is seen at once.
pub trait Map {
    /// The entries of a range, one after the other.
    type Range<'a>: Iterator<Item = Result<Pair, Fault>>
    where
        Self: 'a;

    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// A range.
    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Self::Range<'_>;

    /// The entries whose keys begin with `prefix`, in order.
    fn prefixed(&self, prefix: &[u8]) -> Self::Range<'_> {
        let end = behind(prefix);
        self.range(
            Bound::Included(prefix),
            Bound::Included(&end),
            Order::Ascending,
        )
    }
}

/// Behind all keys that begin so.
fn behind(prefix: &[u8]) -> Vec<u8> {
    [prefix, &[0xff; 64]].concat()
}

impl From<IndexFault> for Fault {
    fn from(fault: IndexFault) -> Self {
        Self::Record(fault.to_string())
    }
}

impl Map for Arc<Index> {
    type Range<'a> = std::iter::Map<Range<'a>, fn(Result<Pair, IndexFault>) -> Result<Pair, Fault>>;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(Index::get(self, key)?)
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Self::Range<'_> {
        Index::range(self, from, to, order).map(told as fn(_) -> _)
    }

    /// Much of it at once, so that counts of one sink are of one moment.
    fn prefixed(&self, prefix: &[u8]) -> Self::Range<'_> {
        let (from, to) = (Bound::Included(prefix), behind(prefix));
        let range = Index::range(self, from, Bound::Included(&to), Order::Ascending);
        range.in_large_chunks().map(told as fn(_) -> _)
    }
}

fn told(entry: Result<Pair, IndexFault>) -> Result<Pair, Fault> {
    Ok(entry?)
}
