//! Backup.

use std::io::Write;

use super::SledOutbox;
use crate::outbox::{BackedUp, UpkeepError};

impl SledOutbox {
    pub(super) fn write_backup(&self, _to: &mut dyn Write) -> Result<BackedUp, UpkeepError> {
        Err(UpkeepError::Busy)
    }
}
