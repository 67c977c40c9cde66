//! Kinds of what is written and of what is sealed, as numbers that never change.

pub(super) const RECORD: u8 = 1;
/// Of these only what is sealed in them has a kind of its own.
pub(super) const REVISION: u8 = 2;
pub(super) const DELIVERY: u8 = 3;
pub(super) const QUARANTINED: u8 = 4;
pub(super) const PAUSED: u8 = 5;
pub(super) const SINK_STATE: u8 = 6;
pub(super) const JOB: u8 = 7;
pub(super) const TOKEN: u8 = 8;
pub(super) const TOTALS: u8 = 16;
pub(super) const OPENING: u8 = 17;
pub(super) const CLOSING: u8 = 18;
pub(super) const SEGMENT_GONE: u8 = 19;
pub(super) const ARRIVED_LEAD: u8 = 20;
pub(super) const ARRIVED_PUSH: u8 = 21;
pub(super) const SETTLED: u8 = 22;
pub(super) const HOLDS: u8 = 23;
pub(super) const AUDITED: u8 = 24;

/// Version of every kind.
pub(super) const VERSION: u8 = 1;
/// Version of what is sealed of a delivery. Since 2 attempts say of which configuration they are.
pub(super) const DETAILS_VERSION: u8 = 2;
