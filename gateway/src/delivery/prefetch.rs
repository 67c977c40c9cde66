//! Prefetch: what a lane has claimed and not started, and which of it is next.
//!
//! What a person asked for by name goes first, then what is fresh (never tried), with every
//! fourth start for what is tried again. Sources take turns; the outbox takes them in turn
//! within one page, but a slow sink starts less than a page before it gives the rest back, so
//! whose turn it is has to be remembered here. In doubt the newest goes first, with every
//! fourth start for the oldest: leads that nobody can digest must not stand in its way.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::admission::Openings;
use super::shares::Work;
use crate::clock::Millis;
use crate::outbox::{Claim, DeliveryId, Freshness, LeadId, State};

/// One start in so many is for what is tried again, or in doubt for the oldest.
const SHARE: u64 = 4;

/// Claims that wait for their start.
#[derive(Debug, Default)]
pub(super) struct Prefetch {
    /// Asked for by name.
    named: Vec<Claim>,
    fresh: Vec<Claim>,
    again: Vec<Claim>,
    /// When each source was last served, counted in starts.
    served: HashMap<String, u64>,
    starts: u64,
    /// Starts of what is fresh since the last one of what is tried again.
    fresh_starts: u64,
    /// Starts in doubt.
    doubtful: u64,
}

/// What is looked for.
pub(super) struct Pick<'a> {
    /// For what an attempt may start.
    pub(super) openings: Openings,
    /// Whether it is to tell if the destination is back.
    pub(super) probe: bool,
    /// The time by which deliveries are due.
    pub(super) now: Millis,
    /// Whether the last attempt for a lead failed.
    pub(super) failed: &'a dyn Fn(LeadId) -> bool,
}

impl Prefetch {
    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.fresh.is_empty() && self.again.is_empty()
    }

    /// Whether nothing of that kind is there.
    pub(super) fn lacks(&self, freshness: Freshness) -> bool {
        match freshness {
            Freshness::Fresh => self.fresh.is_empty(),
            Freshness::Again => self.again.is_empty(),
        }
    }

    /// Adds a page.
    pub(super) fn extend(&mut self, freshness: Freshness, page: Vec<Claim>) {
        match freshness {
            Freshness::Fresh => self.fresh.extend(page),
            Freshness::Again => self.again.extend(page),
        }
    }

    /// Adds what a person asked for.
    pub(super) fn name(&mut self, claim: Claim) {
        self.named.push(claim);
    }

    /// The newest of what is fresh: when it became due.
    pub(super) fn newest(&self) -> Option<Millis> {
        self.fresh.iter().map(due_at).max()
    }

    /// The next claim, and what its attempt counts as; `None` if nothing may start.
    pub(super) fn next(&mut self, pick: &Pick<'_>) -> Option<(Claim, Work)> {
        if !self.named.is_empty() {
            return Some((self.named.remove(0), Work::Again));
        }
        let next = if pick.probe {
            self.probe(pick)
        } else {
            self.usual(pick)
        };
        let (claim, work) = next?;
        self.starts += 1;
        self.served
            .insert(claim.delivery.source.clone(), self.starts);
        self.fresh_starts = match work {
            Work::Again => 0,
            Work::New | Work::Waited => self.fresh_starts + 1,
        };
        self.doubtful += u64::from(pick.openings.newest_first);
        Some((claim, work))
    }

    fn usual(&mut self, pick: &Pick<'_>) -> Option<(Claim, Work)> {
        let openings = pick.openings;
        let newest =
            openings.newest_first && !(openings.old_turn && self.doubtful % SHARE == SHARE - 1);
        let fresh = self
            .fresh
            .iter()
            .enumerate()
            .filter(|(_, claim)| openings.admit(work(claim, pick)))
            .min_by_key(|(_, claim)| {
                let at = due_at(claim);
                (self.served_at(claim), if newest { -at } else { at })
            })
            .map(|(at, _)| at);
        let again = self
            .again
            .iter()
            .enumerate()
            .filter(|_| openings.again)
            .min_by_key(|(_, claim)| (self.served_at(claim), due_at(claim)))
            .map(|(at, _)| at);
        match (fresh, again) {
            (_, Some(at))
                if fresh.is_none() || (openings.old_turn && self.fresh_starts + 1 >= SHARE) =>
            {
                Some((self.again.remove(at), Work::Again))
            }
            (Some(at), _) => {
                let claim = self.fresh.remove(at);
                let work = work(&claim, pick);
                Some((claim, work))
            }
            (None, _) => None,
        }
    }

    /// What tells most of the destination: a lead that was never tried, the newest; else one
    /// that did not fail last, and was tried least.
    fn probe(&mut self, pick: &Pick<'_>) -> Option<(Claim, Work)> {
        let fresh = self.fresh.iter().enumerate();
        if let Some((at, _)) =
            fresh.min_by_key(|(_, claim)| (self.served_at(claim), Reverse(due_at(claim))))
        {
            let claim = self.fresh.remove(at);
            let work = work(&claim, pick);
            return Some((claim, work));
        }
        let (at, _) = self.again.iter().enumerate().min_by_key(|(_, claim)| {
            let failed = (pick.failed)(claim.delivery.lead);
            (failed, claim.delivery.attempts, due_at(claim))
        })?;
        Some((self.again.remove(at), Work::Again))
    }

    fn served_at(&self, claim: &Claim) -> Option<u64> {
        self.served.get(&claim.delivery.source).copied()
    }

    /// Takes out what is fresh, to be given back.
    pub(super) fn clear_fresh(&mut self) -> Vec<DeliveryId> {
        self.fresh.drain(..).map(|claim| claim.id).collect()
    }

    /// Takes all out, to be given back.
    pub(super) fn clear(&mut self) -> Vec<DeliveryId> {
        let all = self.named.drain(..).chain(self.fresh.drain(..));
        all.chain(self.again.drain(..))
            .map(|claim| claim.id)
            .collect()
    }
}

fn due_at(claim: &Claim) -> Millis {
    match claim.delivery.state {
        State::Waiting { due_at } => due_at,
        _ => 0,
    }
}

fn work(claim: &Claim, pick: &Pick<'_>) -> Work {
    if pick.now.saturating_sub(due_at(claim)) > pick.openings.new_for {
        Work::Waited
    } else {
        Work::New
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::outbox::{Budget, Delivery, StoredLead};

    const ALL: Openings = Openings {
        new: true,
        waited: true,
        again: true,
        newest_first: false,
        hangs: false,
        old_turn: true,
        new_for: 2_000,
        look_again_in: None,
    };

    fn pick(openings: Openings, probe: bool) -> Pick<'static> {
        Pick {
            openings,
            probe,
            now: 1_000,
            failed: &|lead| lead.0.as_u128() < 100,
        }
    }

    fn claim(source: &str, id: u128) -> Claim {
        let lead = LeadId(Uuid::from_u128(id));
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

    /// Due at its number.
    fn due(id: u128) -> Claim {
        let mut claim = claim("a", id);
        claim.delivery.state = State::Waiting {
            due_at: Millis::try_from(id).expect("small"),
        };
        claim
    }

    fn order(prefetch: &mut Prefetch, pick: &Pick<'_>) -> Vec<u128> {
        std::iter::from_fn(|| prefetch.next(pick))
            .map(|(claim, _)| claim.id.0.as_u128())
            .collect()
    }

    #[test]
    fn sources_take_turns_and_each_keeps_its_order() {
        let mut prefetch = Prefetch::default();
        let page = [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5)];
        let page = page.map(|(source, id)| claim(source, id)).into();
        prefetch.extend(Freshness::Fresh, page);
        assert_eq!(order(&mut prefetch, &pick(ALL, false)), [1, 4, 2, 5, 3]);
    }

    #[test]
    fn whose_turn_it_is_outlives_a_page_that_was_given_back() {
        let mut prefetch = Prefetch::default();
        let mut order = String::new();
        for _ in 0..4 {
            let page = vec![claim("a", 1), claim("b", 2), claim("c", 3)];
            prefetch.extend(Freshness::Fresh, page);
            let (claim, _) = prefetch.next(&pick(ALL, false)).expect("one is there");
            order += &claim.delivery.source;
            assert_eq!(prefetch.clear().len(), 2);
        }
        assert_eq!(order, "abca");
    }

    #[test]
    fn what_is_tried_again_has_every_fourth_start_and_all_when_nothing_is_fresh() {
        let mut prefetch = Prefetch::default();
        prefetch.extend(Freshness::Again, (1..5).map(due).collect());
        prefetch.extend(Freshness::Fresh, (11..18).map(due).collect());
        assert_eq!(
            order(&mut prefetch, &pick(ALL, false)),
            [11, 12, 13, 1, 14, 15, 16, 2, 17, 3, 4]
        );
    }

    #[test]
    fn in_doubt_the_newest_goes_first_and_every_fourth_start_is_the_oldest() {
        let mut prefetch = Prefetch::default();
        prefetch.extend(Freshness::Fresh, (1..7).map(due).collect());
        let openings = Openings {
            newest_first: true,
            ..ALL
        };
        assert_eq!(
            order(&mut prefetch, &pick(openings, false)),
            [6, 5, 4, 1, 3, 2]
        );
    }

    #[test]
    fn a_probe_is_the_newest_that_was_never_tried_else_one_that_did_not_fail_last() {
        let mut prefetch = Prefetch::default();
        prefetch.extend(Freshness::Again, [1, 2, 150].map(due).into());
        prefetch.extend(Freshness::Fresh, [3, 4].map(due).into());
        assert_eq!(order(&mut prefetch, &pick(ALL, true)), [4, 3, 150, 1, 2]);
    }

    #[test]
    fn what_a_person_asked_for_goes_before_all_and_what_may_not_start_stays() {
        let mut prefetch = Prefetch::default();
        prefetch.extend(Freshness::Fresh, vec![due(1)]);
        prefetch.extend(Freshness::Again, vec![due(2)]);
        prefetch.name(due(3));
        let none = Openings {
            new: false,
            waited: false,
            again: false,
            ..ALL
        };
        assert_eq!(order(&mut prefetch, &pick(none, false)), [3]);
        let again = Openings {
            again: true,
            ..none
        };
        assert_eq!(order(&mut prefetch, &pick(again, false)), [2]);
        assert_eq!(prefetch.clear().len(), 1);
    }
}
