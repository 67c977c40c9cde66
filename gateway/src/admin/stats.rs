//! Stats: how many leads and deliveries there are, in which state.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Admin;
use crate::outbox::Unavailable;

/// `GET /api/v1/stats`.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    leads: Leads,
    sinks: BTreeMap<String, Sink>,
}

#[derive(Debug, Serialize)]
struct Leads {
    accepted: u64,
    duplicate: u64,
    quarantined: u64,
    /// Since the process started; the others count since the store was made.
    refused: u64,
}

#[derive(Debug, Serialize)]
struct Sink {
    /// Never tried yet.
    pending: u64,
    in_flight: u64,
    /// Tried before, waiting for the next attempt.
    retrying: u64,
    delivered: u64,
    dead: u64,
    oldest_pending_seconds: Option<u64>,
}

/// Reads the counts. Reads the disk: for a thread that may block.
pub(super) fn read(admin: &Admin) -> Result<Stats, Unavailable> {
    let totals = admin.outbox.totals();
    let mut sinks = BTreeMap::new();
    for name in &admin.sinks {
        let counts = totals.sinks.get(name).cloned().unwrap_or_default();
        let in_flight = admin.delivery.of(name).in_flight as u64;
        let oldest = admin.outbox.oldest(name)?;
        sinks.insert(
            name.clone(),
            Sink {
                pending: counts.waiting.saturating_sub(counts.retrying),
                in_flight,
                retrying: counts.retrying,
                delivered: counts.delivered,
                dead: counts.dead_letters(),
                oldest_pending_seconds: oldest.map(|at| {
                    u64::try_from(admin.clock.now().saturating_sub(at) / 1000).unwrap_or(0)
                }),
            },
        );
    }
    Ok(Stats {
        leads: Leads {
            accepted: totals.accepted,
            duplicate: totals.duplicate,
            quarantined: totals.quarantined,
            refused: refused(admin),
        },
        sinks,
    })
}

fn refused(admin: &Admin) -> u64 {
    use prometheus::core::Collector;
    let families = admin.metrics.ingest.requests.collect();
    families
        .iter()
        .flat_map(prometheus::proto::MetricFamily::get_metric)
        .filter(|metric| {
            metric
                .get_label()
                .iter()
                .any(|label| label.value() == "refused")
        })
        .map(|metric| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count"
            )]
            let count = metric.get_counter().get_value() as u64;
            count
        })
        .sum()
}

/// Sets the gauges that are read rather than kept.
#[expect(clippy::cast_precision_loss, reason = "sizes and ages far below 2^53")]
pub(super) fn refresh(admin: &Admin) {
    let outbox = &admin.metrics.outbox;
    outbox.size.set(admin.outbox.size() as f64);
    let Ok(stats) = read(admin) else { return };
    for (name, sink) in &stats.sinks {
        let by_state = [
            ("pending", sink.pending),
            ("in_flight", sink.in_flight),
            ("retry_wait", sink.retrying),
            ("dead", sink.dead),
        ];
        for (state, count) in by_state {
            outbox
                .deliveries
                .with_label_values(&[name.as_str(), state])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        admin
            .metrics
            .delivery
            .paused
            .with_label_values(&[name.as_str()])
            .set(i64::from(admin.outbox.paused(name)));
        outbox
            .oldest_age
            .with_label_values(&[name.as_str()])
            .set(sink.oldest_pending_seconds.unwrap_or(0) as f64);
    }
}
