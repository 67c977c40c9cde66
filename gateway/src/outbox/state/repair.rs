//! Repairing: what a person decides about one delivery.

use leadgate_plugin::OutcomeKind;

use super::lead::DeliveryHead;
use super::view::Fault;
use crate::clock::Millis;
use crate::outbox::{
    ATTEMPTS_KEPT, Attempt, BY_HAND, Budget, DeliveryId, LeadId, Repair, Repaired, State,
};

impl super::State<'_> {
    /// Does it, or says why not.
    pub(super) fn repair(
        &mut self,
        id: DeliveryId,
        repair: &Repair,
        now: Millis,
    ) -> Result<Repaired, Fault> {
        let Some((lead, head)) = self.find(id)? else {
            return Ok(Repaired::Unknown);
        };
        if head.state.is_waiting() && !self.reserve(id) {
            return Ok(Repaired::InFlight);
        }
        match repair {
            Repair::Retry { force } => self.retry(lead, head, *force, now),
            Repair::Cancel => self.cancel(lead, head, now),
            Repair::Done { by, note } => self.done_by_hand(lead, head, by, note, now),
        }
    }

    pub(super) fn retry(
        &mut self,
        lead: LeadId,
        mut head: DeliveryHead,
        force: bool,
        now: Millis,
    ) -> Result<Repaired, Fault> {
        if self.policy(&head.sink).is_none() {
            return Ok(Repaired::NoSink);
        }
        let over = match head.state {
            // It goes when the one before it has gone.
            State::Behind => return Ok(Repaired::Done),
            State::Delivered { .. } | State::Superseded { .. } => true,
            State::Waiting { .. } | State::Cancelled { .. } | State::Dead { .. } => false,
        };
        if over && !force {
            return Ok(Repaired::Over);
        }
        let mut behind = false;
        for other in self.line(lead, &head.sink) {
            let waits = other.state.is_waiting();
            if other.revision < head.revision {
                behind |= waits;
            } else if other.revision > head.revision
                && !force
                && (waits || matches!(other.state, State::Delivered { .. }))
            {
                return Ok(Repaired::Newer);
            }
        }
        head.budget = Budget {
            spent: head.attempts,
            since: self.ages_from(now),
        };
        let state = if behind {
            State::Behind
        } else {
            State::Waiting { due_at: now }
        };
        self.turn(lead, head, state)?;
        Ok(Repaired::Done)
    }

    pub(super) fn cancel(
        &mut self,
        lead: LeadId,
        head: DeliveryHead,
        now: Millis,
    ) -> Result<Repaired, Fault> {
        if !is_open(&head) {
            return Ok(Repaired::Over);
        }
        let head = self.turn(lead, head, State::Cancelled { at: now })?;
        self.follow(lead, &head, now)?;
        Ok(Repaired::Done)
    }

    fn done_by_hand(
        &mut self,
        lead: LeadId,
        mut head: DeliveryHead,
        by: &str,
        note: &str,
        now: Millis,
    ) -> Result<Repaired, Fault> {
        if !is_open(&head) {
            return Ok(Repaired::Over);
        }
        let mut details = self.details(lead, head.id)?;
        details.history.push(Attempt {
            number: head.attempts,
            started_at: now,
            duration_ms: 0,
            outcome: OutcomeKind::Delivered,
            rule: BY_HAND.to_owned(),
            reason: note.to_owned(),
            receipt: by.to_owned(),
            request: String::new(),
            response: String::new(),
            trace_id: String::new(),
            config_revision: String::new(),
        });
        let oldest = details.history.len().saturating_sub(ATTEMPTS_KEPT);
        details.history.drain(..oldest);
        head.state = State::Delivered { at: now };
        head.failure = None;
        self.settle(lead, &mut head, now)?;
        self.put(lead, head.clone(), Some(details));
        self.follow(lead, &head, now)?;
        Ok(Repaired::Done)
    }
}

/// Whether somebody still has to see to it.
const fn is_open(head: &DeliveryHead) -> bool {
    head.state.is_waiting() || matches!(head.state, State::Dead { .. })
}
