//! Lists of deliveries.

use std::collections::BTreeSet;

use super::cursor::{self, Cursor};
use super::merge::{Ids, Merge};
use super::wanted::{self, MERGED, Wanted};
use super::{LOOKED_AT, Reader};
use crate::clock::Millis;
use crate::outbox::sled::indexed::Indexed;
use crate::outbox::sled::keys::{self, List, SinkNumber, SourceNumber};
use crate::outbox::sled::map::{Map, Order};
use crate::outbox::sled::unreadable;
use crate::outbox::state::{Class, DeliveryHead, Fault};
use crate::outbox::{DeliveryId, Filter, LeadId, Listed, Page, StateName};

/// A filter in the index's own terms.
struct Terms {
    lists: Wanted,
    ids: Ids,
    order: Order,
}

impl<M: Map> Reader<'_, M> {
    /// See [`crate::outbox::Operations::deliveries`].
    pub fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Listed>, Fault> {
        self.merging(filter, after, limit, MERGED)
    }

    /// The same, with no more than `most` lists merged at once.
    pub(super) fn merging(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
        most: usize,
    ) -> Result<Page<Listed>, Fault> {
        let none = Page {
            items: Vec::new(),
            next: None,
        };
        let Some(terms) = self.terms(filter)? else {
            return Ok(none);
        };
        let from = after.and_then(Cursor::decode).unwrap_or(Cursor {
            of: cursor::name(filter),
            last: None,
            part: (List::FIRST, List::LAST),
        });
        if filter.state == Some(StateName::InFlight) {
            return self.in_flight(filter, &terms, from, limit);
        }
        let mut page = none;
        let mut at = from;
        let mut left = LOOKED_AT.max(limit);
        loop {
            // A part that was begun stays as it was cut, however many its lists are by now.
            let most = if at.last.is_some() { usize::MAX } else { most };
            let index = &self.catalog.index;
            let mut merge = Merge::new(index, terms.order, terms.ids.after(at.last, terms.order));
            at.part.1 = wanted::gather(index, &terms.lists, at.part, most, &mut merge)?;
            while let Some(merged) = merge.next()? {
                if page.items.len() == limit || left == 0 {
                    page.next = Some(at.encode());
                    return Ok(page);
                }
                left -= 1;
                at.last = Some(merged.id.as_u128());
                let list = List::read(&merged.prefix).ok_or_else(lie)?;
                let lead = uuid::Uuid::from_slice(&merged.value).map_err(|_| lie())?;
                let id = DeliveryId(merged.id);
                page.items
                    .extend(self.passing(filter, &terms, list.source, LeadId(lead), id)?);
            }
            let Some(low) = wanted::behind(at.part.1) else {
                return Ok(page);
            };
            at.last = None;
            at.part = (low, List::LAST);
        }
    }

    /// What is in flight is known without the index.
    fn in_flight(
        &self,
        filter: &Filter,
        terms: &Terms,
        mut at: Cursor,
        limit: usize,
    ) -> Result<Page<Listed>, Fault> {
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        let ids = terms.ids.after(at.last, terms.order);
        let mut claimed = self.claims.claimed();
        if terms.order == Order::Descending {
            claimed.reverse();
        }
        for (id, lead) in claimed {
            if !ids.has(id.0.as_u128()) {
                continue;
            }
            if page.items.len() == limit {
                page.next = Some(at.encode());
                break;
            }
            at.last = Some(id.0.as_u128());
            // It may have left since.
            if let Some((source, _)) = self.catalog.located(lead)? {
                page.items
                    .extend(self.passing(filter, terms, source, lead, id)?);
            }
        }
        Ok(page)
    }

    /// A delivery, if it passes as it is now.
    fn passing(
        &self,
        filter: &Filter,
        terms: &Terms,
        source: SourceNumber,
        lead: LeadId,
        id: DeliveryId,
    ) -> Result<Option<Listed>, Fault> {
        let Some(indexed) = self.catalog.lead_in(source, lead)? else {
            return Ok(None);
        };
        let Some((head, _)) = indexed.delivery(id) else {
            return Ok(None);
        };
        let made = head.created_at;
        let passes = filter.before.is_none_or(|before| made < before)
            && filter.since.is_none_or(|since| made >= since)
            && (filter.state).is_none_or(|state| state == self.state(head))
            && (self.list_of(source, head)).is_some_and(|list| terms.lists.has(list));
        if !passes {
            return Ok(None);
        }
        self.listed(lead, &indexed, head)
    }

    fn list_of(&self, source: SourceNumber, head: &DeliveryHead) -> Option<List> {
        let sink = self.catalog.names.sinks.number(&head.sink)?;
        Some(List::of(sink, source, head))
    }

    /// What a filter asks for; `None` if nothing can pass.
    fn terms(&self, filter: &Filter) -> Result<Option<Terms>, Fault> {
        let names = &self.catalog.names;
        let mut sinks: Option<Vec<SinkNumber>> = None;
        if let Some(name) = &filter.sink {
            sinks = Some(self.sink_number(name)?.into_iter().collect());
        }
        if filter.orphaned {
            let among = |number: &SinkNumber| sinks.as_ref().is_none_or(|all| all.contains(number));
            sinks = Some(self.orphans().into_iter().filter(among).collect());
        }
        let source = filter.source.as_deref();
        let sources = source.map(|name| names.sources.number(name).into_iter().collect());
        let groups = self.groups_wanted(filter)?;
        let classes = keys::classes().filter(|class| may_be(filter, *class));
        let widen = |some: Vec<u32>| some.into_iter().map(u64::from).collect::<Vec<u64>>();
        let some = [
            Some(wanted::classes(classes)),
            sinks.map(widen),
            sources.map(widen),
            groups.map(|groups| groups.into_iter().collect()),
        ];
        if some.iter().flatten().any(Vec::is_empty) {
            return Ok(None);
        }
        Ok(Some(Terms {
            lists: Wanted::new(some),
            ids: Ids::made(filter.since, filter.before),
            order: order(filter.newest_first),
        }))
    }

    /// The groups that a filter asks for.
    fn groups_wanted(&self, filter: &Filter) -> Result<Option<BTreeSet<u64>>, Fault> {
        let group = filter.group.map(|group| u64::from_be_bytes(group.0));
        let Some(rule) = &filter.rule else {
            return Ok(group.map(|group| BTreeSet::from([group])));
        };
        let of_rule = self.groups_of_rule(filter.sink.as_deref(), rule)?;
        let among = |one: &u64| group.is_none_or(|group| group == *one);
        Ok(Some(of_rule.into_iter().filter(among).collect()))
    }

    /// Sinks that are not configured any more.
    fn orphans(&self) -> Vec<SinkNumber> {
        let all = self.catalog.names.sinks.all().into_iter();
        all.filter(|(_, name)| {
            let known = self.sinks.get(name);
            known.is_none_or(|sink| sink.policy.is_none())
        })
        .map(|(number, _)| number)
        .collect()
    }

    /// See [`crate::outbox::Operations::oldest`].
    pub fn oldest(&self, sink: &str) -> Result<Option<Millis>, Fault> {
        let Some(number) = self.sink_number(sink)? else {
            return Ok(None);
        };
        let waiting = [Class::Pending, Class::Retrying, Class::Behind].into_iter();
        let waiting = Some(wanted::classes(waiting));
        let lists = Wanted::new([waiting, Some(vec![u64::from(number)]), None, None]);
        let index = &self.catalog.index;
        let mut merge = Merge::new(index, Order::Ascending, Ids::ALL);
        let all = (List::FIRST, List::LAST);
        wanted::gather(index, &lists, all, usize::MAX, &mut merge)?;
        while let Some(merged) = merge.next()? {
            let list = List::read(&merged.prefix).ok_or_else(lie)?;
            let lead = uuid::Uuid::from_slice(&merged.value).map_err(|_| lie())?;
            let lead = self.catalog.lead_in(list.source, LeadId(lead))?;
            if let Some(made) = lead
                .as_ref()
                .and_then(|lead| waiting_since(lead, merged.id))
            {
                return Ok(Some(made));
            }
        }
        Ok(None)
    }
}

/// When a delivery was made, if it waits.
fn waiting_since(lead: &Indexed, id: uuid::Uuid) -> Option<Millis> {
    let (head, _) = lead.delivery(DeliveryId(id))?;
    head.state.is_waiting().then_some(head.created_at)
}

/// Whether a delivery of that class may pass.
fn may_be(filter: &Filter, class: Class) -> bool {
    let state = match filter.state {
        None => true,
        Some(StateName::Pending) => class == Class::Pending,
        Some(StateName::InFlight) => matches!(class, Class::Pending | Class::Retrying),
        Some(StateName::Retrying) => class == Class::Retrying,
        Some(StateName::Behind) => class == Class::Behind,
        Some(StateName::Delivered) => class == Class::Delivered,
        Some(StateName::Superseded) => class == Class::Superseded,
        Some(StateName::Cancelled) => class == Class::Cancelled,
        Some(StateName::Dead) => matches!(class, Class::Dead(_)),
    };
    let failing = matches!(class, Class::Retrying | Class::Dead(_));
    let open = failing || matches!(class, Class::Pending | Class::Behind);
    let for_reason = |reason| class == Class::Dead(reason);
    state
        && filter.reason.is_none_or(for_reason)
        && (failing || (filter.rule.is_none() && filter.group.is_none()))
        && (open || !filter.orphaned)
}

/// In which direction ids are read.
pub(super) const fn order(newest_first: bool) -> Order {
    if newest_first {
        Order::Descending
    } else {
        Order::Ascending
    }
}

fn lie() -> Fault {
    unreadable("a list of deliveries")
}
