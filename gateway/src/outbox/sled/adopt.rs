//! Adopting: a store that is to take an export gets its index key, so that it still knows what
//! is a re-push and finds leads by phone.

use std::path::Path;

use leadgate_plugin::unhex;

use super::OpenError;
use super::codec::AuditMark;
use super::lock::Lock;
use super::open::{open_journal, private, refuse_older, standing};
use crate::outbox::{ExportHeader, UpkeepError};
use crate::seal::{IndexKey, OutboxKey};

/// Gives the store at `path` the index key of an export: an empty store takes it, a store with
/// leads must have it.
pub fn adopt(path: &Path, keys: &[OutboxKey], header: &ExportHeader) -> Result<(), UpkeepError> {
    let key = unhex(&header.index_key).and_then(|key| <[u8; 32]>::try_from(key).ok());
    let Some(key) = key else {
        let why = "its first line has no index key";
        return Err(UpkeepError::Invalid(why.to_owned()));
    };
    std::fs::create_dir_all(path)?;
    private(path)?;
    let lock = Lock::take(path)?;
    let _lock = lock.ok_or_else(|| OpenError::InUse(path.to_owned()))?;
    refuse_older(path)?;
    let (mut journal, recovered) = open_journal(path, keys)?;
    let mut standing = standing(&journal.reader(), &recovered, |_, _| {})?;
    if *standing.index_key.as_bytes() != key {
        let totals = &standing.totals;
        if totals.leads > 0 || totals.in_quarantine > 0 || !standing.deferred.is_empty() {
            let why = "the outbox holds leads of its own, indexed with another key; import into \
                       an empty one";
            return Err(UpkeepError::Invalid(why.to_owned()));
        }
        if standing.audit != AuditMark::default() {
            let why = "the outbox has an audit log of its own, linked with another key; import \
                       into a new folder";
            return Err(UpkeepError::Invalid(why.to_owned()));
        }
        standing.index_key = IndexKey::from_bytes(key);
        journal.roll(&standing)?;
    }
    Ok(journal.close(&standing)?)
}
