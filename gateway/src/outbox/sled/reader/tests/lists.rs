//! Lists and groups, against what a filter over everything gives.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::outbox::{FailureGroup, Filter, LeadFilter, Page, SinkCount};

impl World {
    fn any_filter(&mut self) -> Filter {
        let random = &mut self.random;
        let mut some = |chance: u8| random.u8(..chance) == 0;
        let [
            sink,
            state,
            source,
            reason,
            by_rule,
            by_group,
            since,
            before,
            orphaned,
            newest_first,
        ] = [4, 2, 4, 6, 5, 6, 4, 4, 6, 2].map(&mut some);
        let mut pick = |of: usize| random.usize(..of);
        Filter {
            sink: sink.then(|| SINKS[pick(3)].to_owned()),
            state: state.then(|| StateName::ALL[pick(8)]),
            source: source.then(|| ["shop", "outlet", "app", "nobody"][pick(4)].to_owned()),
            reason: reason.then(|| DeathReason::ALL[pick(5)]),
            rule: by_rule.then(|| ["status", "timeout", "other"][pick(3)].to_owned()),
            group: by_group.then(|| group(u8::try_from(pick(4)).expect("small"))),
            since: since.then(|| T + i64::try_from(pick(900)).expect("small")),
            before: before.then(|| T + 100 + i64::try_from(pick(900)).expect("small")),
            orphaned,
            newest_first,
        }
    }

    fn passes(&self, filter: &Filter, lead: LeadId, head: &DeliveryHead) -> bool {
        let class = head.class();
        let state = match class {
            Class::Pending | Class::Retrying if self.claims.is_claimed(head.id) => {
                StateName::InFlight
            }
            class => class.name(),
        };
        let dead = matches!(class, Class::Dead(_));
        let failing = dead || class == Class::Retrying;
        let open = failing || matches!(class, Class::Pending | Class::Behind);
        filter.sink.as_ref().is_none_or(|sink| *sink == head.sink)
            && filter.state.is_none_or(|wanted| wanted == state)
            && (filter.source.as_ref())
                .is_none_or(|source| *source == self.leads[&lead].lead.source)
            && filter
                .reason
                .is_none_or(|reason| class == Class::Dead(reason))
            && (filter.rule.as_ref())
                .is_none_or(|wanted| failing && head.failure.is_some_and(|key| rule(key) == wanted))
            && filter
                .group
                .is_none_or(|group| failing && head.failure == Some(group))
            && filter.since.is_none_or(|since| head.created_at >= since)
            && filter.before.is_none_or(|before| head.created_at < before)
            && (!filter.orphaned || (open && head.sink == "gone"))
    }

    fn naive(&self, filter: &Filter) -> Vec<DeliveryId> {
        let all = self.deliveries().into_iter();
        let passing = all.filter(|(lead, head)| self.passes(filter, *lead, head));
        let mut ids: Vec<DeliveryId> = passing.map(|(_, head)| head.id).collect();
        ids.sort_unstable();
        if filter.newest_first {
            ids.reverse();
        }
        ids
    }

    /// All pages; `between` is done after each.
    fn pages(
        &mut self,
        filter: &Filter,
        most: usize,
        mut between: impl FnMut(&mut Self),
    ) -> Vec<DeliveryId> {
        let (mut ids, mut after) = (Vec::new(), None);
        for _ in 0..10_000 {
            let limit = self.random.usize(1..6);
            let page: Page<Listed> = self
                .reader()
                .merging(filter, after.as_deref(), limit, most)
                .expect("reads");
            assert!(page.items.len() <= limit);
            ids.extend(page.items.iter().map(|one| one.id));
            let Some(next) = page.next else {
                return ids;
            };
            assert!(continues(crate::outbox::Paged::Deliveries(filter), &next));
            after = Some(next);
            between(self);
        }
        panic!("pages do not end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pages_show_exactly_what_passes_in_the_order_of_time(seed: u64) {
        let mut world = World::filled(seed, 60);
        for _ in 0..24 {
            let filter = world.any_filter();
            let naive = world.naive(&filter);
            let shown = world.pages(&filter, 1_000, |_| {});
            prop_assert_eq!(&shown, &naive, "{:?}", filter);
            // Where there are more groups than are merged it is the same.
            let shown = world.pages(&filter, 1, |_| {});
            prop_assert_eq!(&shown, &naive, "{:?}", filter);
        }
    }

    #[test]
    fn pages_neither_repeat_nor_miss_what_stays(seed: u64, many_groups: bool) {
        let mut world = World::filled(seed, 60);
        let most = if many_groups { 1 } else { 1_000 };
        for _ in 0..6 {
            let filter = world.any_filter();
            let before: BTreeSet<DeliveryId> = world.naive(&filter).into_iter().collect();
            let mut touched = BTreeSet::new();
            let shown = world.pages(&filter, most, |world| {
                let leads: Vec<_> = world.leads.clone().into_iter().collect();
                let (id, lead) = leads[world.random.usize(..leads.len())].clone();
                touched.extend(lead.lead.deliveries.iter().map(|head| head.id));
                let changed = (world.random.u8(..4) > 0).then(|| world.changed(lead));
                let another = world.any_lead();
                touched.extend(another.1.lead.deliveries.iter().map(|head| head.id));
                world.commit(vec![(id, changed), (another.0, Some(another.1))]);
            });
            // Claims of what moved are of no interest here.
            let once: BTreeSet<DeliveryId> = shown.iter().copied().collect();
            prop_assert_eq!(once.len(), shown.len(), "repeated: {:?}", filter);
            for id in before.difference(&touched) {
                let times = shown.iter().filter(|one| *one == id).count();
                prop_assert_eq!(times, 1, "{:?} {:?}", id, filter);
            }
        }
    }

    #[test]
    fn leads_are_listed_by_source_and_time_in_either_order(seed: u64) {
        let mut world = World::filled(seed, 40);
        for _ in 0..8 {
            let any = world.any_filter();
            let filter = LeadFilter {
                source: any.source,
                since: any.since,
                before: any.before,
                newest_first: any.newest_first,
            };
            let mut naive: Vec<LeadId> = world.leads.iter().filter(|(id, lead)| {
                let at = crate::outbox::made_at(id.0);
                filter.source.as_ref().is_none_or(|source| *source == lead.lead.source)
                    && filter.since.is_none_or(|since| at >= since)
                    && filter.before.is_none_or(|before| at < before)
            }).map(|(id, _)| *id).collect();
            if filter.newest_first {
                naive.reverse();
            }
            let (mut shown, mut after) = (Vec::new(), None::<String>);
            loop {
                let page = world.reader().leads(&filter, after.as_deref(), 7).expect("reads");
                shown.extend(page.items);
                after = page.next;
                match &after {
                    Some(next) => prop_assert!(continues(crate::outbox::Paged::Leads, next)),
                    None => break,
                }
            }
            prop_assert_eq!(shown, naive);
        }
    }

    #[test]
    fn groups_and_counts_are_what_counting_gives(seed: u64) {
        let world = World::filled(seed, 60);
        let mut groups: BTreeMap<(String, FailureKey), Vec<DeliveryHead>> = BTreeMap::new();
        let mut counts: BTreeMap<(String, String, StateName), u64> = BTreeMap::new();
        for (lead, head) in world.deliveries() {
            let source = world.leads[&lead].lead.source.clone();
            *counts.entry((head.sink.clone(), source, head.class().name())).or_default() += 1;
            if let Some(key) = head.failure {
                groups.entry((head.sink.clone(), key)).or_default().push(head);
            }
        }
        let counted: Vec<SinkCount> = counts.into_iter().map(|((sink, source, state), count)| {
            SinkCount { sink, source, state, count }
        }).collect();
        prop_assert_eq!(world.reader().counts().expect("reads"), counted);

        for sink in [None, Some("mail")] {
            let shown = world.reader().failure_groups(sink, 100).expect("reads");
            let of_sink = groups.keys().filter(|(name, _)| sink.is_none_or(|sink| sink == name));
            prop_assert_eq!(shown.len(), of_sink.count());
            prop_assert!(shown.is_sorted_by(|one, next| one.size() >= next.size()));
            for FailureGroup { id, sink, rule: by, reason: why, dead, retrying, first, last, sample } in shown {
                let members = &groups[&(sink, id)];
                let are_dead = members.iter().filter(|one| matches!(one.class(), Class::Dead(_)));
                prop_assert_eq!(dead, are_dead.count() as u64);
                prop_assert_eq!(dead + retrying, members.len() as u64);
                prop_assert_eq!(Some(first), members.iter().map(|one| one.created_at).min());
                prop_assert_eq!(Some(last), members.iter().map(|one| one.created_at).max());
                prop_assert_eq!(Some(sample), members.iter().map(|one| one.id).max());
                prop_assert_eq!(by, rule(id));
                prop_assert_eq!(why, format!("{} after *", reason(id)));
            }
        }
    }
}

#[test]
fn the_largest_groups_are_shown_where_not_all_are() {
    let world = World::filled(7, 80);
    let all = world.reader().failure_groups(None, 100).expect("reads");
    let some = world.reader().failure_groups(None, 3).expect("reads");
    assert!(all.len() > 3);
    assert_eq!(some, all[..3]);
}

#[test]
fn leads_without_a_delivery_are_listed_newest_first() {
    let world = World::filled(8, 50);
    let unwanted = |lead: &&(&LeadId, &Indexed)| lead.1.lead.deliveries.is_empty();
    let naive: Vec<LeadId> = world
        .leads
        .iter()
        .rev()
        .collect::<Vec<_>>()
        .iter()
        .filter(unwanted)
        .map(|(id, _)| **id)
        .collect();
    let first = world.reader().unrouted(None, 3).expect("reads");
    let rest = world
        .reader()
        .unrouted(first.next.as_deref(), 100)
        .expect("reads");
    assert!(naive.len() > 3 && rest.next.is_none());
    assert_eq!([first.items, rest.items].concat(), naive);
}

#[test]
fn a_sink_that_nobody_knows_is_a_mistake_and_a_source_is_not() {
    let world = World::filled(9, 5);
    let unknown = Filter {
        sink: Some("nobody".to_owned()),
        ..Filter::default()
    };
    let asked = world.reader().deliveries(&unknown, None, 5);
    assert!(matches!(asked, Err(Fault::Sink(_))));
    let none = Filter {
        source: Some("nobody".to_owned()),
        ..Filter::default()
    };
    let page = world.reader().deliveries(&none, None, 5).expect("reads");
    assert!(page.items.is_empty() && page.next.is_none());
}

#[test]
fn a_group_whose_texts_cannot_be_read_is_shown_with_its_counts() {
    let mut world = World::new(10);
    let why = DeathReason::Rejected;
    let mut place_of = BTreeMap::new();
    for at in 0..3 {
        for key in [group(0), group(1)] {
            let at = T + at;
            let mut head = world.delivery("crm", at, State::Dead { at, reason: why });
            head.failure = Some(key);
            world.journal.failures.borrow_mut().insert(head.id, key);
            let id = head.id;
            let lead = world.lead("shop", vec![head]);
            place_of.insert(id, lead.1.places.deliveries[0].details.expect("there"));
            world.put(lead);
        }
    }
    let of = |number| {
        let all = world.deliveries().into_iter();
        let group = all.filter(move |(_, head)| head.failure == Some(group(number)));
        group.map(|(_, head)| place_of[&head.id])
    };
    // Of one group all but the oldest, of the other all.
    let damaged = of(0).skip(1).chain(of(1));
    world.journal.damaged.borrow_mut().extend(damaged);
    let groups = world.reader().failure_groups(None, 9).expect("reads");
    let counts = |one: &FailureGroup| (one.dead, one.retrying, one.first, one.last);
    assert!(groups.iter().all(|one| counts(one) == (3, 0, T, T + 2)));
    let texts: Vec<_> = groups
        .iter()
        .map(|one| (&*one.rule, &*one.reason))
        .collect();
    assert_eq!(texts[0], (rule(group(0)), "refused after *"));
    assert_eq!(texts[1].0, "");
    assert!(
        texts[1].1.starts_with("its text cannot be read"),
        "{texts:?}"
    );
    let by_rule = Filter {
        rule: Some(rule(group(0)).to_owned()),
        ..Filter::default()
    };
    let page = world.reader().deliveries(&by_rule, None, 0).expect("reads");
    assert!(
        page.items.is_empty(),
        "what can be read is found by its rule"
    );
}
