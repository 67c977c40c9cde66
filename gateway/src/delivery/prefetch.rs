//! Prefetch: what a lane has claimed and not started, one source in turn.
//!
//! The outbox takes sources in turn within one page. A slow sink starts less than a page
//! before it gives the rest back, so whose turn it is has to be remembered here.

use std::collections::HashMap;

use crate::outbox::{Claim, DeliveryId};

/// Claims that wait for their start.
#[derive(Debug, Default)]
pub(super) struct Prefetch {
    claims: Vec<Claim>,
    /// When each source was last served, counted in starts.
    served: HashMap<String, u64>,
    starts: u64,
}

impl Prefetch {
    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Adds a page, earliest due first for each source.
    pub(super) fn extend(&mut self, page: Vec<Claim>) {
        self.claims.extend(page);
    }

    /// The first claim of the source that was served longest ago.
    pub(super) fn next(&mut self) -> Option<Claim> {
        let served = |claim: &Claim| self.served.get(&claim.delivery.source).copied();
        let (at, _) = self
            .claims
            .iter()
            .enumerate()
            .min_by_key(|(_, claim)| served(claim))?;
        let claim = self.claims.remove(at);
        self.starts += 1;
        self.served
            .insert(claim.delivery.source.clone(), self.starts);
        Some(claim)
    }

    /// Takes all out, to be given back.
    pub(super) fn clear(&mut self) -> Vec<DeliveryId> {
        self.claims.drain(..).map(|claim| claim.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::outbox::{Budget, Delivery, LeadId, State, StoredLead};

    fn claim(source: &str, id: u128) -> Claim {
        let lead = LeadId(Uuid::nil());
        Claim {
            id: DeliveryId(Uuid::from_u128(id)),
            delivery: Delivery {
                sink: "crm".to_owned(),
                source: source.to_owned(),
                lead,
                revision: 1,
                created_at: 0,
                state: State::Waiting { due_at: 0 },
                attempts: 0,
                budget: Budget { spent: 0, since: 0 },
                fallback_of: None,
                history: Vec::new(),
                journal: String::new(),
            },
            lead: StoredLead {
                id: lead,
                revision: 1,
                source: source.to_owned(),
                received_at: 0,
                lead: String::new(),
                labels: String::new(),
                raw: String::new(),
                original: None,
            },
            update: false,
        }
    }

    fn served(ready: &mut Prefetch) -> Option<(String, u128)> {
        let claim = ready.next()?;
        Some((claim.delivery.source, claim.id.0.as_u128()))
    }

    #[test]
    fn sources_take_turns_and_each_keeps_its_order() {
        let mut ready = Prefetch::default();
        let page = [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5)];
        ready.extend(page.map(|(source, id)| claim(source, id)).into());
        let order: Vec<_> = std::iter::from_fn(|| served(&mut ready))
            .map(|(_, id)| id)
            .collect();
        assert_eq!(order, [1, 4, 2, 5, 3]);
    }

    #[test]
    fn whose_turn_it_is_outlives_a_page_that_was_given_back() {
        let mut ready = Prefetch::default();
        let mut order = String::new();
        for _ in 0..4 {
            ready.extend(vec![claim("a", 1), claim("b", 2), claim("c", 3)]);
            order += &served(&mut ready).expect("one is there").0;
            assert_eq!(ready.clear().len(), 2);
        }
        assert_eq!(order, "abca");
    }
}
