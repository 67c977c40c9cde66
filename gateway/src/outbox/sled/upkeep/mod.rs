//! Upkeep of a store that no daemon has: verify and salvage.
//!
//! Both read the journal alone and trust nothing else: the index is compared with it, and may
//! help to name what is missing.

mod compare;
mod known;
mod read;
mod salvage;
mod verify;
mod words;

use std::path::{Path, PathBuf};

pub use self::salvage::salvage;
pub use self::verify::verify;
use super::OpenError;
use super::index::IndexFault;
use super::journal::JournalError;
use super::lock::Lock;
use super::open::refuse_older;
use crate::outbox::state::Fault;
use crate::outbox::{Unavailable, UpkeepError};

/// Takes the store in `path`, if there is one and nobody has it.
fn look(path: &Path) -> Result<Lock, UpkeepError> {
    refuse_older(path)?;
    let journal = path.join("journal");
    if !journal.is_dir() || read::segments(&journal)?.is_empty() {
        return Err(UpkeepError::Invalid(format!(
            "there is no outbox in {}: it has no journal",
            path.display()
        )));
    }
    let lock = Lock::take(path)?;
    lock.ok_or_else(|| OpenError::InUse(path.to_owned()).into())
}

/// The folder that a store is in: what is made beside it is as private as it is.
fn beside(path: &Path) -> Result<PathBuf, UpkeepError> {
    let path = std::path::absolute(path)?;
    Ok(path.parent().unwrap_or(&path).to_owned())
}

impl From<OpenError> for UpkeepError {
    fn from(error: OpenError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<JournalError> for UpkeepError {
    fn from(error: JournalError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<Fault> for UpkeepError {
    fn from(fault: Fault) -> Self {
        Self::Store(Unavailable(fault.to_string()))
    }
}

impl From<IndexFault> for UpkeepError {
    fn from(fault: IndexFault) -> Self {
        Fault::from(fault).into()
    }
}
