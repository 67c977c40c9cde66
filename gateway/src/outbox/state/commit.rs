//! State: the changes of one commit, one after the other.
//!
//! Each sees what those before it did. One that fails leaves nothing behind; the others are
//! made. The rules are in the files beside this one; here are the small steps they are made of.

use std::sync::Arc;

use uuid::{Timestamp, Uuid};

use super::change::{Change, Done};
use super::counts::Counts;
use super::lead::{DeliveryHead, Lead};
use super::pending::Pending;
use super::record::{Details, Record};
use super::view::{Effects, Fault, Ground, KnownSink};
use crate::clock::Millis;
use crate::outbox::{DAY, DeliveryId, LeadId, SinkPolicy, State as Stands, Totals};

/// The changes of one commit.
pub struct State<'a> {
    pub(super) ground: Ground<'a>,
    pub(super) counts: Counts,
    pub(super) pending: Pending,
    /// Sinks for which something became due, as often as that happened.
    woken: Vec<Arc<str>>,
    reserved: Vec<DeliveryId>,
    pub(super) ended: Vec<DeliveryId>,
}

impl<'a> State<'a> {
    /// Of a commit that begins with these counts.
    pub fn new(ground: Ground<'a>, totals: Totals) -> Self {
        Self {
            ground,
            counts: Counts::new(totals),
            pending: Pending::default(),
            woken: Vec::new(),
            reserved: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Makes a change. What a failed one did is taken back; only the deliveries that it held
    /// stay held until the commit is over, and its end of an attempt is none.
    pub fn apply(&mut self, change: &Change) -> Result<Done, Fault> {
        self.whole(|state| state.make(change))
    }

    /// Does something whole or not at all. Within another one that must not fail any more.
    pub(super) fn whole<T>(
        &mut self,
        make: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (records, woken, ended) = (self.pending.len(), self.woken.len(), self.ended.len());
        let done = make(self);
        if done.is_ok() {
            self.counts.keep();
        } else {
            self.counts.take_back();
            self.pending.take_back(records);
            self.woken.truncate(woken);
            self.ended.truncate(ended);
        }
        done
    }

    /// Counts after the changes so far.
    pub fn totals(&self) -> &Totals {
        &self.counts.totals
    }

    /// What the commit makes different.
    pub fn into_effects(self) -> Effects {
        let (records, leads) = self.pending.end();
        Effects {
            records,
            leads,
            totals: self.counts.totals,
            wake: self.woken.into_iter().collect(),
            reserved: self.reserved,
            ended: self.ended,
        }
    }

    fn make(&mut self, change: &Change) -> Result<Done, Fault> {
        Ok(match change {
            Change::Accept(lead) => Done::Accepted(self.accept(lead)?),
            Change::Quarantine(push) => Done::Quarantined(self.quarantine(push)?),
            Change::Finish(finish) => {
                self.finish(finish)?;
                Done::Noted
            }
            Change::Keep { sink, id, journal } => {
                self.keep(sink, *id, journal)?;
                Done::Noted
            }
            Change::Repair { id, repair, now } => Done::Repaired(self.repair(*id, repair, *now)?),
            Change::Release { id, lead } => Done::Released(if self.discard(*id, false)? {
                Some(self.accept(lead)?)
            } else {
                None
            }),
            Change::Discard(id) => Done::Did(self.discard(*id, false)?),
            Change::Erase(what) => Done::Erased(self.erase(what)?),
            Change::Expire { lead, keep, now } => Done::Expired(self.expire(*lead, *keep, *now)?),
            Change::Pause { sink, cause, now } => {
                self.pause(sink, cause.as_ref(), *now)?;
                Done::Noted
            }
            Change::SinkState { sink, key, value } => {
                Done::Did(self.keep_sink_state(sink, key, value.as_deref())?)
            }
            Change::PlanJob { plan, now } => Done::Planned(self.plan_job(plan, *now)),
            Change::StartJob { id, now } => Done::Steered(self.start_job(*id, *now)),
            Change::StepJob { id, step, now } => Done::Stepped(self.step_job(*id, step, *now)),
            Change::CancelJob { id, why, now } => Done::Steered(self.cancel_job(*id, *why, *now)),
            Change::AddToken(token) => Done::TokenAdded(self.add_token(token)),
            Change::RevokeToken { name, now } => Done::Did(self.revoke_token(name, *now)),
            Change::TokenUsed { id, at } => {
                self.note_use(*id, *at);
                Done::Noted
            }
            Change::Time(time) => {
                self.counts.totals.time = *time;
                Done::Noted
            }
            Change::Load(records) => Done::Did(self.load(records)?),
        })
    }

    /// A lead as it is after the changes so far.
    pub(super) fn lead(&mut self, id: LeadId) -> Result<Option<&Lead>, Fault> {
        self.pending.lead(self.ground.view, id)
    }

    /// The lead of a delivery, with the delivery.
    pub(super) fn find(&mut self, id: DeliveryId) -> Result<Option<(LeadId, DeliveryHead)>, Fault> {
        let lead = match self.pending.lead_of(id) {
            Some(lead) => Some(lead),
            None => self.ground.view.lead_of(id)?,
        };
        let Some(lead) = lead else {
            return Ok(None);
        };
        let head = self.lead(lead)?.and_then(|lead| lead.delivery(id));
        Ok(head.map(|head| (lead, head.clone())))
    }

    /// What a delivery keeps beside its head.
    pub(super) fn details(&self, lead: LeadId, id: DeliveryId) -> Result<Details, Fault> {
        match self.pending.details(id) {
            Some(details) => Ok(details.clone()),
            None => self.ground.view.details(lead, id),
        }
    }

    /// Notes what is different, with its counts.
    pub(super) fn push(&mut self, record: Record) {
        let lead = record.lead();
        let before = lead.and_then(|lead| self.pending.known(lead));
        self.counts.note(&record, before);
        self.pending.push(record);
    }

    /// Stores a delivery as it stands now. What waits wakes its sink.
    pub(super) fn put(&mut self, lead: LeadId, delivery: DeliveryHead, details: Option<Details>) {
        if matches!(delivery.state, Stands::Waiting { .. })
            && let Some(sink) = self.known(&delivery.sink)
        {
            self.woken.push(Arc::clone(&sink.name));
        }
        self.push(Record::Delivery {
            lead,
            delivery,
            details,
        });
    }

    /// Moves a delivery to another state.
    pub(super) fn turn(
        &mut self,
        lead: LeadId,
        mut head: DeliveryHead,
        state: Stands,
    ) -> Result<DeliveryHead, Fault> {
        head.state = state;
        head.failure = self.failure_of(lead, &head)?;
        self.put(lead, head.clone(), None);
        Ok(head)
    }

    /// Whether a delivery may be changed: no attempt is under way. It cannot be claimed until
    /// the commit is over.
    pub(super) fn reserve(&mut self, id: DeliveryId) -> bool {
        let free = self.ground.holds.reserve(id);
        if free {
            self.reserved.push(id);
        }
        free
    }

    /// Notes that a sink must look again.
    pub(super) fn wake(&mut self, sink: &KnownSink) {
        self.woken.push(Arc::clone(&sink.name));
    }

    fn known(&self, sink: &str) -> Option<&'a Arc<KnownSink>> {
        self.ground.sinks.get(sink)
    }

    /// A sink that must be known.
    pub(super) fn named(&self, sink: &str) -> Result<&'a Arc<KnownSink>, Fault> {
        self.known(sink).ok_or_else(|| Fault::Sink(sink.to_owned()))
    }

    /// What the configuration says of a sink, if it is in it.
    pub(super) fn policy(&self, sink: &str) -> Option<&'a SinkPolicy> {
        self.known(sink).and_then(|known| known.policy.as_ref())
    }

    /// From when something of `at` grows old. A clock that is far behind what was believed must
    /// not make it old the moment the clock is set right.
    pub(super) fn ages_from(&self, at: Millis) -> Millis {
        let known = self.counts.totals.time.belief.newest;
        if known.saturating_sub(at) > DAY {
            known
        } else {
            at
        }
    }

    /// An id that says from when it grows old.
    pub(super) fn new_id(&self, at: Millis) -> Uuid {
        let at = u64::try_from(self.ages_from(at)).unwrap_or(0);
        let nanos = u32::try_from(at % 1000).unwrap_or(0) * 1_000_000;
        Uuid::new_v7(Timestamp::from_unix(self.ground.ids, at / 1000, nanos))
    }
}
