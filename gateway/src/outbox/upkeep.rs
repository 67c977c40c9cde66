//! What upkeep of a store reports: verification, salvage, backups, imports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Unavailable;
use crate::clock::Millis;
use crate::lang::Text;

/// Problems listed one by one, at most; beyond, they are only counted.
pub const PROBLEMS_LISTED: usize = 100;

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong.
    pub what: Text,
    /// With what, in words; ids, nothing personal.
    pub key: Text,
    /// What to do about it.
    pub advice: Text,
}

fn list(listed: &mut Vec<Problem>, what: Text, key: Text, advice: Text) {
    if listed.len() < PROBLEMS_LISTED {
        listed.push(Problem { what, key, advice });
    }
}

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Leads.
    pub leads: u64,
    /// Revisions of them.
    pub revisions: u64,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Deliveries that are done.
    pub done: u64,
    /// Dead letters.
    pub dead: u64,
    /// Quarantined pushes.
    pub quarantined: u64,
    /// Entries of the audit log.
    pub audit: u64,
    /// Problems found.
    pub found: u64,
    /// The first [`PROBLEMS_LISTED`] of them.
    pub problems: Vec<Problem>,
}

impl Verdict {
    /// Adds a problem.
    pub fn problem(
        &mut self,
        what: impl Into<Text>,
        key: impl Into<Text>,
        advice: impl Into<Text>,
    ) {
        self.found += 1;
        list(&mut self.problems, what.into(), key.into(), advice.into());
    }
}

/// What a salvage saved and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Salvaged {
    /// Leads saved.
    pub leads: u64,
    /// Revisions saved.
    pub revisions: u64,
    /// Deliveries saved.
    pub deliveries: u64,
    /// Those of them whose state is lost, so that they wait again.
    pub again: u64,
    /// Pushes in quarantine saved.
    pub quarantined: u64,
    /// What the store's own counts say was there and is not; nothing if they are lost too.
    pub missing_leads: Option<u64>,
    /// Losses found.
    pub lost: u64,
    /// The first [`PROBLEMS_LISTED`] of them.
    pub losses: Vec<Problem>,
}

impl Salvaged {
    /// Adds a loss.
    pub fn lose(&mut self, what: impl Into<Text>, key: impl Into<Text>, advice: impl Into<Text>) {
        self.lost += 1;
        list(&mut self.losses, what.into(), key.into(), advice.into());
    }
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BackedUp {
    /// Entries copied.
    pub entries: u64,
    /// Changes made meanwhile.
    pub changes: u64,
}

/// A segment of a store as a backup has it: of one store, the same number, length and checksum
/// are the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SegmentCopy {
    /// Its number.
    pub number: u32,
    /// How many bytes there are.
    pub bytes: u64,
    /// Their CRC-32.
    pub crc: u32,
}

/// A file of the audit log as a backup has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditCopy {
    /// Number of its first entry.
    pub first: u64,
    /// How many bytes there are.
    pub bytes: u64,
    /// Their CRC-32.
    pub crc: u32,
}

/// What a restored store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Records put.
    pub records: u64,
    /// The newest time in it, which is about when the backup was made.
    pub newest_at: Option<Millis>,
    /// Leads.
    pub leads: u64,
    /// Pushes in quarantine.
    pub quarantined: u64,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Dead letters.
    pub dead: u64,
    /// What goes out at the next start, by sink: what waits and is not paused.
    pub goes_out: BTreeMap<String, u64>,
    /// Whether all of its sinks were paused.
    pub paused: bool,
    /// The id of the key its records are sealed with, if they are.
    pub sealed_with: Option<String>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Leads stored.
    pub leads: u64,
    /// Leads that were there.
    pub leads_known: u64,
    /// Deliveries stored.
    pub deliveries: u64,
    /// Pushes in quarantine stored.
    pub quarantined: u64,
    /// Those that were there.
    pub quarantined_known: u64,
    /// Entries of the audit log stored.
    pub audit: u64,
    /// Those that were there.
    pub audit_known: u64,
}

/// Why upkeep ended early.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// One at a time.
    #[error("a backup is being made already")]
    Busy,
    /// The store.
    #[error(transparent)]
    Store(#[from] Unavailable),
    /// Where it is written to, or read from.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// What was to be read is not what it must be.
    #[error("{0}")]
    Invalid(String),
}
