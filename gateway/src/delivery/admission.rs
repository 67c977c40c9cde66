//! The admission: whether a sink may start an attempt now, and for what.
//!
//! Puts together what can be against it: the breaker, the throttle and the slots. Shared by the
//! lane, which asks, its attempts, which report how they ended, and operators, who look and
//! who may end what holds the sink. Knows nothing of the outbox.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;

use super::breaker::{Admits, Breaker, BreakerState, Change, Permit, Signal};
use super::hold::{Hold, HoldReason};
use super::shares::{Shares, Work};
use super::throttle::Throttle;
use super::verdict::millis;
use crate::clock::{Clock, Millis};
use crate::config;
use crate::outbox::LeadId;
use crate::plugin::{Outcome, OutcomeKind};

/// The admission of one sink.
pub(super) struct Admission {
    sink: Arc<str>,
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    /// Wait after a throttled attempt that named none.
    throttled: Duration,
    /// Longest wait that a destination may ask of the whole sink.
    longest: Duration,
    circuit_open: IntGauge,
    /// Another is in its place, or the sink is gone: the gauge is not its own any more.
    retired: AtomicBool,
}

struct State {
    throttle: Throttle,
    breaker: Breaker,
    shares: Shares,
    /// Since when all slots are taken.
    full_since: Option<Duration>,
}

/// What the lane may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Start an attempt.
    Start,
    /// Start one attempt, to see whether the destination is back.
    Probe,
    /// Wait for an attempt to end: all slots are taken.
    Full,
    /// Wait that long: the throttle.
    Wait(Duration),
    /// Start nothing for that long, or until something changes: the breaker.
    Shut(Option<Duration>),
}

/// For what an attempt may start now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not states"
)]
pub(super) struct Openings {
    pub(super) new: bool,
    pub(super) waited: bool,
    pub(super) again: bool,
    /// Whether what is newest tells most, because something fails or hangs.
    pub(super) newest_first: bool,
    /// Whether what is old may go before what is new for once.
    pub(super) old_turn: bool,
    /// What has been due for no longer than this is new.
    pub(super) new_for: Millis,
    /// Whether what may start now may stop the rest of its kind for long.
    pub(super) hangs: bool,
    /// What is not admitted now may be then, although nothing ends.
    pub(super) look_again_in: Option<Duration>,
}

impl Openings {
    pub(super) fn admit(&self, work: Work) -> bool {
        match work {
            Work::New => self.new,
            Work::Waited => self.waited,
            Work::Again => self.again,
        }
    }
}

/// How a sink does; what operators see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkStatus {
    /// Attempts under way.
    pub in_flight: usize,
    /// Whether the sink is left alone because it fails.
    pub breaker: BreakerState,
    /// While the breaker is open: how long until an attempt probes the sink again.
    pub opens_again_in: Option<Duration>,
    /// What holds the sink back now. A pause is not known here.
    pub holds: Vec<Hold>,
}

/// What a person ended by resuming a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resumed {
    /// The breaker was not closed: the next attempt probes, now.
    pub breaker: bool,
    /// The destination had asked for a wait.
    pub destination: bool,
}

impl Admission {
    pub(super) fn new(
        name: Arc<str>,
        sink: &config::Sink,
        clock: Arc<dyn Clock>,
        circuit_open: IntGauge,
    ) -> Self {
        circuit_open.set(0);
        Self {
            sink: name,
            state: Mutex::new(State {
                throttle: Throttle::new(sink.rate),
                breaker: Breaker::new(sink.breaker.clone()),
                shares: Shares::new(sink.concurrency),
                full_since: None,
            }),
            clock,
            throttled: sink.retry.first,
            longest: sink.max_hold,
            circuit_open,
            retired: AtomicBool::new(false),
        }
    }

    /// Takes the place of `before`. The sink keeps to its rate; what the destination asked for
    /// and whether it answered counts only if this is the same destination.
    pub(super) fn follow(&self, before: &Self, same: bool) {
        before.retire();
        let now = self.clock.monotonic();
        let older = before.state();
        let mut state = self.state();
        state.throttle.follow(&older.throttle, same, now);
        if same {
            state.breaker.follow(&older.breaker, now);
        }
        self.show_open(state.breaker.state() != BreakerState::Closed);
    }

    /// From now on it says nothing of the sink as a whole.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    fn show_open(&self, open: bool) {
        if !self.retired.load(Ordering::Acquire) {
            self.circuit_open.set(i64::from(open));
        }
    }

    /// What the lane may do next. Takes nothing.
    pub(super) fn decision(&self) -> Decision {
        let state = self.state();
        let now = self.clock.monotonic();
        let admits = state.breaker.admits(now);
        if let Admits::Nobody(left) = admits {
            return Decision::Shut(left);
        }
        let wait = state.throttle.wait(now);
        if !wait.is_zero() {
            Decision::Wait(wait)
        } else if state.shares.full() {
            Decision::Full
        } else if admits == Admits::Probe {
            Decision::Probe
        } else {
            Decision::Start
        }
    }

    /// For what an attempt may start, if one may.
    pub(super) fn openings(&self) -> Openings {
        let state = self.state();
        let now = self.clock.monotonic();
        // A probe takes what tells most; only the number of slots limits it.
        let probe = state.breaker.admits(now) == Admits::Probe;
        let admits = |work| probe || state.shares.admits(work, now);
        Openings {
            new: admits(Work::New),
            waited: admits(Work::Waited),
            again: admits(Work::Again),
            old_turn: state.shares.old_turn(now),
            new_for: millis(state.shares.new_for(now)),
            hangs: !probe && state.shares.hangs(now),
            newest_first: state.shares.hangs(now) || state.breaker.doubts(now),
            look_again_in: state.shares.reserved(now),
        }
    }

    /// Whether the last attempt for this lead failed, as far as is remembered.
    pub(super) fn failed(&self, lead: LeadId) -> bool {
        self.state().breaker.failed(lead)
    }

    /// Starts one, if that is still so.
    pub(super) fn start(self: &Arc<Self>, lead: LeadId, work: Work) -> Option<Running> {
        let mut state = self.state();
        let now = self.clock.monotonic();
        if state.shares.full() || !state.throttle.wait(now).is_zero() {
            return None;
        }
        let permit = state.breaker.start(now)?;
        state.throttle.start(now);
        state.shares.take(work);
        if state.shares.full() {
            state.full_since = Some(now);
        }
        Some(Running {
            admission: Arc::clone(self),
            permit,
            lead,
            work,
            began: now,
            end: (Signal::Failure, None),
        })
    }

    /// How long until what is new may be a probe before its time, and for how long the breaker
    /// waits already: only what came since then is new.
    pub(super) fn early_probe(&self) -> Option<(Duration, Duration)> {
        let now = self.clock.monotonic();
        let (at, began) = self.state().breaker.early()?;
        Some((at.saturating_sub(now), now.saturating_sub(began)))
    }

    /// The next attempt is a probe now, if the breaker is not closed.
    pub(super) fn hasten(&self) {
        let now = self.clock.monotonic();
        self.state().breaker.hasten(now);
    }

    /// A person ends what holds the sink, but for a pause.
    pub(super) fn resume(&self) -> Resumed {
        let now = self.clock.monotonic();
        let mut state = self.state();
        state.breaker.hasten(now);
        Resumed {
            breaker: state.breaker.state() != BreakerState::Closed,
            destination: state.throttle.release(now),
        }
    }

    /// The destination took a lead that is none of the outbox's.
    pub(super) fn took_a_trial(&self) {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let change = state.breaker.answered(now);
        self.changed(change);
        self.show_open(false);
    }

    /// The wait that the destination asked for and that is not over.
    pub(super) fn asked(&self) -> Option<Hold> {
        let state = self.state();
        let asked = state.throttle.asked(self.clock.monotonic())?;
        Some(self.hold(HoldReason::Destination, asked.since, Some(asked.until)))
    }

    /// How the sink does.
    pub(super) fn status(&self) -> SinkStatus {
        let state = self.state();
        let now = self.clock.monotonic();
        let opens_again_in = match state.breaker.admits(now) {
            Admits::Nobody(left) => left,
            Admits::Probe => Some(Duration::ZERO),
            Admits::All => None,
        };
        let mut holds = Vec::new();
        if let Some(since) = state.breaker.since() {
            let until = opens_again_in.map(|left| now.saturating_add(left));
            holds.push(self.hold(HoldReason::Breaker, since, until));
        }
        if let Some(asked) = state.throttle.asked(now) {
            holds.push(self.hold(HoldReason::Destination, asked.since, Some(asked.until)));
        }
        if let Some((since, until)) = state.throttle.paced(now) {
            holds.push(self.hold(HoldReason::Rate, since, Some(until)));
        }
        if let Some(since) = state.full_since.filter(|_| state.shares.full()) {
            holds.push(self.hold(HoldReason::Slots, since, None));
        } else if let Some(left) = state.shares.reserved(now) {
            let since = state.shares.reserved_since();
            let until = Some(now.saturating_add(left));
            holds.push(self.hold(HoldReason::Slots, since, until));
        }
        SinkStatus {
            in_flight: state.shares.taken(),
            breaker: state.breaker.state(),
            opens_again_in,
            holds,
        }
    }

    /// A hold in wall time, as people read it.
    fn hold(&self, reason: HoldReason, since: Duration, until: Option<Duration>) -> Hold {
        let (wall, now) = (self.clock.now(), self.clock.monotonic());
        let at = |when: Duration| -> Millis {
            let distance = millis(when.abs_diff(now));
            if when > now {
                wall.saturating_add(distance)
            } else {
                wall.saturating_sub(distance)
            }
        };
        Hold {
            reason,
            since: Some(at(since)),
            until: until.map(at),
        }
    }

    fn changed(&self, change: Option<Change>) {
        if self.retired.load(Ordering::Acquire) {
            return;
        }
        let sink = &*self.sink;
        match change {
            None => {}
            Some(Change::Opened { leads, wait }) => tracing::warn!(
                sink,
                leads,
                probe_in_seconds = wait.as_secs_f64(),
                "breaker opened: leads failed one after the other and none was answered"
            ),
            Some(Change::StaysOpen { wait }) => tracing::debug!(
                sink,
                probe_in_seconds = wait.as_secs_f64(),
                "breaker stays open: the probe failed"
            ),
            Some(Change::Closed { after }) => tracing::info!(
                sink,
                after_seconds = after.as_secs_f64(),
                "breaker closed: the destination answered"
            ),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt under way. Its end is reported when this is dropped, so that a panic cannot
/// keep a slot or leave the breaker waiting for its probe.
pub(super) struct Running {
    admission: Arc<Admission>,
    permit: Permit,
    lead: LeadId,
    work: Work,
    began: Duration,
    end: (Signal, Option<Duration>),
}

impl Running {
    /// Whether it is only made to see whether the destination is back.
    pub(super) fn is_probe(&self) -> bool {
        self.permit.is_probe()
    }

    /// The attempt ended.
    pub(super) fn end(mut self, outcome: &Outcome) {
        let hold = (outcome.kind == OutcomeKind::Throttled)
            .then(|| outcome.retry_after.unwrap_or(self.admission.throttled));
        self.end = (Signal::of(outcome), hold);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (signal, hold) = self.end;
        let admission = &self.admission;
        let mut state = admission.state();
        let now = admission.clock.monotonic();
        let took = now.saturating_sub(self.began);
        let failed = signal == Signal::Failure;
        state.shares.free(self.work, took, failed, now);
        state.full_since = None;
        let change = state.breaker.end(self.permit, self.lead, signal, now);
        if let Some(hold) = hold {
            let until = now.saturating_add(hold.min(admission.longest));
            state.throttle.hold(now, until);
        }
        let closed = state.breaker.state() == BreakerState::Closed;
        admission.show_open(!closed);
        admission.changed(change);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::tests::sink_config;
    use super::*;
    use crate::clock::SystemClock;
    use crate::telemetry::metrics::Metrics;

    const LEAD: LeadId = LeadId(Uuid::nil());

    fn admission(sink: &config::Sink) -> Arc<Admission> {
        let open = Metrics::new()
            .delivery
            .circuit_open
            .with_label_values(&["crm"]);
        Arc::new(Admission::new(
            "crm".into(),
            sink,
            Arc::new(SystemClock),
            open,
        ))
    }

    #[test]
    fn no_more_attempts_start_than_there_are_slots() {
        let admission = admission(&sink_config());
        let _first = admission.start(LEAD, Work::New).expect("a free slot");
        assert_eq!(admission.decision(), Decision::Start);
        let second = admission.start(LEAD, Work::New).expect("a free slot");
        assert_eq!(admission.decision(), Decision::Full);
        let holds = admission.status().holds;
        assert_eq!(holds[0].reason, HoldReason::Slots);
        assert!(admission.start(LEAD, Work::New).is_none());
        second.end(&Outcome::new(OutcomeKind::Delivered, ""));
        assert_eq!(admission.status().in_flight, 1);
        assert_eq!(admission.status().holds, []);
        assert_eq!(admission.decision(), Decision::Start);
    }

    #[test]
    fn an_attempt_that_panics_frees_its_slot_and_counts_as_a_failure() {
        let mut sink = sink_config();
        sink.breaker.failures = 1;
        let admission = admission(&sink);
        drop(admission.start(LEAD, Work::New));
        let status = admission.status();
        assert_eq!((status.in_flight, status.breaker), (0, BreakerState::Open));
        assert!(matches!(admission.decision(), Decision::Shut(Some(_))));
        let hold = status.holds[0];
        assert_eq!(hold.reason, HoldReason::Breaker);
        assert!(hold.until > hold.since);
    }

    #[test]
    fn no_destination_holds_a_sink_for_longer_than_it_may() {
        let sink = sink_config();
        let admission = admission(&sink);
        let mut throttled = Outcome::new(OutcomeKind::Throttled, "");
        throttled.retry_after = Some(Duration::MAX);
        let running = admission.start(LEAD, Work::New).expect("a free slot");
        running.end(&throttled);
        assert!(matches!(admission.decision(), Decision::Wait(wait) if wait <= sink.max_hold));
        let hold = admission.asked().expect("it is held");
        let (since, until) = (hold.since.expect("known"), hold.until.expect("known"));
        assert!((until - since - millis(sink.max_hold)).abs() <= 1);
    }

    #[test]
    fn a_person_ends_breaker_and_wait_at_once() {
        let mut sink = sink_config();
        sink.breaker.failures = 1;
        let admission = admission(&sink);
        let throttled = admission.start(LEAD, Work::New).expect("a free slot");
        drop(admission.start(LEAD, Work::New));
        let mut outcome = Outcome::new(OutcomeKind::Throttled, "");
        outcome.retry_after = Some(Duration::from_secs(60));
        throttled.end(&outcome);
        drop(admission.start(LEAD, Work::New));
        assert!(admission.resume().destination);
        assert!(!admission.resume().destination);
        assert_eq!(admission.decision(), Decision::Start);

        let admission = self::admission(&sink);
        drop(admission.start(LEAD, Work::New));
        assert!(matches!(admission.decision(), Decision::Shut(_)));
        assert!(admission.resume().breaker);
        assert_eq!(admission.decision(), Decision::Probe);
        admission.took_a_trial();
        assert_eq!(admission.decision(), Decision::Start);
    }
}
