//! Applying: how a lead is after a record of it. Whoever applies all of its records, at once or
//! after a restart, comes to the same lead.

use super::lead::Lead;
use super::record::Record;

impl Lead {
    /// The lead after a record of it; `None` in and out is a lead that is not there. Records of
    /// other things leave it as it is. The order of a delivery's records and of its revision does
    /// not matter, as long as the last record of each comes last: cleaning moves records.
    pub fn apply(lead: Option<Self>, record: &Record) -> Option<Self> {
        match record {
            Record::Revision {
                source, revision, ..
            } => {
                let mut lead = lead.unwrap_or_default();
                lead.source.clone_from(source);
                match lead
                    .revisions
                    .binary_search_by_key(&revision.number, |one| one.number)
                {
                    Ok(at) => lead.revisions[at] = revision.clone(),
                    Err(at) => lead.revisions.insert(at, revision.clone()),
                }
                let oldest = lead.oldest();
                lead.revisions.retain(|one| one.number >= oldest);
                lead.deliveries.retain(|one| one.revision >= oldest);
                lead.modified_at = lead
                    .revisions
                    .iter()
                    .filter_map(|one| one.modified_at)
                    .max();
                Some(lead)
            }
            Record::Pushed { revision, at, .. } => {
                let mut lead = lead?;
                let mut known = lead.revisions.iter_mut();
                if let Some(one) = known.find(|one| one.number == *revision) {
                    one.pushed_at = one.pushed_at.max(*at);
                }
                Some(lead)
            }
            Record::Delivery { delivery, .. } => {
                let mut lead = lead.unwrap_or_default();
                if delivery.revision < lead.oldest() {
                    return Some(lead);
                }
                match lead.deliveries.iter_mut().find(|one| one.id == delivery.id) {
                    Some(known) => known.clone_from(delivery),
                    None => lead.deliveries.push(delivery.clone()),
                }
                Some(lead)
            }
            Record::LeadGone { .. } => None,
            Record::Quarantined { .. }
            | Record::QuarantineGone { .. }
            | Record::QuarantineCount { .. }
            | Record::Paused { .. }
            | Record::SinkState { .. }
            | Record::Job { .. }
            | Record::Token { .. } => lead,
        }
    }

    /// The oldest revision that is kept.
    pub fn oldest(&self) -> u32 {
        self.revisions.last().map_or(0, |newest| newest.oldest)
    }
}
