//! What a sink's plugin keeps from one run to the next: small values under names of its own.
//!
//! Sealed like leads. Known by the sink's number, so they stay with a sink that is taken out of
//! the configuration and comes back.

use super::fault::Fault;
use super::group::Group;
use super::key;
use super::list::Reader;
use super::record;
use crate::outbox::SINK_STATE_KEYS;

impl Reader {
    pub(super) fn sink_state(&self, sink: &str, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let number = self.sinks.named(sink)?.number;
        let Some(sealed) = self.tree.get(key::state(number, name))? else {
            return Ok(None);
        };
        let plain = self.vault.unseal(key::STATE, &sealed)?;
        Ok(Some(record::decode::<&[u8]>(&plain)?.to_vec()))
    }
}

impl Group<'_> {
    /// Keeps a value, or forgets it; `false` if there are too many others.
    pub(super) fn keep_sink_state(
        &mut self,
        sink: &str,
        name: &str,
        value: Option<Vec<u8>>,
    ) -> Result<bool, Fault> {
        let number = self.on.sinks.named(sink)?.number;
        let at = key::state(number, name);
        let Some(value) = value else {
            if self.writes.get(&at)?.is_some() {
                self.writes.remove(at);
            }
            return Ok(true);
        };
        let others = self.writes.scan(&key::states(number))?;
        let others = others.iter().filter(|(key, _)| *key != at).count();
        if others >= SINK_STATE_KEYS {
            return Ok(false);
        }
        let sealed = record::seal(self.on.vault, key::STATE, &value.as_slice());
        self.writes.put(at, sealed);
        Ok(true)
    }
}
