//! Changes: what somebody wants done to the store, and what became of it.

use std::sync::Arc;

use bytes::Bytes;

use super::record::{Record, Tag};
use crate::clock::Millis;
use crate::config::Ceiling;
use crate::outbox::{
    Accepted, BulkPlan, DeliveryId, Erased, Erasure, Finish, JobId, JobStep, LeadId, PauseCause,
    QuarantineId, Quarantined, Repair, Repaired, Retention, Route, Steered, Stepped, Stop, Target,
    Timekeeping, Token, TokenAdded, TokenId,
};

/// What somebody wants.
pub enum Change {
    /// A lead was pushed.
    Accept(NewLead),
    /// A push is to be kept aside.
    Quarantine(NewQuarantined),
    /// An attempt ended.
    Finish(Finish),
    /// A plugin keeps something between attempts of a claimed delivery.
    Keep {
        /// The sink.
        sink: Arc<str>,
        /// The delivery.
        id: DeliveryId,
        /// What it keeps.
        journal: String,
    },
    /// A person decided about a delivery.
    Repair {
        /// Which.
        id: DeliveryId,
        /// What.
        repair: Repair,
        /// When.
        now: Millis,
    },
    /// A person says which lead a quarantined push is.
    Release {
        /// The push.
        id: QuarantineId,
        /// The lead.
        lead: NewLead,
    },
    /// A person throws a quarantined push away, or its time is over.
    Discard(QuarantineId),
    /// A person wants everything of these gone.
    Erase(Erasure),
    /// A lead leaves if its time is over.
    Expire {
        /// The lead.
        lead: LeadId,
        /// How long what is kept.
        keep: Retention,
        /// The time it is.
        now: Millis,
    },
    /// A sink is paused, or resumed.
    Pause {
        /// The sink.
        sink: Arc<str>,
        /// Why; `None` resumes it.
        cause: Option<PauseCause>,
        /// The time it is.
        now: Millis,
    },
    /// A sink's plugin keeps a value, or forgets it.
    SinkState {
        /// The sink.
        sink: Arc<str>,
        /// Its name.
        key: String,
        /// The value.
        value: Option<Vec<u8>>,
    },
    /// A person plans a bulk job.
    PlanJob {
        /// What they want.
        plan: BulkPlan,
        /// The time it is.
        now: Millis,
    },
    /// A person starts a bulk job, or lets a cancelled one go on.
    StartJob {
        /// Which.
        id: JobId,
        /// The time it is.
        now: Millis,
    },
    /// A piece of a running bulk job, with the progress that it is.
    StepJob {
        /// Which job.
        id: JobId,
        /// The piece.
        step: JobStep<NewLead>,
        /// The time it is.
        now: Millis,
    },
    /// A bulk job is stopped.
    CancelJob {
        /// Which.
        id: JobId,
        /// Why.
        why: Stop,
        /// The time it is.
        now: Millis,
    },
    /// A person makes a token.
    AddToken(Token),
    /// A person revokes the token of a name.
    RevokeToken {
        /// The name.
        name: String,
        /// The time it is.
        now: Millis,
    },
    /// A token was used.
    TokenUsed {
        /// Which.
        id: TokenId,
        /// When.
        at: Millis,
    },
    /// What is known of the time.
    Time(Timekeeping),
    /// Another store exported a lead, whose revisions come first, or a quarantined push. The
    /// failure groups of deliveries are made anew.
    Load(Vec<Record>),
}

impl Change {
    /// Bytes of what was pushed that are in it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Accept(lead) | Self::Release { lead, .. } => lead.body.len(),
            Self::Quarantine(push) => push.body.len(),
            Self::StepJob { step, .. } => step.bytes(),
            Self::Load(records) => records.iter().map(Record::bytes).sum(),
            _ => 0,
        }
    }
}

impl JobStep<NewLead> {
    fn bytes(&self) -> usize {
        let bytes = self.targets.iter().map(|target| match target {
            Target::Read(_, lead) => lead.body.len(),
            _ => 0,
        });
        bytes.sum()
    }
}

/// What became of a [`Change`]: the variant that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Of `Accept`.
    Accepted(Accepted),
    /// Of `Quarantine`.
    Quarantined(Quarantined),
    /// Of `Finish`, `Keep`, `Pause`, `TokenUsed`, `Time`.
    Noted,
    /// Of `Repair`.
    Repaired(Repaired),
    /// Of `Release`; `None` if the push is not there any more.
    Released(Option<Accepted>),
    /// Of `Erase`.
    Erased(Erased),
    /// Of `Discard` and `RevokeToken`: `false` if it is not there. Of `SinkState`: `false` if there are too many
    /// already. Of `Load`: `false` if it is there already.
    Did(bool),
    /// Of `PlanJob`; `None` if as many run as may be kept.
    Planned(Option<JobId>),
    /// Of `StartJob` and `CancelJob`.
    Steered(Steered),
    /// Of `StepJob`.
    Stepped(Stepped),
    /// Of `AddToken`.
    TokenAdded(TokenAdded),
    /// Of `Expire`: with how many dead letters; `None` if its time is not over.
    Expired(Option<u64>),
}

/// A lead on its way into the store, encoded by the thread that received it.
#[derive(Clone)]
pub struct NewLead {
    /// Name of the source.
    pub source: Arc<str>,
    /// Its identity.
    pub identity: Tag,
    /// Hash of the normal form.
    pub content: [u8; 32],
    /// The sender's modification time.
    pub modified_at: Option<Millis>,
    /// When it was received.
    pub received_at: Millis,
    /// From when its deliveries count: `received_at`, but for what was in quarantine.
    pub now: Millis,
    /// What it is found by.
    pub finds: Vec<Tag>,
    /// The sinks that want it.
    pub routes: Vec<Route>,
    /// What was pushed, encoded and sealed.
    pub body: Bytes,
}

/// A quarantined push on its way into the store.
#[derive(Clone)]
pub struct NewQuarantined {
    /// Name of the source.
    pub source: Arc<str>,
    /// Of its signature, and of its content.
    pub tags: [Tag; 2],
    /// Bytes that it counts for.
    pub size: u64,
    /// When it was received.
    pub received_at: Millis,
    /// How much of its source may be kept.
    pub ceiling: Ceiling,
    /// What was pushed, encoded and sealed.
    pub body: Bytes,
}

/// Invariant: [`super::State::apply`] answers each change with the variant that belongs to it.
const OTHER: &str = "a change was answered with what belongs to another one";

impl Done {
    /// Of `Accept`.
    pub fn accepted(self) -> Accepted {
        match self {
            Self::Accepted(accepted) => accepted,
            _ => unreachable!("{OTHER}"),
        }
    }

    /// Of `Quarantine`.
    pub fn quarantined(self) -> Quarantined {
        match self {
            Self::Quarantined(quarantined) => quarantined,
            _ => unreachable!("{OTHER}"),
        }
    }

    /// Of `Repair`.
    pub fn repaired(self) -> Repaired {
        match self {
            Self::Repaired(repaired) => repaired,
            _ => unreachable!("{OTHER}"),
        }
    }

    /// Of `Release`.
    pub fn released(self) -> Option<Accepted> {
        match self {
            Self::Released(released) => released,
            _ => unreachable!("{OTHER}"),
        }
    }

    /// Of `Erase`.
    pub fn erased(self) -> Erased {
        match self {
            Self::Erased(erased) => erased,
            _ => unreachable!("{OTHER}"),
        }
    }

    /// Of `PlanJob`.
    pub fn planned(self) -> Option<JobId> {
        match self {
            Self::Planned(planned) => planned,
            _ => unreachable!("{OTHER}"),
        }
    }

    /// Of `StartJob` and `CancelJob`.
    pub fn steered(self) -> Steered {
        match self {
            Self::Steered(steered) => steered,
            _ => unreachable!("{OTHER}"),
        }
    }

    /// Of `StepJob`.
    pub fn stepped(self) -> Stepped {
        match self {
            Self::Stepped(stepped) => stepped,
            _ => unreachable!("{OTHER}"),
        }
    }

    /// Of `AddToken`.
    pub fn token_added(self) -> TokenAdded {
        match self {
            Self::TokenAdded(added) => added,
            _ => unreachable!("{OTHER}"),
        }
    }

    /// Of `Discard`, `SinkState`, `RevokeToken`, `Load`.
    pub fn did(self) -> bool {
        match self {
            Self::Did(did) => did,
            _ => unreachable!("{OTHER}"),
        }
    }
}
