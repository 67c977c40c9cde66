//! Faults: why the index does not answer.

/// Why the index does not go on. But for [`IndexFault::Closed`] it must be made anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexFault {
    /// It does not hold what was put into it, or sled gave up on it.
    #[error("the index on disk is damaged: {0}")]
    Damaged(String),
    /// Another leadgate wrote it.
    #[error("the index on disk has version {found}; this leadgate knows {known}")]
    Version {
        /// The version found.
        found: u8,
        /// The one that this leadgate writes.
        known: u8,
    },
    /// The disk refused.
    #[error("the disk refused the index: {0}")]
    Disk(String),
    /// Another process has it open.
    #[error("the index is open in another process")]
    InUse,
    /// A call into sled does not end. sled has one lock for the whole process: until that call
    /// ends no index can be opened in this one.
    #[error("the index hangs in a write; restart leadgate if this stays")]
    Hangs,
    /// The index was closed.
    #[error("the index is closed")]
    Closed,
}

/// What an error of sled means.
pub(super) fn meaning(error: &::sled::Error) -> IndexFault {
    match error {
        ::sled::Error::Io(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            IndexFault::Damaged("a file of it is cut short".to_owned())
        }
        ::sled::Error::Io(io) if io.to_string().contains("lock") => IndexFault::InUse,
        ::sled::Error::Io(io) => IndexFault::Disk(io.to_string()),
        ::sled::Error::Corruption { .. } => {
            IndexFault::Damaged("a part of it does not hold what was written there".to_owned())
        }
        _ => IndexFault::Damaged(GAVE_UP.to_owned()),
    }
}

/// What is said of sled's panics and complaints: its own words are for those who wrote it.
pub(super) const GAVE_UP: &str = "its storage engine gave up on what is there";
