//! A group: what one commit writes.
//!
//! Collects jobs into one sled batch and keeps what the jobs of the same group must see of
//! each other. Nothing here touches the disk but to read.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use uuid::{ContextV7, Timestamp, Uuid};

use super::key::{self, SinkNumber};
use super::record::{self, IdentityRecord, PART, REVISIONS_COMPARED, Revision};
use crate::clock::Millis;
use crate::outbox::{
    Accepted, DeathReason, Delivery, DeliveryId, Finish, LeadId, QuarantineId, Quarantined, Route,
    SinkTotals, State, Totals, Unavailable,
};

/// A lead, encoded by the thread that received it.
pub(super) struct EncodedLead {
    pub(super) record: Vec<u8>,
    pub(super) identity: [u8; 32],
    pub(super) content: [u8; 32],
    pub(super) modified_at: Option<Millis>,
    pub(super) received_at: Millis,
    pub(super) routes: Vec<Route>,
}

/// A suspect, encoded by the thread that received it.
pub(super) struct EncodedSuspect {
    pub(super) record: Vec<u8>,
    pub(super) fingerprint: [u8; 32],
    pub(super) received_at: Millis,
}

/// What a group reads from and what outlives it.
pub(super) struct Ground<'a> {
    pub(super) tree: &'a ::sled::Tree,
    pub(super) sinks: &'a HashMap<Arc<str>, SinkNumber>,
    pub(super) ids: &'a ContextV7,
}

/// The writes of one commit.
pub(super) struct Group {
    pub(super) batch: ::sled::Batch,
    /// Sinks for which something became due.
    pub(super) wake: BTreeSet<Arc<str>>,
    pub(super) totals: Totals,
    identities: HashMap<[u8; 32], IdentityRecord>,
    fingerprints: BTreeSet<[u8; 32]>,
}

impl Group {
    pub(super) fn new(totals: Totals) -> Self {
        Self {
            batch: ::sled::Batch::default(),
            wake: BTreeSet::new(),
            totals,
            identities: HashMap::new(),
            fingerprints: BTreeSet::new(),
        }
    }

    /// Adds a lead with its identity and deliveries, unless its content is known.
    pub(super) fn accept(
        &mut self,
        lead: EncodedLead,
        on: &Ground<'_>,
    ) -> Result<Accepted, Unavailable> {
        let known = match self.identities.get(&lead.identity) {
            Some(record) => Some(record.clone()),
            None => read::<IdentityRecord>(on.tree, &key::identity(&lead.identity))?,
        };
        if let Some(known) = &known
            && let Some(same) = known
                .revisions
                .iter()
                .find(|revision| revision.content == lead.content)
        {
            self.totals.duplicate += 1;
            return Ok(Accepted::Duplicate {
                lead: known.lead,
                revision: same.number,
            });
        }

        let mut identity = known.unwrap_or_else(|| IdentityRecord {
            lead: LeadId(new_id(on.ids, lead.received_at)),
            newest: 0,
            modified_at: None,
            revisions: Vec::new(),
        });
        let history = matches!((lead.modified_at, identity.modified_at), (Some(this), Some(newest)) if this < newest);
        let number = identity.newest + 1;
        identity.newest = number;
        identity.modified_at = identity.modified_at.max(lead.modified_at);
        if identity.revisions.len() == REVISIONS_COMPARED {
            identity.revisions.remove(0);
        }
        identity.revisions.push(Revision {
            number,
            content: lead.content,
            history,
        });

        for (part, bytes) in lead.record.chunks(PART).enumerate() {
            self.batch
                .insert(key::lead(identity.lead, number, part_number(part)), bytes);
        }
        self.batch
            .insert(key::identity(&lead.identity), record::encode(&identity));
        if !history {
            for route in lead.routes {
                self.deliver(&route, identity.lead, number, lead.received_at, on)?;
            }
        }
        self.totals.accepted += 1;
        let accepted = Accepted::New {
            lead: identity.lead,
            revision: number,
            history,
        };
        self.identities.insert(lead.identity, identity);
        Ok(accepted)
    }

    fn deliver(
        &mut self,
        route: &Route,
        lead: LeadId,
        revision: u32,
        now: Millis,
        on: &Ground<'_>,
    ) -> Result<(), Unavailable> {
        let number = sink_number(on, &route.sink)?;
        let id = DeliveryId(new_id(on.ids, now));
        let mut delivery = Delivery {
            sink: route.sink.to_string(),
            lead,
            revision,
            created_at: now,
            state: State::Waiting { due_at: now },
            attempts: 0,
            history: Vec::new(),
        };
        if let Some(why) = &route.failed {
            let reason = DeathReason::Route;
            delivery.state = State::Dead { at: now, reason };
            delivery.history.push(crate::outbox::Attempt {
                number: 0,
                started_at: now,
                duration_ms: 0,
                outcome: "rejected".to_owned(),
                rule: "when".to_owned(),
                reason: why.clone(),
                receipt: String::new(),
                request: String::new(),
                response: String::new(),
                trace_id: String::new(),
            });
            self.batch
                .insert(key::dead(number, id), record::encode(&delivery));
            *self.sink(&route.sink).dead.entry(reason).or_default() += 1;
        } else {
            self.batch
                .insert(key::waiting(number, id), record::encode(&delivery));
            self.batch.insert(key::due(number, now, id), &[]);
            self.sink(&route.sink).waiting += 1;
            self.wake.insert(route.sink.clone());
        }
        Ok(())
    }

    /// Adds a push for a person, unless the same bytes are kept already.
    pub(super) fn quarantine(
        &mut self,
        suspect: &EncodedSuspect,
        on: &Ground<'_>,
    ) -> Result<Quarantined, Unavailable> {
        let index = key::identity(&suspect.fingerprint);
        if !self.fingerprints.insert(suspect.fingerprint) || get(on.tree, &index)?.is_some() {
            self.totals.duplicate += 1;
            return Ok(Quarantined::Duplicate);
        }
        let id = QuarantineId(new_id(on.ids, suspect.received_at));
        for (part, bytes) in suspect.record.chunks(PART).enumerate() {
            self.batch
                .insert(key::quarantine(id, part_number(part)), bytes);
        }
        self.batch.insert(index, record::encode(&id));
        self.totals.quarantined += 1;
        Ok(Quarantined::New(id))
    }

    /// Moves a delivery to the room of its new state.
    pub(super) fn finish(&mut self, finish: &Finish, on: &Ground<'_>) -> Result<(), Unavailable> {
        let number = sink_number(on, &finish.sink)?;
        let waiting = key::waiting(number, finish.id);
        // Invariant: only a waiting delivery can finish; a second finish changes nothing.
        let Some(before) = read::<Delivery>(on.tree, &waiting)? else {
            return Ok(());
        };
        let was_retrying = before.attempts > 0;
        self.batch
            .remove(key::due(number, finish.was_due, finish.id));
        let value = record::encode(&finish.delivery);
        let sink = self
            .totals
            .sinks
            .entry(finish.sink.to_string())
            .or_default();
        let stays = matches!(finish.delivery.state, State::Waiting { .. });
        match (was_retrying, stays && finish.delivery.attempts > 0) {
            (true, false) => sink.retrying = sink.retrying.saturating_sub(1),
            (false, true) => sink.retrying += 1,
            _ => {}
        }
        match finish.delivery.state {
            State::Waiting { due_at } => {
                self.batch.insert(key::due(number, due_at, finish.id), &[]);
                self.batch.insert(waiting, value);
            }
            State::Delivered { .. } => {
                sink.waiting = sink.waiting.saturating_sub(1);
                sink.delivered += 1;
                self.batch.remove(waiting);
                self.batch.insert(key::done(finish.id), value);
            }
            State::Dead { reason, .. } => {
                sink.waiting = sink.waiting.saturating_sub(1);
                *sink.dead.entry(reason).or_default() += 1;
                self.batch.remove(waiting);
                self.batch.insert(key::dead(number, finish.id), value);
            }
        }
        Ok(())
    }

    fn sink(&mut self, name: &str) -> &mut SinkTotals {
        if !self.totals.sinks.contains_key(name) {
            self.totals
                .sinks
                .insert(name.to_owned(), SinkTotals::default());
        }
        self.totals.sinks.get_mut(name).expect("inserted above")
    }
}

fn sink_number(on: &Ground<'_>, name: &str) -> Result<SinkNumber, Unavailable> {
    on.sinks
        .get(name)
        .copied()
        .ok_or_else(|| Unavailable(format!("sink `{name}` is not registered")))
}

fn part_number(part: usize) -> u16 {
    u16::try_from(part).expect("a record has less than 65,536 parts: bodies are limited to 64 MiB")
}

fn new_id(ids: &ContextV7, at: Millis) -> Uuid {
    let at = u64::try_from(at).unwrap_or(0);
    let nanos = u32::try_from(at % 1000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(ids, at / 1000, nanos))
}

fn get(tree: &::sled::Tree, key: &[u8]) -> Result<Option<::sled::IVec>, Unavailable> {
    tree.get(key)
        .map_err(|error| Unavailable(error.to_string()))
}

/// Reads and decodes one record.
pub(super) fn read<T: serde::de::DeserializeOwned>(
    tree: &::sled::Tree,
    key: &[u8],
) -> Result<Option<T>, Unavailable> {
    get(tree, key)?
        .map(|bytes| record::decode_owned(&bytes))
        .transpose()
        .map_err(|error| Unavailable(error.to_string()))
}
