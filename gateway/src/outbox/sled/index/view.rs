//! Views: reading several entries as of one moment.
//!
//! What is put while a view lives is remembered as it was before, so a view shows the puts that
//! were made before it began, each whole, and no other, whatever is applied meanwhile.

use std::ops::Bound;
use std::sync::Arc;

use super::fault::IndexFault;
use super::overlay::{Known, Overlay, merge};
use super::{Order, Pair, Shared};

/// Entries that are read at once: few at first, as who looks for what is due wants the first.
const FIRST_CHUNK: usize = 16;
const LARGEST_CHUNK: usize = 256;

/// How often the overlay and sled are read without holding up the writer, before it is held up.
const TRIES: usize = 3;

type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The whole index as of one moment. It costs the writer something while it lives.
pub struct View<'a>(Arc<Registered<'a>>);

/// A view that the overlay knows; forgotten when dropped.
struct Registered<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.shared.overlay_mut().unsee(self.number);
    }
}

impl<'a> View<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self(Registered::new(
            shared,
            (Bound::Unbounded, Bound::Unbounded),
        ))
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault> {
        let view = &self.0;
        let (over, below) = view.stable(
            |overlay| overlay.seen(view.number, key),
            |over| match over {
                Known::Here(_) => Ok(None),
                Known::Below => view.shared.tree.get(key),
            },
        )?;
        Ok(match over {
            Known::Here(value) => value,
            Known::Below => below,
        })
    }

    /// The entries between two bounds, `from` being the lower one whatever the order.
    pub fn range(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Range<'a> {
        Range::new(Arc::clone(&self.0), owned(from, to), order)
    }
}

impl<'a> Registered<'a> {
    fn new(shared: &'a Shared, (from, to): Bounds) -> Arc<Self> {
        let number = shared.overlay_mut().see(from, to);
        Arc::new(Self { shared, number })
    }

    /// Reads the overlay and then sled, so that no put came between.
    fn stable<A, B>(
        &self,
        over: impl Fn(&Overlay) -> Result<A, IndexFault>,
        below: impl Fn(&A) -> Result<B, IndexFault>,
    ) -> Result<(A, B), IndexFault> {
        for _ in 0..TRIES {
            let (upper, puts) = {
                let overlay = self.shared.overlay();
                (over(&overlay)?, overlay.puts())
            };
            let lower = below(&upper)?;
            if self.shared.overlay().puts() == puts {
                return Ok((upper, lower));
            }
        }
        let overlay = self.shared.overlay();
        let upper = over(&overlay)?;
        let lower = below(&upper)?;
        Ok((upper, lower))
    }
}

/// Entries in order, as of the moment they were asked for; read in chunks.
pub struct Range<'a> {
    view: Arc<Registered<'a>>,
    /// What is not read yet; nothing when all is.
    rest: Option<Bounds>,
    order: Order,
    chunk: std::vec::IntoIter<Pair>,
    size: usize,
}

impl<'a> Range<'a> {
    /// One that sees what is there now.
    pub(super) fn now(
        shared: &'a Shared,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        order: Order,
    ) -> Self {
        let bounds = owned(from, to);
        Self::new(Registered::new(shared, bounds.clone()), bounds, order)
    }

    fn new(view: Arc<Registered<'a>>, bounds: Bounds, order: Order) -> Self {
        Self {
            view,
            rest: Some(bounds).filter(|bounds| !is_void(bounds)),
            order,
            chunk: Vec::new().into_iter(),
            size: FIRST_CHUNK,
        }
    }

    fn read(&mut self, bounds: Bounds) -> Result<(), IndexFault> {
        let view = &self.view;
        let (from, to) = &bounds;
        let (layers, below) = view.stable(
            |overlay| overlay.layers(view.number, (from, to), self.order, self.size),
            |_| view.shared.tree.chunk(from, to, self.order, self.size),
        )?;
        let (entries, until) = merge(below, layers, self.order);
        let (from, to) = bounds;
        self.rest = until
            .map(|until| match self.order {
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

fn owned(from: Bound<&[u8]>, to: Bound<&[u8]>) -> Bounds {
    (from.map(<[u8]>::to_vec), to.map(<[u8]>::to_vec))
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
