//! Replaying: a stored lead for a sink that a person names, and deliveries of a sink that is gone
//! for another one.
//!
//! | the sink has | then |
//! |---|---|
//! | a newer revision, delivered or waiting | skipped |
//! | this revision, waiting | skipped: it goes anyway |
//! | this revision, delivered | sent again only if that is wanted |
//! | this revision, dead, cancelled or superseded | it is tried again |
//! | an earlier one, and `on_update = "ignore"` | skipped |
//! | none of it | a delivery is made |

use super::deliver::Leg;
use super::job::why;
use super::view::Fault;
use crate::clock::Millis;
use crate::config::OnUpdate;
use crate::outbox::{DeliveryId, LeadId, Skip, State};

impl super::State<'_> {
    /// Gives the newest revision of a lead to a sink, or says why not.
    pub(super) fn replay(
        &mut self,
        lead: LeadId,
        to: &str,
        again: bool,
        now: Millis,
    ) -> Result<Option<Skip>, Fault> {
        let known = self.lead(lead)?;
        let newest = known.and_then(|known| {
            // What came after a newer one is kept and never delivered.
            let mut newest_first = known.revisions.iter().rev();
            newest_first.find(|one| !one.history)
        });
        let Some(revision) = newest.map(|newest| newest.number) else {
            return Ok(Some(Skip::Gone));
        };
        self.give(lead, revision, to, again, now)
    }

    /// Gives what a sink that is gone still had to do to another one, or says why not. There is
    /// nothing to give where that one has it, or is about to.
    pub(super) fn move_to(
        &mut self,
        id: DeliveryId,
        to: &str,
        now: Millis,
    ) -> Result<Option<Skip>, Fault> {
        let Some((lead, head)) = self.find(id)? else {
            return Ok(Some(Skip::Gone));
        };
        if self.policy(&head.sink).is_some() {
            return Ok(Some(Skip::NotOrphaned));
        }
        let waits = head.state.is_waiting();
        if !waits && !matches!(head.state, State::Dead { .. }) {
            return Ok(Some(Skip::Over));
        }
        if waits && !self.reserve(id) {
            return Ok(Some(Skip::InFlight));
        }
        match self.give(lead, head.revision, to, false, now)? {
            None | Some(Skip::Waiting | Skip::Over) => Ok(why(self.cancel(lead, head, now)?)),
            skip => Ok(skip),
        }
    }

    /// Gives a revision of a lead that was looked at to a sink.
    fn give(
        &mut self,
        lead: LeadId,
        revision: u32,
        to: &str,
        again: bool,
        now: Millis,
    ) -> Result<Option<Skip>, Fault> {
        let Some(on_update) = self.policy(to).map(|policy| policy.on_update) else {
            return Ok(Some(Skip::NoSink));
        };
        let line = self.line(lead, to);
        let has = |state: &State| state.is_waiting() || matches!(state, State::Delivered { .. });
        if line
            .iter()
            .any(|one| one.revision > revision && has(&one.state))
        {
            return Ok(Some(Skip::Newer));
        }
        let ignores = on_update == OnUpdate::Ignore && !line.is_empty();
        let known = line.into_iter().find(|one| one.revision == revision);
        Ok(match known {
            Some(known) if known.state.is_waiting() => Some(Skip::Waiting),
            Some(known) if matches!(known.state, State::Delivered { .. }) && !again => {
                Some(Skip::Over)
            }
            Some(known) => why(self.retry(lead, known, true, now)?),
            None if ignores => Some(Skip::Over),
            None => {
                let leg = Leg {
                    lead,
                    revision,
                    now,
                    fallback_of: None,
                    asked: true,
                };
                self.deliver(&leg, to, None)?;
                None
            }
        })
    }
}
