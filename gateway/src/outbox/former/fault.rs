//! Faults: what keeps a job from being done, and whether the store can still be trusted.

use super::record::Unreadable;
use crate::outbox::Unavailable;

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The store failed: nothing more is written by this process.
    #[error("{}", said(.0))]
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

/// What a failure of sled means, in words: its own text is for those who wrote it.
pub(super) fn said(error: &::sled::Error) -> String {
    match error {
        ::sled::Error::Io(error) => format!("the disk refused: {error}"),
        ::sled::Error::Corruption { .. } => {
            "the outbox on disk is damaged: a part of it does not hold what was written there; \
             stop leadgate and run `leadgate outbox verify`"
                .to_owned()
        }
        _ => "the storage engine failed; restart leadgate, and if it fails again run \
              `leadgate outbox verify`"
            .to_owned(),
    }
}

/// Why nothing is accepted once a thread that writes has ended by itself.
pub(super) const WRITER_ENDED: &str = "the outbox's writer stopped by an error inside leadgate; \
    what was acknowledged is safe; restart leadgate";

impl From<Fault> for Unavailable {
    fn from(fault: Fault) -> Self {
        Self(fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_said_in_words_and_the_disk_s_own_reason_is_kept() {
        let damaged = ::sled::Error::Corruption { at: None, bt: () };
        let full = ::sled::Error::Io(std::io::ErrorKind::StorageFull.into());
        let bug = ::sled::Error::ReportableBug("segment_accountant: Lid(7) Inline(3)".to_owned());
        for (error, part) in [
            (damaged, "damaged"),
            (full, "the disk refused: "),
            (bug, "restart"),
        ] {
            let text = Fault::from(error).to_string();
            assert!(text.contains(part), "{text}");
            for technical in ["Inline", "backtrace", "offset", "Lid"] {
                assert!(!text.contains(technical), "{text}");
            }
        }
    }
}
