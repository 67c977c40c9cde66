//! Pace: how the attempts at a sink went since the process started, from what its metrics measured.

use leadgate_plugin::OutcomeKind;
use schemars::JsonSchema;
use serde::Serialize;

use crate::telemetry::metrics::DeliveryMetrics;

/// How attempts went, since the process started.
#[derive(Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Pace {
    attempts: u64,
    /// Of those, how many the sink took, or had already.
    succeeded: u64,
    /// Within how many milliseconds 95 of 100 ended: between the bounds of the metric's buckets
    /// an estimate, and above the last one that bound.
    p95_ms: Option<u64>,
}

impl Pace {
    /// Of the sink of that name.
    pub(super) fn of(metrics: &DeliveryMetrics, sink: &str) -> Self {
        let many = |kind: OutcomeKind| {
            let counter = metrics.attempts.with_label_values(&[sink, kind.as_str()]);
            counter.get()
        };
        let histogram = metrics.attempt_duration.with_label_values(&[sink]);
        let histogram = prometheus::core::Metric::metric(&histogram);
        let buckets = histogram.get_histogram().get_bucket().iter();
        let buckets = buckets.map(|one| (one.upper_bound(), one.cumulative_count()));
        let all = histogram.get_histogram().get_sample_count();
        Self {
            attempts: OutcomeKind::ALL.into_iter().map(many).sum(),
            succeeded: many(OutcomeKind::Delivered) + many(OutcomeKind::Duplicate),
            p95_ms: p95(&buckets.collect::<Vec<_>>(), all),
        }
    }
}

/// Within how many milliseconds 95 of 100 ended, of `all`: within a bucket as if they lay evenly.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts far below 2^53, times below an hour"
)]
fn p95(buckets: &[(f64, u64)], all: u64) -> Option<u64> {
    if all == 0 {
        return None;
    }
    let wanted = all as f64 * 0.95;
    let (mut below, mut counted) = (0.0, 0.0);
    for (bound, count) in buckets.iter().filter(|(bound, _)| bound.is_finite()) {
        let count = *count as f64;
        if count >= wanted {
            let part = (wanted - counted) / (count - counted);
            let seconds: f64 = below + (bound - below) * part;
            return Some((seconds * 1000.0).round() as u64);
        }
        (below, counted) = (*bound, count);
    }
    Some((below * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn the_95th_of_100_lies_in_its_bucket() {
        let buckets = [(0.1, 90), (0.5, 100), (f64::INFINITY, 100)];
        assert_eq!(p95(&buckets, 100), Some(300));
        assert_eq!(p95(&[(0.1, 100)], 100), Some(95));
        assert_eq!(
            p95(&[(0.1, 10), (60.0, 20)], 100),
            Some(60_000),
            "above the last bound"
        );
        assert_eq!(p95(&buckets, 0), None);
    }

    #[test]
    fn what_the_sink_had_already_is_a_success_too() {
        let metrics = Metrics::new().delivery;
        assert_eq!(Pace::of(&metrics, "crm"), Pace::default());
        for (kind, many) in [("delivered", 5), ("duplicate", 1), ("rejected", 4)] {
            let counter = metrics.attempts.with_label_values(&["crm", kind]);
            counter.inc_by(many);
        }
        metrics
            .attempt_duration
            .with_label_values(&["crm"])
            .observe(0.02);
        let pace = Pace::of(&metrics, "crm");
        assert_eq!((pace.attempts, pace.succeeded), (10, 6));
        assert_eq!(pace.p95_ms, Some(24));
    }
}
