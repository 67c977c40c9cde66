//! Deferring: what is taken while there is no index.
//!
//! A push is durable and acknowledged then, but nobody can say yet whether it is new. It stands
//! in the journal as it came, and is accepted, in order, once the index is whole. Ends of
//! attempts wait in memory: each was claimed, so there are no more than the sinks' lanes have
//! under way, and losing one repeats an attempt. Everything else is refused, with how far the
//! index is.

use std::sync::Arc;
use std::time::Instant;

use super::codec::Entry;
use super::committer::{Committer, GROUP_BYTES, read, write};
use super::job::{Promise, Telling, Wanted, telling};
use super::place::Place;
use super::rebuild::Made;
use super::syncer::Written;
use super::view::Seen;
use crate::config::Ceiling;
use crate::outbox::state::{Change, Done, Ground, KnownSink, NewLead, Record, State};
use crate::outbox::{Accepted, Quarantined, Unavailable};

/// Deferred pushes that are accepted in one frame: more than can come in meanwhile.
const SETTLED: usize = 2048;

impl Committer {
    /// Sees to it that there is an index, or that one is being made.
    pub(super) fn look(&mut self) {
        if let Some(catalog) = self.current.get() {
            let Some(fault) = catalog.index.fault() else {
                return;
            };
            tracing::error!(reason = %fault, "outbox index became unusable; it is made anew from the journal, and pushes are taken meanwhile");
            self.current.set(None);
        }
        self.rebuild.start();
    }

    /// Commits what can be without an index.
    pub(super) fn commit_without_index(&mut self, group: Vec<Wanted>) {
        let began = Instant::now();
        let codec = Arc::clone(self.journal.codec());
        let mut told: Vec<Telling> = Vec::new();
        // Where in the batch the pushes are.
        let mut arrived = Vec::new();
        let mut standing = Vec::new();
        let mut totals = self.totals.clone();
        for (change, promise) in group {
            match change {
                Change::Accept(lead) => {
                    totals.latest = totals.latest.max(lead.received_at);
                    arrived.push(self.batch.len());
                    self.batch.entry(&codec, &Entry::ArrivedLead(lead));
                    told.push(telling(promise, Done::Accepted(Accepted::Deferred)));
                }
                Change::Quarantine(push) => {
                    arrived.push(self.batch.len());
                    self.batch.entry(&codec, &Entry::ArrivedPush(push));
                    told.push(telling(promise, Done::Quarantined(Quarantined::Deferred)));
                }
                change @ (Change::Pause { .. }
                | Change::SinkState { .. }
                | Change::PlanJob { .. }
                | Change::StartJob { .. }
                | Change::CancelJob { .. }
                | Change::AddToken(_)
                | Change::RevokeToken { .. }
                | Change::TokenUsed { .. }
                | Change::Time(_)) => {
                    standing.push((change, promise));
                }
                change @ (Change::Finish(_) | Change::Keep { .. }) => {
                    self.held.push((change, promise));
                }
                _ => promise.tell(Err(self.shared.is_making())),
            }
        }
        let records = self.stand(standing, &mut totals, &mut told);
        for record in &records {
            self.batch.record(&codec, record, &[]);
        }
        match self.append(totals) {
            Err(error) => {
                self.shared.fail(&error);
                told.into_iter().for_each(|tell| tell(Err(&error)));
            }
            Ok(appended) => {
                let (sequence, places) = appended.unzip();
                let places = places.unwrap_or_default();
                let came: Vec<Place> = arrived.iter().map(|at| places[*at]).collect();
                for record in &records {
                    self.note(record, &[]);
                }
                write(&self.standing).deferred.extend(&came);
                self.deferred.extend(came);
                let group = Written::plain(told, &self.totals, sequence);
                self.hand_over(Written { began, ..group });
            }
        }
    }

    /// Decides what needs no index.
    fn stand(
        &self,
        changes: Vec<Wanted>,
        totals: &mut crate::outbox::Totals,
        told: &mut Vec<Telling>,
    ) -> Vec<Record> {
        if changes.is_empty() {
            return Vec::new();
        }
        let standing = read(&self.standing);
        let seen = Seen::new(None, &self.finds, &self.bodies, &standing);
        let hash = |parts: &[&[u8]]| self.vault.index(super::vault::FAILURE, parts);
        let ground = Ground {
            view: &seen,
            sinks: &self.sinks,
            ids: &self.ids,
            holds: &self.shared.claims,
            hash: &hash,
        };
        let mut state = State::new(ground, totals.clone());
        for (change, promise) in changes {
            match state.apply(&change) {
                Ok(done) => told.push(telling(promise, done)),
                Err(fault) => promise.tell(Err(Unavailable(fault.to_string()))),
            }
        }
        let effects = state.into_effects();
        *totals = effects.totals;
        effects.records
    }

    /// An index was made, or opened: what the journal got meanwhile is added, and what waited goes on.
    pub(super) fn made(&mut self, made: Made) {
        let last = self.journal.last_sequence();
        let Some(catalog) = self.rebuild.finish(made, last) else {
            return;
        };
        self.current.set(Some(catalog));
        self.shared.set_making(None);
        tracing::info!(deferred = self.deferred.len(), "outbox index is complete");
        self.shared.wake_all();
    }

    /// Commits the ends of attempts that waited, once all that came before them is accepted.
    pub(super) fn end_attempts(&mut self) {
        let ready = self.current.get().is_some() && self.deferred.is_empty();
        if ready || self.shared.fault().is_some() {
            let held = std::mem::take(&mut self.held);
            self.commit(held);
        }
    }

    /// Accepts some of what was deferred, if there is an index.
    pub(super) fn settle(&mut self) {
        if !self.has_to_settle() {
            return;
        }
        let places = self.next_deferred();
        let (mut found, mut group) = (Vec::new(), Vec::new());
        for place in &places {
            match self.bodies.arrived(*place) {
                Ok(mut change) => {
                    match &mut change {
                        // It was acknowledged: it may no longer be too much.
                        Change::Quarantine(push) => {
                            push.ceiling = Ceiling {
                                max_entries: u64::MAX,
                                max_bytes: u64::MAX,
                            };
                        }
                        Change::Accept(lead) => self.know_sinks_of(lead),
                        _ => {}
                    }
                    found.push(*place);
                    group.push((change, Promise::new(None).0));
                }
                Err(error) => self.leave(*place, &error.to_string()),
            }
        }
        if self.decide(group, &found).is_err() {
            // The index failed: the next one is given them again.
            return;
        }
        self.deferred.drain(..places.len());
        for place in found {
            if read(&self.standing).deferred.contains(&place) {
                self.leave(place, "what it changes cannot be read");
            } else {
                self.stuck.remove(&place);
            }
        }
        if self.deferred.is_empty() && self.stuck.is_empty() {
            tracing::info!("deferred pushes were accepted");
        }
    }

    /// Those that are settled next: not too many, and not too much at once.
    fn next_deferred(&self) -> Vec<Place> {
        let mut bytes = 0;
        let some = self.deferred.iter().take(SETTLED).copied();
        some.take_while(|place| {
            let first = bytes == 0;
            bytes += place.length as usize;
            first || bytes <= GROUP_BYTES
        })
        .collect()
    }

    /// A deferred push stays where it is, to be tried again or saved; the others go on.
    fn leave(&mut self, place: Place, why: &str) {
        if self.stuck.insert(place) {
            tracing::error!(
                error = why,
                segment = place.segment,
                offset = place.offset,
                "a deferred push cannot be accepted; it is tried again each minute, see `leadgate outbox verify`"
            );
        }
    }

    /// Those that could not be accepted are tried again.
    pub(super) fn try_stuck(&mut self) {
        if self.deferred.is_empty() {
            self.deferred.extend(&self.stuck);
        }
    }

    /// A sink that was taken out of the configuration since a push was deferred for it is known
    /// like any other that is gone: the delivery is made, and orphaned.
    fn know_sinks_of(&mut self, lead: &NewLead) {
        for route in &lead.routes {
            if !self.sinks.contains_key(&route.sink) {
                let name = Arc::clone(&route.sink);
                let sink = KnownSink { name, policy: None };
                let sinks = Arc::make_mut(&mut self.sinks);
                sinks.insert(Arc::clone(&route.sink), Arc::new(sink));
                let standing = read(&self.standing);
                let pause = |name: &str| standing.pause(name);
                self.shared.set_sinks(Arc::clone(&self.sinks), pause);
            }
        }
    }

    /// Whether pushes that were deferred can be accepted.
    pub(super) fn has_to_settle(&self) -> bool {
        !self.deferred.is_empty() && self.shared.fault().is_none() && self.current.get().is_some()
    }

    /// They need not be read again.
    pub(super) fn note_settled(&self, settled: &[Place]) {
        if !settled.is_empty() {
            let mut standing = write(&self.standing);
            settled.iter().for_each(|place| standing.settle(*place));
        }
    }
}
