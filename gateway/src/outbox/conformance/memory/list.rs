//! Lists: what operators ask, answered by looking at everything.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::body::{LeadBody, QuarantineBody, decode, find_tag};
use super::store::{Inner, MemoryOutbox, Stored, became, now};
use crate::clock::Millis;
use crate::outbox::state::{Change, Class, DeliveryHead, View, normalise};
use crate::outbox::{
    Accepted, Arrival, Delivery, DeliveryId, Erased, Erasure, Expiring, FailureGroup, Filter, Find,
    History, LeadFilter, LeadId, Listed, Operations, Page, Paged, PauseCause, QuarantineCount,
    QuarantineId, Refusal, Repair, Repaired, Retention, SinkCount, State, StateName, StoredLead,
    StoredQuarantinedPush, Totals, Unavailable,
};

/// The part of a list behind a cursor, and the next one.
fn page<T>(
    mut all: Vec<(Uuid, T)>,
    newest_first: bool,
    (kind, after): (&str, Option<&str>),
    limit: usize,
) -> Page<T> {
    all.sort_by_key(|(id, _)| *id);
    if newest_first {
        all.reverse();
    }
    if let Some(after) = after.and_then(|after| read(kind, after)) {
        all.retain(|(id, _)| {
            if newest_first {
                *id < after
            } else {
                *id > after
            }
        });
    }
    let more = all.len() > limit;
    all.truncate(limit);
    let last = all.last().map(|(id, _)| format!("{kind}/{id}"));
    Page {
        items: all.into_iter().map(|(_, item)| item).collect(),
        next: last.filter(|_| more),
    }
}

fn read(kind: &str, cursor: &str) -> Option<Uuid> {
    cursor.strip_prefix(kind)?.strip_prefix('/')?.parse().ok()
}

/// Which cursors continue a list of deliveries.
fn kind_of(filter: &Filter) -> String {
    format!("deliveries-{}", filter.sink.as_deref().unwrap_or_default())
}

fn created_at(id: Uuid) -> Millis {
    id.get_timestamp().map_or(0, |at| {
        let (seconds, nanos) = at.to_unix();
        Millis::try_from(seconds).unwrap_or(0) * 1000 + Millis::from(nanos / 1_000_000)
    })
}

const fn state_of(class: Class) -> StateName {
    match class {
        Class::Pending => StateName::Pending,
        Class::Retrying => StateName::Retrying,
        Class::Behind => StateName::Behind,
        Class::Delivered => StateName::Delivered,
        Class::Superseded => StateName::Superseded,
        Class::Cancelled => StateName::Cancelled,
        Class::Dead(_) => StateName::Dead,
    }
}

impl Inner {
    fn listed(&self, delivery: Delivery, head: &DeliveryHead) -> Listed {
        let waits = matches!(head.state, State::Waiting { .. });
        let state = if waits && self.hands.is_claimed(head.id) {
            StateName::InFlight
        } else {
            state_of(head.class())
        };
        Listed {
            id: head.id,
            delivery,
            state,
        }
    }

    fn passes(&self, stored: &Stored, filter: &Filter, one: &Listed, head: &DeliveryHead) -> bool {
        let (made, delivery) = (head.created_at, &one.delivery);
        let dead_for = match head.class() {
            Class::Dead(reason) => Some(reason),
            _ => None,
        };
        let configured = self.sinks.get(head.sink.as_str());
        let orphaned = (head.state.is_waiting() || dead_for.is_some())
            && configured.is_none_or(|sink| sink.policy.is_none());
        let rule = || stored.failed(head).map(|(rule, _)| rule);
        filter.sink.as_ref().is_none_or(|sink| *sink == head.sink)
            && filter.state.is_none_or(|state| state == one.state)
            && filter.before.is_none_or(|before| made < before)
            && filter.since.is_none_or(|since| made >= since)
            && (filter.source.as_ref()).is_none_or(|source| *source == delivery.source)
            && filter.reason.is_none_or(|reason| Some(reason) == dead_for)
            && (filter.rule.as_ref()).is_none_or(|wanted| rule().as_ref() == Some(wanted))
            && filter.group.is_none_or(|group| head.failure == Some(group))
            && (!filter.orphaned || orphaned)
    }

    /// Quarantined pushes whose time is over.
    pub(super) fn old_quarantined(&self, keep: Retention, now: Millis) -> Vec<QuarantineId> {
        let stored = self.read();
        let ids = stored.memory.quarantine.keys().copied();
        let until = now.min(keep.dead_by);
        ids.filter(|id| created_at(id.0) + keep.dead_ms <= until)
            .collect()
    }

    pub(super) fn page_of_leads(
        &self,
        from: Option<LeadId>,
        limit: usize,
    ) -> (Vec<LeadId>, Option<LeadId>) {
        let stored = self.read();
        let from = from.unwrap_or(LeadId(Uuid::nil()));
        let mut leads = stored.memory.leads.range(from..).map(|(id, _)| *id);
        let page = leads.by_ref().take(limit).collect();
        (page, leads.next())
    }

    pub(super) fn expiring(&self, keep: Retention, until: Millis) -> Expiring {
        let stored = self.read();
        let ids = stored.memory.quarantine.keys();
        let aside = ids.map(|id| created_at(id.0) + keep.dead_ms);
        let aside: Vec<Millis> = aside.filter(|ends| *ends <= until).collect();
        let dead = stored.heads().filter_map(|(_, _, head)| match head.state {
            State::Dead { at, .. } => Some(created_at(head.id.0).max(at) + keep.dead_ms),
            _ => None,
        });
        let dead: Vec<Millis> = dead.filter(|ends| *ends <= until).collect();
        Expiring {
            dead_letters: dead.len() as u64,
            quarantine: aside.len() as u64,
            first: dead.into_iter().chain(aside).min(),
        }
    }
}

impl Stored {
    /// Rule and normalised reason of the group that a delivery is in.
    fn failed(&self, head: &DeliveryHead) -> Option<(String, String)> {
        head.failure?;
        let last = self.memory.details.get(&head.id)?.history.last()?;
        Some((last.rule.clone(), normalise(&last.reason)))
    }
}

impl Operations for MemoryOutbox {
    fn totals(&self) -> Totals {
        let mut totals = self.inner.read().totals.clone();
        totals.time = crate::outbox::Maintenance::time(self);
        totals
    }

    fn oldest(&self, sink: &str) -> Result<Option<Millis>, Unavailable> {
        self.inner.named(sink)?;
        let stored = self.inner.read();
        let heads = stored.heads().map(|(_, _, head)| head);
        let waiting = heads.filter(|head| head.sink == sink && head.state.is_waiting());
        Ok(waiting.map(|head| head.created_at).min())
    }

    fn lead(&self, id: LeadId, revision: u32) -> Result<Option<StoredLead>, Unavailable> {
        Ok(self.inner.read().lead(id, revision))
    }

    fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, Unavailable> {
        let stored = self.inner.read();
        let known = stored.delivery(id);
        Ok(known.map(|(id, lead, head)| stored.whole(id, lead, head)))
    }

    fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Listed>, Unavailable> {
        if let Some(sink) = &filter.sink {
            self.inner.named(sink)?;
        }
        let stored = self.inner.read();
        let all = stored.heads().filter_map(|(lead, id, head)| {
            let one = self.inner.listed(stored.whole(id, lead, head), head);
            let passes = self.inner.passes(&stored, filter, &one, head);
            passes.then_some((head.id.0, one))
        });
        let kind = kind_of(filter);
        Ok(page(
            all.collect(),
            filter.newest_first,
            (&kind, after),
            limit,
        ))
    }

    fn repair(
        &self,
        id: DeliveryId,
        repair: Repair,
        now: Millis,
    ) -> BoxFuture<'static, Result<Repaired, Unavailable>> {
        self.ask(Change::Repair { id, repair, now }, became!(Repaired))
    }

    fn find(&self, find: &Find, limit: usize) -> Result<Vec<LeadId>, Unavailable> {
        let tag = find_tag(&self.inner.index_key(), find);
        let stored = self.inner.read();
        let mut found = stored.memory.identified(&tag).unwrap_or_default();
        found.retain(|id| stored.memory.leads.contains_key(id));
        found.sort_unstable();
        found.dedup();
        found.truncate(limit);
        Ok(found)
    }

    fn leads(
        &self,
        filter: &LeadFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<LeadId>, Unavailable> {
        let stored = self.inner.read();
        let all = stored.memory.leads.iter().filter(|(id, lead)| {
            let at = created_at(id.0);
            filter
                .source
                .as_ref()
                .is_none_or(|source| *source == lead.source)
                && filter.since.is_none_or(|since| at >= since)
                && filter.before.is_none_or(|before| at < before)
        });
        let all = all.map(|(id, _)| (id.0, *id)).collect();
        Ok(page(all, filter.newest_first, ("leads", after), limit))
    }

    fn failure_groups(
        &self,
        sink: Option<&str>,
        limit: usize,
    ) -> Result<Vec<FailureGroup>, Unavailable> {
        if let Some(sink) = sink {
            self.inner.named(sink)?;
        }
        let stored = self.inner.read();
        let mut groups: BTreeMap<_, FailureGroup> = BTreeMap::new();
        for (_, _, head) in stored.heads() {
            let Some((id, (rule, reason))) = head.failure.zip(stored.failed(head)) else {
                continue;
            };
            if sink.is_some_and(|sink| sink != head.sink) {
                continue;
            }
            let made = head.created_at;
            let group = groups.entry((head.sink.clone(), id));
            let group = group.or_insert_with(|| FailureGroup {
                id,
                sink: head.sink.clone(),
                rule,
                reason,
                dead: 0,
                retrying: 0,
                first: made,
                last: made,
                sample: head.id,
            });
            group.dead += u64::from(!head.state.is_waiting());
            group.retrying += u64::from(head.state.is_waiting());
            group.first = group.first.min(made);
            group.last = group.last.max(made);
            group.sample = group.sample.max(head.id);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.size()));
        groups.truncate(limit);
        Ok(groups)
    }

    fn counts(&self) -> Result<Vec<SinkCount>, Unavailable> {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        let stored = self.inner.read();
        for (lead, _, head) in stored.heads() {
            let of = (&head.sink, &lead.source, state_of(head.class()));
            *counts.entry(of).or_default() += 1;
        }
        let counts = counts.into_iter();
        let counts = counts.map(|((sink, source, state), count)| SinkCount {
            sink: sink.clone(),
            source: source.clone(),
            state,
            count,
        });
        Ok(counts.collect())
    }

    fn history(&self, id: LeadId) -> Result<Option<History>, Unavailable> {
        let stored = self.inner.read();
        let Some(lead) = stored.memory.leads.get(&id) else {
            return Ok(None);
        };
        let numbers = lead.revisions.iter().map(|one| one.number);
        let deliveries = lead.deliveries.iter();
        let deliveries =
            deliveries.map(|head| self.inner.listed(stored.whole(id, lead, head), head));
        let mut deliveries: Vec<Listed> = deliveries.collect();
        deliveries.sort_by_key(|one| (one.delivery.revision, one.id));
        Ok(Some(History {
            id,
            revisions: numbers
                .filter_map(|number| stored.lead(id, number))
                .collect(),
            deliveries,
        }))
    }

    fn erase(&self, what: Erasure) -> BoxFuture<'static, Result<Erased, Unavailable>> {
        self.ask(Change::Erase(what), became!(Erased))
    }

    fn quarantined_pushes(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<StoredQuarantinedPush>, Unavailable> {
        let stored = self.inner.read();
        let all = stored.memory.quarantine.iter().map(|(id, (head, body))| {
            let body: QuarantineBody = decode(body);
            (id.0, body.stored(*id, head))
        });
        Ok(page(all.collect(), false, ("quarantine", after), limit))
    }

    fn quarantine_counts(&self) -> Result<Vec<(String, QuarantineCount)>, Unavailable> {
        let counts = self.inner.read().memory.quarantine_counts.clone();
        Ok(counts.into_iter().collect())
    }

    fn quarantined_push(
        &self,
        id: QuarantineId,
    ) -> Result<Option<StoredQuarantinedPush>, Unavailable> {
        let stored = self.inner.read();
        let known = stored.memory.quarantine.get(&id);
        Ok(known.map(|(head, body)| decode::<QuarantineBody>(body).stored(id, head)))
    }

    fn release(
        &self,
        id: QuarantineId,
        arrival: Arrival,
        now: Millis,
    ) -> BoxFuture<'static, Result<Option<Accepted>, Refusal>> {
        let lead = LeadBody::arrived(&self.inner.index_key(), arrival, now);
        self.arrive(Change::Release { id, lead }, became!(Released))
    }

    fn discard(&self, id: QuarantineId) -> BoxFuture<'static, Result<bool, Unavailable>> {
        self.ask(Change::Discard(id), became!(Did))
    }

    fn pause(
        &self,
        sink: &str,
        cause: Option<PauseCause>,
    ) -> BoxFuture<'static, Result<(), Unavailable>> {
        let (sink, now) = (sink.into(), now());
        self.ask(Change::Pause { sink, cause, now }, drop)
    }

    fn continues(&self, of: Paged<'_>, cursor: &str) -> bool {
        match of {
            Paged::Leads => read("leads", cursor).is_some(),
            Paged::Unrouted => read("unrouted", cursor).is_some(),
            Paged::Quarantine => read("quarantine", cursor).is_some(),
            Paged::Deliveries(filter) => read(&kind_of(filter), cursor).is_some(),
            Paged::Rekey => false,
        }
    }

    fn unrouted(&self, after: Option<&str>, limit: usize) -> Result<Page<LeadId>, Unavailable> {
        let stored = self.inner.read();
        let leads = stored.memory.leads.iter();
        let all = leads.filter(|(_, lead)| lead.is_unrouted());
        let all = all.map(|(id, _)| (id.0, *id)).collect();
        Ok(page(all, true, ("unrouted", after), limit))
    }
}
