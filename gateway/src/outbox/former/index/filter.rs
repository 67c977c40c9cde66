//! A Bloom filter over tags: whether a run may have one, without reading it.
//!
//! Tags are keyed hashes already, so their own bytes choose the bits. With twelve bits for
//! each tag about three of a thousand absent ones are looked for in vain.

use super::entry::Tag;

const BITS_FOR_EACH: usize = 12;
const PROBES: u64 = 8;

pub(super) struct Filter(Vec<u64>);

impl Filter {
    /// For about `tags` tags.
    pub(super) fn new(tags: usize) -> Self {
        Self(vec![0; (tags * BITS_FOR_EACH).div_ceil(64).max(1)])
    }

    pub(super) fn add(&mut self, tag: &Tag) {
        for (word, bit) in bits(tag, self.0.len()) {
            self.0[word] |= bit;
        }
    }

    /// `false` only for a tag that was never added.
    pub(super) fn may_have(&self, tag: &Tag) -> bool {
        bits(tag, self.0.len()).all(|(word, bit)| self.0[word] & bit != 0)
    }
}

fn bits(tag: &Tag, words: usize) -> impl Iterator<Item = (usize, u64)> {
    let half = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&tag[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    // Two hashes make all others (Kirsch and Mitzenmacher).
    let (first, step) = (half(1) ^ u64::from(tag[0]), half(9) | 1);
    let all = words as u64 * 64;
    (0..PROBES).map(move |probe| {
        let bit = first.wrapping_add(probe.wrapping_mul(step)) % all;
        let word = usize::try_from(bit / 64).expect("below the number of words");
        (word, 1 << (bit % 64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_always_found_and_most_else_is_not() {
        let tag = |number: u64| {
            let hash = blake3::hash(&number.to_be_bytes());
            let mut tag = [1; 17];
            tag[1..].copy_from_slice(&hash.as_bytes()[..16]);
            tag
        };
        let mut filter = Filter::new(10_000);
        (0..10_000).for_each(|number| filter.add(&tag(number)));
        assert!((0..10_000).all(|number| filter.may_have(&tag(number))));
        let wrong = (10_000..20_000).filter(|number| filter.may_have(&tag(*number)));
        let wrong = wrong.count();
        assert!(wrong < 200, "{wrong} of 10,000 absent tags pass");
    }
}
