//! Agreement: every lead, delivery, count and list of the store is as the model says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use super::expected::{Expected, Model, Why};
use super::{Both, found_by, raw};
use crate::outbox::conformance::counts::Counted;
use crate::outbox::conformance::engine::{Engine, SINKS};
use crate::outbox::conformance::pushes::{all, newest};
use crate::outbox::{
    DeliveryId, Filter, LeadFilter, Maintenance, Operations, Queue, State, StateName, Totals,
};

/// How much is read at once: little, so that lists are of several pages.
const PAGE: usize = 3;

#[expect(
    clippy::needless_pass_by_value,
    reason = "what is compared is made for it"
)]
fn same<T: PartialEq + Debug>(what: &str, store: T, model: T) -> Result<(), String> {
    if store == model {
        Ok(())
    } else {
        Err(format!("{what}: {store:?}, and {model:?} by the model"))
    }
}

/// A delivery, as far as both know it.
type Known = (State, u32, i64, String);

/// What a delivery is: its record, its revision, its sink.
type Name = (u8, u32, String);

impl<E: Engine> Both<E> {
    pub(super) fn agree(&self) -> Result<(), String> {
        self.leads()?;
        let ids = self.deliveries()?;
        self.lists(&ids)?;
        self.groups()?;
        self.counts()?;
        self.standing()
    }

    /// Each lead has its revisions, and is found.
    fn leads(&self) -> Result<(), String> {
        same("leads", self.ids.len(), self.model.leads.len())?;
        for (record, id) in &self.ids {
            let history = self.outbox.history(*id).expect("reads");
            let history = history.ok_or_else(|| format!("lead {record} is not there"))?;
            let revisions = history.revisions.iter();
            let store: Vec<_> = revisions
                .map(|one| (one.revision, one.raw.clone(), one.received_at))
                .collect();
            let model = self.model.leads[record].revisions.iter();
            let model = (1..).zip(model);
            let model: Vec<_> = model
                .map(|(number, one)| (number, raw(*record, one.content), one.received_at))
                .collect();
            same("revisions", store, model)?;
            let found = self.outbox.find(&found_by(*record), 9).expect("finds");
            same("found", found, vec![*id])?;
        }
        let mut sorted: Vec<_> = self.ids.values().copied().collect();
        sorted.sort_unstable();
        let oldest = LeadFilter::default();
        let list = |filter: &LeadFilter| {
            all(|after| self.outbox.leads(filter, after, PAGE).expect("reads"))
        };
        same("leads, oldest first", list(&oldest), sorted.clone())?;
        sorted.reverse();
        same("leads, newest first", list(&newest()), sorted.clone())?;
        sorted.retain(|id| {
            let record = self.ids.iter().find(|(_, known)| *known == id);
            let record = *record.expect("known").0;
            let mut deliveries = self.model.deliveries.iter();
            !deliveries.any(|one| one.record == record)
        });
        let unrouted = all(|after| self.outbox.unrouted(after, PAGE).expect("reads"));
        same("unrouted", unrouted, sorted)
    }

    /// Each delivery is as it should be; their ids.
    fn deliveries(&self) -> Result<BTreeMap<Name, DeliveryId>, String> {
        let mut store: BTreeMap<Name, Known> = BTreeMap::new();
        let mut ids = BTreeMap::new();
        for (record, lead) in &self.ids {
            let history = self.outbox.history(*lead).expect("reads");
            for one in history.expect("just read").deliveries {
                let delivery = one.delivery;
                let name = (*record, delivery.revision, delivery.sink.clone());
                let tried = delivery.history.iter().filter(|tried| tried.number > 0);
                same("attempts kept", tried.count(), delivery.attempts as usize)?;
                ids.insert(name.clone(), one.id);
                let known = (
                    delivery.state,
                    delivery.attempts,
                    delivery.created_at,
                    delivery.journal,
                );
                if store.insert(name, known).is_some() {
                    return Err("a delivery is there twice".to_owned());
                }
            }
        }
        let model = self.model.deliveries.iter();
        let model = model.map(|one| {
            let known = (
                one.state.clone(),
                one.attempts,
                one.made_at,
                one.journal.clone(),
            );
            (name(one), known)
        });
        same("deliveries", store, model.collect())?;
        Ok(ids)
    }

    /// Every list has what passes its filter, all of it, once, in either order.
    fn lists(&self, ids: &BTreeMap<Name, DeliveryId>) -> Result<(), String> {
        let mut filters = vec![(Filter::default(), self.which(ids, |_| true))];
        for (sink, _, _) in SINKS {
            let filter = Filter {
                sink: Some(sink.to_owned()),
                ..Filter::default()
            };
            filters.push((filter, self.which(ids, |one| one.sink == sink)));
        }
        for state in StateName::ALL {
            let filter = Filter {
                state: Some(state),
                ..Filter::default()
            };
            filters.push((filter, self.which(ids, |one| state_of(one) == state)));
        }
        for rule in ["answer", "when"] {
            let filter = Filter {
                rule: Some(rule.to_owned()),
                ..Filter::default()
            };
            let of_rule = |one: &Expected| one.group().is_some_and(|why| rule_of(why) == rule);
            filters.push((filter, self.which(ids, of_rule)));
        }
        for (mut filter, expected) in filters {
            for newest_first in [false, true] {
                filter.newest_first = newest_first;
                let list = |after: Option<&str>| self.outbox.deliveries(&filter, after, PAGE);
                let listed = all(|after| list(after).expect("reads"));
                let listed: Vec<_> = listed.into_iter().map(|one| one.id).collect();
                let once: BTreeSet<_> = listed.iter().copied().collect();
                same("listed once", listed.len(), once.len())?;
                same(&format!("{filter:?}"), once, expected.clone())?;
            }
        }
        Ok(())
    }

    fn which(
        &self,
        ids: &BTreeMap<Name, DeliveryId>,
        wanted: impl Fn(&Expected) -> bool,
    ) -> BTreeSet<DeliveryId> {
        let wanted = self.model.deliveries.iter().filter(|one| wanted(one));
        wanted.map(|one| ids[&name(one)]).collect()
    }

    /// Each failure group has what is in it.
    fn groups(&self) -> Result<(), String> {
        let mut model: BTreeMap<(String, Why), (u64, u64)> = BTreeMap::new();
        for one in &self.model.deliveries {
            if let Some(why) = one.group() {
                let group = model.entry((one.sink.to_owned(), why)).or_default();
                if one.state.is_waiting() {
                    group.1 += 1;
                } else {
                    group.0 += 1;
                }
            }
        }
        let groups = self.outbox.failure_groups(None, 100).expect("reads");
        let by_size = groups.is_sorted_by(|a, b| a.size() >= b.size());
        same("groups, the largest first", by_size, true)?;
        let mut store = BTreeMap::new();
        for group in groups {
            let why = match group.reason.as_str() {
                "no such field" => Why::Condition,
                "refused" => Why::Refused,
                _ => Why::Busy,
            };
            let filter = Filter {
                sink: Some(group.sink.clone()),
                group: Some(group.id),
                ..Filter::default()
            };
            let listed = all(|after| self.outbox.deliveries(&filter, after, PAGE).expect("reads"));
            same("in a group", listed.len() as u64, group.size())?;
            same("rule", group.rule.as_str(), rule_of(why))?;
            store.insert((group.sink, why), (group.dead, group.retrying));
        }
        same("failure groups", store, model)
    }

    /// What is counted is what is there.
    fn counts(&self) -> Result<(), String> {
        let totals = self.outbox.totals();
        let store = Counted::totals(totals.clone());
        same("counts and lists", store, Counted::lists(&*self.outbox))?;
        let mut model: BTreeMap<(String, StateName), u64> = BTreeMap::new();
        for one in &self.model.deliveries {
            let state = match state_of(one) {
                StateName::InFlight if one.attempts > 0 => StateName::Retrying,
                StateName::InFlight => StateName::Pending,
                other => other,
            };
            *model.entry((one.sink.to_owned(), state)).or_default() += 1;
        }
        let counts = self.outbox.counts().expect("reads").into_iter();
        let store = counts.map(|one| ((one.sink, one.state), one.count));
        same("counts by state", store.collect(), model)?;
        same(
            "in quarantine",
            totals.in_quarantine,
            self.aside.len() as u64,
        )?;
        self.ever(&totals)
    }

    /// What is counted since the store was made.
    fn ever(&self, totals: &Totals) -> Result<(), String> {
        let Model { ever, .. } = &self.model;
        let store = (totals.accepted, totals.duplicate, totals.quarantined);
        let model = (ever.accepted, ever.duplicate, ever.quarantined);
        same("accepted, duplicate, quarantined", store, model)?;
        for (sink, _, _) in SINKS {
            let store = totals.sinks.get(sink);
            let store = store.map(|sink| [sink.delivered, sink.superseded, sink.cancelled]);
            let model = ever.sinks.get(sink).copied();
            let what = "delivered, superseded, cancelled";
            same(what, store.unwrap_or_default(), model.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Quarantine, pauses and what plugins keep.
    fn standing(&self) -> Result<(), String> {
        let pushes = all(|after| self.outbox.quarantined_pushes(after, PAGE).expect("reads"));
        let pushes: Vec<_> = pushes.into_iter().map(|one| one.body).collect();
        let model = self.model.quarantine.iter().map(|one| vec![one.0]);
        same("quarantine, oldest first", pushes, model.collect())?;
        let counts = self.outbox.quarantine_counts().expect("reads");
        let not_kept: u64 = counts.iter().map(|(_, count)| count.not_kept).sum();
        same("not kept", not_kept, self.model.not_kept)?;
        for (sink, _, _) in SINKS {
            let paused = self.model.paused.contains(sink);
            same("paused", self.outbox.paused(sink), paused)?;
            let kept = self.model.kept.get(sink).map(|value| vec![*value]);
            let store = self.outbox.sink_state(sink, "token").expect("reads");
            same("kept", store, kept)?;
            let deliveries = self.model.deliveries.iter();
            let waiting = deliveries.filter(|one| one.sink == sink && one.state.is_waiting());
            let oldest = waiting.map(|one| one.made_at).min();
            same("oldest", self.outbox.oldest(sink).expect("reads"), oldest)?;
        }
        Ok(())
    }
}

fn name(one: &Expected) -> Name {
    (one.record, one.revision, one.sink.to_owned())
}

const fn rule_of(why: Why) -> &'static str {
    match why {
        Why::Condition => "when",
        Why::Busy | Why::Refused => "answer",
    }
}

fn state_of(one: &Expected) -> StateName {
    match one.state {
        State::Waiting { .. } if one.claimed => StateName::InFlight,
        State::Waiting { .. } if one.attempts > 0 => StateName::Retrying,
        State::Waiting { .. } => StateName::Pending,
        State::Behind => StateName::Behind,
        State::Delivered { .. } => StateName::Delivered,
        State::Superseded { .. } => StateName::Superseded,
        State::Cancelled { .. } => StateName::Cancelled,
        State::Dead { .. } => StateName::Dead,
    }
}
