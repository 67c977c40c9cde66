//! Failure groups and counts. How many are in a group and in a state is kept with each commit;
//! what a group is called is read from one of its members.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::merge::{Ids, Merge};
use super::wanted::{self, Wanted};
use super::{Reader, named};
use crate::clock::Millis;
use crate::outbox::sled::keys::{self, List, SinkNumber};
use crate::outbox::sled::map::{Map, Order};
use crate::outbox::sled::project::numbers;
use crate::outbox::sled::unreadable;
use crate::outbox::state::{Class, FailureKey, Fault, normalise};
use crate::outbox::{DeathReason, DeliveryId, FailureGroup, LeadId, SinkCount, StateName};

/// Groups whose names are kept in memory, at most.
const NAMES_KEPT: usize = 20_000;

/// Names of failure groups that were read before. A group's name never changes: its key is made
/// from it.
#[derive(Default)]
pub struct GroupTexts(Mutex<HashMap<FailureKey, GroupText>>);

/// What a group is called.
#[derive(Clone)]
struct GroupText {
    rule: Arc<str>,
    reason: Arc<str>,
}

/// A member of a group.
struct Member {
    id: DeliveryId,
    made: Millis,
    text: Option<GroupText>,
}

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
        let mut groups = self.group_counts(sink)?;
        groups.sort_by_key(|(sink, key, [dead, retrying])| {
            (
                std::cmp::Reverse(dead.saturating_add(*retrying)),
                *sink,
                *key,
            )
        });
        let mut shown = Vec::new();
        for (sink, id, [dead, retrying]) in groups {
            if shown.len() == limit {
                break;
            }
            // It may have emptied since it was counted.
            let newest = self.member(Some(sink), id, Order::Descending)?;
            let oldest = self.member(Some(sink), id, Order::Ascending)?;
            let (Some(newest), Some(oldest)) = (newest, oldest) else {
                continue;
            };
            let text = self.text(id, newest.text.or(oldest.text))?;
            shown.push(FailureGroup {
                id,
                sink: self.sink_name(sink)?.to_string(),
                rule: text.rule.to_string(),
                reason: text.reason.to_string(),
                dead,
                retrying,
                first: oldest.made,
                last: newest.made,
                sample: newest.id,
            });
        }
        Ok(shown)
    }

    /// The groups that go by a rule.
    pub(super) fn groups_of_rule(
        &self,
        sink: Option<&str>,
        rule: &str,
    ) -> Result<BTreeSet<u64>, Fault> {
        let mut groups = BTreeSet::new();
        for (_, key, _) in self.group_counts(sink)? {
            let text = match self.texts.get(key) {
                Some(text) => Some(text),
                None => match self.member(None, key, Order::Descending)? {
                    Some(member) => Some(self.text(key, member.text)?),
                    None => None,
                },
            };
            if text.is_some_and(|text| *text.rule == *rule) {
                groups.insert(u64::from_be_bytes(key.0));
            }
        }
        Ok(groups)
    }

    /// How many dead letters and retries are in each group.
    fn group_counts(
        &self,
        sink: Option<&str>,
    ) -> Result<Vec<(SinkNumber, FailureKey, [u64; 2])>, Fault> {
        let prefix = match sink {
            None => vec![keys::GROUP],
            Some(name) => match self.sink_number(name)? {
                Some(number) => keys::groups(number),
                None => return Ok(Vec::new()),
            },
        };
        let mut groups = Vec::new();
        for entry in self.catalog.index.prefixed(&prefix) {
            let (key, value) = entry?;
            let (sink, key) = keys::read_group(&key).ok_or_else(lie)?;
            let counts = numbers(&value).try_into().map_err(|_| lie())?;
            groups.push((sink, key, counts));
        }
        Ok(groups)
    }

    /// The first member of a group in that order.
    fn member(
        &self,
        sink: Option<SinkNumber>,
        key: FailureKey,
        order: Order,
    ) -> Result<Option<Member>, Fault> {
        let failing = DeathReason::ALL.into_iter().map(Class::Dead);
        let failing = failing.chain([Class::Retrying]);
        let lists = Wanted::new([
            Some(wanted::classes(failing)),
            sink.map(|sink| vec![u64::from(sink)]),
            None,
            Some(vec![u64::from_be_bytes(key.0)]),
        ]);
        let index = &self.catalog.index;
        let mut merge = Merge::new(index, order, Ids::ALL);
        wanted::gather(
            index,
            &lists,
            (List::FIRST, List::LAST),
            usize::MAX,
            &mut merge,
        )?;
        while let Some(merged) = merge.next()? {
            let list = List::read(&merged.prefix).ok_or_else(lie)?;
            let lead = LeadId(uuid::Uuid::from_slice(&merged.value).map_err(|_| lie())?);
            let Some(indexed) = self.catalog.lead_in(list.source, lead)? else {
                continue;
            };
            let id = DeliveryId(merged.id);
            let Some((head, _)) = indexed.delivery(id) else {
                continue;
            };
            if head.failure != Some(key) {
                continue;
            }
            let mut text = None;
            if self.texts.get(key).is_none()
                && let Some(details) = self.details(lead, &indexed, id)?
            {
                text = details.history.last().map(|last| GroupText {
                    rule: last.rule.as_str().into(),
                    reason: normalise(&last.reason).into(),
                });
            }
            return Ok(Some(Member {
                id,
                made: head.created_at,
                text,
            }));
        }
        Ok(None)
    }

    /// What a group is called, where `read` was read of it just now.
    fn text(&self, key: FailureKey, read: Option<GroupText>) -> Result<GroupText, Fault> {
        if let Some(text) = self.texts.get(key) {
            return Ok(text);
        }
        let text = read
            .ok_or_else(|| Fault::Record(format!("no attempt is stored of failure group {key}")))?;
        self.texts.put(key, text.clone());
        Ok(text)
    }

    fn sink_name(&self, number: SinkNumber) -> Result<Arc<str>, Fault> {
        self.catalog.names.sinks.name(number).ok_or_else(lie)
    }

    /// See [`crate::outbox::Operations::counts`].
    pub fn counts(&self) -> Result<Vec<SinkCount>, Fault> {
        let mut counts: BTreeMap<(Arc<str>, Arc<str>, StateName), u64> = BTreeMap::new();
        for entry in self.catalog.index.prefixed(&[keys::COUNT]) {
            let (key, value) = entry?;
            let (sink, source, class) = keys::read_count(&key).ok_or_else(lie)?;
            let sink = self.sink_name(sink)?;
            let source = self.catalog.names.sources.name(source).ok_or_else(lie)?;
            let count = numbers(&value).first().copied().ok_or_else(lie)?;
            *counts.entry((sink, source, named(class))).or_default() += count;
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
