//! What waits for an index: pushes that are durable, and ends of attempts that are not.

use std::collections::VecDeque;

use super::job::Wanted;
use super::place::Place;

/// What waits for an index.
#[derive(Default)]
pub(super) struct Deferred {
    /// Where pushes stand, oldest first.
    pub(super) pushes: VecDeque<Place>,
    /// Ends of attempts.
    pub(super) held: Vec<Wanted>,
}

impl Deferred {
    pub(super) fn new(pushes: Vec<Place>) -> Self {
        Self {
            pushes: pushes.into(),
            held: Vec::new(),
        }
    }

    /// Whether pushes are still to be accepted.
    pub(super) fn is_pending(&self) -> bool {
        !self.pushes.is_empty()
    }
}
