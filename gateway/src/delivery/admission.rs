//! The admission: whether a sink may start an attempt now.
//!
//! Puts together what can be against it: the breaker, the throttle and the slots. Shared by the
//! lane, which asks, its attempts, which report how they ended, and operators, who look.
//! Knows nothing of the outbox.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;

use super::breaker::{Admits, Breaker, BreakerState, Permit, Signal};
use super::throttle::Throttle;
use crate::clock::Clock;
use crate::config;
use crate::plugin::{Kind, Outcome};

/// The admission of one sink.
pub(super) struct Admission {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    concurrency: usize,
    /// Wait after a throttled attempt that named none.
    throttled: Duration,
    /// Longest wait that a destination may ask of the whole sink.
    longest: Duration,
    circuit_open: IntGauge,
}

struct State {
    throttle: Throttle,
    breaker: Breaker,
    in_flight: usize,
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

/// How a sink does; what operators see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkStatus {
    /// Attempts under way.
    pub in_flight: usize,
    /// Whether the sink is left alone because it fails.
    pub breaker: BreakerState,
    /// While the breaker is open: how long until an attempt probes the sink again.
    pub opens_again_in: Option<Duration>,
}

impl Admission {
    pub(super) fn new(sink: &config::Sink, clock: Arc<dyn Clock>, circuit_open: IntGauge) -> Self {
        circuit_open.set(0);
        Self {
            state: Mutex::new(State {
                throttle: Throttle::new(sink.rate),
                breaker: Breaker::new(sink.breaker.clone()),
                in_flight: 0,
            }),
            clock,
            concurrency: sink.concurrency,
            throttled: sink.retry.first,
            // A delivery that waits longer is a dead letter.
            longest: sink.retry.max_age,
            circuit_open,
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
        } else if state.in_flight >= self.concurrency {
            Decision::Full
        } else if admits == Admits::Probe {
            Decision::Probe
        } else {
            Decision::Start
        }
    }

    /// Starts one, if that is still so.
    pub(super) fn start(self: &Arc<Self>) -> Option<Running> {
        let mut state = self.state();
        let now = self.clock.monotonic();
        if state.in_flight >= self.concurrency || !state.throttle.wait(now).is_zero() {
            return None;
        }
        let permit = state.breaker.start(now)?;
        state.throttle.start(now);
        state.in_flight += 1;
        Some(Running {
            admission: Arc::clone(self),
            permit,
            end: (Signal::Failure, None),
        })
    }

    /// How the sink does.
    pub(super) fn status(&self) -> SinkStatus {
        let state = self.state();
        SinkStatus {
            in_flight: state.in_flight,
            breaker: state.breaker.state(),
            opens_again_in: match state.breaker.admits(self.clock.monotonic()) {
                Admits::Nobody(left) => left,
                Admits::Probe => Some(Duration::ZERO),
                Admits::All => None,
            },
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
    end: (Signal, Option<Duration>),
}

impl Running {
    /// The attempt ended.
    pub(super) fn end(mut self, outcome: &Outcome) {
        let hold = (outcome.kind == Kind::Throttled)
            .then(|| outcome.retry_after.unwrap_or(self.admission.throttled));
        self.end = (Signal::of(outcome.kind), hold);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (signal, hold) = self.end;
        let mut state = self.admission.state();
        let now = self.admission.clock.monotonic();
        state.in_flight -= 1;
        state.breaker.end(self.permit, signal, now);
        if let Some(hold) = hold {
            state
                .throttle
                .hold(now.saturating_add(hold.min(self.admission.longest)));
        }
        let closed = state.breaker.state() == BreakerState::Closed;
        self.admission.circuit_open.set(i64::from(!closed));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sink_config;
    use super::*;
    use crate::clock::SystemClock;
    use crate::telemetry::metrics::Metrics;

    fn admission(sink: &config::Sink) -> Arc<Admission> {
        let open = Metrics::new()
            .delivery
            .circuit_open
            .with_label_values(&["crm"]);
        Arc::new(Admission::new(sink, Arc::new(SystemClock), open))
    }

    #[test]
    fn no_more_attempts_start_than_there_are_slots() {
        let admission = admission(&sink_config());
        let _first = admission.start().expect("a free slot");
        assert_eq!(admission.decision(), Decision::Start);
        let second = admission.start().expect("a free slot");
        assert_eq!(admission.decision(), Decision::Full);
        assert!(admission.start().is_none());
        second.end(&Outcome::of(Kind::Delivered, "", ""));
        assert_eq!(admission.status().in_flight, 1);
        assert_eq!(admission.decision(), Decision::Start);
    }

    #[test]
    fn an_attempt_that_panics_frees_its_slot_and_counts_as_a_failure() {
        let mut sink = sink_config();
        sink.breaker.failures = 1;
        let admission = admission(&sink);
        drop(admission.start());
        let status = admission.status();
        assert_eq!((status.in_flight, status.breaker), (0, BreakerState::Open));
        assert!(matches!(admission.decision(), Decision::Shut(Some(_))));
    }

    #[test]
    fn no_destination_holds_a_sink_for_longer_than_its_deliveries_live() {
        let sink = sink_config();
        let admission = admission(&sink);
        let mut throttled = Outcome::of(Kind::Throttled, "", "");
        throttled.retry_after = Some(Duration::MAX);
        admission.start().expect("a free slot").end(&throttled);
        assert!(matches!(admission.decision(), Decision::Wait(wait) if wait <= sink.retry.max_age));
    }
}
