//! Loading: what another store exported, ids and states kept, but for what is there already.

use super::change::{LoadedLead, LoadedQuarantined};
use super::lead::{DeliveryHead, Revision};
use super::record::Record;
use super::view::Fault;

impl super::State<'_> {
    /// Stores a lead; `false` if its identity or its id is there.
    pub(super) fn load(&mut self, lead: &LoadedLead) -> Result<bool, Fault> {
        let numbers = lead.revisions.iter().map(|one| one.number);
        let (Some(first), Some(oldest)) = (lead.revisions.first(), numbers.min()) else {
            return Ok(false);
        };
        if self.identified(&first.identity)?.is_some() || self.lead(lead.id)?.is_some() {
            return Ok(false);
        }
        for told in &lead.revisions {
            let modified_at = told.modified_at;
            let known = self.pending.known(lead.id);
            let history = known.is_some_and(|known| known.is_older(modified_at));
            self.push(Record::Revision {
                lead: lead.id,
                source: lead.source.to_string(),
                identity: told.identity,
                revision: Revision {
                    number: told.number,
                    content: told.content,
                    modified_at,
                    history,
                    received_at: told.received_at,
                    pushed_at: told.received_at,
                    oldest,
                },
                finds: told.finds.clone(),
                body: told.body.clone(),
            });
            self.counts.totals.accepted += 1;
            self.counts.saw(told.received_at);
        }
        for told in &lead.deliveries {
            self.named(&told.head.sink)?;
            let failure = self.failure_in(told.head.class(), told.details.history.last());
            let head = DeliveryHead {
                failure,
                ..told.head.clone()
            };
            let details = (told.details != super::Details::default()).then(|| told.details.clone());
            self.put(lead.id, head, details);
        }
        Ok(true)
    }

    /// Stores a quarantined push; `false` if its like is there.
    pub(super) fn load_quarantined(&mut self, push: &LoadedQuarantined) -> Result<bool, Fault> {
        let view = self.ground.view;
        for tag in &push.head.tags {
            if self.pending.fingerprinted(view, tag)? {
                return Ok(false);
            }
        }
        if self.pending.quarantined(view, push.id)?.is_some() {
            return Ok(false);
        }
        self.set_aside(push.id, push.head.clone(), push.body.clone())?;
        Ok(true)
    }
}
