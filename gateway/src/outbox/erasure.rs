//! Erasing: what a person wants gone for good, and what became of it.

use std::collections::BTreeMap;

use super::{LeadId, QuarantineId};

/// What is to be gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erasure {
    /// Leads, with all that is stored of them.
    pub leads: Vec<LeadId>,
    /// Pushes in quarantine.
    pub quarantined: Vec<QuarantineId>,
}

/// What became of it. What is named nowhere was not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Leads that are gone.
    pub leads: Vec<LeadId>,
    /// How often each of them had been tried at a sink by then, where it had.
    pub attempts: BTreeMap<(LeadId, String), u32>,
    /// Pushes that are gone from quarantine.
    pub quarantined: Vec<QuarantineId>,
    /// Leads that are still there: an attempt for them is under way.
    pub in_flight: Vec<LeadId>,
    /// Why the rest of it may be there still, if it could not be taken.
    pub broken_off: Option<String>,
    /// Why what is gone is on the disk still, if it is: the store tries again by itself.
    pub not_wiped: Option<String>,
}

impl Erasure {
    /// The same in parts of `most` each; one at least.
    pub(super) fn parts(self, most: usize) -> Vec<Self> {
        let mut parts = vec![Self::default()];
        for lead in self.leads {
            room(&mut parts, most).leads.push(lead);
        }
        for push in self.quarantined {
            room(&mut parts, most).quarantined.push(push);
        }
        parts
    }
}

/// The last part, or one behind it if that is full.
fn room(parts: &mut Vec<Erasure>, most: usize) -> &mut Erasure {
    let full = parts
        .last()
        .is_none_or(|last| last.leads.len() + last.quarantined.len() >= most);
    if full {
        parts.push(Erasure::default());
    }
    let last = parts.len() - 1;
    &mut parts[last]
}

impl From<LeadId> for Erasure {
    fn from(lead: LeadId) -> Self {
        Self {
            leads: vec![lead],
            ..Self::default()
        }
    }
}

impl Erased {
    /// With what became of another part.
    pub(super) fn add(&mut self, other: Self) {
        self.leads.extend(other.leads);
        self.attempts.extend(other.attempts);
        self.quarantined.extend(other.quarantined);
        self.in_flight.extend(other.in_flight);
        self.broken_off = self.broken_off.take().or(other.broken_off);
        self.not_wiped = self.not_wiped.take().or(other.not_wiped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_all_in_order_and_there_is_always_one() {
        let lead = |number| LeadId(uuid::Uuid::from_u128(number));
        let push = |number| QuarantineId(uuid::Uuid::from_u128(number));
        let all = Erasure {
            leads: (0..5).map(lead).collect(),
            quarantined: (0..2).map(push).collect(),
        };
        let parts = all.clone().parts(3);
        let sizes = parts
            .iter()
            .map(|one| (one.leads.len(), one.quarantined.len()));
        assert_eq!(sizes.collect::<Vec<_>>(), [(3, 0), (2, 1), (0, 1)]);
        let leads = parts.iter().flat_map(|one| &one.leads).copied();
        assert_eq!(leads.collect::<Vec<_>>(), all.leads);
        assert_eq!(Erasure::default().parts(3), [Erasure::default()]);
    }
}
