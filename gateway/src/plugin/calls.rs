//! Calls: attempts that a plugin has not completed yet.
//!
//! A plugin gets a number, not a pointer, to complete an attempt with: a number used twice
//! or made up is found out here and harms nobody. What the plugin borrows is kept until it
//! completes, even if the host has long stopped waiting.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::Outcome;

/// An attempt with all it lends to the plugin.
pub(super) struct Open<T> {
    /// Kept alive until the plugin completes.
    pub(super) lent: T,
    /// Who waits for it.
    pub(super) done: Done,
}

/// Who is told how an attempt ended.
pub(super) enum Done {
    /// Somebody who may have stopped waiting.
    Waits(oneshot::Sender<Outcome>),
    /// Somebody who passes it on.
    Told(Box<dyn FnOnce(Outcome) + Send>),
}

impl Done {
    /// Tells it, and whether anybody waited still.
    pub(super) fn send(self, outcome: Outcome) -> bool {
        match self {
            Self::Waits(waiting) => waiting.send(outcome).is_ok(),
            Self::Told(tell) => {
                tell(outcome);
                true
            }
        }
    }
}

/// Open attempts by number.
pub(super) struct Calls<T> {
    next: AtomicU64,
    open: LazyLock<Mutex<HashMap<u64, Open<T>>>>,
}

impl<T> Calls<T> {
    pub(super) const fn new() -> Self {
        Self {
            next: AtomicU64::new(1),
            open: LazyLock::new(Mutex::default),
        }
    }

    /// A number that was never given before.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn open(&self, number: u64, call: Open<T>) {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, call);
    }

    /// Looks at an attempt that is open still.
    pub(super) fn look<R>(&self, number: u64, look: impl FnOnce(&T) -> R) -> Option<R> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&number).map(|call| look(&call.lent))
    }

    /// Takes the attempt out; `None` if it was completed before.
    pub(super) fn close(&self, number: u64) -> Option<Open<T>> {
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number)
    }
}
