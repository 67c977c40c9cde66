//! What operators ask about failures: by which filter, in which groups, how many. This engine
//! keeps no index for it: every answer reads all that may be part of it.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::key::{self, SinkNumber};
use super::list::Reader;
use super::record::{self, Unreadable};
use crate::outbox::state::normalise;
use crate::outbox::{
    Attempt, Delivery, DeliveryId, FailureGroup, FailureGroupId, Filter, Listed, SinkCount, State,
    StateName,
};

/// What is hashed for the name of a failure group.
const FAILURE: u8 = 5;

impl Reader {
    /// Whether a delivery is to be listed.
    pub(super) fn passes(&self, filter: &Filter, one: &Listed) -> bool {
        let delivery = &one.delivery;
        let made = delivery.created_at;
        let dead_for = match delivery.state {
            State::Dead { reason, .. } => Some(reason),
            _ => None,
        };
        let failed = failure(delivery);
        filter.state.is_none_or(|state| state == one.state)
            && filter.before.is_none_or(|before| made < before)
            && filter.since.is_none_or(|since| made >= since)
            && (filter.source.as_ref()).is_none_or(|source| *source == delivery.source)
            && filter.reason.is_none_or(|reason| Some(reason) == dead_for)
            && (filter.rule.as_ref())
                .is_none_or(|rule| failed.is_some_and(|last| last.rule == *rule))
            && filter
                .group
                .is_none_or(|group| failed.is_some_and(|last| self.group_of(last) == group))
            && (!filter.orphaned || self.is_orphaned(delivery))
    }

    fn is_orphaned(&self, delivery: &Delivery) -> bool {
        let sink = self.sinks.by_name.get(delivery.sink.as_str());
        let open = delivery.state.is_waiting() || matches!(delivery.state, State::Dead { .. });
        open && sink.is_none_or(|sink| sink.policy.is_none())
    }

    fn group_of(&self, last: &Attempt) -> FailureGroupId {
        let reason = normalise(&last.reason);
        let parts = [last.rule.as_bytes(), reason.as_bytes()];
        let hash = self.vault.index(FAILURE, &parts);
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        FailureGroupId(id)
    }

    /// The largest first.
    pub(super) fn failure_groups(
        &self,
        sink: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FailureGroup>, Fault> {
        let only = sink.map(|name| self.sinks.named(name)).transpose()?;
        let only = only.map(|sink| sink.number);
        let mut groups: BTreeMap<(String, FailureGroupId), FailureGroup> = BTreeMap::new();
        self.each(&[key::WAITING, key::DEAD], only, |sample, delivery| {
            let Some(last) = failure(delivery) else {
                return;
            };
            let id = self.group_of(last);
            let group = groups
                .entry((delivery.sink.clone(), id))
                .or_insert_with(|| FailureGroup {
                    id,
                    sink: delivery.sink.clone(),
                    rule: last.rule.clone(),
                    reason: normalise(&last.reason),
                    dead: 0,
                    retrying: 0,
                    first: delivery.created_at,
                    last: delivery.created_at,
                    sample,
                });
            if delivery.state.is_waiting() {
                group.retrying += 1;
            } else {
                group.dead += 1;
            }
            group.first = group.first.min(delivery.created_at);
            group.last = group.last.max(delivery.created_at);
            group.sample = group.sample.max(sample);
        })?;
        let mut groups: Vec<FailureGroup> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.size()));
        groups.truncate(limit);
        Ok(groups)
    }

    /// By sink, source and state.
    pub(super) fn counts(&self) -> Result<Vec<SinkCount>, Fault> {
        let mut counts: BTreeMap<(String, String, StateName), u64> = BTreeMap::new();
        let rooms = [key::WAITING, key::DONE, key::DEAD];
        self.each(&rooms, None, |_, delivery| {
            let state = match delivery.state {
                State::Waiting { .. } if delivery.attempts > 0 => StateName::Retrying,
                State::Waiting { .. } => StateName::Pending,
                State::Behind => StateName::Behind,
                State::Delivered { .. } => StateName::Delivered,
                State::Superseded { .. } => StateName::Superseded,
                State::Cancelled { .. } => StateName::Cancelled,
                State::Dead { .. } => StateName::Dead,
            };
            let names = (delivery.sink.clone(), delivery.source.clone(), state);
            *counts.entry(names).or_default() += 1;
        })?;
        let counts = counts.into_iter();
        let counts = counts.map(|((sink, source, state), count)| SinkCount {
            sink,
            source,
            state,
            count,
        });
        Ok(counts.collect())
    }

    fn each(
        &self,
        rooms: &[u8],
        only: Option<SinkNumber>,
        mut each: impl FnMut(DeliveryId, &Delivery),
    ) -> Result<(), Fault> {
        for number in self.sinks.by_number.keys() {
            if only.is_some_and(|only| only != *number) {
                continue;
            }
            for room in rooms {
                for entry in self.tree.scan_prefix(key::room(*room, *number)) {
                    let (key, bytes) = entry?;
                    let id = key::delivery_at_end(&key).ok_or(Unreadable::Damaged)?;
                    each(id, &record::open(&self.vault, &bytes)?);
                }
            }
        }
        Ok(())
    }
}

/// The attempt that a delivery's failure group goes by, if it is in one.
fn failure(delivery: &Delivery) -> Option<&Attempt> {
    let failing = match delivery.state {
        State::Dead { .. } => true,
        State::Waiting { .. } => delivery.attempts > 0,
        _ => false,
    };
    failing.then(|| delivery.history.last()).flatten()
}
