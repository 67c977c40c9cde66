//! What a change is judged by: what is stored, which sinks there are, who holds what.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use uuid::ContextV7;

use super::lead::Lead;
use super::record::{Details, QuarantineHead, Record, Tag};
use crate::outbox::{
    BulkJob, DeliveryId, JobId, JobState, LeadId, QuarantineCount, QuarantineId, SinkPolicy, Token,
    TokenId, Totals,
};

/// What is stored, before the changes of this commit.
pub trait View {
    /// A lead.
    fn lead(&self, id: LeadId) -> Result<Option<Lead>, Fault>;
    /// Leads that may have this identity: one that is not stored any more may be among them.
    fn identified(&self, identity: &Tag) -> Result<Vec<LeadId>, Fault>;
    /// The lead of a delivery; may be one that is not stored any more.
    fn lead_of(&self, delivery: DeliveryId) -> Result<Option<LeadId>, Fault>;
    /// What a delivery keeps beside its head.
    fn details(&self, lead: LeadId, delivery: DeliveryId) -> Result<Details, Fault>;
    /// A quarantined push.
    fn quarantined(&self, id: QuarantineId) -> Result<Option<QuarantineHead>, Fault>;
    /// Quarantined pushes that may have this tag: one that is not stored any more may be among
    /// them.
    fn fingerprinted(&self, tag: &Tag) -> Result<Vec<QuarantineId>, Fault>;
    /// How much of a source is in quarantine.
    fn quarantine_count(&self, source: &str) -> Result<QuarantineCount, Fault>;
    /// Since when, and why, a sink is paused.
    fn pause(&self, sink: &str) -> Option<crate::outbox::Pause>;
    /// A bulk job.
    fn job(&self, id: JobId) -> Option<BulkJob>;
    /// Where each bulk job stands, oldest first.
    fn jobs(&self) -> Vec<(JobId, JobState)>;
    /// All tokens, oldest first.
    fn tokens(&self) -> Vec<(TokenId, Token)>;
    /// The names under which a sink's plugin keeps something.
    fn sink_state_keys(&self, sink: &str) -> Vec<String>;
}

/// Who holds a delivery: nothing of what is attempted is changed behind the attempt's back.
pub trait Holds {
    /// Holds a delivery for a change until its commit is over; `false` if an attempt is under
    /// way.
    fn reserve(&self, id: DeliveryId) -> bool;
}

/// Why one change was not made. The others are.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The store failed: nothing more is written by this process.
    #[error("{0}")]
    Store(String),
    /// What the change needs cannot be read.
    #[error("{0}")]
    Record(String),
    /// What was to be read was moved elsewhere meanwhile, or left.
    #[error("{0}")]
    Moved(String),
    /// A sink that the store was not told of.
    #[error("sink `{0}` is not registered")]
    Sink(String),
}

/// A sink as the store knows it.
#[derive(Clone, Debug)]
pub struct KnownSink {
    /// Its name.
    pub name: Arc<str>,
    /// `None` if it is not configured any more.
    pub policy: Option<SinkPolicy>,
}

/// All sinks the store ever had, by name.
pub type Sinks = HashMap<Arc<str>, Arc<KnownSink>>;

/// All sinks that are `configured`, and all of `names`, which are or were.
pub fn known(
    names: impl IntoIterator<Item = Arc<str>>,
    configured: impl IntoIterator<Item = SinkPolicy>,
) -> Sinks {
    let gone = names.into_iter().map(|name| (name, None));
    let configured = configured.into_iter();
    let configured = configured.map(|policy| (Arc::from(policy.name.as_str()), Some(policy)));
    let sink = |(name, policy): (Arc<str>, Option<SinkPolicy>)| {
        let sink = KnownSink {
            name: Arc::clone(&name),
            policy,
        };
        (name, Arc::new(sink))
    };
    // Of one name the last counts.
    gone.chain(configured).map(sink).collect()
}

/// What is the same for all changes of a commit.
pub struct Ground<'a> {
    /// What is stored.
    pub view: &'a dyn View,
    /// All sinks.
    pub sinks: &'a Sinks,
    /// Makes ids.
    pub ids: &'a ContextV7,
    /// Who holds what.
    pub holds: &'a dyn Holds,
    /// The keyed hash that names failure groups.
    pub hash: &'a dyn Fn(&[&[u8]]) -> [u8; 32],
}

/// What a commit makes different.
pub struct Effects {
    /// In order.
    pub records: Vec<Record>,
    /// The leads that changed, as they were and as they are.
    pub leads: HashMap<LeadId, (Option<Lead>, Option<Lead>)>,
    /// Counts after it.
    pub totals: Totals,
    /// Sinks for which something became due.
    pub wake: BTreeSet<Arc<str>>,
    /// Deliveries that must not be claimed until the commit can be seen.
    pub reserved: Vec<DeliveryId>,
    /// Claims that end with the commit.
    pub ended: Vec<DeliveryId>,
}
