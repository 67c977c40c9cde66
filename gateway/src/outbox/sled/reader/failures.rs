//! Failure groups and counts. How many are in a group and in a state is kept with each commit;
//! what a group is called is read from one of its members.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::Reader;
use super::merge::{Ids, Merge};
use crate::outbox::sled::indexed::DeliveryPlaces;
use crate::outbox::sled::keys::{self, SinkNumber};
use crate::outbox::sled::map::{Map, Order};
use crate::outbox::sled::project::numbers;
use crate::outbox::sled::unreadable;
use crate::outbox::state::{DeliveryHead, FailureKey, Fault, normalise};
use crate::outbox::{DeliveryId, FailureGroup, LeadId, SinkCount, StateName};

/// Groups whose names are kept in memory, at most.
const NAMES_KEPT: usize = 20_000;
/// Members of a group that are read, at most, to find out what it is called.
const READ: usize = 8;
/// Stands where what a group is called cannot be read.
const UNREADABLE: &str =
    "its text cannot be read: the records that say it are damaged; see `leadgate outbox verify`";

/// Names of failure groups that were read before. A group's name never changes: its key is made
/// from it.
#[derive(Default)]
pub struct GroupTexts(Mutex<HashMap<FailureKey, GroupText>>);

/// What a group is called.
#[derive(Clone)]
pub(super) struct GroupText {
    pub(super) rule: Arc<str>,
    reason: Arc<str>,
}

/// A delivery in a group.
type Member = (LeadId, DeliveryHead, DeliveryPlaces);

impl GroupTexts {
    fn get(&self, group: FailureKey) -> Option<GroupText> {
        let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.get(&group).cloned()
    }

    fn put(&self, group: FailureKey, text: GroupText) {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if texts.len() >= NAMES_KEPT {
            texts.clear();
        }
        texts.insert(group, text);
    }
}

impl<M: Map> Reader<'_, M> {
    /// See [`crate::outbox::Operations::failure_groups`].
    pub fn failure_groups(
        &self,
        sink: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FailureGroup>, Fault> {
        let sinks = self.sinks(sink)?;
        let mut groups = self.group_counts(&sinks)?;
        groups.sort_by_key(|(sink, key, [dead, retrying])| {
            (Reverse(dead.saturating_add(*retrying)), *sink, *key)
        });
        let mut shown = Vec::new();
        for (sink, id, [dead, retrying]) in groups {
            if shown.len() == limit {
                break;
            }
            let newest = self.members(sink, id, Order::Descending)?.next();
            let oldest = self.members(sink, id, Order::Ascending)?.next();
            // It may have emptied since it was counted.
            let (Some((_, newest, _)), Some((_, oldest, _))) =
                (newest.transpose()?, oldest.transpose()?)
            else {
                continue;
            };
            let text = self.text(sink, id)?;
            let (rule, reason) = text.map_or((String::new(), UNREADABLE.to_owned()), |text| {
                (text.rule.to_string(), text.reason.to_string())
            });
            shown.push(FailureGroup {
                id,
                sink: newest.sink,
                rule,
                reason,
                dead,
                retrying,
                first: oldest.created_at,
                last: newest.created_at,
                sample: newest.id,
            });
        }
        Ok(shown)
    }

    /// The groups of some sinks that go by a rule.
    pub(super) fn groups_of_rule(
        &self,
        sinks: &[super::Sink],
        rule: &str,
    ) -> Result<Vec<(SinkNumber, FailureKey)>, Fault> {
        let mut groups = Vec::new();
        for (sink, key, _) in self.group_counts(sinks)? {
            if self
                .text(sink, key)?
                .is_some_and(|text| *text.rule == *rule)
            {
                groups.push((sink, key));
            }
        }
        Ok(groups)
    }

    /// How many dead letters and retries are in each group of some sinks.
    fn group_counts(
        &self,
        sinks: &[super::Sink],
    ) -> Result<Vec<(SinkNumber, FailureKey, [u64; 2])>, Fault> {
        let mut groups = Vec::new();
        for (sink, _) in sinks {
            for entry in self.catalog.index.prefixed(&keys::groups(*sink)) {
                let (key, value) = entry?;
                let (sink, key) = keys::read_group(&key).ok_or_else(lie)?;
                let counts = numbers(&value).try_into().map_err(|_| lie())?;
                groups.push((sink, key, counts));
            }
        }
        Ok(groups)
    }

    /// The deliveries that are in a group.
    fn members(
        &self,
        sink: SinkNumber,
        key: FailureKey,
        order: Order,
    ) -> Result<impl Iterator<Item = Result<Member, Fault>>, Fault> {
        let list = [keys::failing(sink, key)];
        let merge = Merge::new(&self.catalog.index, order, Ids::ALL, list)?;
        let read = move |merged: Result<(uuid::Uuid, Vec<u8>), Fault>| {
            let (id, value) = merged?;
            let (source, lead) = super::address(&value)?;
            let indexed = self.catalog.lead_in(source, lead)?;
            let found = indexed
                .as_ref()
                .and_then(|one| one.delivery(DeliveryId(id)));
            let found = found.filter(|(head, _)| head.failure == Some(key));
            Ok(found.map(|(head, places)| (lead, head.clone(), places)))
        };
        Ok(merge.filter_map(move |merged| read(merged).transpose()))
    }

    /// What a group is called; `None` if that cannot be read. Any of its members says it.
    fn text(&self, sink: SinkNumber, key: FailureKey) -> Result<Option<GroupText>, Fault> {
        if let Some(text) = self.texts.get(key) {
            return Ok(Some(text));
        }
        for member in self.members(sink, key, Order::Descending)?.take(READ) {
            let (lead, head, places) = member?;
            if let Ok(Some(text)) = self.text_of(lead, &head, places) {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    /// What the group of a delivery is called, if it is in one.
    pub(super) fn text_of(
        &self,
        lead: LeadId,
        head: &DeliveryHead,
        places: DeliveryPlaces,
    ) -> Result<Option<GroupText>, Fault> {
        let (Some(key), Some(place)) = (head.failure, places.details) else {
            return Ok(None);
        };
        if let Some(text) = self.texts.get(key) {
            return Ok(Some(text));
        }
        let details = self.bodies.details(lead, head.id, place)?;
        let text = details.history.last().map(|last| GroupText {
            rule: last.rule.as_str().into(),
            reason: normalise(&last.reason).into(),
        });
        if let Some(text) = &text {
            self.texts.put(key, text.clone());
        }
        Ok(text)
    }

    /// See [`crate::outbox::Operations::counts`].
    pub fn counts(&self) -> Result<Vec<SinkCount>, Fault> {
        let names = &self.catalog.names;
        let mut counts: BTreeMap<(Arc<str>, Arc<str>, StateName), u64> = BTreeMap::new();
        for entry in self.catalog.index.prefixed(&[keys::COUNT]) {
            let (key, value) = entry?;
            let (sink, source, class) = keys::read_count(&key).ok_or_else(lie)?;
            let sink = names.sinks.name(sink).ok_or_else(lie)?;
            let source = names.sources.name(source).ok_or_else(lie)?;
            let count = numbers(&value).first().copied().ok_or_else(lie)?;
            *counts.entry((sink, source, class.name())).or_default() += count;
        }
        let counts = counts.into_iter();
        let counts = counts.map(|((sink, source, state), count)| SinkCount {
            sink: sink.to_string(),
            source: source.to_string(),
            state,
            count,
        });
        Ok(counts.collect())
    }
}

fn lie() -> Fault {
    unreadable("a count")
}
