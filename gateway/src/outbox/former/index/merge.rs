//! Merging: several sorted layers read as one, the newest word on each entry counting.

use super::super::fault::Fault;
use super::entry::{Change, Entry};

type Item = Result<Change, Fault>;

/// Layers from the oldest to the newest.
pub(super) struct Merge<'a> {
    layers: Vec<std::iter::Peekable<Box<dyn Iterator<Item = Item> + 'a>>>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(layers: Vec<Box<dyn Iterator<Item = Item> + 'a>>) -> Self {
        Self {
            layers: layers.into_iter().map(Iterator::peekable).collect(),
        }
    }
}

impl Iterator for Merge<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        let mut least: Option<(usize, Entry)> = None;
        for (layer, changes) in self.layers.iter_mut().enumerate() {
            match changes.peek() {
                Some(Ok((entry, _))) if least.is_none_or(|(_, least)| *entry <= least) => {
                    least = Some((layer, *entry));
                }
                // What cannot be read ends the whole, not only its layer.
                Some(Err(_)) => {
                    least = Some((layer, Entry::first_of(&[0; 17])));
                    break;
                }
                Some(Ok(_)) | None => {}
            }
        }
        let (newest, entry) = least?;
        let item = self.layers[newest].next()?;
        for changes in &mut self.layers[..newest] {
            changes.next_if(|change| matches!(change, Ok((other, _)) if *other == entry));
        }
        Some(item)
    }
}
