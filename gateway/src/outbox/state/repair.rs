//! Repairing: what a person decides about one delivery.

use super::lead::DeliveryHead;
use super::view::Fault;
use crate::clock::Millis;
use crate::outbox::{Budget, DeliveryId, LeadId, Repair, Repaired, State};

impl super::State<'_> {
    /// Does it, or says why not.
    pub(super) fn repair(
        &mut self,
        id: DeliveryId,
        repair: Repair,
        now: Millis,
    ) -> Result<Repaired, Fault> {
        let Some((lead, head)) = self.find(id)? else {
            return Ok(Repaired::Unknown);
        };
        if head.state.is_waiting() && !self.reserve(id) {
            return Ok(Repaired::InFlight);
        }
        match repair {
            Repair::Retry { force } => self.retry(lead, head, force, now),
            Repair::Cancel => self.cancel(lead, head, now),
        }
    }

    fn retry(
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

    fn cancel(&mut self, lead: LeadId, head: DeliveryHead, now: Millis) -> Result<Repaired, Fault> {
        let open = head.state.is_waiting() || matches!(head.state, State::Dead { .. });
        if !open {
            return Ok(Repaired::Over);
        }
        let head = self.turn(lead, head, State::Cancelled { at: now })?;
        self.follow(lead, &head, now)?;
        Ok(Repaired::Done)
    }
}
