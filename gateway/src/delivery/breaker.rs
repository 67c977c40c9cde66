//! The breaker: leaves a sink alone that fails again and again, and probes whether it is back.
//!
//! | state | what happens | then |
//! |---|---|---|
//! | closed, *n* failures in a row | an answer | closed, 0 |
//! | | a failure | closed, *n*+1; open for `wait` at `failures` |
//! | open | its wait is over and an attempt starts | half-open: that attempt is the probe |
//! | | an older attempt ends with an answer | closed, 0 |
//! | | an older attempt fails | open as before |
//! | half-open | the probe, or an older attempt, ends with an answer | closed, 0 |
//! | | the probe fails | open for twice as long, `max` at most |
//! | | an older attempt fails | half-open as before: the probe decides |
//!
//! An answer is proof that the destination works, even if it says no; so an attempt from
//! before the opening that is answered late closes as well as a probe does. Pure: time is
//! passed in. Knows nothing of sinks or deliveries.

use std::time::Duration;

use crate::config;
use crate::plugin::Kind;

/// What the end of an attempt says about the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// It answered.
    Answer,
    /// It did not, or not for us.
    Failure,
}

impl Signal {
    pub(super) const fn of(kind: Kind) -> Self {
        match kind {
            // Throttled is an answer too: the throttle holds the sink already.
            Kind::Delivered | Kind::Duplicate | Kind::Rejected | Kind::Throttled => Self::Answer,
            Kind::Retry | Kind::Reauth | Kind::Ambiguous => Self::Failure,
        }
    }
}

/// Names an attempt that was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permit(u64);

/// The breaker of one sink.
#[derive(Debug)]
pub(super) struct Breaker {
    policy: config::Breaker,
    state: State,
    permits: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Duration, wait: Duration },
    HalfOpen { probe: Permit, wait: Duration },
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
    /// None for that long; `None` while a probe is under way.
    Nobody(Option<Duration>),
}

impl Breaker {
    pub(super) fn new(policy: config::Breaker) -> Self {
        Self {
            policy,
            state: State::Closed { failures: 0 },
            permits: 0,
        }
    }

    /// Whether an attempt may start at `now`.
    pub(super) fn admits(&self, now: Duration) -> Admits {
        match self.state {
            State::Closed { .. } => Admits::All,
            State::Open { until, .. } => match until.saturating_sub(now) {
                Duration::ZERO => Admits::Probe,
                left => Admits::Nobody(Some(left)),
            },
            State::HalfOpen { .. } => Admits::Nobody(None),
        }
    }

    /// An attempt starts, if it may.
    pub(super) fn start(&mut self, now: Duration) -> Option<Permit> {
        let permit = Permit(self.permits);
        match self.state {
            State::Closed { .. } => {}
            State::Open { until, wait } if now >= until => {
                self.state = State::HalfOpen {
                    probe: permit,
                    wait,
                };
            }
            State::Open { .. } | State::HalfOpen { .. } => return None,
        }
        self.permits += 1;
        Some(permit)
    }

    /// An attempt ended at `now`.
    pub(super) fn end(&mut self, permit: Permit, signal: Signal, now: Duration) {
        self.state = match (self.state, signal) {
            (_, Signal::Answer) => State::Closed { failures: 0 },
            (State::Closed { failures }, Signal::Failure) => {
                let failures = failures.saturating_add(1);
                if self.policy.failures > 0 && failures >= self.policy.failures {
                    Self::open(now, self.policy.wait)
                } else {
                    State::Closed { failures }
                }
            }
            (State::HalfOpen { probe, wait }, Signal::Failure) if probe == permit => {
                Self::open(now, wait.saturating_mul(2).min(self.policy.max))
            }
            (as_before, Signal::Failure) => as_before,
        };
    }

    /// What an operator calls its state.
    pub(super) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn open(now: Duration, wait: Duration) -> State {
        State::Open {
            until: now.saturating_add(wait),
            wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WAIT: Duration = Duration::from_secs(10);

    fn breaker(failures: u32) -> Breaker {
        Breaker::new(config::Breaker {
            failures,
            wait: WAIT,
            max: WAIT * 3,
        })
    }

    /// A breaker that `failures` attempts opened at 0, and one more attempt from before.
    fn opened() -> (Breaker, Permit) {
        let mut breaker = breaker(2);
        let permits: Vec<_> = (0..3)
            .filter_map(|_| breaker.start(Duration::ZERO))
            .collect();
        for permit in &permits[..2] {
            breaker.end(*permit, Signal::Failure, Duration::ZERO);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        (breaker, permits[2])
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_starts_the_count_again() {
        let mut breaker = breaker(2);
        for signal in [Signal::Failure, Signal::Answer, Signal::Failure] {
            let permit = breaker.start(Duration::ZERO).expect("closed");
            breaker.end(permit, signal, Duration::ZERO);
            assert_eq!(breaker.admits(Duration::ZERO), Admits::All);
        }
        let permit = breaker.start(Duration::ZERO).expect("closed");
        breaker.end(permit, Signal::Failure, Duration::ZERO);
        assert_eq!(breaker.admits(WAIT / 2), Admits::Nobody(Some(WAIT / 2)));
        assert_eq!(breaker.start(WAIT / 2), None);
    }

    #[test]
    fn a_probe_that_fails_doubles_the_wait_up_to_its_ceiling() {
        let (mut breaker, _) = opened();
        let mut now = Duration::ZERO;
        for wait in [WAIT, WAIT * 2, WAIT * 3, WAIT * 3] {
            assert_eq!(breaker.admits(now), Admits::Nobody(Some(wait)));
            now += wait;
            let probe = breaker.start(now).expect("its wait is over");
            assert_eq!(breaker.admits(now), Admits::Nobody(None));
            breaker.end(probe, Signal::Failure, now);
        }
    }

    #[test]
    fn a_probe_that_is_answered_closes_it() {
        let (mut breaker, _) = opened();
        let probe = breaker.start(WAIT).expect("its wait is over");
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.end(probe, Signal::of(Kind::Rejected), WAIT);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn an_older_attempt_closes_it_with_an_answer_and_changes_nothing_by_failing() {
        for half_open in [false, true] {
            for signal in [Signal::Answer, Signal::Failure] {
                let (mut breaker, older) = opened();
                let probe = half_open.then(|| breaker.start(WAIT).expect("its wait is over"));
                let before = breaker.state();
                breaker.end(older, signal, WAIT);
                match signal {
                    Signal::Answer => assert_eq!(breaker.state(), BreakerState::Closed),
                    Signal::Failure => assert_eq!(breaker.state(), before),
                }
                if let Some(probe) = probe {
                    breaker.end(probe, Signal::Answer, WAIT);
                    assert_eq!(breaker.state(), BreakerState::Closed);
                }
            }
        }
    }

    #[test]
    fn without_a_limit_it_never_opens() {
        let mut breaker = breaker(0);
        for _ in 0..1000 {
            let permit = breaker.start(Duration::ZERO).expect("closed");
            breaker.end(permit, Signal::Failure, Duration::ZERO);
        }
        assert_eq!(breaker.admits(Duration::ZERO), Admits::All);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Start,
        End(usize, Signal),
        Later(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let signal = prop_oneof![3 => Just(Signal::Failure), 1 => Just(Signal::Answer)];
        let step = prop_oneof![
            3 => Just(Step::Start),
            3 => (0_usize..16, signal).prop_map(|(which, signal)| Step::End(which, signal)),
            1 => (0_u64..20_000).prop_map(Step::Later),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn half_open_lets_one_through_and_open_nobody_before_its_time(steps in steps(), failures in 1_u32..4) {
            let mut breaker = breaker(failures);
            let mut under_way: Vec<Permit> = Vec::new();
            let mut now = Duration::ZERO;
            // The model: until when it was said to be open, and the probe that is under way.
            let mut until = None;
            let mut probe = None;
            for step in steps {
                match step {
                    Step::Later(ms) => now += Duration::from_millis(ms),
                    Step::Start => {
                        let before = breaker.state();
                        let admits = breaker.admits(now);
                        let permit = breaker.start(now);
                        prop_assert_eq!(permit.is_some(), !matches!(admits, Admits::Nobody(_)));
                        if let Some(permit) = permit {
                            prop_assert!(probe.is_none(), "a second one beside the probe");
                            prop_assert!(until.is_none_or(|until| now >= until), "too early");
                            if before == BreakerState::Open {
                                probe = Some(permit);
                            }
                            under_way.push(permit);
                        }
                    }
                    Step::End(which, signal) if !under_way.is_empty() => {
                        let permit = under_way.swap_remove(which % under_way.len());
                        breaker.end(permit, signal, now);
                        if breaker.state() != BreakerState::HalfOpen {
                            probe = None;
                        }
                    }
                    Step::End(..) => {}
                }
                until = match breaker.admits(now) {
                    Admits::Nobody(Some(left)) => {
                        prop_assert!(left <= WAIT * 3);
                        Some(now + left)
                    }
                    _ => None,
                };
            }
        }
    }
}
