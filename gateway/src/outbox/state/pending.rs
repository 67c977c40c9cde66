//! Pending: what the records of a commit say so far, over what is stored.
//!
//! A lead is read once and then changed only by applying its records. Whatever else is here
//! follows from the records too, so that taking back is: forget, and apply what is left.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::lead::Lead;
use super::record::{Details, QuarantineHead, Record, Tag};
use super::view::{Fault, View};
use crate::outbox::{
    BulkJob, DeliveryId, JobId, JobState, LeadId, Pause, QuarantineCount, QuarantineId, Token,
    TokenId,
};

/// The leads that a commit changed, as they were and as they are.
pub(super) type Changed = HashMap<LeadId, (Option<Lead>, Option<Lead>)>;

/// What a commit's records say.
#[derive(Default)]
pub(super) struct Pending {
    records: Vec<Record>,
    leads: HashMap<LeadId, Slot>,
    said: Said,
}

/// A lead that the commit has looked at.
struct Slot {
    before: Option<Lead>,
    now: Option<Lead>,
    changed: bool,
}

/// What the records say of things that are looked up. Whoever is named may be gone since.
#[derive(Default)]
struct Said {
    identities: HashMap<Tag, LeadId>,
    deliveries: HashMap<DeliveryId, LeadId>,
    /// Positions of the records that have them.
    details: HashMap<DeliveryId, usize>,
    quarantined: HashMap<QuarantineId, Option<QuarantineHead>>,
    fingerprints: HashMap<Tag, QuarantineId>,
    quarantine_counts: HashMap<String, QuarantineCount>,
    pauses: HashMap<String, Option<Pause>>,
    /// Whether there is a value, by sink and name.
    sink_state: HashMap<String, HashMap<String, bool>>,
    jobs: BTreeMap<JobId, Option<BulkJob>>,
    tokens: BTreeMap<TokenId, Option<Token>>,
}

impl Pending {
    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Adds a record. Its lead, if it has one, was looked at or is new.
    pub(super) fn push(&mut self, record: Record) {
        note(&mut self.leads, &mut self.said, self.records.len(), &record);
        self.records.push(record);
    }

    /// Takes back all records but the first so many.
    pub(super) fn take_back(&mut self, records: usize) {
        if self.records.len() == records {
            return;
        }
        self.records.truncate(records);
        self.said = Said::default();
        for slot in self.leads.values_mut().filter(|slot| slot.changed) {
            slot.now.clone_from(&slot.before);
            slot.changed = false;
        }
        for (at, record) in self.records.iter().enumerate() {
            note(&mut self.leads, &mut self.said, at, record);
        }
    }

    /// The records, and the leads that they changed.
    pub(super) fn end(self) -> (Vec<Record>, Changed) {
        let changed = self.leads.into_iter().filter(|(_, slot)| slot.changed);
        let leads = changed.map(|(id, slot)| (id, (slot.before, slot.now)));
        (self.records, leads.collect())
    }

    /// A lead as it is now, read if it was not yet.
    pub(super) fn lead(&mut self, view: &dyn View, id: LeadId) -> Result<Option<&Lead>, Fault> {
        if let Entry::Vacant(place) = self.leads.entry(id) {
            let lead = view.lead(id)?;
            place.insert(Slot {
                now: lead.clone(),
                before: lead,
                changed: false,
            });
        }
        Ok(self.known(id))
    }

    /// A lead as it is now, if it was looked at.
    pub(super) fn known(&self, id: LeadId) -> Option<&Lead> {
        self.leads.get(&id).and_then(|slot| slot.now.as_ref())
    }

    pub(super) fn identified(&self, identity: &Tag) -> Option<LeadId> {
        self.said.identities.get(identity).copied()
    }

    pub(super) fn lead_of(&self, delivery: DeliveryId) -> Option<LeadId> {
        self.said.deliveries.get(&delivery).copied()
    }

    pub(super) fn details(&self, delivery: DeliveryId) -> Option<&Details> {
        match self.records.get(*self.said.details.get(&delivery)?) {
            Some(Record::Delivery { details, .. }) => details.as_ref(),
            _ => None,
        }
    }

    pub(super) fn quarantined(
        &self,
        view: &dyn View,
        id: QuarantineId,
    ) -> Result<Option<QuarantineHead>, Fault> {
        match self.said.quarantined.get(&id) {
            Some(said) => Ok(said.clone()),
            None => view.quarantined(id),
        }
    }

    /// Whether a push with this tag is in quarantine.
    pub(super) fn fingerprinted(&self, view: &dyn View, tag: &Tag) -> Result<bool, Fault> {
        let said = self.said.fingerprints.get(tag).copied();
        for id in said.into_iter().chain(view.fingerprinted(tag)?) {
            if self.quarantined(view, id)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn quarantine_count(
        &self,
        view: &dyn View,
        source: &str,
    ) -> Result<QuarantineCount, Fault> {
        match self.said.quarantine_counts.get(source) {
            Some(said) => Ok(said.clone()),
            None => view.quarantine_count(source),
        }
    }

    pub(super) fn pause(&self, view: &dyn View, sink: &str) -> Option<Pause> {
        let said = self.said.pauses.get(sink).cloned();
        said.unwrap_or_else(|| view.pause(sink))
    }

    pub(super) fn job(&self, view: &dyn View, id: JobId) -> Option<BulkJob> {
        let said = self.said.jobs.get(&id).cloned();
        said.unwrap_or_else(|| view.job(id))
    }

    /// All jobs, oldest first.
    pub(super) fn jobs(&self, view: &dyn View) -> BTreeMap<JobId, JobState> {
        let mut jobs: BTreeMap<JobId, JobState> = view.jobs().into_iter().collect();
        for (id, said) in &self.said.jobs {
            match said {
                Some(job) => jobs.insert(*id, job.state),
                None => jobs.remove(id),
            };
        }
        jobs
    }

    /// All tokens, oldest first.
    pub(super) fn tokens(&self, view: &dyn View) -> BTreeMap<TokenId, Token> {
        let mut tokens: BTreeMap<TokenId, Token> = view.tokens().into_iter().collect();
        for (id, said) in &self.said.tokens {
            match said {
                Some(token) => tokens.insert(*id, token.clone()),
                None => tokens.remove(id),
            };
        }
        tokens
    }

    /// The names under which a sink's plugin keeps something.
    pub(super) fn sink_state_keys(&self, view: &dyn View, sink: &str) -> HashSet<String> {
        let mut keys: HashSet<String> = view.sink_state_keys(sink).into_iter().collect();
        for (key, kept) in self.said.sink_state.get(sink).into_iter().flatten() {
            if *kept {
                keys.insert(key.clone());
            } else {
                keys.remove(key);
            }
        }
        keys
    }
}

fn note(leads: &mut HashMap<LeadId, Slot>, said: &mut Said, at: usize, record: &Record) {
    if let Some(id) = record.lead() {
        let slot = leads.entry(id).or_insert(Slot {
            before: None,
            now: None,
            changed: false,
        });
        slot.now = Lead::apply(slot.now.take(), record);
        slot.changed = true;
    }
    match record {
        Record::Revision { lead, identity, .. } => {
            said.identities.insert(*identity, *lead);
        }
        Record::Delivery {
            lead,
            delivery,
            details,
        } => {
            said.deliveries.insert(delivery.id, *lead);
            if details.is_some() {
                said.details.insert(delivery.id, at);
            }
        }
        Record::Quarantined { id, head, .. } => {
            for tag in head.tags {
                said.fingerprints.insert(tag, *id);
            }
            said.quarantined.insert(*id, Some(head.clone()));
        }
        Record::QuarantineGone { id, .. } => {
            said.quarantined.insert(*id, None);
        }
        Record::QuarantineCount { source, count } => {
            said.quarantine_counts.insert(source.clone(), count.clone());
        }
        Record::Paused { sink, pause } => {
            said.pauses.insert(sink.clone(), pause.clone());
        }
        Record::SinkState { sink, key, value } => {
            let keys = said.sink_state.entry(sink.clone()).or_default();
            keys.insert(key.clone(), value.is_some());
        }
        Record::Job { id, job } => {
            said.jobs.insert(*id, job.as_deref().cloned());
        }
        Record::Token { id, token } => {
            said.tokens.insert(*id, token.as_deref().cloned());
        }
        Record::Pushed { .. } | Record::LeadGone { .. } => {}
    }
}
