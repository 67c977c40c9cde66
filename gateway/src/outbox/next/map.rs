//! What reading and projecting see of the index: an ordered map of bytes.

use std::ops::Bound;

use crate::outbox::state::Fault;

/// One key that changes, from what it was to what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Vec<u8>,
    /// Its value right before.
    pub old: Option<Vec<u8>>,
    /// Its value from then on.
    pub new: Option<Vec<u8>>,
}

/// In which direction a range is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The smallest key first.
    Ascending,
    /// The greatest key first.
    Descending,
}

/// A key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

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
