//! Stats: how many leads and deliveries there are, in which state.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::pace::Pace;
use super::{Admin, Configured, holds, rfc3339};
use crate::delivery::{Crash, HoldReason};
use crate::outbox::{Totals, Unavailable};

/// `GET /api/v1/stats`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Stats {
    config: Option<Running>,
    leads: Leads,
    /// Deliveries, waiting or dead, of sinks that are not configured any more.
    orphaned: u64,
    clock: Clock,
    sinks: BTreeMap<String, Sink>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LeadCounts")]
struct Leads {
    accepted: u64,
    duplicate: u64,
    quarantined: u64,
    /// Since the process started, as `failed`; the others count since the store was made.
    refused: u64,
    /// Answered with failure: the queue or the disk was full, or the store did not keep it.
    failed: u64,
    /// There now.
    stored: u64,
    /// There now.
    in_quarantine: u64,
    /// There now, and no sink ever wanted them.
    unrouted: u64,
}

/// What the store thinks of the machine's clock.
#[derive(Debug, Serialize, JsonSchema)]
struct Clock {
    /// `believed`, `ahead` (nothing is removed and nothing grows old) or `behind`.
    state: &'static str,
    now: String,
    /// The newest time that is believed; absent in a new store.
    newest: Option<String>,
    /// How far a doubted clock is ahead.
    ahead_seconds: Option<u64>,
    /// How much longer a doubted clock must go on evenly.
    believed_in_seconds: Option<u64>,
}

fn clock(admin: &Admin) -> Clock {
    let belief = admin.outbox.time().belief;
    let seconds = |millis: i64| u64::try_from(millis / 1000).unwrap_or(0);
    let ahead = belief.ahead();
    Clock {
        state: match (belief.doubt, ahead) {
            (None, _) => "believed",
            (Some(_), Some(_)) => "ahead",
            (Some(_), None) => "behind",
        },
        now: super::rfc3339(admin.clock.now()),
        newest: (belief.newest > 0).then(|| super::rfc3339(belief.newest)),
        ahead_seconds: ahead.map(seconds),
        believed_in_seconds: belief.believed_in().map(seconds),
    }
}

/// The configuration that runs.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RunningConfiguration")]
pub(super) struct Running {
    revision: String,
    loaded_at: String,
    file: String,
}

impl Running {
    /// `None` if it is not known where it was read from.
    pub(super) fn of(configured: &Configured) -> Option<Self> {
        let revision = configured.revision.as_ref()?;
        Some(Self {
            revision: revision.hash.clone(),
            loaded_at: rfc3339(configured.loaded_at),
            file: revision.file.display().to_string(),
        })
    }
}

/// How one sink does.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SinkCounts")]
pub(super) struct Sink {
    /// `None` for a sink that is not configured any more.
    plugin: Option<String>,
    configured: bool,
    /// Not configured any more, with deliveries that wait or are dead.
    orphaned: bool,
    /// Never tried yet.
    pending: u64,
    in_flight: u64,
    /// Tried before, waiting for the next attempt.
    retrying: u64,
    /// Waiting for an earlier revision of the same lead.
    behind: u64,
    delivered: u64,
    superseded: u64,
    cancelled: u64,
    dead: u64,
    oldest_pending_seconds: Option<u64>,
    /// Since the process started.
    last_delivered_at: Option<String>,
    paused: bool,
    /// It was at work when the last process ended without stopping.
    #[serde(skip_serializing_if = "Option::is_none")]
    crash: Option<Crashed>,
    /// What holds its deliveries back now.
    holds: Vec<holds::Shown>,
    #[schemars(with = "super::shape::Breaker")]
    breaker: &'static str,
    /// While the breaker is open: until an attempt probes the sink.
    probe_in_seconds: Option<u64>,
    pace: Pace,
}

/// How a sink was involved in the end of the last process.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Crash")]
struct Crashed {
    /// Crashes in a row in which it was at work.
    in_a_row: u32,
    /// When the first of its attempts began.
    started_at: String,
    /// Some of what it was delivering.
    deliveries: Vec<String>,
}

impl Crashed {
    fn of(crash: &Crash) -> Self {
        let ids = crash.deliveries.iter();
        Self {
            in_a_row: crash.in_a_row,
            started_at: rfc3339(crash.started_at),
            deliveries: ids.map(ToString::to_string).collect(),
        }
    }
}

/// How one sink does. Reads the disk.
pub(super) fn sink(admin: &Admin, totals: &Totals, name: &str) -> Result<Sink, Unavailable> {
    let counts = totals.sinks.get(name).cloned().unwrap_or_default();
    let status = admin.delivery.of(name);
    let oldest = admin.outbox.oldest(name)?;
    let tried = counts.retrying + counts.behind;
    let configured = admin.configured.get();
    let plugin = configured.sinks.get(name).map(|sink| sink.plugin.clone());
    let configured = plugin.is_some();
    Ok(Sink {
        plugin,
        configured,
        orphaned: !configured && counts.waiting + counts.dead_letters() > 0,
        pending: counts.waiting.saturating_sub(tried),
        in_flight: status.in_flight as u64,
        retrying: counts.retrying,
        behind: counts.behind,
        delivered: counts.delivered,
        superseded: counts.superseded,
        cancelled: counts.cancelled,
        dead: counts.dead_letters(),
        oldest_pending_seconds: oldest
            .map(|at| u64::try_from(admin.clock.now().saturating_sub(at) / 1000).unwrap_or(0)),
        last_delivered_at: admin.delivery.delivered_at(name).map(rfc3339),
        paused: admin.outbox.paused(name),
        crash: admin.crashes.get(name).map(Crashed::of),
        holds: holds::shown_of(admin, name),
        breaker: status.breaker.as_str(),
        probe_in_seconds: status.opens_again_in.map(|left| left.as_secs()),
        pace: Pace::of(&admin.metrics.delivery, name),
    })
}

/// The sinks that are shown everywhere: those that are configured, and those that are not any
/// more but have deliveries that wait or are dead.
pub(super) fn names(admin: &Admin, totals: &Totals) -> BTreeSet<String> {
    let orphaned = totals
        .sinks
        .iter()
        .filter(|(_, counts)| counts.waiting + counts.dead_letters() > 0)
        .map(|(name, _)| name);
    let configured = admin.configured.get();
    configured.sinks.keys().chain(orphaned).cloned().collect()
}

/// Reads the counts. Reads the disk: for a thread that may block.
pub(super) fn read(admin: &Admin) -> Result<Stats, Unavailable> {
    let totals = admin.outbox.totals();
    let mut sinks = BTreeMap::new();
    for name in names(admin, &totals) {
        sinks.insert(name.clone(), sink(admin, &totals, &name)?);
    }
    let configured = admin.configured.get();
    let orphaned = totals.orphaned(|sink| configured.sinks.contains_key(sink));
    Ok(Stats {
        config: Running::of(&configured),
        orphaned: orphaned.iter().map(|one| one.waiting + one.dead).sum(),
        leads: Leads {
            accepted: totals.accepted,
            duplicate: totals.duplicate,
            quarantined: totals.quarantined,
            refused: answered(&admin.metrics.ingest.refusals, |_| true),
            failed: answered(&admin.metrics.ingest.requests, |result| {
                matches!(result, "overloaded" | "error" | "quarantine_full")
            }),
            stored: totals.leads,
            in_quarantine: totals.in_quarantine,
            unrouted: totals.unrouted,
        },
        clock: clock(admin),
        sinks,
    })
}

/// Pushes of such results, or refusals, since the process started.
fn answered(family: &prometheus::IntCounterVec, counts: impl Fn(&str) -> bool) -> u64 {
    use prometheus::core::Collector;
    let families = family.collect();
    families
        .iter()
        .flat_map(prometheus::proto::MetricFamily::get_metric)
        .filter(|metric| {
            metric
                .get_label()
                .iter()
                .any(|label| label.name() != "source" && counts(label.value()))
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
    outbox.disk_free.set(admin.outbox.free() as f64);
    let Ok(stats) = read(admin) else { return };
    let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
    outbox.quarantine.set(gauge(stats.leads.in_quarantine));
    // A sink that was not configured any more and has nothing left is gone.
    outbox.deliveries.reset();
    outbox.oldest_age.reset();
    let delivery = &admin.metrics.delivery;
    delivery.orphaned.reset();
    delivery.paused.reset();
    delivery.held.reset();
    delivery.held_until.reset();
    outbox.unrouted_now.set(gauge(stats.leads.unrouted));
    outbox
        .clock_ahead
        .set(stats.clock.ahead_seconds.unwrap_or(0) as f64);
    for (name, sink) in &stats.sinks {
        let by_state = [
            ("pending", sink.pending),
            ("in_flight", sink.in_flight),
            ("retry_wait", sink.retrying),
            ("behind", sink.behind),
            ("dead", sink.dead),
        ];
        for (state, count) in by_state {
            outbox
                .deliveries
                .with_label_values(&[name.as_str(), state])
                .set(gauge(count));
        }
        held(admin, name);
        let left = sink.pending + sink.retrying + sink.behind + sink.dead;
        delivery
            .orphaned
            .with_label_values(&[name.as_str()])
            .set(if sink.orphaned { gauge(left) } else { 0 });
        delivery
            .paused
            .with_label_values(&[name.as_str()])
            .set(i64::from(sink.paused));
        outbox
            .oldest_age
            .with_label_values(&[name.as_str()])
            .set(sink.oldest_pending_seconds.unwrap_or(0) as f64);
    }
}

/// Sets what holds a sink back, and until when.
#[expect(clippy::cast_precision_loss, reason = "times far below 2^53")]
fn held(admin: &Admin, sink: &str) {
    let metrics = &admin.metrics.delivery;
    let holds = holds::of_sink(admin, sink);
    for reason in HoldReason::OF_SINKS {
        let hold = holds.iter().find(|hold| hold.reason == reason);
        let until = hold.and_then(|hold| hold.until).unwrap_or(0);
        let labels = [sink, reason.as_str()];
        metrics
            .held
            .with_label_values(&labels)
            .set(i64::from(hold.is_some()));
        metrics
            .held_until
            .with_label_values(&labels)
            .set(until as f64 / 1000.0);
    }
}
