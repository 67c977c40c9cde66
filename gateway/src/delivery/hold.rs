//! Holds: what keeps a delivery from being tried now, since when and until when.
//!
//! Every reason for which a sink starts nothing has a name here, so that none is invisible.

use std::fmt;

use crate::clock::Millis;

/// One thing that holds deliveries back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What.
    pub reason: HoldReason,
    /// Since when, by the wall clock; `None` if that is not known.
    pub since: Option<Millis>,
    /// Until when, by the wall clock; `None` where no time ends it.
    pub until: Option<Millis>,
}

/// What can hold a delivery back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldReason {
    /// A person paused the sink.
    Paused,
    /// The sink is left alone because it fails.
    Breaker,
    /// The destination asked for a wait.
    Destination,
    /// The sink's `rate`.
    Rate,
    /// All slots of the sink's `concurrency` are taken, or the only one is kept for new leads
    /// after an attempt that hung.
    Slots,
    /// An earlier revision of the lead goes first.
    Order,
    /// It failed before, and is tried again later.
    Backoff,
    /// Its sink is not configured any more.
    Orphaned,
}

impl HoldReason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Paused,
        Self::Breaker,
        Self::Destination,
        Self::Rate,
        Self::Slots,
        Self::Order,
        Self::Backoff,
        Self::Orphaned,
    ];

    /// Those that hold a whole sink.
    pub const OF_SINKS: [Self; 5] = [
        Self::Paused,
        Self::Breaker,
        Self::Destination,
        Self::Rate,
        Self::Slots,
    ];

    /// Its stable name in metrics and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Breaker => "breaker",
            Self::Destination => "destination",
            Self::Rate => "rate",
            Self::Slots => "slots",
            Self::Order => "order",
            Self::Backoff => "backoff",
            Self::Orphaned => "orphaned",
        }
    }
}

impl fmt::Display for HoldReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
