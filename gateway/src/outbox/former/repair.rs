//! Repairing: what a person decides about one delivery.

use super::fault::Fault;
use super::group::{Group, Kept};
use super::key;
use crate::clock::Millis;
use crate::outbox::{Budget, DeliveryId, Repair, Repaired, State};

impl Group<'_> {
    /// Does it, or says why not.
    pub(super) fn repair(
        &mut self,
        id: DeliveryId,
        repair: Repair,
        now: Millis,
    ) -> Result<Repaired, Fault> {
        let Some(kept) = self.locate(id)? else {
            return Ok(Repaired::Unknown);
        };
        if kept.delivery.state.is_waiting() && !self.reserve(id) {
            return Ok(Repaired::InFlight);
        }
        match repair {
            Repair::Retry { force } => self.retry(kept, force, now),
            Repair::Cancel => self.cancel(kept, now),
        }
    }

    fn retry(&mut self, mut kept: Kept, force: bool, now: Millis) -> Result<Repaired, Fault> {
        if kept.sink.policy.is_none() {
            return Ok(Repaired::NoSink);
        }
        let over = match kept.delivery.state {
            // It goes when the one before it has gone.
            State::Behind => return Ok(Repaired::Done),
            State::Delivered { .. } | State::Superseded { .. } => true,
            State::Waiting { .. } | State::Cancelled { .. } | State::Dead { .. } => false,
        };
        if over && !force {
            return Ok(Repaired::Over);
        }
        let mut behind = false;
        for (revision, id) in self.line(kept.delivery.lead, kept.sink.number)? {
            let number = kept.sink.number;
            let waits = || self.delivery(key::WAITING, number, id);
            if revision < kept.delivery.revision {
                behind |= waits()?.is_some();
            } else if revision > kept.delivery.revision && !force {
                let given = self
                    .delivery(key::DONE, number, id)?
                    .is_some_and(|newer| matches!(newer.state, State::Delivered { .. }));
                if given || waits()?.is_some() {
                    return Ok(Repaired::Newer);
                }
            }
        }
        self.unstore(&kept);
        kept.delivery.budget = Budget {
            spent: kept.delivery.attempts,
            since: self.ages_from(now),
        };
        kept.delivery.state = if behind {
            State::Behind
        } else {
            State::Waiting { due_at: now }
        };
        self.store(&kept);
        Ok(Repaired::Done)
    }

    fn cancel(&mut self, kept: Kept, now: Millis) -> Result<Repaired, Fault> {
        let open =
            kept.delivery.state.is_waiting() || matches!(kept.delivery.state, State::Dead { .. });
        if !open {
            return Ok(Repaired::Over);
        }
        let kept = self.turn(kept, State::Cancelled { at: now });
        self.follow(&kept, now)?;
        Ok(Repaired::Done)
    }
}
