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
        let end = [prefix, &[0xff; 64]].concat();
        self.range(
            Bound::Included(prefix),
            Bound::Included(&end),
            Order::Ascending,
        )
    }
}

/// The entries of a range of the index.
pub struct Entries<'a>(Range<'a>);

impl Iterator for Entries<'_> {
    type Item = Result<Pair, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map_err(Fault::from))
    }
}

impl From<IndexFault> for Fault {
    fn from(fault: IndexFault) -> Self {
        Self::Record(fault.to_string())
    }
}

impl Map for Arc<Index> {
    type Range<'a> = Entries<'a>;

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(Index::get(self, key)?)
    }

    fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Self::Range<'_> {
        Entries(Index::range(self, from, to, order))
    }
}
