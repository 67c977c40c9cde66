//! Records: what is different after a change. A record says how something is now, not how it
//! came to be so.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::lead::{DeliveryHead, Revision};
use crate::clock::Millis;
use crate::outbox::{
    Attempt, BulkJob, Delivery, JobId, LeadId, Pause, QuarantineCount, QuarantineId, Token, TokenId,
};

/// What something can be looked up by: its kind, then 16 bytes of a keyed hash.
pub type Tag = [u8; 17];

/// One fact. Not `Debug`: what was pushed is in it. What serde skips is for whoever keeps records
/// to seal. The order of the variants, and of what is in them, is part of an engine's format.
#[derive(Clone, Serialize, Deserialize)]
pub enum Record {
    /// A revision of a lead, with what was pushed.
    Revision {
        /// The lead.
        lead: LeadId,
        /// Name of its source.
        source: String,
        /// The lead's identity.
        identity: Tag,
        /// Which revision.
        revision: Revision,
        /// What it is found by, without the identity.
        finds: Vec<Tag>,
        /// What was pushed, as the engine encoded and sealed it.
        #[serde(skip)]
        body: Bytes,
    },
    /// A revision was pushed again, at that time.
    Pushed {
        /// The lead.
        lead: LeadId,
        /// Its revision.
        revision: u32,
        /// When.
        at: Millis,
    },
    /// A delivery of a lead as it stands now.
    Delivery {
        /// The lead.
        lead: LeadId,
        /// It.
        delivery: DeliveryHead,
        /// Its attempts and step record; `None` if they are what they were.
        #[serde(skip)]
        details: Option<Details>,
    },
    /// A lead left with everything that is stored of it.
    LeadGone {
        /// The lead.
        lead: LeadId,
        /// Because a person said so: not even its old files may keep it.
        erased: bool,
    },
    /// A push was quarantined.
    Quarantined {
        /// Its id.
        id: QuarantineId,
        /// What is known of it without reading it.
        head: QuarantineHead,
        /// What was pushed, as the engine encoded and sealed it.
        #[serde(skip)]
        body: Bytes,
    },
    /// A push left quarantine.
    QuarantineGone {
        /// Its id.
        id: QuarantineId,
        /// Because a person wanted all of somebody gone, as of a lead.
        erased: bool,
    },
    /// How much of a source is in quarantine.
    QuarantineCount {
        /// Name of the source.
        source: String,
        /// How much.
        count: QuarantineCount,
    },
    /// A sink was paused, or resumed.
    Paused {
        /// Name of the sink.
        sink: String,
        /// Its pause, if it is paused.
        #[serde(skip)]
        pause: Option<Pause>,
    },
    /// What a sink's plugin keeps under a name.
    SinkState {
        /// Name of the sink.
        sink: String,
        /// The name.
        key: String,
        /// What it keeps; `None` if nothing any more.
        #[serde(skip)]
        value: Option<Vec<u8>>,
    },
    /// A bulk job as it stands now.
    Job {
        /// Its id.
        id: JobId,
        /// It; `None` if it is not kept any more.
        #[serde(skip)]
        job: Option<Box<BulkJob>>,
    },
    /// A token as it stands now.
    Token {
        /// Its id.
        id: TokenId,
        /// It; `None` if it is not kept any more.
        #[serde(skip)]
        token: Option<Box<Token>>,
    },
}

/// What a delivery keeps beside its head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The last attempts, oldest first.
    pub history: Vec<Attempt>,
    /// What the sink's plugin keeps between attempts.
    pub journal: String,
}

impl Details {
    /// The delivery that has them.
    pub fn whole(self, head: &DeliveryHead, lead: LeadId, source: &str) -> Delivery {
        Delivery {
            sink: head.sink.clone(),
            source: source.to_owned(),
            lead,
            revision: head.revision,
            created_at: head.created_at,
            state: head.state.clone(),
            attempts: head.attempts,
            budget: head.budget,
            fallback_of: head.fallback_of,
            history: self.history,
            journal: self.journal,
        }
    }
}

/// A quarantined push without what was pushed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuarantineHead {
    /// Name of the source.
    pub source: String,
    /// Bytes that it counts for.
    pub size: u64,
    /// When it was received.
    pub received_at: Millis,
    /// Of its signature and of its content: an equal push is a duplicate.
    pub tags: [Tag; 2],
}

impl Record {
    /// The lead that it is of, if it is of one.
    pub const fn lead(&self) -> Option<LeadId> {
        match self {
            Self::Revision { lead, .. }
            | Self::Pushed { lead, .. }
            | Self::Delivery { lead, .. }
            | Self::LeadGone { lead, .. } => Some(*lead),
            _ => None,
        }
    }

    /// Bytes of what was pushed that are in it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Revision { body, .. } | Self::Quarantined { body, .. } => body.len(),
            _ => 0,
        }
    }
}
