//! Lists: which deliveries pass a filter, and the pages that lists come in.

use super::filter::Filter;
use super::state::{Class, DeliveryHead};
use super::stored_lead::StoredLead;
use super::{Delivery, DeliveryId, LeadId, StateName};
use crate::clock::Millis;

impl Filter {
    /// Whether a delivery may pass that stands in this class.
    pub fn takes(&self, class: Class) -> bool {
        let state = self.state.is_none_or(|state| match state {
            StateName::InFlight => matches!(class, Class::Pending | Class::Retrying),
            state => state == class.name(),
        });
        let waits = matches!(class, Class::Pending | Class::Behind);
        let for_reason = |reason| class == Class::Dead(reason);
        state
            && self.reason.is_none_or(for_reason)
            && (class.is_failing() || (self.rule.is_none() && self.group.is_none()))
            && (class.is_failing() || waits || !self.orphaned)
    }

    /// Whether a delivery of a lead of `source` passes, which an operator says to be in `state`;
    /// whether its sink is orphaned and which rule its group goes by is left to whoever knows.
    pub fn passes(&self, source: &str, head: &DeliveryHead, state: StateName) -> bool {
        let made = head.created_at;
        self.takes(head.class())
            && self.sink.as_ref().is_none_or(|sink| *sink == head.sink)
            && self.source.as_ref().is_none_or(|one| one == source)
            && self.before.is_none_or(|before| made < before)
            && self.since.is_none_or(|since| made >= since)
            && self.state.is_none_or(|wanted| wanted == state)
            && self.group.is_none_or(|group| head.failure == Some(group))
    }
}

/// A list that is read page by page.
#[derive(Clone, Copy, Debug)]
pub enum Paged<'a> {
    /// [`super::Operations::leads`]
    Leads,
    /// [`super::Operations::unrouted`]
    Unrouted,
    /// [`super::Operations::quarantined_pushes`]
    Quarantine,
    /// [`super::Operations::deliveries`] that pass a filter.
    Deliveries(&'a Filter),
    /// [`super::Maintenance::rekey`], which goes through everything.
    Rekey,
    /// [`super::Audit::audit`]
    Audit,
}

/// How many deliveries of a source for a sink stand in a state now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SinkCount {
    /// Name of the sink.
    pub sink: String,
    /// Name of the source.
    pub source: String,
    /// The state; what is in flight counts as what it was before, pending or retrying.
    pub state: StateName,
    /// How many; never 0.
    pub count: u64,
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What is on it. May be fewer than asked for, even none, although `next` is set:
    /// how much one page reads is bounded.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one. Opaque.
    pub next: Option<String>,
}

/// A delivery in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its id.
    pub id: DeliveryId,
    /// It.
    pub delivery: Delivery,
    /// What an operator calls its state.
    pub state: StateName,
}

/// A lead with all that is stored of it.
#[derive(Debug)]
pub struct History {
    /// The lead.
    pub id: LeadId,
    /// Its revisions, oldest first: of a lead that changed very often, only the newest.
    pub revisions: Vec<StoredLead>,
    /// Its deliveries, by revision.
    pub deliveries: Vec<Listed>,
}

/// A lead, as far as it is known without reading what was pushed. Nothing in it is personal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The lead.
    pub id: LeadId,
    /// Name of its source.
    pub source: String,
    /// How many revisions are kept.
    pub revisions: usize,
    /// When the oldest of them was received.
    pub first_received_at: Millis,
    /// Its deliveries.
    pub deliveries: Vec<OutlinedDelivery>,
}

/// A delivery of such a lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlinedDelivery {
    /// Name of the sink.
    pub sink: String,
    /// What an operator calls its state.
    pub state: StateName,
    /// Attempts made so far.
    pub attempts: u32,
    /// Whether anything was noted of an attempt, of one that did not end, too.
    pub noted: bool,
}
