//! Fingerprints: which segments may have a tag that the engine itself looks up, without
//! reading any file.
//!
//! A fingerprint's upper half names a shard, and its lower half stands there together with a
//! slot number for the segment: four bytes an entry, sorted, in shards so small that adding
//! moves little. Two in a thousand absent tags pass for each ten million entries.

use parking_lot::RwLock;

/// A short number for a segment that stands in the table.
pub(super) type Slot = u16;

/// Shards behind one lock, so that sweeping never keeps a reader waiting for long.
const TOGETHER: usize = 256;
const SHARDS: usize = 1 << 16;

/// The lower half of the fingerprint, then the slot.
type Shard = Vec<u32>;

pub(super) struct Fingerprints(Vec<RwLock<Vec<Shard>>>);

impl Fingerprints {
    /// Those of segments that are already there; each slot's are sorted.
    pub(super) fn of(all: &[(Slot, Vec<u32>)]) -> Self {
        let many: usize = all.iter().map(|(_, some)| some.len()).sum();
        let mean = many / SHARDS;
        // Room for nearly all shards at once: they differ by the root of their size.
        let room = mean + 3 * mean.isqrt();
        let mut at = vec![0; all.len()];
        let groups = (0..SHARDS / TOGETHER).map(|group| {
            let mut shards: Vec<_> = (0..TOGETHER).map(|_| Shard::with_capacity(room)).collect();
            for ((slot, some), at) in all.iter().zip(&mut at) {
                while let Some(one) = some.get(*at)
                    && shard_of(*one) / TOGETHER == group
                {
                    shards[shard_of(*one) % TOGETHER].push(packed(*one, *slot));
                    *at += 1;
                }
            }
            shards.iter_mut().for_each(|shard| shard.sort_unstable());
            RwLock::new(shards)
        });
        Self(groups.collect())
    }

    /// One segment's fingerprints.
    pub(super) fn add(&self, slot: Slot, some: &[u32]) {
        for one in some {
            let number = shard_of(*one);
            let mut shards = self.0[number / TOGETHER].write();
            let shard = &mut shards[number % TOGETHER];
            let packed = packed(*one, slot);
            if let Err(at) = shard.binary_search(&packed) {
                if shard.len() == shard.capacity() {
                    // An eighth more: shards grow all alike, so doubling would double it all.
                    shard.reserve_exact((shard.len() / 8).max(4));
                }
                shard.insert(at, packed);
            }
        }
    }

    /// The slots of all segments that may have it.
    pub(super) fn find(&self, one: u32) -> Vec<Slot> {
        let number = shard_of(one);
        let shards = self.0[number / TOGETHER].read();
        let shard = &shards[number % TOGETHER];
        let first = packed(one, 0);
        let start = shard.partition_point(|other| *other < first);
        shard[start..]
            .iter()
            .take_while(|other| *other >> 16 == first >> 16)
            .map(|other| (other & 0xffff) as Slot)
            .collect()
    }

    /// Removes a slot's.
    pub(super) fn sweep(&self, slot: Slot) {
        for shards in &self.0 {
            for shard in shards.write().iter_mut() {
                shard.retain(|one| (one & 0xffff) as Slot != slot);
            }
        }
    }
}

fn shard_of(one: u32) -> usize {
    (one >> 16) as usize
}

fn packed(one: u32, slot: Slot) -> u32 {
    (one << 16) | u32::from(slot)
}
