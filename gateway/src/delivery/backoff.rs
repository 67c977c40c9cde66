//! Backoff: when a delivery that was not taken is tried again.
//!
//! Full jitter, so that a thousand deliveries that failed in one outage do not return as
//! one burst. Knows nothing of sinks or outcomes.

use std::time::Duration;

use crate::config::Retry;

/// Wait before retry `n` (the first is 1): uniform in `0..=min(max, first · 2^(n-1))`, but
/// never shorter than the destination itself `asked` for.
pub(super) fn wait(
    policy: &Retry,
    n: u32,
    asked: Option<Duration>,
    rng: &mut fastrand::Rng,
) -> Duration {
    let doublings = n.saturating_sub(1).min(31);
    let ceiling = policy.first.saturating_mul(1 << doublings).min(policy.max);
    let millis = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
    let jittered = Duration::from_millis(rng.u64(0..=millis));
    asked.map_or(jittered, |at_least| jittered.max(at_least))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(first_ms: u64, max_ms: u64) -> Retry {
        Retry {
            first: Duration::from_millis(first_ms),
            max: Duration::from_millis(max_ms),
            max_attempts: 15,
            max_age: Duration::from_secs(60),
        }
    }

    proptest! {
        #[test]
        fn a_wait_stays_under_its_ceiling(first in 0_u64..100_000, max in 0_u64..10_000_000, n: u32, seed: u64) {
            let wait = wait(&policy(first, max), n, None, &mut fastrand::Rng::with_seed(seed));
            prop_assert!(wait <= Duration::from_millis(max));
            if n <= 1 {
                prop_assert!(wait <= Duration::from_millis(first));
            }
        }

        #[test]
        fn the_destinations_own_wait_is_never_undercut(asked in 0_u64..100_000, n: u32, seed: u64) {
            let asked = Duration::from_millis(asked);
            let wait = wait(&policy(5, 50), n, Some(asked), &mut fastrand::Rng::with_seed(seed));
            prop_assert!(wait >= asked);
        }
    }

    #[test]
    fn waits_spread_over_the_whole_range() {
        let mut rng = fastrand::Rng::with_seed(7);
        let waits: Vec<_> = (0..1000)
            .map(|_| wait(&policy(1000, 60_000), 3, None, &mut rng))
            .collect();
        assert!(waits.iter().any(|wait| *wait < Duration::from_millis(400)));
        assert!(
            waits
                .iter()
                .any(|wait| *wait > Duration::from_millis(3_600))
        );
    }
}
