//! Entries: all that the journal knows to keep.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Remains;
use crate::outbox::sled::place::Place;
use crate::outbox::state::{NewLead, NewQuarantined, Record};
use crate::outbox::{
    BulkJob, Chain, JobId, LeadId, Pause, QuarantineCount, Token, TokenId, Totals,
};
use crate::seal::IndexKey;

/// One thing that is kept. Not `Debug`: what was pushed is in it.
#[derive(Clone)]
pub enum Entry {
    /// What a change made different.
    Record {
        /// It.
        record: Record,
        /// Of what is gone: all segments that hold any of its bytes; else empty.
        segments: Vec<u32>,
    },
    /// The counts as they are now.
    Totals(Totals),
    /// The first of each segment.
    Opening(Box<Opening>),
    /// The last of each segment that is closed.
    Closing,
    /// A segment is removed.
    SegmentGone(u32),
    /// A lead that was taken before it could be judged.
    ArrivedLead(NewLead),
    /// A push for quarantine that was taken before it could be judged.
    ArrivedPush(NewQuarantined),
    /// What had arrived at that place was judged.
    Settled(Place),
    /// These segments hold bytes of a lead, too: an erasure must reach them.
    Holds {
        /// The lead.
        lead: LeadId,
        /// Their numbers.
        segments: Vec<u32>,
    },
    /// How far the audit log is.
    Audited(AuditMark),
}

/// A place in the audit log: an entry, or what is before the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Number of the entry; 0 before the first.
    pub number: u64,
    /// Hash of it and of all before it.
    pub chain: Chain,
}

/// What the journal knows of the audit log beside it: so an end that was cut off is noticed, and
/// what left on purpose is told apart from what was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditMark {
    /// All up to this one left on purpose.
    pub retired: Link,
    /// The newest of which anybody was told.
    pub last: Link,
}

/// What a segment begins with: all that must be known without reading the ones before.
#[derive(Clone)]
pub struct Opening {
    /// The store.
    pub store: StoreId,
    /// The segments that exist and are closed, oldest first.
    pub manifest: Vec<SegmentFacts>,
    /// Those of them that are being removed: they may still be there, or not.
    pub gone: Vec<u32>,
    /// Small things as they stand.
    pub standing: Standing,
}

/// A closed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentFacts {
    /// Its number.
    pub number: u32,
    /// Sequence number of its first frame.
    pub first: u64,
    /// Sequence number of its last frame.
    pub last: u64,
    /// Length of its file.
    pub bytes: u64,
}

/// Small things that every start needs. Not `Debug`: what people and plugins wrote is in it.
#[derive(Clone)]
pub struct Standing {
    /// The counts.
    pub totals: Totals,
    /// The sinks that are paused.
    pub pauses: BTreeMap<String, Pause>,
    /// What the sinks' plugins keep, by sink and name.
    pub sink_states: BTreeMap<(String, String), Vec<u8>>,
    /// How much of each source is in quarantine.
    pub quarantine_counts: BTreeMap<String, QuarantineCount>,
    /// Makes the hashes by which things are looked up.
    pub index_key: IndexKey,
    /// What has arrived and was not judged yet; in the order in which it came.
    pub deferred: BTreeSet<Place>,
    /// Where bytes of what left still lie.
    pub remains: Remains,
    /// Bulk jobs.
    pub jobs: BTreeMap<JobId, BulkJob>,
    /// Tokens of the API.
    pub tokens: BTreeMap<TokenId, Token>,
    /// How far the audit log is.
    pub audit: AuditMark,
}

impl Standing {
    /// Of a store that holds nothing.
    pub fn new(index_key: IndexKey) -> Self {
        Self {
            totals: Totals::default(),
            pauses: BTreeMap::new(),
            sink_states: BTreeMap::new(),
            quarantine_counts: BTreeMap::new(),
            index_key,
            deferred: BTreeSet::new(),
            remains: Remains::default(),
            jobs: BTreeMap::new(),
            tokens: BTreeMap::new(),
            audit: AuditMark::default(),
        }
    }
}

/// What a store is called, whatever its folder is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoreId(pub [u8; 16]);

impl StoreId {
    /// A new one.
    pub(crate) fn generate() -> Self {
        let mut bytes = [0; 16];
        crate::seal::random(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StoreId({})", uuid::Uuid::from_bytes(self.0))
    }
}
