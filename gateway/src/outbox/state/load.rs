//! Loading: what another store exported, ids and states kept, but for what is there already.

use super::lead::DeliveryHead;
use super::record::{Details, Record};
use super::view::Fault;

impl super::State<'_> {
    /// Stores a lead or a quarantined push; `false` if its like or its id is there.
    pub(super) fn load(&mut self, told: &[Record]) -> Result<bool, Fault> {
        match told.first() {
            Some(Record::Revision { lead, identity, .. }) => {
                if self.identified(identity)?.is_some() || self.lead(*lead)?.is_some() {
                    return Ok(false);
                }
            }
            Some(Record::Quarantined { id, head, .. }) => {
                let view = self.ground.view;
                for tag in &head.tags {
                    if self.pending.fingerprinted(view, tag)? {
                        return Ok(false);
                    }
                }
                if self.pending.quarantined(view, *id)?.is_some() {
                    return Ok(false);
                }
            }
            _ => return Ok(false),
        }
        told.iter().try_for_each(|record| self.load_one(record))?;
        Ok(true)
    }

    fn load_one(&mut self, record: &Record) -> Result<(), Fault> {
        match record {
            Record::Quarantined { id, head, body } => {
                self.set_aside(*id, head.clone(), body.clone())?;
            }
            Record::Delivery {
                lead,
                delivery,
                details,
            } => {
                self.named(&delivery.sink)?;
                let last = details.as_ref().and_then(|details| details.history.last());
                let head = DeliveryHead {
                    failure: self.failure_in(delivery.class(), last),
                    ..delivery.clone()
                };
                let details = details.clone().filter(|one| *one != Details::default());
                self.put(*lead, head, details);
            }
            Record::Revision { revision, .. } => {
                self.push(record.clone());
                self.counts.totals.accepted += 1;
                self.counts.saw(revision.received_at);
            }
            // An export has no others.
            _ => {}
        }
        Ok(())
    }
}
