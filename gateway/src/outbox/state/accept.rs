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

use super::change::NewLead;
use super::deliver::Leg;
use super::lead::{Lead, Revision};
use super::record::{Record, Tag};
use super::view::Fault;
use crate::clock::Millis;
use crate::outbox::{Accepted, LeadId};

/// How long a push of an older revision is taken for a late repeat of it.
const REPEATED_FOR: Millis = 15 * 60_000;

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
        let id = match known {
            Some(id) => id,
            None => LeadId(self.new_id(push.now)),
        };
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

    fn deliver_all(&mut self, lead: LeadId, revision: u32, push: &NewLead) -> Result<(), Fault> {
        let leg = Leg {
            lead,
            revision,
            now: push.now,
            fallback_of: None,
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
