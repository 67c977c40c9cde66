//! Lists: what operators ask, answered by looking at everything.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use uuid::Uuid;

use super::store::{Inner, MemoryOutbox, Soon};
use super::{body, lock};
use crate::clock::{Clock, Millis, SystemClock};
use crate::outbox::state::{Change, DeliveryHead, Done, Lead, View, normalise};
use crate::outbox::{
    Accepted, Arrival, BulkJob, BulkPlan, Delivery, DeliveryId, Erased, Erasure, FailureGroup,
    Filter, Find, History, JobId, JobStep, LeadFilter, LeadId, Listed, Operations, Outline,
    OutlinedDelivery, Page, Paged, PauseCause, QuarantineCount, QuarantineId, Refusal, Repair,
    Repaired, SinkCount, State, StateName, Steered, Stepped, Stop, StoredLead,
    StoredQuarantinedPush, Token, TokenAdded, TokenId, Tokens, Totals, Unavailable, made_at,
};

type Read<T> = Result<T, Unavailable>;

/// The part of a list behind a cursor.
fn page<T>(
    mut all: Vec<(Uuid, T)>,
    newest_first: bool,
    (kind, after): (&str, Option<&str>),
    limit: usize,
) -> Page<T> {
    let after = after.and_then(|after| read(kind, after));
    all.sort_by_key(|(id, _)| *id);
    if newest_first {
        all.reverse();
        all.retain(|(id, _)| after.is_none_or(|after| *id < after));
    } else {
        all.retain(|(id, _)| after.is_none_or(|after| *id > after));
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

impl Inner {
    fn state(&self, head: &DeliveryHead) -> StateName {
        let waits = matches!(head.state, State::Waiting { .. });
        if waits && self.hands.is_claimed(head.id) {
            return StateName::InFlight;
        }
        head.class().name()
    }

    /// All deliveries with their leads, whole.
    fn all(&self) -> Vec<(Lead, DeliveryHead, Listed)> {
        let stored = lock(&self.stored);
        let all = stored.heads().map(|(lead, id, head)| {
            let listed = Listed {
                id: head.id,
                delivery: stored.whole(id, lead, head),
                state: self.state(head),
            };
            (lead.clone(), head.clone(), listed)
        });
        all.collect()
    }
}

/// Rule and normalised reason of the group that a delivery is in.
fn failed(head: &DeliveryHead, delivery: &Delivery) -> Option<(String, String)> {
    head.failure?;
    let last = delivery.history.last()?;
    Some((last.rule.clone(), normalise(&last.reason)))
}

impl Operations for MemoryOutbox {
    fn totals(&self) -> Totals {
        let mut totals = lock(&self.0.kept).totals.clone();
        totals.time = crate::outbox::Maintenance::time(self);
        totals
    }

    fn oldest(&self, sink: &str) -> Read<Option<Millis>> {
        self.0.named(sink)?;
        let all = self.0.all().into_iter().map(|(_, head, _)| head);
        let waiting = all.filter(|head| head.sink == sink && head.state.is_waiting());
        Ok(waiting.map(|head| head.created_at).min())
    }

    fn lead(&self, id: LeadId, revision: u32) -> Read<Option<StoredLead>> {
        Ok(lock(&self.0.stored).lead(id, revision))
    }

    fn delivery(&self, id: DeliveryId) -> Read<Option<Delivery>> {
        let stored = lock(&self.0.stored);
        let known = stored.delivery(id);
        Ok(known.map(|(id, lead, head)| stored.whole(id, lead, head)))
    }

    fn deliveries(&self, filter: &Filter, after: Option<&str>, limit: usize) -> Read<Page<Listed>> {
        filter.sink.iter().try_for_each(|sink| self.0.named(sink))?;
        let sinks = self.0.sinks();
        let mut all = self.0.all();
        all.retain(|(lead, head, listed)| {
            let known = sinks.get(head.sink.as_str());
            let orphaned = known.is_none_or(|sink| sink.policy.is_none());
            let rule = failed(head, &listed.delivery).map(|(rule, _)| rule);
            filter.passes(&lead.source, head, listed.state)
                && (orphaned || !filter.orphaned)
                && (filter.rule.is_none() || filter.rule == rule)
        });
        let all = all.into_iter().map(|(_, _, one)| (one.id.0, one)).collect();
        let from = (&*kind_of(filter), after);
        Ok(page(all, filter.newest_first, from, limit))
    }

    fn deliveries_each(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Page<Result<Listed, DeliveryId>>> {
        let page = self.deliveries(filter, after, limit)?;
        Ok(Page {
            items: page.items.into_iter().map(Ok).collect(),
            next: page.next,
        })
    }

    fn repair(&self, id: DeliveryId, repair: Repair, now: Millis) -> Soon<Repaired> {
        self.ask(Change::Repair { id, repair, now }, Done::repaired)
    }

    fn find(&self, find: &Find, limit: usize) -> Read<Vec<LeadId>> {
        let tag = body::find(&self.0.key(), find);
        let memory = &lock(&self.0.stored).memory;
        let mut found = memory.identified(&tag).unwrap_or_default();
        found.retain(|id| memory.leads.contains_key(id));
        found.sort_unstable();
        found.dedup();
        found.truncate(limit);
        Ok(found)
    }

    fn leads(&self, filter: &LeadFilter, after: Option<&str>, limit: usize) -> Read<Page<LeadId>> {
        let stored = lock(&self.0.stored);
        let all = stored.memory.leads.iter().filter(|(id, lead)| {
            let at = made_at(id.0);
            (filter.source.as_ref()).is_none_or(|source| *source == lead.source)
                && filter.since.is_none_or(|since| at >= since)
                && filter.before.is_none_or(|before| at < before)
        });
        let all = all.map(|(id, _)| (id.0, *id)).collect();
        Ok(page(all, filter.newest_first, ("leads", after), limit))
    }

    fn failure_groups(&self, sink: Option<&str>, limit: usize) -> Read<Vec<FailureGroup>> {
        sink.map_or(Ok(()), |sink| self.0.named(sink))?;
        let mut groups: BTreeMap<_, FailureGroup> = BTreeMap::new();
        for (_, head, listed) in self.0.all() {
            let Some((id, (rule, reason))) = head.failure.zip(failed(&head, &listed.delivery))
            else {
                continue;
            };
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
        groups.retain(|group| sink.is_none_or(|sink| sink == group.sink));
        groups.sort_by_key(|group| Reverse(group.size()));
        groups.truncate(limit);
        Ok(groups)
    }

    fn counts(&self) -> Read<Vec<SinkCount>> {
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for (lead, head, _) in self.0.all() {
            let of = (head.sink.clone(), lead.source, head.class().name());
            *counts.entry(of).or_default() += 1;
        }
        let counted = |((sink, source, state), count)| SinkCount {
            sink,
            source,
            state,
            count,
        };
        Ok(counts.into_iter().map(counted).collect())
    }

    fn history(&self, id: LeadId) -> Read<Option<History>> {
        let mut deliveries: Vec<Listed> = self.0.all().into_iter().map(|(_, _, one)| one).collect();
        deliveries.retain(|one| one.delivery.lead == id);
        deliveries.sort_by_key(|one| (one.delivery.revision, one.id));
        let stored = lock(&self.0.stored);
        let lead = stored.memory.leads.get(&id);
        Ok(lead.map(|lead| {
            let numbers = lead.revisions.iter().map(|one| one.number);
            let revisions = numbers.filter_map(|number| stored.lead(id, number));
            History {
                id,
                revisions: revisions.collect(),
                deliveries,
            }
        }))
    }

    fn outline(&self, id: LeadId) -> Read<Option<Outline>> {
        let history = self.history(id)?;
        Ok(history.and_then(|history| {
            let first = history.revisions.first()?;
            let deliveries = history.deliveries.iter();
            Some(Outline {
                id,
                source: first.source.clone(),
                revisions: history.revisions.len(),
                first_received_at: first.received_at,
                deliveries: deliveries
                    .map(|one| OutlinedDelivery {
                        sink: one.delivery.sink.clone(),
                        state: one.state,
                        attempts: one.delivery.attempts,
                        noted: one.delivery.attempts > 0 || !one.delivery.journal.is_empty(),
                    })
                    .collect(),
            })
        }))
    }

    fn erase(&self, what: Erasure) -> Soon<Erased> {
        self.ask(Change::Erase(what), Done::erased)
    }

    fn quarantined_ids(&self, after: Option<&str>, limit: usize) -> Read<Page<QuarantineId>> {
        let pushes = self.quarantined_pushes(after, limit)?;
        Ok(Page {
            items: pushes.items.into_iter().map(|push| push.id).collect(),
            next: pushes.next,
        })
    }

    fn quarantined_pushes(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Page<StoredQuarantinedPush>> {
        let stored = lock(&self.0.stored);
        let all = stored.memory.quarantine.iter();
        let all = all.map(|(id, (head, body))| (id.0, body::quarantined(body, *id, head)));
        Ok(page(all.collect(), false, ("quarantine", after), limit))
    }

    fn quarantine_counts(&self) -> Read<Vec<(String, QuarantineCount)>> {
        let counts = lock(&self.0.stored).memory.quarantine_counts.clone();
        Ok(counts.into_iter().collect())
    }

    fn quarantined_push(&self, id: QuarantineId) -> Read<Option<StoredQuarantinedPush>> {
        let stored = lock(&self.0.stored);
        let known = stored.memory.quarantine.get(&id);
        Ok(known.map(|(head, body)| body::quarantined(body, id, head)))
    }

    fn release(
        &self,
        id: QuarantineId,
        arrival: Arrival,
        now: Millis,
    ) -> Soon<Option<Accepted>, Refusal> {
        let lead = body::arrived(&self.0.key(), arrival, now);
        self.arrive(Change::Release { id, lead }, Done::released)
    }

    fn discard(&self, id: QuarantineId) -> Soon<bool> {
        self.ask(Change::Discard(id), Done::did)
    }

    fn pause(&self, sink: &str, cause: Option<PauseCause>) -> Soon<()> {
        let (sink, now) = (sink.into(), SystemClock.now());
        self.ask(Change::Pause { sink, cause, now }, drop)
    }

    fn plan_job(&self, plan: BulkPlan, now: Millis) -> Soon<Option<JobId>> {
        self.ask(Change::PlanJob { plan, now }, Done::planned)
    }

    fn start_job(&self, id: JobId, now: Millis) -> Soon<Steered> {
        self.ask(Change::StartJob { id, now }, Done::steered)
    }

    fn cancel_job(&self, id: JobId, why: Stop, now: Millis) -> Soon<Steered> {
        self.ask(Change::CancelJob { id, why, now }, Done::steered)
    }

    fn step_job(&self, id: JobId, step: JobStep<Arrival>, now: Millis) -> Soon<Stepped> {
        let key = self.0.key();
        let step = step.map(|arrival| body::arrived(&key, arrival, now));
        self.ask(Change::StepJob { id, step, now }, Done::stepped)
    }

    fn jobs(&self) -> Vec<(JobId, BulkJob)> {
        let jobs = lock(&self.0.stored).memory.jobs.clone();
        jobs.into_iter().collect()
    }

    fn job(&self, id: JobId) -> Option<BulkJob> {
        lock(&self.0.stored).memory.job(id)
    }

    fn continues(&self, of: Paged<'_>, cursor: &str) -> bool {
        let kind = match of {
            Paged::Leads => "leads",
            Paged::Unrouted => "unrouted",
            Paged::Quarantine => "quarantine",
            Paged::Deliveries(filter) => &kind_of(filter),
            Paged::Rekey => return false,
            Paged::Audit => return super::audited::before(cursor).is_some(),
        };
        read(kind, cursor).is_some()
    }

    fn unrouted(&self, after: Option<&str>, limit: usize) -> Read<Page<LeadId>> {
        let stored = lock(&self.0.stored);
        let leads = stored.memory.leads.iter();
        let all = leads.filter(|(_, lead)| lead.is_unrouted());
        let all = all.map(|(id, _)| (id.0, *id)).collect();
        Ok(page(all, true, ("unrouted", after), limit))
    }
}

impl Tokens for MemoryOutbox {
    fn add_token(&self, token: Token) -> Soon<TokenAdded> {
        self.ask(Change::AddToken(token), Done::token_added)
    }

    fn revoke_token(&self, name: &str, now: Millis) -> Soon<bool> {
        let name = name.to_owned();
        self.ask(Change::RevokeToken { name, now }, Done::did)
    }

    fn token_used(&self, id: TokenId, at: Millis) -> Soon<()> {
        self.ask(Change::TokenUsed { id, at }, drop)
    }

    fn tokens(&self) -> Vec<(TokenId, Token)> {
        lock(&self.0.stored).memory.tokens()
    }
}
