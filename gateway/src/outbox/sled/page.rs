//! Pages of sled's tree, as they lie in its log.
//!
//! A leaf says which range of keys it covers; its keys lack a prefix that they share. Knows
//! nothing of where pages are, see [`super::log`]. Any bytes are read or refused, never a panic.

use std::collections::BTreeMap;

/// A number and how many bytes it takes.
pub(super) struct Varint(pub(super) u64, pub(super) usize);

/// A leaf: keys from `low` on, below `high` (empty: no end).
pub(super) struct Leaf {
    pub(super) low: Vec<u8>,
    pub(super) high: Vec<u8>,
    prefix: Vec<u8>,
    pub(super) entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Leaf {
    /// `None` if it is another kind of page or damaged.
    pub(super) fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let _next = number(bytes)?;
        let _merging_child = number(bytes)?;
        let _merging = byte(bytes)?;
        let prefix = usize::from(byte(bytes)?);
        let low = string(bytes)?;
        let high = string(bytes)?;
        let prefix = low.get(..prefix)?.to_vec();
        if byte(bytes)? != 0 {
            return None;
        }
        let count = usize::try_from(number(bytes)?).ok()?;
        let mut keys = Vec::new();
        for _ in 0..count {
            keys.push([prefix.as_slice(), &string(bytes)?].concat());
        }
        let mut entries = BTreeMap::new();
        for key in keys {
            entries.insert(key, string(bytes)?);
        }
        Some(Self {
            low,
            high,
            prefix,
            entries,
        })
    }

    /// Applies a change; `false` if it cannot be read.
    pub(super) fn change(&mut self, mut bytes: &[u8]) -> bool {
        let bytes = &mut bytes;
        let full = |leaf: &Self, key: Vec<u8>| [leaf.prefix.as_slice(), &key].concat();
        match byte(bytes) {
            Some(0) => {
                let (Some(key), Some(value)) = (string(bytes), string(bytes)) else {
                    return false;
                };
                self.entries.insert(full(self, key), value);
            }
            Some(1) => {
                let Some(key) = string(bytes) else {
                    return false;
                };
                self.entries.remove(&full(self, key));
            }
            // Merging of pages: the merged page's new state follows.
            Some(2..=4) => {}
            _ => return false,
        }
        true
    }
}

fn byte(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let Varint(number, length) = read_varint(bytes)?;
    *bytes = &bytes[length..];
    Some(number)
}

fn string(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(number(bytes)?).ok()?;
    let (string, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(string.to_vec())
}

/// sled's numbers of variable length.
pub(super) fn read_varint(bytes: &[u8]) -> Option<Varint> {
    let first = *bytes.first()?;
    let at = |index: usize| bytes.get(index).copied().map(u64::from);
    Some(match first {
        0..=240 => Varint(u64::from(first), 1),
        241..=248 => Varint(240 + 256 * (u64::from(first) - 241) + at(1)?, 2),
        249 => Varint(2288 + 256 * at(1)? + at(2)?, 3),
        _ => {
            let length = usize::from(first) - 247;
            let mut number = [0; 8];
            number[..length].copy_from_slice(bytes.get(1..=length)?);
            Varint(u64::from_le_bytes(number), length + 1)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_panic(bytes: Vec<u8>) {
            if let Some(mut leaf) = Leaf::read(&bytes) {
                leaf.change(&bytes);
            }
        }
    }
}
