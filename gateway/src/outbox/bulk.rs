//! Bulk jobs: what a person wants done to all that a filter takes, kept as a record, so that a
//! restart goes on where the job was and a cancelled one can go on later.
//!
//! | state | start | step | cancel |
//! |---|---|---|---|
//! | planned | running | nothing | cancelled |
//! | running | running | running, or done with the last one; cancelled if its sink is gone | cancelled |
//! | cancelled | running, from where it was | nothing | cancelled |
//! | done | refused | nothing | refused |
//!
//! A job that erases is gone through first and done later: a last step without targets ends it when
//! what it erased is off the disk.
//!
//! Progress is kept with each step in the same commit as what the step did: a step that is
//! repeated after a crash finds the cursor moved on, and does nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::filter::{Filter, LeadFilter, PushFilter};
use super::{DeliveryId, LeadId, QuarantineId, Role};
use crate::clock::Millis;

/// Jobs that are kept, at most; the oldest that is over goes first.
pub const JOBS_KEPT: usize = 100;
/// Targets of one step, at most.
pub const STEP: usize = 100;
/// Skipped targets that a job names, at most; beyond, they are only counted.
pub const SKIPS_LISTED: usize = 1_000;

/// What is done to each target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BulkAction {
    /// Deliveries are tried again now.
    Retry,
    /// Deliveries are given up.
    Cancel,
    /// Deliveries count as delivered: a person saw to it, as the note says.
    Done,
    /// The newest revision of leads goes to a sink.
    Replay {
        /// The sink.
        to: String,
        /// Also what it was given already.
        again: bool,
    },
    /// Deliveries of sinks that are gone go to another sink.
    Move {
        /// The sink.
        to: String,
    },
    /// Leads are erased.
    Erase,
    /// Quarantined pushes become leads.
    Release {
        /// Also those by which nobody could be reached.
        force: bool,
    },
    /// Quarantined pushes are thrown away.
    Discard,
}

impl BulkAction {
    /// Names of all of them.
    pub const NAMES: [&str; 8] = [
        "retry", "cancel", "done", "replay", "move", "erase", "release", "discard",
    ];

    /// Its stable name in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Done => "done",
            Self::Replay { .. } => "replay",
            Self::Move { .. } => "move",
            Self::Erase => "erase",
            Self::Release { .. } => "release",
            Self::Discard => "discard",
        }
    }

    /// Who may do that to many, by its name: what one by one is an admin's is so of many, too.
    pub fn role(name: &str) -> Role {
        if name == Self::Erase.as_str() {
            Role::Admin
        } else {
            Role::Operator
        }
    }

    /// The sink that it gives to, if it does.
    pub fn to(&self) -> Option<&str> {
        match self {
            Self::Replay { to, .. } | Self::Move { to } => Some(to),
            _ => None,
        }
    }
}

/// Of what the targets are. Times are fixed: the job means the same whenever it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Population {
    /// Deliveries.
    Deliveries(Filter),
    /// Leads.
    Leads(LeadFilter),
    /// Quarantined pushes.
    Quarantine(PushFilter),
}

/// How many targets there were when the job was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Count {
    /// So many.
    Exact(u64),
    /// So many, and maybe more.
    AtLeast(u64),
}

impl Count {
    /// How many, or at least so many.
    pub const fn number(self) -> u64 {
        match self {
            Self::Exact(count) | Self::AtLeast(count) => count,
        }
    }

    /// Whether there are no more than that.
    pub const fn is_exact(self) -> bool {
        matches!(self, Self::Exact(_))
    }
}

/// What a person wants.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkPlan {
    /// Who.
    pub by: String,
    /// Why, in their words.
    pub note: String,
    /// What is done.
    pub action: BulkAction,
    /// To what.
    pub over: Population,
    /// Of it, only that whose lead meets this condition.
    pub when: Option<String>,
    /// Targets a second, at most.
    pub rate: u32,
    /// How many there are.
    pub count: Count,
}

impl fmt::Debug for BulkPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A note and a condition may name a person.
        formatter
            .debug_struct("BulkPlan")
            .field("action", &self.action)
            .field("over", &self.over)
            .field("rate", &self.rate)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// It waits to be started.
    Planned,
    /// It runs, or waits for its turn.
    Running,
    /// It was stopped; it can be started again.
    Cancelled {
        /// Since when.
        at: Millis,
        /// Why.
        why: Stop,
    },
    /// All of it was gone through.
    Done {
        /// Since when.
        at: Millis,
    },
}

impl JobState {
    /// Names of all of them.
    pub const NAMES: [&str; 4] = ["planned", "running", "cancelled", "done"];

    /// Its stable name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Cancelled { .. } => "cancelled",
            Self::Done { .. } => "done",
        }
    }
}

/// Why a job was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// A person wanted it.
    Person,
    /// The sink that it gives to is not configured any more.
    NoSink,
    /// Its condition cannot be used any more.
    Condition,
}

impl Stop {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Person, Self::NoSink, Self::Condition];

    /// Its stable name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "by_hand",
            Self::NoSink => "no_sink",
            Self::Condition => "condition",
        }
    }
}

/// How many of the leads that a job erased a sink had been given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Had {
    /// It has them.
    pub delivered: u64,
    /// It was tried, and may have them.
    pub in_doubt: u64,
}

/// Why something was not done to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Skip {
    /// It is not there any more.
    Gone,
    /// An attempt is under way.
    InFlight,
    /// It is over already, or the sink has it already.
    Over,
    /// It waits for the sink already.
    Waiting,
    /// The sink was given, or waits for, a newer revision of the lead.
    Newer,
    /// Its sink is not configured.
    NoSink,
    /// Its sink is configured.
    NotOrphaned,
    /// It became a dead letter after the job was planned.
    DiedAgain,
    /// The condition could not be evaluated for its lead.
    Condition,
    /// It could not be read as a lead.
    Unread,
    /// Nobody could be reached by it.
    Unreachable,
    /// What is stored of it is damaged.
    Damaged,
    /// The action is not for its like.
    Unfit,
}

impl Skip {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Gone,
        Self::InFlight,
        Self::Over,
        Self::Waiting,
        Self::Newer,
        Self::NoSink,
        Self::NotOrphaned,
        Self::DiedAgain,
        Self::Condition,
        Self::Unread,
        Self::Unreachable,
        Self::Damaged,
        Self::Unfit,
    ];

    /// Its stable name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::InFlight => "in_flight",
            Self::Over => "over",
            Self::Waiting => "waiting",
            Self::Newer => "newer",
            Self::NoSink => "no_sink",
            Self::NotOrphaned => "not_orphaned",
            Self::DiedAgain => "died_again",
            Self::Condition => "condition",
            Self::Unread => "unread",
            Self::Unreachable => "unreachable",
            Self::Damaged => "damaged",
            Self::Unfit => "unfit",
        }
    }
}

/// A target to which nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its id: a delivery's, a lead's or a quarantined push's.
    pub id: Uuid,
    /// Why.
    pub why: Skip,
}

/// A job as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkJob {
    /// What a person wants.
    pub plan: BulkPlan,
    /// When it was planned.
    pub made_at: Millis,
    /// When it was started first.
    pub started_at: Option<Millis>,
    /// Where it stands.
    pub state: JobState,
    /// Where its next step begins; nowhere yet, or no more.
    pub cursor: Option<String>,
    /// To how many targets it was done.
    pub done: u64,
    /// To how many it was not, by why not.
    pub skipped: BTreeMap<Skip, u64>,
    /// The first [`SKIPS_LISTED`] of those.
    pub skips: Vec<Skipped>,
    /// Whether all of it was erased and is not known to be off the disk yet.
    pub wiping: bool,
    /// Of what it erased, which sinks had been given how many leads.
    pub had: BTreeMap<String, Had>,
}

impl BulkJob {
    /// Of a plan.
    pub const fn new(plan: BulkPlan, made_at: Millis) -> Self {
        Self {
            plan,
            made_at,
            started_at: None,
            state: JobState::Planned,
            cursor: None,
            done: 0,
            skipped: BTreeMap::new(),
            skips: Vec::new(),
            wiping: false,
            had: BTreeMap::new(),
        }
    }

    /// Notes a target that is left as it is.
    pub fn skip(&mut self, one: Skipped) {
        *self.skipped.entry(one.why).or_default() += 1;
        if self.skips.len() < SKIPS_LISTED {
            self.skips.push(one);
        }
    }

    /// Targets gone through so far.
    pub fn seen(&self) -> u64 {
        self.done + self.skipped.values().sum::<u64>()
    }
}

/// Something that an action is done to; `L` is a lead as whoever asks has it.
#[derive(Clone)]
pub enum Target<L> {
    /// A delivery.
    Delivery(DeliveryId),
    /// A lead.
    Lead(LeadId),
    /// A quarantined push.
    Push(QuarantineId),
    /// A quarantined push, with the lead that it is.
    Read(QuarantineId, L),
}

impl<L> Target<L> {
    /// Its id, of whatever kind.
    pub const fn id(&self) -> Uuid {
        match self {
            Self::Delivery(id) => id.0,
            Self::Lead(id) => id.0,
            Self::Push(id) | Self::Read(id, _) => id.0,
        }
    }

    /// The same with its lead as another one has it.
    pub fn map<M>(self, lead: impl FnOnce(L) -> M) -> Target<M> {
        match self {
            Self::Delivery(id) => Target::Delivery(id),
            Self::Lead(id) => Target::Lead(id),
            Self::Push(id) => Target::Push(id),
            Self::Read(id, one) => Target::Read(id, lead(one)),
        }
    }
}

/// The next piece of a running job.
#[derive(Clone)]
pub struct JobStep<L> {
    /// The job's cursor as it was when the targets were read: if it is another one now, the
    /// step was made already.
    pub from: Option<String>,
    /// At most [`STEP`].
    pub targets: Vec<Target<L>>,
    /// What whoever read the targets left out, and why.
    pub skipped: Vec<Skipped>,
    /// The cursor behind them; `None` ends the job, or what is to be gone through of one that
    /// erases.
    pub to: Option<String>,
}

impl<L> JobStep<L> {
    /// The same with its leads as another one has them.
    pub(super) fn map<M>(self, mut lead: impl FnMut(L) -> M) -> JobStep<M> {
        let targets = self.targets.into_iter();
        JobStep {
            from: self.from,
            targets: targets.map(|target| target.map(&mut lead)).collect(),
            skipped: self.skipped,
            to: self.to,
        }
    }
}

/// What became of a start or of a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steered {
    /// Done, or as it was wanted already.
    Done,
    /// There is no such job.
    Unknown,
    /// The job is done: nothing of it is left.
    Over,
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// It was made: to how many of its targets it was done.
    Made {
        /// So many.
        done: u64,
        /// Of them, the quarantined pushes that are leads now.
        released: Vec<(QuarantineId, LeadId)>,
    },
    /// Nothing was done: the job does not run, or is elsewhere by now.
    Stopped,
    /// Nothing was done: the sink that it gives to is not configured any more. The job is
    /// cancelled, so that it can go on where it is when the sink is configured again.
    NoSink,
}
