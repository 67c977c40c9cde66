//! Pages of sled's tree, as they lie in its log.
//!
//! A leaf says which range of keys it covers; its keys lack a prefix that they share. Knows
//! nothing of where pages are, see [`super::log`]. Any bytes are read or refused, never a panic.

use std::collections::BTreeMap;

/// A number and how many bytes it takes.
pub(super) struct Varint(pub(super) u64, pub(super) usize);

/// Which keys a page covers: from `low` on, below `high` (empty: no end).
pub(super) struct Range {
    pub(super) low: Vec<u8>,
    pub(super) high: Vec<u8>,
    prefix: usize,
    leaf: bool,
}

/// A change to a leaf; keys lack the prefix.
pub(super) enum Change {
    Set(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    /// About pages only: the merged page's new state follows.
    Merge,
}

/// A leaf and its entries.
pub(super) struct Leaf {
    pub(super) range: Range,
    pub(super) entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Range {
    /// `None` if it is another kind of page or damaged.
    pub(super) fn of_leaf(mut bytes: &[u8]) -> Option<Self> {
        Self::read(&mut bytes).filter(|range| range.leaf)
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let _next = number(bytes)?;
        let _merging_child = number(bytes)?;
        let _merging = byte(bytes)?;
        let prefix = usize::from(byte(bytes)?);
        let low = string(bytes)?;
        let high = string(bytes)?;
        let leaf = byte(bytes)? == 0;
        (prefix <= low.len()).then_some(Self {
            low,
            high,
            prefix,
            leaf,
        })
    }

    pub(super) fn covers(&self, key: &[u8]) -> bool {
        self.low.as_slice() <= key && (self.high.is_empty() || key < self.high.as_slice())
    }

    /// The whole key of one that lacks the prefix.
    pub(super) fn key(&self, rest: &[u8]) -> Vec<u8> {
        [&self.low[..self.prefix], rest].concat()
    }

    /// The same if the prefix had another length: all that it may be.
    pub(super) fn keys(&self, rest: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        (0..=self.low.len()).map(move |length| [&self.low[..length], rest].concat())
    }
}

impl Leaf {
    /// `None` if it is another kind of page or damaged.
    pub(super) fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let range = Range::read(bytes).filter(|range| range.leaf)?;
        let count = usize::try_from(number(bytes)?).ok()?;
        let mut keys = Vec::new();
        for _ in 0..count {
            keys.push(range.key(&string(bytes)?));
        }
        let mut entries = BTreeMap::new();
        for key in keys {
            entries.insert(key, string(bytes)?);
        }
        Some(Self { range, entries })
    }
}

impl Change {
    /// `None` if it cannot be read.
    pub(super) fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        match byte(bytes)? {
            0 => Some(Self::Set(string(bytes)?, string(bytes)?)),
            1 => Some(Self::Remove(string(bytes)?)),
            2..=4 => Some(Self::Merge),
            _ => None,
        }
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
            Leaf::read(&bytes);
            if let Some(range) = Range::of_leaf(&bytes) {
                range.keys(&range.key(&bytes)).count();
            }
            Change::read(&bytes);
        }
    }
}
