//! Memory: what is stored, in maps, for tests of the rules and of whatever stands on them.
//!
//! Like an engine's index it still names leads and pushes that are gone.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Details, Fault, Holds, Lead, QuarantineHead, Record, Tag, View};
use crate::outbox::{
    BulkJob, DeliveryId, JobId, JobState, LeadId, Pause, QuarantineCount, QuarantineId, Token,
    TokenId,
};

/// Everything that records said, as it is now.
#[derive(Clone, Default)]
pub(crate) struct Memory {
    pub(crate) leads: BTreeMap<LeadId, Lead>,
    /// What was pushed, by lead and revision.
    pub(crate) bodies: BTreeMap<(LeadId, u32), Bytes>,
    pub(crate) details: BTreeMap<DeliveryId, Details>,
    pub(crate) quarantine: BTreeMap<QuarantineId, (QuarantineHead, Bytes)>,
    pub(crate) quarantine_counts: BTreeMap<String, QuarantineCount>,
    pub(crate) pauses: BTreeMap<String, Pause>,
    pub(crate) sink_state: BTreeMap<(String, String), Vec<u8>>,
    pub(crate) jobs: BTreeMap<JobId, BulkJob>,
    pub(crate) tokens: BTreeMap<TokenId, Token>,
    /// Leads by what they are found by, their identity among it, in the order of the records.
    pub(crate) found: BTreeMap<Tag, Vec<LeadId>>,
    fingerprints: BTreeMap<Tag, Vec<QuarantineId>>,
    deliveries: BTreeMap<DeliveryId, LeadId>,
    /// Leads that cannot be read.
    pub(crate) damaged: BTreeSet<LeadId>,
}

impl Memory {
    /// Notes what is different.
    pub(crate) fn apply(&mut self, records: &[Record]) {
        records.iter().for_each(|record| self.note(record));
    }

    fn note(&mut self, record: &Record) {
        if let Some(id) = record.lead() {
            match Lead::apply(self.leads.remove(&id), record) {
                Some(lead) => {
                    self.leads.insert(id, lead);
                }
                None => {
                    self.bodies.retain(|(lead, _), _| *lead != id);
                    let deliveries = &self.deliveries;
                    self.details.retain(|one, _| deliveries[one] != id);
                }
            }
        }
        match record {
            Record::Revision {
                lead,
                identity,
                revision,
                finds,
                body,
                ..
            } => {
                self.bodies.insert((*lead, revision.number), body.clone());
                for tag in finds.iter().chain([identity]) {
                    self.found.entry(*tag).or_default().push(*lead);
                }
            }
            Record::Delivery {
                lead,
                delivery,
                details,
            } => {
                self.deliveries.insert(delivery.id, *lead);
                if let Some(details) = details {
                    self.details.insert(delivery.id, details.clone());
                }
            }
            Record::Quarantined { id, head, body } => {
                self.quarantine.insert(*id, (head.clone(), body.clone()));
                for tag in head.tags {
                    self.fingerprints.entry(tag).or_default().push(*id);
                }
            }
            Record::QuarantineGone { id, .. } => {
                self.quarantine.remove(id);
            }
            Record::QuarantineCount { source, count } => {
                self.quarantine_counts.insert(source.clone(), count.clone());
            }
            Record::Paused { sink, pause } => {
                match pause {
                    Some(pause) => self.pauses.insert(sink.clone(), pause.clone()),
                    None => self.pauses.remove(sink),
                };
            }
            Record::SinkState { sink, key, value } => {
                let at = (sink.clone(), key.clone());
                match value {
                    Some(value) => self.sink_state.insert(at, value.clone()),
                    None => self.sink_state.remove(&at),
                };
            }
            Record::Job { id, job } => {
                match job {
                    Some(job) => self.jobs.insert(*id, (**job).clone()),
                    None => self.jobs.remove(id),
                };
            }
            Record::Token { id, token } => {
                match token {
                    Some(token) => self.tokens.insert(*id, (**token).clone()),
                    None => self.tokens.remove(id),
                };
            }
            Record::Pushed { .. } | Record::LeadGone { .. } => {}
        }
    }
}

impl View for Memory {
    fn lead(&self, id: LeadId) -> Result<Option<Lead>, Fault> {
        if self.damaged.contains(&id) {
            return Err(Fault::Record(format!("lead {id} is damaged")));
        }
        Ok(self.leads.get(&id).cloned())
    }

    fn identified(&self, identity: &Tag) -> Result<Vec<LeadId>, Fault> {
        Ok(self.found.get(identity).cloned().unwrap_or_default())
    }

    fn lead_of(&self, delivery: DeliveryId) -> Result<Option<LeadId>, Fault> {
        Ok(self.deliveries.get(&delivery).copied())
    }

    fn details(&self, _: LeadId, delivery: DeliveryId) -> Result<Details, Fault> {
        Ok(self.details.get(&delivery).cloned().unwrap_or_default())
    }

    fn quarantined(&self, id: QuarantineId) -> Result<Option<QuarantineHead>, Fault> {
        Ok(self.quarantine.get(&id).map(|(head, _)| head.clone()))
    }

    fn fingerprinted(&self, tag: &Tag) -> Result<Vec<QuarantineId>, Fault> {
        Ok(self.fingerprints.get(tag).cloned().unwrap_or_default())
    }

    fn quarantine_count(&self, source: &str) -> Result<QuarantineCount, Fault> {
        let count = self.quarantine_counts.get(source);
        Ok(count.cloned().unwrap_or_default())
    }

    fn pause(&self, sink: &str) -> Option<Pause> {
        self.pauses.get(sink).cloned()
    }

    fn job(&self, id: JobId) -> Option<BulkJob> {
        self.jobs.get(&id).cloned()
    }

    fn jobs(&self) -> Vec<(JobId, JobState)> {
        let jobs = self.jobs.iter();
        jobs.map(|(id, job)| (*id, job.state)).collect()
    }

    fn tokens(&self) -> Vec<(TokenId, Token)> {
        self.tokens.clone().into_iter().collect()
    }

    fn sink_state_keys(&self, sink: &str) -> Vec<String> {
        let keys = self.sink_state.keys().filter(|(of, _)| of == sink);
        keys.map(|(_, key)| key.clone()).collect()
    }
}

/// Claims and reservations in memory: a delivery is never both.
#[derive(Default)]
pub(crate) struct Hands(Mutex<InHand>);

#[derive(Default)]
struct InHand {
    claimed: HashSet<DeliveryId>,
    reserved: HashSet<DeliveryId>,
}

impl Hands {
    fn get(&self) -> MutexGuard<'_, InHand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For an attempt; `false` if someone has it.
    pub(crate) fn claim(&self, id: DeliveryId) -> bool {
        let mut hands = self.get();
        !hands.reserved.contains(&id) && hands.claimed.insert(id)
    }

    /// Ends claims.
    pub(crate) fn unclaim(&self, ids: &[DeliveryId]) {
        let mut hands = self.get();
        ids.iter().for_each(|id| {
            hands.claimed.remove(id);
        });
    }

    /// Ends reservations.
    pub(crate) fn unreserve(&self, ids: &[DeliveryId]) {
        let mut hands = self.get();
        ids.iter().for_each(|id| {
            hands.reserved.remove(id);
        });
    }

    /// As after a crash.
    pub(crate) fn forget(&self) {
        *self.get() = InHand::default();
    }

    pub(crate) fn is_claimed(&self, id: DeliveryId) -> bool {
        self.get().claimed.contains(&id)
    }

    pub(crate) fn is_reserved(&self, id: DeliveryId) -> bool {
        self.get().reserved.contains(&id)
    }
}

impl Holds for Hands {
    fn reserve(&self, id: DeliveryId) -> bool {
        let mut hands = self.get();
        !hands.claimed.contains(&id) && {
            hands.reserved.insert(id);
            true
        }
    }
}
