//! Faults: what keeps a job from being done, and whether the store can still be trusted.

use super::record::Unreadable;
use crate::outbox::Unavailable;

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The store failed: nothing more is written by this process.
    #[error(transparent)]
    Store(#[from] ::sled::Error),
    /// One record is damaged or too new: only the job that needs it fails.
    #[error(transparent)]
    Record(#[from] Unreadable),
    /// A sink that the store was not told of.
    #[error("sink `{0}` is not registered")]
    Sink(String),
}

impl Fault {
    /// Whether it says something about the store and not only about one record.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Store(_))
    }
}

impl From<Fault> for Unavailable {
    fn from(fault: Fault) -> Self {
        Self(fault.to_string())
    }
}
