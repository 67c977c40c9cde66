//! Ranges: entries in order, read in chunks, each as of one moment.

use std::ops::Bound;

use super::fault::IndexFault;
use super::overlay::merge;
use super::{Order, Pair, Shared};

/// Entries that are read at once: few at first, as who looks for what is due wants the first.
const FIRST_CHUNK: usize = 16;
const LARGEST_CHUNK: usize = 256;

/// How often the overlay and sled are read without holding up the writer, before it is held up.
const TRIES: usize = 3;

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Entries in order.
pub struct Range<'a> {
    shared: &'a Shared,
    /// What is not read yet; nothing when all is.
    rest: Option<Bounds>,
    order: Order,
    chunk: std::vec::IntoIter<Pair>,
    size: usize,
}

impl<'a> Range<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        order: Order,
    ) -> Self {
        let bounds = (from.map(<[u8]>::to_vec), to.map(<[u8]>::to_vec));
        Self {
            shared,
            rest: Some(bounds).filter(|bounds| !is_void(bounds)),
            order,
            chunk: Vec::new().into_iter(),
            size: FIRST_CHUNK,
        }
    }

    /// For whoever wants all of it.
    #[must_use]
    pub fn in_large_chunks(mut self) -> Self {
        self.size = LARGEST_CHUNK;
        self
    }

    fn read(&mut self, (from, to): Bounds) -> Result<(), IndexFault> {
        let Self { shared, order, .. } = *self;
        let mut tries = 0;
        let (below, above) = loop {
            let overlay = shared.overlay.read();
            let above = overlay.chunk((&from, &to), order, self.size);
            let puts = overlay.puts();
            let held = (tries == TRIES).then_some(overlay);
            let below = shared.tree.chunk(&from, &to, order, self.size)?;
            // No put came between, so that both are of one moment.
            if held.is_some() || shared.overlay.read().puts() == puts {
                break (below, above);
            }
            tries += 1;
        };
        let (entries, until) = merge(below, above, order);
        self.rest = until
            .map(|until| match order {
                Order::Ascending => (Bound::Excluded(until), to),
                Order::Descending => (from, Bound::Excluded(until)),
            })
            .filter(|bounds| !is_void(bounds));
        self.chunk = entries.into_iter();
        self.size = (self.size * 4).min(LARGEST_CHUNK);
        Ok(())
    }
}

impl Iterator for Range<'_> {
    type Item = Result<Pair, IndexFault>;

    /// Ends after a fault.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.chunk.next() {
                return Some(Ok(pair));
            }
            let bounds = self.rest.take()?;
            if let Err(fault) = self.read(bounds) {
                return Some(Err(fault));
            }
        }
    }
}

/// Whether nothing can lie between the bounds.
fn is_void((from, to): &Bounds) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from >= to,
        _ => false,
    }
}
