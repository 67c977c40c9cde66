//! Resealing: records that an older key sealed, or none, are sealed with the current one.

use std::ops::Bound;

use super::fault::Fault;
use super::group::Group;
use super::key;
use super::list::{Reader, decode_cursor, encode_cursor};

/// One record: the prefix of all its parts, which for a delivery is its whole key.
pub(super) struct Name(Vec<u8>);

impl Name {
    /// The record that a key belongs to, if its room is one that is sealed.
    fn of(key: &[u8]) -> Option<Self> {
        let length = match *key.first()? {
            key::LEAD => 21,
            key::QUARANTINE => 17,
            key::WAITING | key::DONE | key::DEAD | key::STATE => key.len(),
            _ => return None,
        };
        Some(Self(key.get(..length)?.to_vec()))
    }

    /// What the record is sealed for: a delivery keeps its seal from room to room.
    fn room(&self) -> u8 {
        match self.0[0] {
            key::DONE | key::DEAD => key::WAITING,
            room => room,
        }
    }
}

impl Reader {
    /// Records that are not sealed as they would be now, among the `limit` keys beyond `from`,
    /// and where to go on.
    pub(super) fn stale(
        &self,
        from: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Name>, Option<String>), Fault> {
        let from = from.and_then(decode_cursor).unwrap_or_default();
        let mut stale: Vec<Name> = Vec::new();
        let mut seen = Vec::new();
        let keys = self.tree.range((Bound::Excluded(from), Bound::Unbounded));
        for (count, entry) in keys.enumerate() {
            let (key, bytes) = entry?;
            if let Some(name) = Name::of(&key)
                && name.0 != seen
            {
                // Only the first part of a record begins with its seal.
                seen.clone_from(&name.0);
                if !self.vault.is_current(&bytes) {
                    stale.push(name);
                }
            }
            if count + 1 >= limit {
                // Go on behind the whole record, not between its parts.
                let last = if seen.is_empty() {
                    key.to_vec()
                } else {
                    [seen.as_slice(), &[0xff; 2]].concat()
                };
                return Ok((stale, Some(encode_cursor(&last.max(key.to_vec())))));
            }
        }
        Ok((stale, None))
    }
}

impl Group<'_> {
    /// Seals one record again. One that is gone or current by now is left alone.
    pub(super) fn reseal(&mut self, name: &Name) -> Result<(), Fault> {
        let parts = self.writes.scan(&name.0)?;
        let sealed: Vec<u8> = parts.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
        if sealed.is_empty() || self.on.vault.is_current(&sealed) {
            return Ok(());
        }
        let plain = self.on.vault.unseal(name.room(), &sealed)?.into_owned();
        let sealed = self.on.vault.seal(name.room(), plain);
        let single = matches!(name.0[0], key::WAITING | key::DONE | key::DEAD | key::STATE);
        for (key, _) in parts {
            self.writes.remove(key);
        }
        if single {
            self.writes.put(name.0.clone(), sealed);
            return Ok(());
        }
        self.put_parts(&name.0, &sealed);
        Ok(())
    }
}
