//! The model: what should be stored, said in the plainest way.

use std::collections::{BTreeMap, BTreeSet};

use super::step::{CEILING, Push, Wish};
use crate::clock::Millis;
use crate::config::OnUpdate;
use crate::outbox::conformance::engine::SINKS;
use crate::outbox::{DeathReason, Repaired, Retention, State};

/// How long what is over is kept.
pub(super) const KEEP: Retention = Retention {
    done_ms: 400_000,
    dead_ms: 1_500_000,
    dead_by: Millis::MAX,
};

/// One delivery.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expected {
    pub(super) record: u8,
    pub(super) revision: u32,
    pub(super) sink: &'static str,
    pub(super) state: State,
    pub(super) attempts: u32,
    pub(super) made_at: Millis,
    pub(super) claimed: bool,
    pub(super) journal: String,
    /// Why its last attempt failed.
    pub(super) why: Option<Why>,
}

/// Names a failure group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    Condition,
    Busy,
    Refused,
}

impl Expected {
    /// The failure group that it is in.
    pub(super) fn group(&self) -> Option<Why> {
        match self.state {
            State::Dead { .. } => self.why,
            State::Waiting { .. } if self.attempts > 0 => self.why,
            _ => None,
        }
    }

    fn is_dead(&self) -> bool {
        matches!(self.state, State::Dead { .. })
    }
}

/// One revision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pushed {
    pub(super) content: u8,
    pub(super) history: bool,
    pub(super) received_at: Millis,
    last_at: Millis,
}

/// A lead.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lead {
    pub(super) revisions: Vec<Pushed>,
    modified: Option<Millis>,
}

/// What is counted since the store was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ever {
    pub(super) accepted: u64,
    pub(super) duplicate: u64,
    pub(super) quarantined: u64,
    /// delivered, superseded, cancelled; by sink.
    pub(super) sinks: BTreeMap<&'static str, [u64; 3]>,
}

/// Everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub(super) now: Millis,
    pub(super) leads: BTreeMap<u8, Lead>,
    pub(super) deliveries: Vec<Expected>,
    /// What is in quarantine, by content, oldest first, and since when.
    pub(super) quarantine: Vec<(u8, Millis)>,
    /// Pushes that were only counted.
    pub(super) not_kept: u64,
    pub(super) paused: BTreeSet<&'static str>,
    pub(super) kept: BTreeMap<&'static str, u8>,
    pub(super) ever: Ever,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Became {
    New,
    Routed,
    Duplicate,
}

impl Model {
    pub(super) fn line(&self, record: u8, sink: &str) -> Vec<usize> {
        let mut line: Vec<usize> = (0..self.deliveries.len())
            .filter(|at| self.deliveries[*at].record == record && self.deliveries[*at].sink == sink)
            .collect();
        line.sort_by_key(|at| self.deliveries[*at].revision);
        line
    }

    /// Moves a delivery.
    fn turn(&mut self, at: usize, state: State) {
        let one = &mut self.deliveries[at];
        let counted = match state {
            State::Delivered { .. } => Some(0),
            State::Superseded { .. } => Some(1),
            State::Cancelled { .. } => Some(2),
            _ => None,
        };
        if let Some(which) = counted {
            self.ever.sinks.entry(one.sink).or_default()[which] += 1;
        }
        one.state = state;
    }

    pub(super) fn push(&mut self, push: &Push) -> Became {
        let became = self.accept(push);
        match became {
            Became::New | Became::Routed => self.ever.accepted += 1,
            Became::Duplicate => self.ever.duplicate += 1,
        }
        became
    }

    fn accept(&mut self, push: &Push) -> Became {
        let now = self.now;
        let lead = self.leads.entry(push.record).or_default();
        let current = lead.revisions.iter().rposition(|one| !one.history);
        let older =
            matches!((push.modified, lead.modified), (Some(this), Some(newest)) if this < newest);
        let same = lead
            .revisions
            .iter()
            .rposition(|one| one.content == push.content);
        if let Some(same) = same {
            let lately = now - lead.revisions[same].last_at <= 15 * 60_000;
            if push.modified.is_some() || lately || current == Some(same) {
                lead.revisions[same].last_at = now;
                // Known, and no sink ever wanted the lead: routed again.
                let wanted = push.sinks.iter().any(|wish| *wish != Wish::No);
                let had = self.deliveries.iter().any(|one| one.record == push.record);
                if older || had || !wanted {
                    return Became::Duplicate;
                }
                self.route(push, number(same));
                return Became::Routed;
            }
        }
        lead.revisions.push(Pushed {
            content: push.content,
            history: older,
            received_at: now,
            last_at: now,
        });
        lead.modified = lead.modified.max(push.modified);
        let revision = number(lead.revisions.len() - 1);
        if !older {
            self.route(push, revision);
        }
        Became::New
    }

    fn route(&mut self, push: &Push, revision: u32) {
        for (wish, (sink, _, _)) in push.sinks.iter().zip(SINKS) {
            if *wish != Wish::No {
                self.make(push.record, revision, sink, *wish == Wish::Failed);
            }
        }
    }

    fn make(&mut self, record: u8, revision: u32, sink: &'static str, failed: bool) {
        let on_update = SINKS.iter().find(|one| one.0 == sink).expect("a sink").1;
        let line = self.line(record, sink);
        let again = line
            .iter()
            .any(|at| self.deliveries[*at].revision == revision);
        if again || (on_update == OnUpdate::Ignore && !line.is_empty()) {
            return;
        }
        let (now, mut behind) = (self.now, false);
        for at in line {
            let earlier = &self.deliveries[at];
            if earlier.revision > revision || !earlier.state.is_waiting() {
                continue;
            }
            if on_update == OnUpdate::Supersede && !earlier.claimed {
                self.turn(at, State::Superseded { at: now });
            } else {
                behind = true;
            }
        }
        let state = match (failed, behind) {
            (true, _) => State::Dead {
                at: now,
                reason: DeathReason::Route,
            },
            (false, true) => State::Behind,
            (false, false) => State::Waiting { due_at: now },
        };
        self.deliveries.push(Expected {
            record,
            revision,
            sink,
            state,
            attempts: 0,
            made_at: now,
            claimed: false,
            journal: String::new(),
            why: failed.then_some(Why::Condition),
        });
        if failed {
            self.fall_back(self.deliveries.len() - 1);
        }
    }

    fn fall_back(&mut self, at: usize) {
        let this = self.deliveries[at].clone();
        let sink = SINKS.iter().find(|one| one.0 == this.sink);
        if let Some(fallback) = sink.expect("a sink").2 {
            self.make(this.record, this.revision, fallback, false);
        }
    }

    /// The next in line, if the one at `at` is the only one it waits for.
    fn next(&self, at: usize) -> Option<usize> {
        let this = &self.deliveries[at];
        let line = self.line(this.record, this.sink);
        let mut waiting = line
            .into_iter()
            .filter(|other| *other != at && self.deliveries[*other].state.is_waiting());
        let first = waiting.next()?;
        let next = &self.deliveries[first];
        (next.revision > this.revision && next.state == State::Behind).then_some(first)
    }

    fn ended(&mut self, at: usize) {
        if let Some(next) = self.next(at) {
            let due_at = self.now;
            self.turn(next, State::Waiting { due_at });
        }
        if self.deliveries[at].is_dead() {
            self.fall_back(at);
        }
    }

    pub(super) fn end(&mut self, at: usize, state: State, why: Why) {
        let now = self.now;
        let supersedes = self.deliveries[at].sink == "mail";
        let one = &mut self.deliveries[at];
        one.claimed = false;
        one.attempts += 1;
        one.why = Some(why);
        let overtaken = state.is_waiting() && supersedes && self.next(at).is_some();
        let mut state = if overtaken {
            State::Superseded { at: now }
        } else {
            state
        };
        if self.deliveries[at].sink != "crm" {
            state = self.settle(at, state);
        }
        self.turn(at, state);
        if !self.deliveries[at].state.is_waiting() {
            self.ended(at);
        }
    }

    /// A dead letter and a newer revision that was delivered.
    fn settle(&mut self, at: usize, mut state: State) -> State {
        let this = self.deliveries[at].clone();
        let superseded = State::Superseded { at: self.now };
        for other in self.line(this.record, this.sink) {
            let one = &self.deliveries[other];
            let delivered = matches!(state, State::Delivered { .. });
            if delivered && one.revision < this.revision && one.is_dead() {
                self.turn(other, superseded.clone());
            } else if matches!(state, State::Dead { .. })
                && one.revision > this.revision
                && matches!(one.state, State::Delivered { .. })
            {
                state = superseded.clone();
            }
        }
        state
    }

    pub(super) fn retry(&mut self, at: usize, force: bool) -> Repaired {
        let this = self.deliveries[at].clone();
        match this.state {
            _ if this.claimed => return Repaired::InFlight,
            State::Behind => return Repaired::Done,
            State::Delivered { .. } | State::Superseded { .. } if !force => return Repaired::Over,
            _ => {}
        }
        let others: Vec<Expected> = self
            .line(this.record, this.sink)
            .into_iter()
            .filter(|other| *other != at)
            .map(|other| self.deliveries[other].clone())
            .collect();
        let newer = others.iter().any(|other| {
            other.revision > this.revision
                && (other.state.is_waiting() || matches!(other.state, State::Delivered { .. }))
        });
        if newer && !force {
            return Repaired::Newer;
        }
        let behind = others
            .iter()
            .any(|other| other.revision < this.revision && other.state.is_waiting());
        let due_at = self.now;
        let state = if behind {
            State::Behind
        } else {
            State::Waiting { due_at }
        };
        self.turn(at, state);
        Repaired::Done
    }

    pub(super) fn cancel(&mut self, at: usize) -> Repaired {
        let this = &self.deliveries[at];
        if this.claimed {
            return Repaired::InFlight;
        }
        if !this.state.is_waiting() && !this.is_dead() {
            return Repaired::Over;
        }
        self.turn(at, State::Cancelled { at: self.now });
        self.ended(at);
        Repaired::Done
    }

    /// Forgets a lead.
    pub(super) fn forget(&mut self, record: u8) {
        self.leads.remove(&record);
        self.deliveries.retain(|one| one.record != record);
    }

    /// Leads whose time is over.
    pub(super) fn over(&self) -> Vec<u8> {
        let over = |(record, lead): (&u8, &Lead)| {
            let received = lead.revisions.iter().map(|one| one.received_at);
            let mut last = received.max().unwrap_or_default();
            let mut keep = KEEP.done_ms;
            for one in self.deliveries.iter().filter(|one| one.record == *record) {
                last = last.max(one.state.ended_at()?);
                if one.is_dead() {
                    keep = KEEP.dead_ms;
                }
            }
            (last + keep <= self.now).then_some(*record)
        };
        self.leads.iter().filter_map(over).collect()
    }

    /// Keeps a push aside; `None` if its like is there, `false` if there is no room.
    pub(super) fn quarantine(&mut self, content: u8) -> Option<bool> {
        if self.quarantine.iter().any(|one| one.0 == content) {
            self.ever.duplicate += 1;
            return None;
        }
        if self.quarantine.len() as u64 >= CEILING {
            self.not_kept += 1;
            return Some(false);
        }
        self.quarantine.push((content, self.now));
        self.ever.quarantined += 1;
        Some(true)
    }

    /// Takes pushes out of quarantine.
    pub(super) fn discard(&mut self, leaves: impl Fn(u8, Millis) -> bool) -> u64 {
        let before = self.quarantine.len();
        self.quarantine
            .retain(|(content, at)| !leaves(*content, *at));
        if before > 0 && self.quarantine.is_empty() {
            self.not_kept = 0;
        }
        (before - self.quarantine.len()) as u64
    }

    pub(super) fn due(&self, sink: &str) -> BTreeSet<(u8, u32)> {
        self.deliveries
            .iter()
            .filter(|one| one.sink == sink && !one.claimed)
            .filter(|one| matches!(one.state, State::Waiting { due_at } if due_at <= self.now))
            .map(|one| (one.record, one.revision))
            .collect()
    }

    /// When the next one is due that is not yet.
    pub(super) fn next_due(&self, sink: &str) -> Option<Millis> {
        let waiting = self.deliveries.iter().filter(|one| one.sink == sink);
        let later = waiting.filter_map(|one| match one.state {
            State::Waiting { due_at } if due_at > self.now && !one.claimed => Some(due_at),
            _ => None,
        });
        later.min()
    }

    /// Whether the sink was given an earlier revision.
    pub(super) fn update(&self, at: usize) -> bool {
        let this = &self.deliveries[at];
        let line = self.line(this.record, this.sink).into_iter();
        let mut earlier = line.filter(|other| self.deliveries[*other].revision < this.revision);
        earlier.any(|other| matches!(self.deliveries[other].state, State::Delivered { .. }))
    }
}

/// The number of a lead's revision at that place.
fn number(at: usize) -> u32 {
    u32::try_from(at + 1).expect("few")
}
