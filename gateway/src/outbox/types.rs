//! What goes into the outbox and comes out of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Millis;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

id! {
    /// A lead, over all of its revisions. A UUIDv7: sorts by the time of the first push.
    LeadId
}
id! {
    /// One lead revision for one sink, over all of its attempts. A UUIDv7.
    DeliveryId
}
id! {
    /// A push kept aside for a person. A UUIDv7.
    QuarantineId
}

/// A verified lead on its way into the store. Not `Debug`: it is personal data.
#[derive(Clone)]
pub struct Arrival {
    /// Name of the source.
    pub source: Arc<str>,
    /// When the push was received.
    pub received_at: Millis,
    /// Key of the lead across pushes.
    pub identity: [u8; 32],
    /// `false` if the content had to stand in for a missing record id.
    pub stable: bool,
    /// Hash of the normal form; equal content is a duplicate.
    pub content: [u8; 32],
    /// The sender's own modification time, if it gave one.
    pub modified_at: Option<Millis>,
    /// The sender's id of the request.
    pub request_id: Option<String>,
    /// The sender's name of the API.
    pub method: Option<String>,
    /// The event's `lead` object (JSON).
    pub lead: String,
    /// The event's `labels` object (JSON).
    pub labels: String,
    /// The body as text.
    pub raw: String,
    /// The body byte for byte, where it is not `raw`.
    pub original: Option<Vec<u8>>,
    /// What the lead can be found by.
    pub finds: Vec<Find>,
    /// The sinks that want it, by name.
    pub routes: Vec<Route>,
}

/// One value by which a lead can be found. Stored only as a keyed hash. Not `Debug`: it may
/// be a phone number.
#[derive(Clone, PartialEq, Eq)]
pub struct Find {
    /// Which field.
    pub field: FindBy,
    /// Its value; a phone in E.164 where it is one.
    pub value: String,
}

impl Find {
    /// Of a value as a person or a push gives it: white space around it does not count, and
    /// a Chinese mobile is the same however it is written.
    pub fn new(field: FindBy, value: &str) -> Self {
        let value = value.trim();
        let phone = (field == FindBy::Phone)
            .then(|| crate::lead::Phone::parse(value))
            .flatten();
        let value = phone.map_or_else(|| value.to_owned(), |phone| phone.as_str().to_owned());
        Self { field, value }
    }
}

/// The fields by which leads can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindBy {
    /// `phone`, as E.164 where it is a Chinese mobile, else as it came.
    Phone,
    /// `record_id`
    RecordId,
    /// `order_num`
    OrderNum,
    /// `taobao_nick`
    Nick,
    /// `openid`
    Openid,
}

impl FindBy {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Phone,
        Self::RecordId,
        Self::OrderNum,
        Self::Nick,
        Self::Openid,
    ];

    /// Its name in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::RecordId => "record_id",
            Self::OrderNum => "order_num",
            Self::Nick => "nick",
            Self::Openid => "openid",
        }
    }
}

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

/// One sink that an arrival goes to.
#[derive(Clone, Debug)]
pub struct Route {
    /// Name of the sink.
    pub sink: Arc<str>,
    /// Set when the sink's condition could not be evaluated: the delivery is made as a dead
    /// letter with this explanation, so that a person sees it.
    pub failed: Option<String>,
}

/// What became of an arrival. All variants are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// A lead, or a revision of one, that was not known.
    New {
        /// The lead.
        lead: LeadId,
        /// 1 for the first.
        revision: u32,
        /// Older than what was known: kept, but not delivered.
        history: bool,
    },
    /// Exactly this content was stored before.
    Duplicate {
        /// The lead.
        lead: LeadId,
        /// The revision that has this content.
        revision: u32,
    },
}

/// An authentic push that could not be read.
#[derive(Clone)]
pub struct Suspect {
    /// Name of the source.
    pub source: Arc<str>,
    /// What was odd about it.
    pub reason: &'static str,
    /// When it was received.
    pub received_at: Millis,
    /// The sender's id of the request.
    pub request_id: Option<String>,
    /// The raw query string.
    pub query: String,
    /// The raw content type.
    pub content_type: String,
    /// The raw body.
    pub body: Vec<u8>,
}

/// What became of a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quarantined {
    /// Kept.
    New(QuarantineId),
    /// The same bytes were kept before.
    Duplicate,
}

/// Why an arrival was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many arrivals are waiting already; the sender should try again.
    #[error("the outbox queue is full")]
    Full,
    /// The disk has less room left than `outbox.min_free`.
    #[error("the disk is almost full")]
    NoSpace,
    /// The store cannot be trusted or is closing.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outbox is unavailable: {0}")]
pub struct Unavailable(pub String);

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

/// A lead revision as stored.
#[derive(Clone)]
pub struct StoredLead {
    /// The lead.
    pub id: LeadId,
    /// Its revision.
    pub revision: u32,
    /// Name of the source.
    pub source: String,
    /// When it was received.
    pub received_at: Millis,
    /// The event's `lead` object (JSON).
    pub lead: String,
    /// The event's `labels` object (JSON).
    pub labels: String,
    /// The body as text.
    pub raw: String,
    /// The body byte for byte, where it is not `raw`.
    pub original: Option<Vec<u8>>,
}

impl fmt::Debug for StoredLead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Personal data stays out of any log.
        formatter
            .debug_struct("StoredLead")
            .field("id", &self.id)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this sink.
    pub sink: Option<String>,
    /// In this state.
    pub state: Option<StateName>,
    /// Made before.
    pub before: Option<Millis>,
    /// Made at or after.
    pub since: Option<Millis>,
}

/// A page of a list, oldest first.
#[derive(Debug)]
pub struct Page<T> {
    /// What is on it. May be fewer than asked for, even none, although `next` is set:
    /// how much one page reads is bounded.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one. Opaque.
    pub next: Option<String>,
}

/// A delivery in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id.
    pub id: DeliveryId,
    /// It.
    pub delivery: Delivery,
    /// What an operator calls its state.
    pub state: StateName,
}

/// A lead with all that is stored of it.
#[derive(Debug)]
pub struct History {
    /// The lead.
    pub id: LeadId,
    /// Its revisions, oldest first.
    pub revisions: Vec<StoredLead>,
    /// Its deliveries, by revision.
    pub deliveries: Vec<Listed>,
}

/// What a person does to one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

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

/// A push kept aside, as listed.
#[derive(Clone)]
pub struct StoredSuspect {
    /// Its id.
    pub id: QuarantineId,
    /// Name of the source.
    pub source: String,
    /// What was odd about it.
    pub reason: String,
    /// When it was received.
    pub received_at: Millis,
    /// The sender's id of the request.
    pub request_id: Option<String>,
    /// The raw query string.
    pub query: String,
    /// The raw content type.
    pub content_type: String,
    /// The raw body.
    pub body: Vec<u8>,
}

impl fmt::Debug for StoredSuspect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoredSuspect")
            .field("id", &self.id)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// What one step of rekeying did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Records that were sealed again.
    pub resealed: u64,
    /// Where to go on; `None` at the end. Opaque.
    pub next: Option<String>,
}

/// What one step of the retention sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Leads that left.
    pub leads: u64,
    /// Suspects that left.
    pub suspects: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<LeadId>,
}

/// How long what is over is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Leads whose deliveries are all done, since the last of them was, in milliseconds.
    pub done_ms: Millis,
    /// Leads with a dead letter, since the last attempt, and suspects; in milliseconds.
    pub dead_ms: Millis,
}

/// Why a delivery became a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Name of the outcome.
    pub outcome: String,
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

/// Counts since the store was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Leads and revisions stored.
    pub accepted: u64,
    /// Pushes that brought nothing new.
    pub duplicate: u64,
    /// Pushes kept aside for a person, since the store was made.
    pub quarantined: u64,
    /// Those of them that are still there.
    pub in_quarantine: u64,
    /// Leads that are stored now.
    pub leads: u64,
    /// The latest time that was written, whatever the clock shows now.
    pub latest: Millis,
    /// By sink.
    pub sinks: BTreeMap<String, SinkTotals>,
}

/// Counts of one sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkTotals {
    /// Deliveries that wait, those in flight among them.
    pub waiting: u64,
    /// Those of them that were tried before.
    pub retrying: u64,
    /// Those of them that wait for an earlier revision.
    pub behind: u64,
    /// Deliveries done, since the store was made.
    pub delivered: u64,
    /// Deliveries replaced by a newer revision, since the store was made.
    pub superseded: u64,
    /// Deliveries given up by a person, since the store was made.
    pub cancelled: u64,
    /// Dead letters there are now, by reason.
    pub dead: BTreeMap<DeathReason, u64>,
}

impl SinkTotals {
    /// All dead letters.
    pub fn dead_letters(&self) -> u64 {
        self.dead.values().sum()
    }
}
