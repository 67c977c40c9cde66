//! Counts: the totals, as each record changes them.
//!
//! How many there are now (leads, unrouted, in quarantine, waiting, retrying, behind, dead)
//! follows from what is stored. How many there ever were (accepted, delivered, ..) only grows.

use super::lead::{DeliveryHead, Lead};
use super::record::Record;
use crate::clock::Millis;
use crate::outbox::{SinkTotals, State as Stands, Totals};

/// Totals, and how they were before the change under way.
pub(super) struct Counts {
    pub(super) totals: Totals,
    /// Without the sinks.
    before: Totals,
    /// The sinks that the change touched.
    sinks_before: Vec<(String, Option<SinkTotals>)>,
}

impl Counts {
    pub(super) fn new(totals: Totals) -> Self {
        Self {
            before: global(&totals),
            sinks_before: Vec::new(),
            totals,
        }
    }

    /// The change under way is made.
    pub(super) fn keep(&mut self) {
        self.before = global(&self.totals);
        self.sinks_before.clear();
    }

    /// The change under way failed.
    pub(super) fn take_back(&mut self) {
        let sinks = std::mem::take(&mut self.totals.sinks);
        self.totals = Totals {
            sinks,
            ..self.before
        };
        for (name, before) in self.sinks_before.drain(..) {
            match before {
                Some(before) => self.totals.sinks.insert(name, before),
                None => self.totals.sinks.remove(&name),
            };
        }
    }

    /// Notes the time of something that was written.
    pub(super) fn saw(&mut self, at: Millis) {
        self.totals.latest = self.totals.latest.max(at);
    }

    /// Counts what a record is about to make of its lead, as it is `before`, and of quarantine.
    pub(super) fn note(&mut self, record: &Record, before: Option<&Lead>) {
        let unrouted = before.is_some_and(Lead::is_unrouted);
        let totals = &mut self.totals;
        match record {
            Record::Revision { .. } if before.is_none() => {
                totals.leads += 1;
                totals.unrouted += 1;
            }
            // Of what had deliveries, nothing is kept.
            Record::Revision { revision, .. }
                if !unrouted
                    && before.is_some_and(|lead| lead.is_unrouted_from(revision.oldest)) =>
            {
                totals.unrouted += 1;
            }
            Record::Delivery { delivery, .. } => {
                if unrouted {
                    take(&mut totals.unrouted);
                }
                self.moved(before.and_then(|lead| lead.delivery(delivery.id)), delivery);
            }
            Record::LeadGone { .. } => {
                let Some(lead) = before else { return };
                take(&mut totals.leads);
                if unrouted {
                    take(&mut totals.unrouted);
                }
                for delivery in &lead.deliveries {
                    self.left(delivery);
                }
            }
            Record::Quarantined { .. } => {
                totals.quarantined += 1;
                totals.in_quarantine += 1;
            }
            Record::QuarantineGone { .. } => take(&mut totals.in_quarantine),
            Record::Revision { .. }
            | Record::Pushed { .. }
            | Record::QuarantineCount { .. }
            | Record::Paused { .. }
            | Record::SinkState { .. }
            | Record::Job { .. }
            | Record::Token { .. } => {}
        }
    }

    /// A delivery stands where it did not before.
    fn moved(&mut self, before: Option<&DeliveryHead>, after: &DeliveryHead) {
        if before
            .is_some_and(|before| before.state == after.state && before.attempts == after.attempts)
        {
            return;
        }
        if let Some(before) = before {
            self.left(before);
        }
        count(self.sink(&after.sink), after, 1);
    }

    /// A delivery left its state. What is counted since the store was made stays counted.
    fn left(&mut self, delivery: &DeliveryHead) {
        if delivery.state.is_waiting() || matches!(delivery.state, Stands::Dead { .. }) {
            count(self.sink(&delivery.sink), delivery, -1);
        }
    }

    fn sink(&mut self, name: &str) -> &mut SinkTotals {
        if !self.sinks_before.iter().any(|(known, _)| known == name) {
            let before = self.totals.sinks.get(name).cloned();
            self.sinks_before.push((name.to_owned(), before));
        }
        if !self.totals.sinks.contains_key(name) {
            self.totals
                .sinks
                .insert(name.to_owned(), SinkTotals::default());
        }
        self.totals
            .sinks
            .get_mut(name)
            .expect("it was just put there")
    }
}

/// Adds a lead that there is to counts of what there is now.
pub fn recount(totals: &mut Totals, lead: &Lead) {
    totals.leads += 1;
    totals.unrouted += u64::from(lead.is_unrouted());
    for delivery in &lead.deliveries {
        let sink = totals.sinks.entry(delivery.sink.clone()).or_default();
        count(sink, delivery, 1);
    }
}

/// The counts that are not by sink.
fn global(totals: &Totals) -> Totals {
    Totals {
        sinks: std::collections::BTreeMap::new(),
        ..*totals
    }
}

/// Counts a delivery in its state.
fn count(sink: &mut SinkTotals, delivery: &DeliveryHead, by: i64) {
    let add = |number: &mut u64| *number = number.saturating_add_signed(by);
    match delivery.state {
        Stands::Waiting { .. } | Stands::Behind => {
            add(&mut sink.waiting);
            if delivery.state == Stands::Behind {
                add(&mut sink.behind);
            } else if delivery.attempts > 0 {
                add(&mut sink.retrying);
            }
        }
        Stands::Delivered { .. } => add(&mut sink.delivered),
        Stands::Superseded { .. } => add(&mut sink.superseded),
        Stands::Cancelled { .. } => add(&mut sink.cancelled),
        Stands::Dead { reason, .. } => add(sink.dead.entry(reason).or_default()),
    }
}

fn take(number: &mut u64) {
    *number = number.saturating_sub(1);
}
