//! Deliveries: one lead revision for one sink, from waiting to its end.

use std::fmt;
use std::sync::Arc;

use leadgate_plugin::OutcomeKind;
use serde::{Deserialize, Serialize};

use super::{DeliveryId, LeadId, StoredLead, Unavailable};
use crate::clock::Millis;

/// What the store must know of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkPolicy {
    /// Its name.
    pub name: String,
    /// What a newer revision does to an older one.
    pub on_update: crate::config::OnUpdate,
    /// The sink that gets what became a dead letter here.
    pub on_dead: Option<String>,
}

/// Whether a delivery is tried for the first time. What is fresh goes before what is tried
/// again, so the two are claimed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Never tried.
    Fresh,
    /// Tried before, or a person asked for it again.
    Again,
}

/// Which due deliveries to claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of which kind.
    pub freshness: Freshness,
    /// How many at most.
    pub limit: usize,
    /// The newest rather than the oldest, but for one.
    pub newest: bool,
}

/// Deliveries to try now, and when to look again.
#[derive(Debug, Default)]
pub struct Due {
    /// Earliest due first.
    pub deliveries: Vec<Claim>,
    /// When the next one after these is due, if any waits.
    pub next: Option<Millis>,
    /// Deliveries that cannot be read, with the reason: they must not hold up the others.
    pub damaged: Vec<(DeliveryId, Unavailable)>,
}

/// A delivery with what its next attempt needs.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Its id.
    pub id: DeliveryId,
    /// Its state so far.
    pub delivery: Delivery,
    /// The lead revision to deliver.
    pub lead: StoredLead,
    /// Whether the sink was given an earlier revision of this lead.
    pub update: bool,
}

/// A delivery: one lead revision for one sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Name of the sink.
    pub sink: String,
    /// Name of the lead's source.
    pub source: String,
    /// The lead.
    pub lead: LeadId,
    /// Its revision.
    pub revision: u32,
    /// When it was made.
    pub created_at: Millis,
    /// Where it stands.
    pub state: State,
    /// Attempts made so far.
    pub attempts: u32,
    /// From where attempts and age are counted against the sink's retry policy.
    pub budget: Budget,
    /// The dead letter in whose place this one was made (`on_dead`).
    pub fallback_of: Option<DeliveryId>,
    /// The last attempts, oldest first; bounded by [`ATTEMPTS_KEPT`].
    pub history: Vec<Attempt>,
    /// What the sink's plugin keeps between attempts; only the plugin reads it.
    #[serde(default)]
    pub journal: String,
}

impl Delivery {
    /// Whether it is tried for the first time.
    pub const fn freshness(&self) -> Freshness {
        if self.attempts == 0 && self.budget.since <= self.created_at {
            Freshness::Fresh
        } else {
            Freshness::Again
        }
    }
}

/// Where the count of attempts and age begins: at the start, or where a person last said
/// "try again".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Attempts that do not count.
    pub spent: u32,
    /// Age counts from here.
    pub since: Millis,
}

/// Attempts of one delivery that are kept in detail: the newest ones.
pub const ATTEMPTS_KEPT: usize = 20;

/// Where a delivery stands. A delivery in flight is `Waiting` on disk: after a crash it is
/// tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// To be tried when `due_at` has come.
    Waiting {
        /// When.
        due_at: Millis,
    },
    /// Waits until an earlier revision of the lead has left this sink's queue.
    Behind,
    /// The destination has it.
    Delivered {
        /// Since when.
        at: Millis,
    },
    /// A newer revision took its place before it was delivered.
    Superseded {
        /// Since when.
        at: Millis,
    },
    /// A person decided that it is not to be delivered.
    Cancelled {
        /// Since when.
        at: Millis,
    },
    /// A dead letter: not tried again by itself.
    Dead {
        /// Since when.
        at: Millis,
        /// Why.
        reason: DeathReason,
    },
}

impl State {
    /// Whether it can still be tried by itself.
    pub const fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Behind)
    }

    /// Since when it is over, if it is.
    pub const fn ended_at(&self) -> Option<Millis> {
        match self {
            Self::Waiting { .. } | Self::Behind => None,
            Self::Delivered { at }
            | Self::Superseded { at }
            | Self::Cancelled { at }
            | Self::Dead { at, .. } => Some(*at),
        }
    }
}

/// What an operator calls a delivery's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// Never tried yet.
    Pending,
    /// Being tried now.
    InFlight,
    /// Tried before, waiting for the next attempt.
    Retrying,
    /// Waiting for an earlier revision.
    Behind,
    /// Done.
    Delivered,
    /// Replaced by a newer revision.
    Superseded,
    /// Given up by a person.
    Cancelled,
    /// A dead letter.
    Dead,
}

impl StateName {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::InFlight,
        Self::Retrying,
        Self::Behind,
        Self::Delivered,
        Self::Superseded,
        Self::Cancelled,
        Self::Dead,
    ];

    /// Its name in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InFlight => "in_flight",
            Self::Retrying => "retrying",
            Self::Behind => "behind",
            Self::Delivered => "delivered",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
        }
    }
}

/// What a person does to one delivery.
#[derive(Clone, PartialEq, Eq)]
pub enum Repair {
    /// Try it again now, with a fresh budget. Without `force` only dead letters, cancelled
    /// deliveries and those that wait for a retry, and not if the sink was given, or waits
    /// for, a newer revision.
    Retry {
        /// Also what is delivered or superseded already.
        force: bool,
    },
    /// Never try it again.
    Cancel,
    /// It counts as delivered: a person saw to it. Dead letters, and what waits.
    Done {
        /// Who says so.
        by: String,
        /// How, in their words.
        note: String,
    },
}

impl fmt::Debug for Repair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Retry { force: false } => "Retry",
            Self::Retry { force: true } => "Retry by force",
            Self::Cancel => "Cancel",
            // What a person wrote may name another.
            Self::Done { .. } => "Done",
        })
    }
}

/// The rule of the record that a person saw to a delivery.
pub const BY_HAND: &str = "by_hand";

/// What became of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repaired {
    /// Done.
    Done,
    /// There is no such delivery.
    Unknown,
    /// An attempt is under way; ask again when it has ended.
    InFlight,
    /// It is over already: delivered, superseded or cancelled.
    Over,
    /// The sink was given, or waits for, a newer revision of the lead.
    Newer,
    /// Its sink is not configured.
    NoSink,
}

/// Why a delivery became a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeathReason {
    /// The destination will never take it.
    Rejected,
    /// It was tried as often as allowed.
    MaxAttempts,
    /// It became too old.
    MaxAge,
    /// No answer came and the sink says `on_ambiguous = "hold"`.
    Held,
    /// The sink's condition could not be evaluated for this lead.
    Route,
}

impl DeathReason {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Rejected,
        Self::MaxAttempts,
        Self::MaxAge,
        Self::Held,
        Self::Route,
    ];

    /// Its stable name in metrics and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::MaxAttempts => "max_attempts",
            Self::MaxAge => "max_age",
            Self::Held => "held",
            Self::Route => "route",
        }
    }
}

/// One try of a delivery, as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// When it began.
    pub started_at: Millis,
    /// How long it took.
    pub duration_ms: u64,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Rule that decided.
    pub rule: String,
    /// Why, in short.
    pub reason: String,
    /// What the destination answered that is worth keeping.
    pub receipt: String,
    /// What was sent, in short and redacted.
    pub request: String,
    /// What was answered, in short and redacted.
    pub response: String,
    /// Trace id, 32 hex digits.
    pub trace_id: String,
    /// Revision of the configuration that rendered it; empty where that was not recorded.
    #[serde(default)]
    pub config_revision: String,
}

/// The end of an attempt.
#[derive(Clone, Debug)]
pub struct Finish {
    /// Which delivery. It was claimed.
    pub id: DeliveryId,
    /// Its sink.
    pub sink: Arc<str>,
    /// When it ended.
    pub now: Millis,
    /// When it had been due: names the index entry that goes away.
    pub was_due: Millis,
    /// The delivery as it stands now, this attempt recorded.
    pub delivery: Delivery,
}
