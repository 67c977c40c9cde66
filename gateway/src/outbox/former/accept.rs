//! Accepting: a lead with its identity, its index entries and its deliveries; a quarantined push.
//!
//! | `on_update` | an earlier revision waits for the sink | then |
//! |---|---|---|
//! | supersede | and no attempt is under way | it is superseded, this one is due |
//! | supersede | and an attempt is under way | this one is behind it |
//! | each | | this one is behind it |
//! | ignore | or was ever meant for it | this one is not made |

use std::sync::Arc;

use super::fault::Fault;
use super::group::{Group, Kept};
use super::index::Tag;
use super::key;
use super::record::{self, IdentityRecord, PART};
use crate::clock::Millis;
use crate::config::{Ceiling, OnUpdate};
use crate::outbox::{
    Accepted, Attempt, Budget, DeathReason, Delivery, DeliveryId, LeadId, QuarantineCount,
    QuarantineId, Quarantined, Route, State,
};
use leadgate_plugin::OutcomeKind;

/// A lead, encoded by the thread that received it.
pub(super) struct EncodedLead {
    pub(super) record: Vec<u8>,
    pub(super) source: Arc<str>,
    pub(super) identity: [u8; 32],
    pub(super) content: [u8; 32],
    pub(super) modified_at: Option<Millis>,
    pub(super) received_at: Millis,
    pub(super) finds: Vec<Tag>,
    pub(super) routes: Vec<Route>,
}

/// A quarantined push, encoded by the thread that received it.
pub(super) struct EncodedQuarantinedPush {
    pub(super) record: Vec<u8>,
    pub(super) source: Arc<str>,
    /// Of its signature, and of its content.
    pub(super) tags: [Tag; 2],
    pub(super) size: u64,
    pub(super) received_at: Millis,
    pub(super) ceiling: Ceiling,
}

/// One revision of a lead on its way to one sink.
pub(super) struct Leg<'a> {
    pub(super) lead: LeadId,
    pub(super) revision: u32,
    pub(super) source: &'a str,
    pub(super) now: Millis,
    pub(super) fallback_of: Option<DeliveryId>,
}

impl Group<'_> {
    /// Adds a lead with its identity and deliveries, unless its content is known.
    pub(super) fn accept(&mut self, lead: &EncodedLead) -> Result<Accepted, Fault> {
        let tag = key::tag(key::IDENTITY, &lead.identity);
        let mut known = match self.indexed(&tag)?.map(LeadId) {
            Some(id) => {
                let identity = self.writes.get(&key::identity(id))?;
                let identity = identity.map(|bytes| IdentityRecord::decode(&bytes));
                identity.transpose()?.map(|identity| (id, identity))
            }
            None => None,
        };
        let now = lead.received_at;
        if let Some((id, known)) = &mut known
            && let Some(same) = known.repeated(lead.content, lead.modified_at, now)
        {
            same.pushed_at = same.pushed_at.max(now);
            let revision = same.number;
            let id = *id;
            let older = matches!(
                (lead.modified_at, known.modified_at),
                (Some(this), Some(newest)) if this < newest
            );
            self.writes.put(key::identity(id), known.encode());
            if !older && self.route_again(id, revision, lead)? {
                return Ok(Accepted::Routed { lead: id, revision });
            }
            self.totals.duplicate += 1;
            return Ok(Accepted::Duplicate { lead: id, revision });
        }
        let first = known.is_none();
        let (id, mut identity) = known.unwrap_or_else(|| {
            let id = LeadId(self.new_id(lead.received_at));
            (id, IdentityRecord::default())
        });
        let number = identity.newest + 1;
        let history = identity.add(number, lead.content, lead.modified_at, now);

        self.put_parts(&key::lead_revision(id, number), &lead.record);
        self.writes.put(key::identity(id), identity.encode());
        if first {
            self.writes.put(key::entry(&tag, id.0), b"".as_slice());
        }
        for tag in &lead.finds {
            self.writes.put(key::entry(tag, id.0), b"".as_slice());
        }
        if !history {
            let leg = Leg {
                lead: id,
                revision: number,
                source: &lead.source,
                now: lead.received_at,
                fallback_of: None,
            };
            for route in &lead.routes {
                self.deliver(&leg, route)?;
            }
        }
        if first && lead.routes.is_empty() {
            self.mark_unrouted(id);
        } else if !first && !history && !lead.routes.is_empty() {
            self.unmark_unrouted(id)?;
        }
        self.totals.accepted += 1;
        self.totals.latest = self.totals.latest.max(lead.received_at);
        self.totals.leads += u64::from(first);
        Ok(Accepted::New {
            lead: id,
            revision: number,
            history,
        })
    }

    /// Delivers a known revision of a lead that no sink has wanted so far; `false` if one has,
    /// or none does now.
    fn route_again(
        &mut self,
        id: LeadId,
        revision: u32,
        lead: &EncodedLead,
    ) -> Result<bool, Fault> {
        if lead.routes.is_empty() || !self.writes.scan(&key::orders(id))?.is_empty() {
            return Ok(false);
        }
        let leg = Leg {
            lead: id,
            revision,
            source: &lead.source,
            now: lead.received_at,
            fallback_of: None,
        };
        for route in &lead.routes {
            self.deliver(&leg, route)?;
        }
        self.unmark_unrouted(id)?;
        self.totals.accepted += 1;
        self.totals.latest = self.totals.latest.max(lead.received_at);
        Ok(true)
    }

    /// Notes that no sink wants a lead.
    pub(super) fn mark_unrouted(&mut self, id: LeadId) {
        self.writes.put(key::unrouted(id), b"".as_slice());
        self.totals.unrouted += 1;
    }

    /// Takes that note away, if it is there.
    pub(super) fn unmark_unrouted(&mut self, id: LeadId) -> Result<(), Fault> {
        let mark = key::unrouted(id);
        if self.writes.get(&mark)?.is_some() {
            self.writes.remove(mark);
            self.totals.unrouted = self.totals.unrouted.saturating_sub(1);
        }
        Ok(())
    }

    /// Makes the delivery of a revision for a sink, in its order among the lead's revisions.
    pub(super) fn deliver(&mut self, leg: &Leg<'_>, route: &Route) -> Result<(), Fault> {
        let sink = self.on.sinks.named(&route.sink)?;
        let on_update = sink
            .policy
            .as_ref()
            .map_or(OnUpdate::default(), |policy| policy.on_update);
        let line = match (leg.revision, leg.fallback_of) {
            // The first of its lead: nothing can be before it.
            (1, None) => Vec::new(),
            _ => self.line(leg.lead, sink.number)?,
        };
        if line.iter().any(|(revision, _)| *revision == leg.revision)
            || (on_update == OnUpdate::Ignore && !line.is_empty())
        {
            return Ok(());
        }
        let mut behind = false;
        for (revision, id) in line {
            if revision > leg.revision {
                continue;
            }
            let Some(earlier) = self.delivery(key::WAITING, sink.number, id)? else {
                continue;
            };
            if on_update == OnUpdate::Supersede && self.reserve(id) {
                let sink = Arc::clone(&sink);
                let kept = Kept {
                    id,
                    sink,
                    delivery: earlier,
                };
                self.turn(kept, State::Superseded { at: leg.now });
            } else {
                behind = true;
            }
        }
        let id = DeliveryId(self.new_id(leg.now));
        let mut delivery = Delivery {
            sink: route.sink.to_string(),
            source: leg.source.to_owned(),
            lead: leg.lead,
            revision: leg.revision,
            created_at: leg.now,
            state: if behind {
                State::Behind
            } else {
                State::Waiting { due_at: leg.now }
            },
            attempts: 0,
            budget: Budget {
                spent: 0,
                since: self.ages_from(leg.now),
            },
            fallback_of: leg.fallback_of,
            history: Vec::new(),
            journal: String::new(),
        };
        if let Some(why) = &route.failed {
            let reason = DeathReason::Route;
            delivery.state = State::Dead {
                at: leg.now,
                reason,
            };
            delivery.history.push(Attempt {
                number: 0,
                started_at: leg.now,
                duration_ms: 0,
                outcome: OutcomeKind::Rejected,
                rule: "when".to_owned(),
                reason: why.clone(),
                receipt: String::new(),
                request: String::new(),
                response: String::new(),
                trace_id: String::new(),
            });
        }
        self.writes.put(
            key::order(leg.lead, sink.number, leg.revision),
            id.0.as_bytes().as_slice(),
        );
        let kept = Kept { id, sink, delivery };
        self.store(&kept);
        if route.failed.is_some() {
            self.fall_back(&kept, leg.now)?;
        }
        Ok(())
    }

    /// Adds a push for a person, unless its like is kept already, or as much as may be.
    pub(super) fn quarantine(
        &mut self,
        quarantined: &EncodedQuarantinedPush,
    ) -> Result<Quarantined, Fault> {
        for tag in &quarantined.tags {
            if self.indexed(tag)?.is_some() {
                self.totals.duplicate += 1;
                return Ok(Quarantined::Duplicate);
            }
        }
        let mut count = self.quarantine_count(&quarantined.source)?;
        let now = quarantined.received_at;
        if count.entries >= quarantined.ceiling.max_entries
            || count.bytes.saturating_add(quarantined.size) > quarantined.ceiling.max_bytes
        {
            if count.not_kept == 0 {
                count.first_not_kept_at = now;
            }
            count.not_kept += 1;
            count.last_not_kept_at = now;
            self.put_quarantine_count(&quarantined.source, &count);
            return Ok(Quarantined::Full);
        }
        let id = QuarantineId(self.new_id(now));
        self.keep(
            id,
            &quarantined.record,
            &quarantined.tags,
            (&quarantined.source, quarantined.size),
        )?;
        Ok(Quarantined::New(id))
    }

    /// Stores a quarantined push with its index entries and its counts.
    pub(super) fn keep(
        &mut self,
        id: QuarantineId,
        record: &[u8],
        tags: &[Tag],
        (source, size): (&str, u64),
    ) -> Result<(), Fault> {
        let mut count = self.quarantine_count(source)?;
        count.entries += 1;
        count.bytes = count.bytes.saturating_add(size);
        self.put_quarantine_count(source, &count);
        self.put_parts(&key::quarantine_of(id), record);
        for tag in tags {
            self.writes.put(key::entry(tag, id.0), b"".as_slice());
        }
        self.totals.quarantined += 1;
        self.totals.in_quarantine += 1;
        Ok(())
    }

    /// How much of a source is in quarantine.
    pub(super) fn quarantine_count(&self, source: &str) -> Result<QuarantineCount, Fault> {
        let count = self.read(&key::quarantine_count(source))?;
        Ok(count.unwrap_or_default())
    }

    pub(super) fn put_quarantine_count(&mut self, source: &str, count: &QuarantineCount) {
        let key = key::quarantine_count(source);
        self.writes.put(key, record::encode(count));
    }

    /// Writes a record in as many parts as it needs, behind its name.
    pub(super) fn put_parts(&mut self, name: &[u8], record: &[u8]) {
        for (part, bytes) in record.chunks(PART).enumerate() {
            let key = [name, &part_number(part).to_be_bytes()].concat();
            self.writes.put(key, bytes);
        }
    }
}

pub(super) fn part_number(part: usize) -> u16 {
    u16::try_from(part).expect("a record has less than 65,536 parts: bodies are limited to 64 MiB")
}
