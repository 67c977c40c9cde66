//! Finishing: a delivery's attempt has ended, and what follows from it for others.
//!
//! An ended delivery lets the next revision of its lead go; a dead letter goes to the sink's
//! fallback; one that would wait for a retry gives way to a newer revision at once.

use super::accept::Leg;
use super::fault::Fault;
use super::group::{Group, Kept};
use super::key;
use super::record;
use crate::clock::Millis;
use crate::config::OnUpdate;
use crate::outbox::{DeliveryId, Finish, Route, State};

impl Group<'_> {
    /// Moves a claimed delivery to where its attempt has brought it.
    pub(super) fn finish(&mut self, finish: Finish) -> Result<(), Fault> {
        self.ended.push(finish.id);
        self.totals.latest = self.totals.latest.max(finish.now);
        let sink = self.on.sinks.named(&finish.sink)?;
        // Invariant: only a waiting delivery can finish; a second finish changes nothing.
        let Some(before) = self.delivery(key::WAITING, sink.number, finish.id)? else {
            return Ok(());
        };
        self.unstore(&Kept {
            id: finish.id,
            sink: sink.clone(),
            delivery: before,
        });
        let mut kept = Kept {
            id: finish.id,
            sink,
            delivery: finish.delivery,
        };
        let supersedes = kept
            .sink
            .policy
            .as_ref()
            .is_some_and(|policy| policy.on_update == OnUpdate::Supersede);
        if kept.delivery.state.is_waiting() && supersedes && self.next_behind(&kept)?.is_some() {
            kept.delivery.state = State::Superseded { at: finish.now };
        }
        self.settle(&mut kept, finish.now)?;
        self.store(&kept);
        self.follow(&kept, finish.now)
    }

    /// A dead letter and a newer revision that was delivered: the sink has what the dead letter
    /// would have brought, so nobody needs to look at it. Where every revision is wanted, one
    /// that is missing stays dead.
    fn settle(&mut self, kept: &mut Kept, now: Millis) -> Result<(), Fault> {
        let policy = kept.sink.policy.as_ref();
        if policy.is_some_and(|policy| policy.on_update == OnUpdate::Each) {
            return Ok(());
        }
        let delivered = matches!(kept.delivery.state, State::Delivered { .. });
        let died = matches!(kept.delivery.state, State::Dead { .. });
        if !delivered && !died {
            return Ok(());
        }
        let number = kept.sink.number;
        for (revision, id) in self.line(kept.delivery.lead, number)? {
            if delivered && revision < kept.delivery.revision {
                if let Some(delivery) = self.delivery(key::DEAD, number, id)? {
                    let sink = kept.sink.clone();
                    let dead = Kept { id, sink, delivery };
                    self.turn(dead, State::Superseded { at: now });
                }
            } else if died && revision > kept.delivery.revision {
                let newer = self.delivery(key::DONE, number, id)?;
                if newer.is_some_and(|newer| matches!(newer.state, State::Delivered { .. })) {
                    kept.delivery.state = State::Superseded { at: now };
                }
            }
        }
        Ok(())
    }

    /// Keeps a plugin's journal of a delivery whose attempt is under way.
    pub(super) fn keep_journal(
        &mut self,
        sink: &str,
        id: DeliveryId,
        journal: String,
    ) -> Result<(), Fault> {
        let number = self.on.sinks.named(sink)?.number;
        if let Some(mut delivery) = self.delivery(key::WAITING, number, id)? {
            delivery.journal = journal;
            let bytes = record::seal(self.on.vault, key::WAITING, &delivery);
            let at = key::delivery(key::WAITING, number, id);
            self.writes.put(at, bytes);
        }
        Ok(())
    }

    /// What an ended delivery brings about: the next revision goes, a dead letter falls back.
    pub(super) fn follow(&mut self, kept: &Kept, now: Millis) -> Result<(), Fault> {
        if kept.delivery.state.is_waiting() {
            return Ok(());
        }
        if let Some(next) = self.next_behind(kept)? {
            self.turn(next, State::Waiting { due_at: now });
        }
        if matches!(kept.delivery.state, State::Dead { .. }) {
            self.fall_back(kept, now)?;
        }
        Ok(())
    }

    /// The next revision of the lead that waits for the same sink behind `kept` alone.
    fn next_behind(&self, kept: &Kept) -> Result<Option<Kept>, Fault> {
        let line = self.line(kept.delivery.lead, kept.sink.number)?;
        for (revision, id) in line {
            if revision == kept.delivery.revision {
                continue;
            }
            if let Some(delivery) = self.delivery(key::WAITING, kept.sink.number, id)? {
                if revision < kept.delivery.revision {
                    return Ok(None);
                }
                let behind = delivery.state == State::Behind;
                let sink = kept.sink.clone();
                return Ok(behind.then_some(Kept { id, sink, delivery }));
            }
        }
        Ok(None)
    }

    /// Gives a dead letter to its sink's fallback, if there is one.
    pub(super) fn fall_back(&mut self, dead: &Kept, now: Millis) -> Result<(), Fault> {
        let policy = dead.sink.policy.as_ref();
        let Some(fallback) = policy.and_then(|policy| policy.on_dead.as_deref()) else {
            return Ok(());
        };
        let leg = Leg {
            lead: dead.delivery.lead,
            revision: dead.delivery.revision,
            source: &dead.delivery.source,
            now,
            fallback_of: Some(dead.id),
        };
        self.deliver(
            &leg,
            &Route {
                sink: fallback.into(),
                failed: None,
            },
        )
    }
}
