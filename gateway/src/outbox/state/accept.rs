//! Accepting: a push of a lead is a new lead, a new revision of one, or brings nothing new.
//!
//! | the content is | and the push | then |
//! |---|---|---|
//! | that of no revision compared with | | it is a new revision |
//! | that of the newest one in force | | it is a repeat |
//! | that of another one | has a modification time, or comes soon after it | it is a repeat |
//! | that of another one | else | the sender went back to it: a new revision |
//!
//! A new revision that is older than what is known is history: kept, never delivered. A repeat
//! of a lead that no sink ever wanted is routed again, unless it is older than what is known.
//!
//! A lead keeps its newest [`REVISIONS_KEPT`] revisions: one more takes the place of the oldest,
//! which leaves with its deliveries; what of them still waited is superseded. The newest one in
//! force always stays: history that would push it out is a repeat.

use super::change::NewLead;
use super::deliver::Leg;
use super::lead::{DeliveryHead, Lead, Revision};
use super::record::{Record, Tag};
use super::view::Fault;
use crate::clock::Millis;
use crate::outbox::{Accepted, LeadId, State as Stands};

/// How long a push of an older revision is taken for a late repeat of it.
const REPEATED_FOR: Millis = 15 * 60_000;

/// Revisions of a lead that are kept, so that a source that changes one for ever takes no more
/// and more room, nor more and more time for each push.
pub(super) const REVISIONS_KEPT: u32 = 256;

/// Revisions that a push is compared with to find a duplicate: the newest ones.
const REVISIONS_COMPARED: usize = 64;

impl super::State<'_> {
    /// Stores a lead with its deliveries, unless its content is known.
    pub(super) fn accept(&mut self, push: &NewLead) -> Result<Accepted, Fault> {
        let known = self.identified(&push.identity)?;
        let lead = match known {
            Some(id) => self.pending.known(id),
            None => None,
        };
        if let Some((id, lead)) = known.zip(lead)
            && let Some(same) = lead.repeated(push.content, push.modified_at, push.now)
        {
            let (revision, pushed_at) = (same.number, same.pushed_at);
            let wanted = !lead.is_older(push.modified_at) && lead.is_unrouted();
            if push.now > pushed_at {
                self.push(Record::Pushed {
                    lead: id,
                    revision,
                    at: push.now,
                });
            }
            if wanted && !push.routes.is_empty() {
                self.deliver_all(id, revision, push)?;
                self.counts.totals.accepted += 1;
                self.counts.saw(push.now);
                return Ok(Accepted::Routed { lead: id, revision });
            }
            self.counts.totals.duplicate += 1;
            return Ok(Accepted::Duplicate { lead: id, revision });
        }
        let number = lead.map_or(0, Lead::newest) + 1;
        let history = lead.is_some_and(|lead| lead.is_older(push.modified_at));
        if let Some((id, lead)) = known.zip(lead).filter(|_| history) {
            let revision = lead.in_force().map_or(number, |one| one.number);
            if revision + REVISIONS_KEPT <= number {
                self.counts.totals.duplicate += 1;
                return Ok(Accepted::Duplicate { lead: id, revision });
            }
        }
        let id = match known {
            Some(id) => id,
            None => LeadId(self.new_id(push.now)),
        };
        let oldest = self.make_room(id, number, push.now)?;
        self.push(Record::Revision {
            lead: id,
            source: push.source.to_string(),
            identity: push.identity,
            revision: Revision {
                number,
                content: push.content,
                modified_at: push.modified_at,
                history,
                received_at: push.received_at,
                pushed_at: push.now,
                oldest,
            },
            finds: push.finds.clone(),
            body: push.body.clone(),
        });
        if !history {
            self.deliver_all(id, number, push)?;
        }
        self.counts.totals.accepted += 1;
        self.counts.saw(push.now);
        Ok(Accepted::New {
            lead: id,
            revision: number,
            history,
        })
    }

    /// The lead that has this identity; of several the one that was made last. It was looked at.
    pub(super) fn identified(&mut self, identity: &Tag) -> Result<Option<LeadId>, Fault> {
        let mut named = self.ground.view.identified(identity)?;
        named.extend(self.pending.identified(identity));
        named.sort_unstable();
        named.dedup();
        for id in named.into_iter().rev() {
            if self.lead(id)?.is_some() {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Makes room for a revision of that number; gives the oldest one that is kept with it.
    fn make_room(&mut self, id: LeadId, number: u32, now: Millis) -> Result<u32, Fault> {
        let mut oldest = (number + 1).saturating_sub(REVISIONS_KEPT).max(1);
        let Some(lead) = self.pending.known(id).filter(|_| oldest > 1) else {
            return Ok(oldest);
        };
        let counts = |one: &&DeliveryHead| {
            one.state.is_waiting() || matches!(one.state, Stands::Dead { .. })
        };
        let leaving = lead.deliveries.iter().filter(|one| one.revision < oldest);
        let leaving: Vec<DeliveryHead> = leaving.filter(counts).cloned().collect();
        for head in &leaving {
            // An attempt is under way: what it is of stays until the next one comes.
            if head.state.is_waiting() && !self.reserve(head.id) {
                oldest = oldest.min(head.revision);
            }
        }
        for head in leaving {
            if head.revision < oldest {
                let head = self.turn(id, head, Stands::Superseded { at: now })?;
                self.follow(id, &head, now)?;
            }
        }
        Ok(oldest)
    }

    fn deliver_all(&mut self, lead: LeadId, revision: u32, push: &NewLead) -> Result<(), Fault> {
        let leg = Leg {
            lead,
            revision,
            now: push.now,
            fallback_of: None,
            asked: false,
        };
        push.routes
            .iter()
            .try_for_each(|route| self.deliver(&leg, &route.sink, route.failed.as_deref()))
    }
}

impl Lead {
    /// The newest revision's number.
    fn newest(&self) -> u32 {
        self.revisions.last().map_or(0, |newest| newest.number)
    }

    /// The newest revision that is not history.
    fn in_force(&self) -> Option<&Revision> {
        self.revisions.iter().rev().find(|one| !one.history)
    }

    /// Whether something modified then is older than what is known.
    pub(super) fn is_older(&self, modified_at: Option<Millis>) -> bool {
        matches!((modified_at, self.modified_at), (Some(this), Some(newest)) if this < newest)
    }

    /// The revision that a push with this content repeats, if it brings nothing new. A sender
    /// that gives no modification time may go back to what it said before: content of an older
    /// revision is a repeat only for a while, later it is what holds now.
    fn repeated(
        &self,
        content: [u8; 32],
        modified_at: Option<Millis>,
        now: Millis,
    ) -> Option<&Revision> {
        let compared = self.revisions.iter().rev().take(REVISIONS_COMPARED);
        let current = compared.clone().find(|one| !one.history);
        let same = compared.into_iter().find(|one| one.content == content)?;
        let lately = now.saturating_sub(same.pushed_at) <= REPEATED_FOR;
        let is_current = current.is_some_and(|current| current.number == same.number);
        (modified_at.is_some() || is_current || lately).then_some(same)
    }
}
