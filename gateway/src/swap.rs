//! Swap: a value that is replaced as a whole while others read it.
//!
//! Whoever reads gets one value and keeps it for as long as the work takes, whatever is put in
//! its place meanwhile.

use std::sync::{Arc, PoisonError, RwLock};

/// Holds the current value.
pub struct Swap<T>(RwLock<Arc<T>>);

impl<T> Swap<T> {
    /// With a first value.
    pub fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// The current value. Never waits for long.
    pub fn get(&self) -> Arc<T> {
        // The lock guards one pointer: a poisoned one is still right.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in its place, and gives the one that was there.
    pub fn set(&self, value: T) -> Arc<T> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, Arc::new(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_what_it_got() {
        let swap = Swap::new(1);
        let before = swap.get();
        assert_eq!(*swap.set(2), 1);
        assert_eq!((*before, *swap.get()), (1, 2));
    }
}
