//! The breaker: leaves a destination alone that fails, and probes whether it is back.
//!
//! It judges the destination, not a lead. So it counts leads, not attempts: those that failed
//! since the destination last answered another. A lead that failed while others were answered
//! is *poisonous*: it says nothing of the destination any more, however often it fails.
//!
//! | state | what happens | then |
//! |---|---|---|
//! | closed | an answer | closed; who failed before is poisonous |
//! | | a poisonous lead fails | closed as before |
//! | | another lead fails | closed; open for `wait` if `failures` leads have, and the last answer is [`GRACE`] old or `failures` × [`MANY`] have |
//! | open | its wait is over, or a person asks, or a lead is new and `wait` is over, and an attempt starts | half-open: that attempt is the probe |
//! | | an older attempt ends with an answer | closed |
//! | | an older attempt fails | open as before |
//! | half-open | an answer, to whatever attempt | closed |
//! | | a probe fails | open for twice as long, `max` at most |
//! | | no probe ended within the wait | one more probe: the first may be a lead that makes it hang |
//! | | an older attempt fails | half-open as before: the probe decides |
//!
//! An answer is proof that the destination works, even if it says no. What was provably not
//! processed says nothing. Pure: time is passed in. Knows nothing of sinks.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::config;
use crate::outbox::LeadId;
use crate::plugin::{Outcome, OutcomeKind};

/// So long after an answer a few failures are not believed to be the destination's.
const GRACE: Duration = Duration::from_secs(5);
/// So many times `failures` they are believed at once.
const MANY: u32 = 10;
/// Leads remembered as poisonous, at most.
const POISONOUS: usize = 4096;
/// Probes under way at once, at most.
const PROBES: usize = 4;
/// For so long after it opened it is not taken for well.
const CONVALESCENCE: Duration = Duration::from_secs(60);
/// The rule of an attempt that provably was not processed and can be made again.
const NOT_PROCESSED: &str = "not-processed";
/// The rule of an outcome whose destination took what it could, and wants the rest later.
const TAKEN_IN_PART: &str = "taken-in-part";

/// What the end of an attempt says about the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// It answered.
    Answer,
    /// It did not, or not for us.
    Failure,
    /// Nothing: the attempt was not processed, and it said so.
    Neither,
}

impl Signal {
    pub(super) fn of(outcome: &Outcome) -> Self {
        match outcome.kind {
            // Throttled is an answer too: the throttle holds the sink already.
            OutcomeKind::Delivered
            | OutcomeKind::Duplicate
            | OutcomeKind::Rejected
            | OutcomeKind::Throttled => Self::Answer,
            OutcomeKind::Retry if outcome.rule == NOT_PROCESSED => Self::Neither,
            OutcomeKind::Retry if outcome.rule == TAKEN_IN_PART => Self::Answer,
            OutcomeKind::Retry | OutcomeKind::Reauth | OutcomeKind::Ambiguous => Self::Failure,
        }
    }
}

/// Names an attempt that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permit {
    number: u64,
    probe: bool,
}

impl Permit {
    /// Whether the attempt is made only to see whether the destination is back.
    pub(super) const fn is_probe(self) -> bool {
        self.probe
    }
}

/// The breaker of one sink.
#[derive(Debug)]
pub(super) struct Breaker {
    policy: config::Breaker,
    state: State,
    permits: u64,
    /// Leads that failed since the last answer.
    failed: HashSet<LeadId>,
    poisonous: Recent,
    answered_at: Option<Duration>,
    opened_at: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        /// Since when it is not closed.
        since: Duration,
        /// When this wait began.
        began: Duration,
        until: Duration,
        wait: Duration,
    },
    HalfOpen {
        since: Duration,
        probes: Vec<u64>,
        /// When one more probe may start.
        next: Duration,
        wait: Duration,
    },
}

/// What an operator calls the breaker's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerState {
    /// Attempts are made.
    #[default]
    Closed,
    /// None are made for now.
    Open,
    /// One is under way to see whether the destination is back.
    HalfOpen,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// Its name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// Whether an attempt may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admits {
    /// As many as like.
    All,
    /// One, as the probe.
    Probe,
    /// None for that long; `None` until a probe under way has ended.
    Nobody(Option<Duration>),
}

/// A change of state that a person wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It opened because so many leads failed.
    Opened { leads: usize, wait: Duration },
    /// A probe failed: the next one is after so long.
    StaysOpen { wait: Duration },
    /// It closed after so long.
    Closed { after: Duration },
}

impl Breaker {
    pub(super) fn new(policy: config::Breaker) -> Self {
        Self {
            policy,
            state: State::Closed,
            permits: 0,
            failed: HashSet::new(),
            poisonous: Recent::default(),
            answered_at: None,
            opened_at: None,
        }
    }

    /// Goes on where `older` is, about the same destination. Its probes under way are its own: one
    /// more is made when that would have been its turn.
    pub(super) fn follow(&mut self, older: &Self, now: Duration) {
        if self.policy.failures == 0 {
            return;
        }
        self.state = match older.state {
            State::HalfOpen {
                since, next, wait, ..
            } => State::Open {
                since,
                began: now,
                until: next,
                wait,
            },
            ref other => other.clone(),
        };
        self.failed.clone_from(&older.failed);
        self.poisonous = older.poisonous.clone();
        (self.answered_at, self.opened_at) = (older.answered_at, older.opened_at);
    }

    /// Whether an attempt may start at `now`.
    pub(super) fn admits(&self, now: Duration) -> Admits {
        match &self.state {
            State::Closed => Admits::All,
            State::Open { until, .. } => match until.saturating_sub(now) {
                Duration::ZERO => Admits::Probe,
                left => Admits::Nobody(Some(left)),
            },
            State::HalfOpen { probes, .. } if probes.len() >= PROBES => Admits::Nobody(None),
            State::HalfOpen { next, .. } => match next.saturating_sub(now) {
                Duration::ZERO => Admits::Probe,
                left => Admits::Nobody(Some(left)),
            },
        }
    }

    /// An attempt starts, if it may.
    pub(super) fn start(&mut self, now: Duration) -> Option<Permit> {
        let number = self.permits;
        let mut probe = true;
        match &mut self.state {
            State::Closed => probe = false,
            State::Open {
                since, until, wait, ..
            } if now >= *until => {
                self.state = State::HalfOpen {
                    since: *since,
                    probes: vec![number],
                    next: now.saturating_add(*wait),
                    wait: *wait,
                };
            }
            State::HalfOpen {
                probes, next, wait, ..
            } if now >= *next && probes.len() < PROBES => {
                probes.push(number);
                *next = now.saturating_add(*wait);
            }
            State::Open { .. } | State::HalfOpen { .. } => return None,
        }
        self.permits += 1;
        Some(Permit { number, probe })
    }

    /// An attempt for `lead` ended at `now`.
    pub(super) fn end(
        &mut self,
        permit: Permit,
        lead: LeadId,
        signal: Signal,
        now: Duration,
    ) -> Option<Change> {
        match signal {
            Signal::Answer => {
                self.failed.remove(&lead);
                self.poisonous.remove(lead);
                self.answered(now)
            }
            Signal::Failure => self.failure(permit, lead, now),
            Signal::Neither => {
                if let Some((wait, since)) = self.probe_ended(permit) {
                    self.state = Self::open(since, now, wait);
                }
                None
            }
        }
    }

    /// The destination answered, whomever.
    pub(super) fn answered(&mut self, now: Duration) -> Option<Change> {
        for lead in self.failed.drain() {
            self.poisonous.insert(lead);
        }
        self.answered_at = Some(now);
        let since = self.since()?;
        self.state = State::Closed;
        let after = now.saturating_sub(since);
        Some(Change::Closed { after })
    }

    fn failure(&mut self, permit: Permit, lead: LeadId, now: Duration) -> Option<Change> {
        if self.policy.failures == 0 {
            return None;
        }
        let most = self.policy.failures.saturating_mul(MANY) as usize;
        if self.poisonous.contains(lead) && !permit.probe {
            return None;
        }
        if self.failed.len() < most {
            self.failed.insert(lead);
        }
        if self.state == State::Closed {
            let leads = self.failed.len();
            let believed = self
                .answered_at
                .is_none_or(|at| now.saturating_sub(at) >= GRACE);
            if leads < self.policy.failures as usize || (!believed && leads < most) {
                return None;
            }
            let wait = self.policy.wait;
            self.opened_at = Some(now);
            self.state = Self::open(now, now, wait);
            return Some(Change::Opened { leads, wait });
        }
        let (wait, since) = self.probe_ended(permit)?;
        let wait = wait.saturating_mul(2).min(self.policy.max);
        self.opened_at = Some(now);
        self.state = Self::open(since, now, wait);
        Some(Change::StaysOpen { wait })
    }

    /// Takes a probe out; the wait and the beginning if it was the one that decides.
    fn probe_ended(&mut self, permit: Permit) -> Option<(Duration, Duration)> {
        let State::HalfOpen {
            probes,
            wait,
            since,
            ..
        } = &mut self.state
        else {
            return None;
        };
        let there = probes.len();
        probes.retain(|probe| *probe != permit.number);
        (probes.len() < there).then_some((*wait, *since))
    }

    /// A person wants a probe now.
    pub(super) fn hasten(&mut self, now: Duration) {
        let base = self.policy.wait;
        match &mut self.state {
            State::Closed => {}
            State::Open { until, wait, .. } => {
                *until = now.min(*until);
                *wait = base;
            }
            State::HalfOpen { next, .. } => *next = now.min(*next),
        }
    }

    /// When a lead that is new may be the probe, and when the wait began that it shortens.
    /// What came after a probe that failed tells more than to wait for the next one.
    pub(super) fn early(&self) -> Option<(Duration, Duration)> {
        match self.state {
            State::Open { began, until, .. } => {
                Some((began.saturating_add(self.policy.wait).min(until), began))
            }
            _ => None,
        }
    }

    /// Whether the destination, or some lead, is in doubt: then what is new tells most.
    pub(super) fn doubts(&self, now: Duration) -> bool {
        let recently = |at: Duration| now.saturating_sub(at) < CONVALESCENCE;
        self.state != State::Closed || self.failed.len() > 1 || self.opened_at.is_some_and(recently)
    }

    /// Whether the lead failed and nothing was answered since.
    pub(super) fn failed(&self, lead: LeadId) -> bool {
        self.failed.contains(&lead) || self.poisonous.contains(lead)
    }

    /// Since when it is not closed.
    pub(super) fn since(&self) -> Option<Duration> {
        match self.state {
            State::Closed => None,
            State::Open { since, .. } | State::HalfOpen { since, .. } => Some(since),
        }
    }

    /// What an operator calls its state.
    pub(super) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn open(since: Duration, now: Duration, wait: Duration) -> State {
        State::Open {
            since,
            began: now,
            until: now.saturating_add(wait),
            wait,
        }
    }
}

/// Leads, the latest [`POISONOUS`] of them.
#[derive(Clone, Debug, Default)]
struct Recent {
    set: HashSet<LeadId>,
    order: VecDeque<LeadId>,
}

impl Recent {
    fn insert(&mut self, lead: LeadId) {
        if self.set.insert(lead) {
            self.order.push_back(lead);
        }
        // Those that were removed still stand in the order.
        while self.order.len() > POISONOUS {
            if let Some(oldest) = self.order.pop_front() {
                self.set.remove(&oldest);
            }
        }
    }

    fn remove(&mut self, lead: LeadId) {
        if self.set.remove(&lead) {
            self.order.retain(|other| *other != lead);
        }
    }

    fn contains(&self, lead: LeadId) -> bool {
        self.set.contains(&lead)
    }
}

#[cfg(test)]
mod tests;
