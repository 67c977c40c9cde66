//! Delivering: the delivery of a revision for a sink, in its order among the lead's revisions.
//!
//! | `on_update` | an earlier revision waits for the sink | then |
//! |---|---|---|
//! | supersede | and no attempt is under way | it is superseded, this one is due |
//! | supersede | and an attempt is under way | this one is behind it |
//! | each | | this one is behind it |
//! | ignore | or was ever meant for it | this one is not made |
//!
//! Nor is it made if the sink has a delivery of this revision already.

use leadgate_plugin::OutcomeKind;

use super::lead::{DeliveryHead, Lead};
use super::record::Details;
use super::view::Fault;
use crate::clock::Millis;
use crate::config::OnUpdate;
use crate::outbox::{Attempt, Budget, DeathReason, DeliveryId, LeadId, State};

/// One revision of a lead on its way to a sink.
pub(super) struct Leg {
    pub(super) lead: LeadId,
    pub(super) revision: u32,
    pub(super) now: Millis,
    pub(super) fallback_of: Option<DeliveryId>,
    /// Made because a person asked for it: it goes with what is tried again, behind what is
    /// fresh.
    pub(super) asked: bool,
}

impl super::State<'_> {
    /// Makes a delivery. `failed` says why the sink's condition could not be evaluated: then it
    /// is a dead letter. The lead was looked at.
    pub(super) fn deliver(
        &mut self,
        leg: &Leg,
        sink: &str,
        failed: Option<&str>,
    ) -> Result<(), Fault> {
        let known = self.named(sink)?;
        let policy = known.policy.as_ref();
        let on_update = policy.map_or(OnUpdate::default(), |policy| policy.on_update);
        let line = self.line(leg.lead, sink);
        if line.iter().any(|one| one.revision == leg.revision)
            || (on_update == OnUpdate::Ignore && !line.is_empty())
        {
            return Ok(());
        }
        let mut behind = false;
        for earlier in line {
            if earlier.revision > leg.revision || !earlier.state.is_waiting() {
                continue;
            }
            if on_update == OnUpdate::Supersede && self.reserve(earlier.id) {
                self.turn(leg.lead, earlier, State::Superseded { at: leg.now })?;
            } else {
                behind = true;
            }
        }
        let mut since = self.ages_from(leg.now);
        if leg.asked {
            // Later than it was made: see `DeliveryHead::freshness`.
            since = since.max(leg.now.saturating_add(1));
        }
        let mut head = DeliveryHead {
            id: DeliveryId(self.new_id(leg.now)),
            sink: sink.to_owned(),
            revision: leg.revision,
            created_at: leg.now,
            state: if behind {
                State::Behind
            } else {
                State::Waiting { due_at: leg.now }
            },
            attempts: 0,
            budget: Budget { spent: 0, since },
            fallback_of: leg.fallback_of,
            failure: None,
        };
        let Some(why) = failed else {
            self.put(leg.lead, head, None);
            return Ok(());
        };
        head.state = State::Dead {
            at: leg.now,
            reason: DeathReason::Route,
        };
        let details = Details {
            history: vec![unevaluated(why, leg.now)],
            journal: String::new(),
        };
        head.failure = self.failure_in(head.class(), details.history.last());
        self.put(leg.lead, head.clone(), Some(details));
        self.fall_back(leg.lead, &head, leg.now)
    }

    /// Gives a dead letter to its sink's fallback, if there is one.
    pub(super) fn fall_back(
        &mut self,
        lead: LeadId,
        dead: &DeliveryHead,
        now: Millis,
    ) -> Result<(), Fault> {
        let policy = self.policy(&dead.sink);
        let Some(fallback) = policy.and_then(|policy| policy.on_dead.as_deref()) else {
            return Ok(());
        };
        let leg = Leg {
            lead,
            revision: dead.revision,
            now,
            fallback_of: Some(dead.id),
            asked: false,
        };
        self.deliver(&leg, fallback, None)
    }

    /// A lead's deliveries for a sink by revision, oldest first. The lead was looked at.
    pub(super) fn line(&self, lead: LeadId, sink: &str) -> Vec<DeliveryHead> {
        let lead = self.pending.known(lead);
        lead.map_or_else(Vec::new, |lead| lead.line(sink))
    }

    /// The next revision of the lead that waits for the same sink behind `head` alone.
    pub(super) fn next_behind(&self, lead: LeadId, head: &DeliveryHead) -> Option<DeliveryHead> {
        let line = self.line(lead, &head.sink).into_iter();
        let mut others = line.filter(|one| one.revision != head.revision);
        let next = others.find(|one| one.state.is_waiting())?;
        (next.revision > head.revision && next.state == State::Behind).then_some(next)
    }
}

impl Lead {
    /// One of its deliveries.
    pub fn delivery(&self, id: DeliveryId) -> Option<&DeliveryHead> {
        self.deliveries.iter().find(|one| one.id == id)
    }

    /// Whether no sink wanted any revision of it that is kept.
    pub fn is_unrouted(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// Whether no sink wanted any revision from that one on.
    pub(super) fn is_unrouted_from(&self, oldest: u32) -> bool {
        self.deliveries.iter().all(|one| one.revision < oldest)
    }

    /// Its deliveries for a sink by revision, oldest first.
    fn line(&self, sink: &str) -> Vec<DeliveryHead> {
        let of_sink = self.deliveries.iter().filter(|one| one.sink == sink);
        let mut line: Vec<DeliveryHead> = of_sink.cloned().collect();
        line.sort_by_key(|one| one.revision);
        line
    }
}

/// The record of a condition that could not be evaluated.
fn unevaluated(why: &str, now: Millis) -> Attempt {
    Attempt {
        number: 0,
        started_at: now,
        duration_ms: 0,
        outcome: OutcomeKind::Rejected,
        rule: "when".to_owned(),
        reason: why.to_owned(),
        receipt: String::new(),
        request: String::new(),
        response: String::new(),
        trace_id: String::new(),
        config_revision: String::new(),
    }
}
