//! The digest: a sum over all entries that does not depend on their order.
//!
//! An entry that sled lost, kept too long or changed makes it differ from the sum over what is
//! there. It guards against accidents, not against somebody who computes.

/// A number of entries and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) entries: u64,
    pub(super) sum: u128,
}

impl Digest {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_add(1);
        self.sum = self.sum.wrapping_add(hash(key, value));
    }

    pub(super) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.entries = self.entries.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(hash(key, value));
    }

    /// What a key held before, and holds now.
    pub(super) fn change(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if let Some(old) = old {
            self.remove(key, old);
        }
        if let Some(new) = new {
            self.add(key, new);
        }
    }
}

fn hash(key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    // Its length first: no two entries are the same bytes.
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(value);
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    u128::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_what_is_there_in_whatever_order_it_came() {
        let mut one = Digest::default();
        one.add(b"a", b"1");
        one.add(b"b", b"2");
        one.change(b"a", Some(b"1"), Some(b"3"));
        let mut two = Digest::default();
        two.add(b"b", b"2");
        two.add(b"a", b"3");
        assert_eq!(one, two);
        one.change(b"b", Some(b"2"), None);
        assert_ne!(one, two);
        one.change(b"a", Some(b"3"), None);
        assert_eq!(one, Digest::default());
    }

    #[test]
    fn a_byte_that_wanders_from_key_to_value_is_seen() {
        assert_ne!(hash(b"ab", b"c"), hash(b"a", b"bc"));
    }
}
