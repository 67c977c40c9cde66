//! Adopting: a store that is to take an export gets its index key, so that it still knows what
//! is a re-push and finds leads by phone.

use std::path::Path;
use std::sync::Arc;

use leadgate_plugin::unhex;

use super::codec::Standing;
use super::journal::{Journal, JournalError};
use super::lock::Lock;
use super::open::{open_journal, private, refuse_older, standing};
use crate::outbox::{ExportHeader, UpkeepError};
use crate::seal::{IndexKey, OutboxKey};

/// Gives the store at `path` the index key of an export: an empty store takes it, a store with
/// leads must have it.
pub fn adopt(path: &Path, keys: &[OutboxKey], header: &ExportHeader) -> Result<(), UpkeepError> {
    let invalid = |error: &dyn std::fmt::Display| UpkeepError::Invalid(error.to_string());
    let key = unhex(&header.index_key).and_then(|key| <[u8; 32]>::try_from(key).ok());
    let key = key.ok_or_else(|| invalid(&"its first line has no index key"))?;
    std::fs::create_dir_all(path)?;
    private(path)?;
    let lock = Lock::take(path)?;
    let _lock = lock.ok_or_else(|| invalid(&super::OpenError::InUse(path.to_owned())))?;
    refuse_older(path).map_err(|error| invalid(&error))?;
    let (mut journal, recovered) = open_journal(path, keys).map_err(|error| invalid(&error))?;
    let turned = take(&mut journal, &recovered, &key);
    let standing = turned.map_err(|error| invalid(&error))??;
    journal.close(&standing).map_err(|error| invalid(&error))
}

fn take(
    journal: &mut Journal,
    recovered: &super::journal::Recovered,
    key: &[u8; 32],
) -> Result<Result<Standing, UpkeepError>, JournalError> {
    let mut standing = standing(&Arc::clone(&journal.reader()), recovered, |_, _| {})?;
    if standing.index_key.as_bytes() == key {
        return Ok(Ok(standing));
    }
    let totals = &standing.totals;
    if totals.leads > 0 || totals.in_quarantine > 0 || !standing.deferred.is_empty() {
        return Ok(Err(UpkeepError::Invalid(
            "the outbox holds leads of its own, indexed with another key; import into an empty one"
                .to_owned(),
        )));
    }
    standing.index_key = IndexKey::from_bytes(*key);
    journal.roll(&standing)?;
    Ok(Ok(standing))
}
