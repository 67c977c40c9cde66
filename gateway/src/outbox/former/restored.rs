//! What a restored store holds, before anything opens it for work.

use super::fault::{Fault, said};
use super::open::register;
use super::record;
use super::{BackedUp, key};
use crate::outbox::{Restored, Totals, Unavailable, UpkeepError};
use crate::seal;

/// Reads what is in the store, and with `paused` pauses all of its sinks.
pub(super) fn look(
    tree: &::sled::Tree,
    done: BackedUp,
    paused: bool,
) -> Result<Restored, UpkeepError> {
    let failed = |error: ::sled::Error| UpkeepError::Store(Unavailable(said(&error)));
    let totals: Totals = match tree.get(key::TOTALS).map_err(failed)? {
        Some(bytes) => record::decode_owned(&bytes)
            .map_err(Fault::from)
            .map_err(Unavailable::from)?,
        None => Totals::default(),
    };
    let sealed_with = tree.get(key::INDEX_KEY).map_err(failed)?;
    let sealed_with = sealed_with.and_then(|bytes| seal::key_of(&bytes));
    if paused {
        for name in register(tree, Vec::new()).map_err(failed)?.by_name.keys() {
            tree.insert(key::paused(name), b"").map_err(failed)?;
        }
    }
    let mut waiting = std::collections::BTreeMap::new();
    for (name, sink) in &totals.sinks {
        let held = tree.contains_key(key::paused(name)).map_err(failed)?;
        if sink.waiting > 0 && !held {
            waiting.insert(name.clone(), sink.waiting);
        }
    }
    Ok(Restored {
        records: done.entries,
        newest_at: (totals.latest > 0).then_some(totals.latest),
        leads: totals.leads,
        quarantined: totals.in_quarantine,
        waiting: totals.sinks.values().map(|sink| sink.waiting).sum(),
        dead: totals
            .sinks
            .values()
            .map(crate::outbox::SinkTotals::dead_letters)
            .sum(),
        goes_out: waiting,
        paused,
        sealed_with: sealed_with.map(|id| id.to_string()),
    })
}
