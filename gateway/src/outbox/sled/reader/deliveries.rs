//! Lists of deliveries.

use super::cursor;
use super::merge::{Ids, Merge};
use super::{LOOKED_AT, Reader};
use crate::clock::Millis;
use crate::outbox::sled::indexed::DeliveryPlaces;
use crate::outbox::sled::keys::{self, SinkNumber, SourceNumber};
use crate::outbox::sled::map::{Map, Order};
use crate::outbox::sled::unreadable;
use crate::outbox::state::{Class, DeliveryHead, Fault};
use crate::outbox::{DeliveryId, Filter, LeadId, Listed, Page, StateName};

/// Lists of failure groups merged at once, at most: where a rule has more groups, all that
/// failed is looked at.
const MERGED: usize = 1_024;

/// A delivery that may pass a filter.
type Candidate = (DeliveryId, SourceNumber, LeadId);

/// What was not read of a delivery.
enum NotRead {
    /// Where it stands: the index is at fault.
    Index(Fault),
    /// How its attempts ended.
    Details(Fault),
}

impl From<NotRead> for Fault {
    fn from(error: NotRead) -> Self {
        let (NotRead::Index(fault) | NotRead::Details(fault)) = error;
        fault
    }
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

    /// See [`crate::outbox::Operations::deliveries_each`].
    pub fn deliveries_each(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Result<Listed, DeliveryId>>, Fault> {
        self.merged(filter, (after, limit), MERGED, |candidate| {
            match self.passing(filter, candidate) {
                Ok(listed) => Ok(listed.map(Ok)),
                Err(NotRead::Details(Fault::Record(_))) => Ok(Some(Err(candidate.0))),
                Err(NotRead::Details(fault) | NotRead::Index(fault)) => Err(fault),
            }
        })
    }

    /// The same, with no more than `most` groups merged at once.
    pub(super) fn merging(
        &self,
        filter: &Filter,
        after: Option<&str>,
        limit: usize,
        most: usize,
    ) -> Result<Page<Listed>, Fault> {
        self.merged(filter, (after, limit), most, |candidate| {
            Ok(self.passing(filter, candidate)?)
        })
    }

    /// The same, of what `passing` makes of each.
    fn merged<T>(
        &self,
        filter: &Filter,
        (after, limit): (Option<&str>, usize),
        most: usize,
        passing: impl Fn(Candidate) -> Result<Option<T>, Fault>,
    ) -> Result<Page<T>, Fault> {
        let of = cursor::name(filter);
        let order = Order::of(filter.newest_first);
        let mut last = after.and_then(|after| cursor::read(of, after));
        let ids = Ids::made(filter.since, filter.before).after(last, order);
        let mut page = Page {
            items: Vec::new(),
            next: None,
        };
        let most_looked_at = LOOKED_AT.max(limit);
        for (looked_at, candidate) in self.candidates(filter, order, ids, most)?.enumerate() {
            if page.items.len() == limit || looked_at == most_looked_at {
                page.next = last.map(|last| cursor::write(of, last));
                break;
            }
            let candidate = candidate?;
            last = Some(candidate.0.0.as_u128());
            page.items.extend(passing(candidate)?);
        }
        Ok(page)
    }

    /// All deliveries that may pass, in order.
    fn candidates(
        &self,
        filter: &Filter,
        order: Order,
        ids: Ids,
        most: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Candidate, Fault>> + '_>, Fault> {
        let mut sinks = self.sinks(filter.sink.as_deref())?;
        sinks.retain(|(_, name)| !filter.orphaned || self.is_orphaned(name));
        if filter.state == Some(StateName::InFlight) {
            // What is in flight is known without the index.
            let mut claimed = self.claims.claimed();
            claimed.retain(|(id, _)| ids.has(id.0));
            if order == Order::Descending {
                claimed.reverse();
            }
            let located = claimed.into_iter().filter_map(|(id, lead)| {
                // It may have left since.
                let located = self.catalog.located(lead).transpose()?;
                Some(located.map(|(source, _)| (id, source, lead)))
            });
            return Ok(Box::new(located));
        }
        let groups = self.groups_wanted(filter, &sinks)?;
        let lists = match groups.filter(|groups| groups.len() <= most) {
            Some(groups) => groups,
            None => {
                let sources = &self.catalog.names.sources;
                let source = filter.source.as_ref().map(|name| sources.number(name));
                self.lists(&sinks, |class, of| {
                    filter.takes(class) && source.is_none_or(|source| source == Some(of))
                })?
            }
        };
        let merge = Merge::new(&self.catalog.index, order, ids, lists)?;
        Ok(Box::new(merge.map(|merged| {
            let (id, value) = merged?;
            let (source, lead) = super::address(&value)?;
            Ok((DeliveryId(id), source, lead))
        })))
    }

    /// A delivery, if it passes as it is now.
    fn passing(
        &self,
        filter: &Filter,
        (id, source, lead): Candidate,
    ) -> Result<Option<Listed>, NotRead> {
        let indexed = self.catalog.lead_in(source, lead);
        let Some(indexed) = indexed.map_err(NotRead::Index)? else {
            return Ok(None);
        };
        let Some((head, places)) = indexed.delivery(id) else {
            return Ok(None);
        };
        let passes = filter.passes(&indexed.lead.source, head, self.state(head))
            && (!filter.orphaned || self.is_orphaned(&head.sink));
        if !passes {
            return Ok(None);
        }
        let listed = match self.is_by_rule(filter, lead, head, places) {
            Ok(true) => self.listed(lead, &indexed, head),
            Ok(false) => Ok(None),
            Err(fault) => Err(fault),
        };
        listed.map_err(NotRead::Details)
    }

    fn is_by_rule(
        &self,
        filter: &Filter,
        lead: LeadId,
        head: &DeliveryHead,
        places: DeliveryPlaces,
    ) -> Result<bool, Fault> {
        let Some(rule) = &filter.rule else {
            return Ok(true);
        };
        let text = self.text_of(lead, head, places)?;
        Ok(text.is_some_and(|text| *text.rule == **rule))
    }

    /// The lists of the failure groups that a filter asks for, if it does.
    fn groups_wanted(
        &self,
        filter: &Filter,
        sinks: &[super::Sink],
    ) -> Result<Option<Vec<Vec<u8>>>, Fault> {
        let groups: Vec<(SinkNumber, _)> = match (&filter.rule, filter.group) {
            (None, None) => return Ok(None),
            (None, Some(group)) => sinks.iter().map(|(sink, _)| (*sink, group)).collect(),
            (Some(rule), group) => {
                let mut groups = self.groups_of_rule(sinks, rule)?;
                groups.retain(|(_, one)| group.is_none_or(|group| group == *one));
                groups
            }
        };
        let groups = groups.into_iter();
        let lists = groups.map(|(sink, group)| keys::failing(sink, group));
        Ok(Some(lists.collect()))
    }

    /// The lists of deliveries for some sinks that there are.
    pub(super) fn lists(
        &self,
        sinks: &[super::Sink],
        wanted: impl Fn(Class, SourceNumber) -> bool,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        let mut lists = Vec::new();
        for (sink, _) in sinks {
            for entry in self.catalog.index.prefixed(&keys::counts(*sink)) {
                let (sink, source, class) =
                    keys::read_count(&entry?.0).ok_or_else(|| unreadable("a count"))?;
                if wanted(class, source) {
                    lists.push(keys::list(class, sink, source));
                }
            }
        }
        Ok(lists)
    }

    /// Whether a sink is not configured any more.
    fn is_orphaned(&self, sink: &str) -> bool {
        let known = self.sinks.get(sink);
        known.is_none_or(|sink| sink.policy.is_none())
    }

    /// See [`crate::outbox::Operations::oldest`].
    pub fn oldest(&self, sink: &str) -> Result<Option<Millis>, Fault> {
        let waiting = self.lists(&self.sinks(Some(sink))?, |class, _| {
            matches!(class, Class::Pending | Class::Retrying | Class::Behind)
        })?;
        for merged in Merge::new(&self.catalog.index, Order::Ascending, Ids::ALL, waiting)? {
            let (id, value) = merged?;
            let (source, lead) = super::address(&value)?;
            let lead = self.catalog.lead_in(source, lead)?;
            let head = lead.as_ref().and_then(|lead| lead.delivery(DeliveryId(id)));
            // It may have moved since.
            if let Some((head, _)) = head.filter(|(head, _)| head.state.is_waiting()) {
                return Ok(Some(head.created_at));
            }
        }
        Ok(None)
    }
}
