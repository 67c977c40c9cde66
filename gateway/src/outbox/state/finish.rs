//! Finishing: a delivery's attempt has ended, and what follows from it for others.
//!
//! An ended delivery lets the next revision of its lead go; a dead letter goes to the sink's
//! fallback; one that would wait for a retry gives way to a newer revision at once.

use super::lead::DeliveryHead;
use super::record::{Details, Record};
use super::view::Fault;
use crate::clock::Millis;
use crate::config::OnUpdate;
use crate::outbox::{DeliveryId, Finish, LeadId, State};

impl super::State<'_> {
    /// Moves a claimed delivery to where its attempt has brought it.
    pub(super) fn finish(&mut self, finish: &Finish) -> Result<(), Fault> {
        let Finish {
            id, now, delivery, ..
        } = finish;
        self.named(&finish.sink)?;
        self.ended.push(*id);
        self.counts.saw(*now);
        let lead = delivery.lead;
        // Invariant: only a waiting delivery can finish; a second finish changes nothing.
        let stored = self.lead(lead)?.and_then(|lead| lead.delivery(*id));
        if !stored.is_some_and(|one| one.sink == *finish.sink && one.state.is_waiting()) {
            return Ok(());
        }
        let mut head = DeliveryHead::of(*id, delivery, None);
        let policy = self.policy(&head.sink);
        let supersedes = policy.is_some_and(|policy| policy.on_update == OnUpdate::Supersede);
        if head.state.is_waiting() && supersedes && self.next_behind(lead, &head).is_some() {
            head.state = State::Superseded { at: *now };
        }
        self.settle(lead, &mut head, *now)?;
        head.failure = self.failure_in(head.class(), delivery.history.last());
        let details = Details {
            history: delivery.history.clone(),
            journal: delivery.journal.clone(),
        };
        self.put(lead, head.clone(), Some(details));
        self.follow(lead, &head, *now)
    }

    /// A dead letter and a newer revision that was delivered: the sink has what the dead letter
    /// would have brought, so nobody needs to look at it. Where every revision is wanted, one
    /// that is missing stays dead.
    pub(super) fn settle(
        &mut self,
        lead: LeadId,
        head: &mut DeliveryHead,
        now: Millis,
    ) -> Result<(), Fault> {
        let policy = self.policy(&head.sink);
        if policy.is_some_and(|policy| policy.on_update == OnUpdate::Each) {
            return Ok(());
        }
        let delivered = matches!(head.state, State::Delivered { .. });
        let died = matches!(head.state, State::Dead { .. });
        if !delivered && !died {
            return Ok(());
        }
        for other in self.line(lead, &head.sink) {
            let over = State::Superseded { at: now };
            if delivered && other.revision < head.revision {
                if matches!(other.state, State::Dead { .. }) {
                    self.turn(lead, other, over)?;
                }
            } else if died
                && other.revision > head.revision
                && matches!(other.state, State::Delivered { .. })
            {
                head.state = over;
            }
        }
        Ok(())
    }

    /// Keeps a plugin's step record of a delivery whose attempt is under way.
    pub(super) fn keep(&mut self, sink: &str, id: DeliveryId, journal: &str) -> Result<(), Fault> {
        self.named(sink)?;
        let Some((lead, head)) = self.find(id)? else {
            return Ok(());
        };
        if head.sink != sink || !head.state.is_waiting() {
            return Ok(());
        }
        let details = Details {
            journal: journal.to_owned(),
            ..self.details(lead, id)?
        };
        self.push(Record::Delivery {
            lead,
            delivery: head,
            details: Some(details),
        });
        Ok(())
    }

    /// What an ended delivery brings about: the next revision goes, a dead letter falls back.
    pub(super) fn follow(
        &mut self,
        lead: LeadId,
        head: &DeliveryHead,
        now: Millis,
    ) -> Result<(), Fault> {
        if head.state.is_waiting() {
            return Ok(());
        }
        if let Some(next) = self.next_behind(lead, head) {
            self.turn(lead, next, State::Waiting { due_at: now })?;
        }
        if matches!(head.state, State::Dead { .. }) {
            self.fall_back(lead, head, now)?;
        }
        Ok(())
    }
}
