//! The verdict: what becomes of a delivery after an attempt.
//!
//! | outcome | then |
//! |---|---|
//! | delivered, duplicate | delivered |
//! | rejected | dead letter `rejected` |
//! | ambiguous, `on_ambiguous = "hold"` | dead letter `held` |
//! | retry, throttled, reauth, other ambiguous | waits, unless attempts or age are used up |
//!
//! Pure: time and chance are passed in.

use crate::clock::Millis;
use crate::config::{OnAmbiguous, Retry};
use crate::outbox::{Budget, DeathReason, State};
use crate::plugin::{Outcome, OutcomeKind};

/// What the verdict depends on besides the outcome.
pub(super) struct Case<'a> {
    /// Attempts made, this one among them.
    pub(super) attempts: u32,
    /// From where attempts and age count.
    pub(super) budget: Budget,
    /// The time now.
    pub(super) now: Millis,
    /// The time by which deliveries are due ([`super::clock`]).
    pub(super) due: Millis,
    /// The time by which deliveries grow old.
    pub(super) age: Millis,
    /// The sink's retry policy.
    pub(super) retry: &'a Retry,
    /// What an attempt without an answer means to the sink.
    pub(super) on_ambiguous: OnAmbiguous,
}

/// The delivery's next state.
pub(super) fn of(outcome: &Outcome, case: &Case<'_>, rng: &mut fastrand::Rng) -> State {
    let dead = |reason| State::Dead {
        at: case.now,
        reason,
    };
    match outcome.kind {
        OutcomeKind::Delivered | OutcomeKind::Duplicate => State::Delivered { at: case.now },
        OutcomeKind::Rejected => dead(DeathReason::Rejected),
        OutcomeKind::Ambiguous if case.on_ambiguous == OnAmbiguous::Hold => dead(DeathReason::Held),
        OutcomeKind::Retry
        | OutcomeKind::Throttled
        | OutcomeKind::Reauth
        | OutcomeKind::Ambiguous => {
            let attempts = case.attempts.saturating_sub(case.budget.spent);
            if attempts >= case.retry.max_attempts {
                return dead(DeathReason::MaxAttempts);
            }
            let wait = super::backoff::wait(case.retry, attempts, outcome.retry_after, rng);
            let age = case.age.saturating_sub(case.budget.since);
            if age.saturating_add(millis(wait)) > millis(case.retry.max_age) {
                return dead(DeathReason::MaxAge);
            }
            State::Waiting {
                due_at: case.due.saturating_add(millis(wait)),
            }
        }
    }
}

pub(super) fn millis(duration: std::time::Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RETRY: Retry = Retry {
        first: Duration::from_secs(5),
        max: Duration::from_secs(3600),
        max_attempts: 3,
        max_age: Duration::from_secs(100),
    };

    const FRESH: Budget = Budget { spent: 0, since: 0 };

    fn verdict(kind: OutcomeKind, attempts: u32, now: Millis, on_ambiguous: OnAmbiguous) -> State {
        let case = Case {
            attempts,
            budget: FRESH,
            now,
            due: now,
            age: now,
            retry: &RETRY,
            on_ambiguous,
        };
        of(
            &Outcome::new(kind, ""),
            &case,
            &mut fastrand::Rng::with_seed(1),
        )
    }

    #[test]
    fn taken_is_delivered_and_refused_is_dead() {
        for kind in [OutcomeKind::Delivered, OutcomeKind::Duplicate] {
            assert_eq!(
                verdict(kind, 1, 9, OnAmbiguous::Retry),
                State::Delivered { at: 9 }
            );
        }
        let dead = State::Dead {
            at: 9,
            reason: DeathReason::Rejected,
        };
        assert_eq!(
            verdict(OutcomeKind::Rejected, 1, 9, OnAmbiguous::Retry),
            dead
        );
    }

    #[test]
    fn everything_else_is_tried_again_until_attempts_are_used_up() {
        for kind in [
            OutcomeKind::Retry,
            OutcomeKind::Throttled,
            OutcomeKind::Reauth,
            OutcomeKind::Ambiguous,
        ] {
            assert!(
                matches!(verdict(kind, 2, 9, OnAmbiguous::Retry), State::Waiting { due_at } if due_at >= 9)
            );
            let dead = State::Dead {
                at: 9,
                reason: DeathReason::MaxAttempts,
            };
            assert_eq!(verdict(kind, 3, 9, OnAmbiguous::Retry), dead);
        }
    }

    #[test]
    fn age_ends_it_as_well() {
        let dead = State::Dead {
            at: 100_001,
            reason: DeathReason::MaxAge,
        };
        assert_eq!(
            verdict(OutcomeKind::Retry, 1, 100_001, OnAmbiguous::Retry),
            dead
        );
    }

    #[test]
    fn a_fresh_budget_counts_attempts_and_age_from_where_it_was_given() {
        let case = |attempts| Case {
            attempts,
            budget: Budget {
                spent: 40,
                since: 1_000_000,
            },
            now: 1_050_000,
            due: 1_050_000,
            age: 1_050_000,
            retry: &RETRY,
            on_ambiguous: OnAmbiguous::Retry,
        };
        let of = |attempts| {
            of(
                &Outcome::new(OutcomeKind::Retry, ""),
                &case(attempts),
                &mut fastrand::Rng::with_seed(1),
            )
        };
        // As after a first attempt: the backoff starts again as well.
        assert!(matches!(of(41), State::Waiting { due_at } if due_at <= 1_055_000));
        assert!(matches!(
            of(43),
            State::Dead {
                reason: DeathReason::MaxAttempts,
                ..
            }
        ));
    }

    #[test]
    fn hold_keeps_an_ambiguous_one_for_a_person() {
        let dead = State::Dead {
            at: 9,
            reason: DeathReason::Held,
        };
        assert_eq!(
            verdict(OutcomeKind::Ambiguous, 1, 9, OnAmbiguous::Hold),
            dead
        );
        assert!(matches!(
            verdict(OutcomeKind::Retry, 1, 9, OnAmbiguous::Hold),
            State::Waiting { .. }
        ));
    }

    #[test]
    fn a_wait_longer_than_the_age_left_is_a_dead_letter_now() {
        let mut outcome = Outcome::new(OutcomeKind::Throttled, "");
        outcome.retry_after = Some(Duration::from_secs(101));
        let case = Case {
            attempts: 1,
            budget: FRESH,
            now: 0,
            due: 0,
            age: 0,
            retry: &RETRY,
            on_ambiguous: OnAmbiguous::Retry,
        };
        let state = of(&outcome, &case, &mut fastrand::Rng::with_seed(1));
        assert_eq!(
            state,
            State::Dead {
                at: 0,
                reason: DeathReason::MaxAge
            }
        );
    }
}
