//! Metrics: Prometheus families, each named once here.
//!
//! Labels are bounded: source, sink, plugin, result, outcome, state, reason. Never a phone,
//! an id, a URL or a message.

use prometheus::{
    CounterVec, Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// All families, in one registry. Clones share it.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Of the public listener.
    pub ingest: IngestMetrics,
    /// Of the store.
    pub outbox: OutboxMetrics,
    /// Of the dispatcher.
    pub delivery: DeliveryMetrics,
    /// Of the operators' listener.
    pub admin: AdminMetrics,
    /// Of the configuration that runs.
    pub config: ConfigMetrics,
}

/// What is measured of the configuration that runs.
#[derive(Clone, Debug)]
pub struct ConfigMetrics {
    /// By result: applied, refused for errors in it, or failed.
    pub reloads: IntCounterVec,
    /// 1 for the revision that runs.
    pub info: IntGaugeVec,
    /// Since when it runs.
    pub loaded: Gauge,
}

impl ConfigMetrics {
    /// From now on this one runs.
    #[expect(clippy::cast_precision_loss, reason = "times far below 2^53")]
    pub fn runs(&self, revision: Option<&crate::config::Revision>, since: crate::clock::Millis) {
        self.info.reset();
        let hash = revision.map_or("", |revision| &*revision.hash);
        self.info.with_label_values(&[hash]).set(1);
        self.loaded.set(since as f64 / 1000.0);
    }
}

/// What the operators' listener counts.
#[derive(Clone, Debug)]
pub struct AdminMetrics {
    /// Requests with a wrong token.
    pub wrong_tokens: IntCounter,
    /// What was recorded in the audit log, by action.
    pub actions: IntCounterVec,
}

/// What the public listener counts.
#[derive(Clone, Debug)]
pub struct IngestMetrics {
    /// By source and result; `ingress/tally.rs` has all results.
    pub requests: IntCounterVec,
    /// Of those, what was answered with the refusal, by source and reason.
    pub refusals: IntCounterVec,
    /// By source: what the last authentic push said of its time, less ours.
    pub clock_difference: GaugeVec,
    /// Open now.
    pub connections: IntGauge,
    /// Connections closed or not taken to make room for others, or without TLS, by reason.
    pub connections_closed: IntCounterVec,
    /// Bytes of bodies being read or answered now.
    pub body_bytes: IntGauge,
    /// From the last byte of a push to its answer.
    pub duration: HistogramVec,
    /// When the last authentic push came.
    pub last_lead: GaugeVec,
}

/// What the store measures.
#[derive(Clone, Debug)]
pub struct OutboxMetrics {
    /// One group commit with its barrier.
    pub commit_duration: Histogram,
    /// Writes and barriers that failed.
    pub write_errors: IntCounter,
    /// Set at each scrape.
    pub size: Gauge,
    /// Free on the disk of the store. Set at each scrape.
    pub disk_free: Gauge,
    /// Pushes in quarantine. Set at each scrape.
    pub quarantine: IntGauge,
    /// New leads that no sink wanted.
    pub unrouted: IntCounter,
    /// Leads stored now that no sink ever wanted. Set at each scrape.
    pub unrouted_now: IntGauge,
    /// What leaves within the days in which that is announced: dead_letters, quarantine.
    pub expiring: IntGaugeVec,
    /// Of a clock that is not believed. Set at each scrape.
    pub clock_ahead: Gauge,
    /// By sink and state: pending, in_flight, retry_wait, behind, dead. Set at each scrape.
    pub deliveries: IntGaugeVec,
    /// Of the oldest waiting delivery, by sink. Set at each scrape.
    pub oldest_age: GaugeVec,
}

/// What the dispatcher counts.
#[derive(Clone, Debug)]
pub struct DeliveryMetrics {
    /// By sink and outcome.
    pub attempts: IntCounterVec,
    /// By sink.
    pub attempt_duration: HistogramVec,
    /// From receipt to delivered, by sink.
    pub latency: HistogramVec,
    /// By sink and reason.
    pub dead_letters: IntCounterVec,
    /// 1 while the sink is left alone because it fails, by sink.
    pub circuit_open: IntGaugeVec,
    /// 1 while a person has paused the sink, by sink. Set at each scrape.
    pub paused: IntGaugeVec,
    /// Time that deliveries which were due waited for the sink's throttle, by sink.
    pub throttle_wait: CounterVec,
    /// When the sink last took a delivery, by sink; 0 before the first.
    pub last_delivered: GaugeVec,
    /// 1 while that holds the sink back, by sink and reason. Set at each scrape.
    pub held: IntGaugeVec,
    /// When that ends, by sink and reason; 0 where nothing holds or no time ends it. Set at
    /// each scrape.
    pub held_until: GaugeVec,
    /// Deliveries whose sink is not configured any more, waiting or dead, by sink. Set at each
    /// scrape.
    pub orphaned: IntGaugeVec,
    /// 1 for each loaded plugin, by name, version and ABI.
    pub plugin_info: IntGaugeVec,
    /// Panics caught in a plugin, by plugin.
    pub plugin_panics: IntCounterVec,
    /// How often a sink's process was started again, by sink.
    pub plugin_restarts: IntCounterVec,
    /// How processes of plugins failed, by plugin and fate.
    pub plugin_faults: IntCounterVec,
}

impl Metrics {
    /// Makes and registers all families.
    ///
    /// # Panics
    ///
    /// Never for input: only if two families here had the same name.
    pub fn new() -> Self {
        let registry = Registry::new();
        let build = gauges(
            "leadgate_build_info",
            "Always 1; the version as label.",
            &["version"],
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            ingest: IngestMetrics {
                requests: counters(
                    "leadgate_ingest_requests_total",
                    "Pushes by source and result.",
                    &["source", "result"],
                ),
                refusals: counters(
                    "leadgate_ingest_refusals_total",
                    "Pushes answered with the refusal, by source and reason.",
                    &["source", "reason"],
                ),
                clock_difference: float_gauges(
                    "leadgate_push_clock_difference_seconds",
                    "The time that the last authentic push gave, less the time of this machine.",
                    &["source"],
                ),
                connections: must(IntGauge::new(
                    "leadgate_ingest_connections",
                    "Connections to the public listener.",
                )),
                connections_closed: counters(
                    "leadgate_ingest_connections_closed_total",
                    "Connections to the public listener closed to make room for others, or because TLS did not begin, by reason.",
                    &["reason"],
                ),
                body_bytes: must(IntGauge::new(
                    "leadgate_ingest_body_bytes",
                    "Bytes of large bodies being read or answered.",
                )),
                duration: histograms(
                    "leadgate_ingest_request_duration_seconds",
                    "From the last byte of a push to its answer.",
                    &["source"],
                    &[
                        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0,
                        5.0,
                    ],
                ),
                last_lead: float_gauges(
                    "leadgate_last_lead_received_timestamp_seconds",
                    "When the last authentic push came, as Unix time.",
                    &["source"],
                ),
            },
            outbox: OutboxMetrics {
                commit_duration: must(Histogram::with_opts(
                    HistogramOpts::new(
                        "leadgate_outbox_commit_duration_seconds",
                        "One group commit: batch, flush and the barrier to disk.",
                    )
                    .buckets(vec![
                        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0,
                    ]),
                )),
                write_errors: must(IntCounter::new(
                    "leadgate_outbox_write_errors_total",
                    "Commits that failed; after the first one nothing is accepted.",
                )),
                size: must(Gauge::new(
                    "leadgate_outbox_size_bytes",
                    "Bytes the outbox takes on disk.",
                )),
                disk_free: must(Gauge::new(
                    "leadgate_outbox_disk_free_bytes",
                    "Bytes free on the disk of the outbox.",
                )),
                quarantine: must(IntGauge::new(
                    "leadgate_quarantine",
                    "Pushes that wait in quarantine for a person.",
                )),
                unrouted: must(IntCounter::new(
                    "leadgate_leads_unrouted_total",
                    "New leads that no sink wanted, since the start.",
                )),
                unrouted_now: must(IntGauge::new(
                    "leadgate_leads_unrouted",
                    "Stored leads that no sink ever wanted.",
                )),
                expiring: gauges(
                    "leadgate_outbox_expiring",
                    "Dead letters and quarantined pushes whose retention ends within a week.",
                    &["what"],
                ),
                clock_ahead: must(Gauge::new(
                    "leadgate_clock_ahead_seconds",
                    "How far the clock is ahead of the newest record while it is not believed; nothing is removed then. 0 while it is believed.",
                )),
                deliveries: gauges(
                    "leadgate_outbox_deliveries",
                    "Deliveries by sink and state.",
                    &["sink", "state"],
                ),
                oldest_age: float_gauges(
                    "leadgate_outbox_oldest_pending_age_seconds",
                    "Age of the oldest delivery that waits.",
                    &["sink"],
                ),
            },
            delivery: DeliveryMetrics {
                attempts: counters(
                    "leadgate_delivery_attempts_total",
                    "Attempts by sink and outcome.",
                    &["sink", "outcome"],
                ),
                attempt_duration: histograms(
                    "leadgate_delivery_attempt_duration_seconds",
                    "One attempt.",
                    &["sink"],
                    &[
                        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
                    ],
                ),
                latency: histograms(
                    "leadgate_delivery_latency_seconds",
                    "From the receipt of a lead to its delivery.",
                    &["sink"],
                    &[
                        0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0,
                        86400.0,
                    ],
                ),
                dead_letters: counters(
                    "leadgate_dead_letters_total",
                    "Dead letters by sink and reason.",
                    &["sink", "reason"],
                ),
                circuit_open: gauges(
                    "leadgate_sink_circuit_open",
                    "1 while no attempts are made because the sink fails, probes aside.",
                    &["sink"],
                ),
                paused: gauges(
                    "leadgate_sink_paused",
                    "1 while a person has paused the sink.",
                    &["sink"],
                ),
                throttle_wait: must(CounterVec::new(
                    Opts::new(
                        "leadgate_sink_rate_limit_wait_seconds_total",
                        "Time in which deliveries were due and waited for the sink's rate or for a destination that throttles.",
                    ),
                    &["sink"],
                )),
                last_delivered: float_gauges(
                    "leadgate_last_delivered_timestamp_seconds",
                    "When the sink last took a delivery, as Unix time; 0 before the first since the start.",
                    &["sink"],
                ),
                held: gauges(
                    "leadgate_sink_held",
                    "1 while that reason holds the sink's deliveries back.",
                    &["sink", "reason"],
                ),
                held_until: float_gauges(
                    "leadgate_sink_held_until_timestamp_seconds",
                    "When that hold ends, as Unix time; 0 where nothing holds or no time ends it.",
                    &["sink", "reason"],
                ),
                orphaned: gauges(
                    "leadgate_outbox_orphaned_deliveries",
                    "Deliveries, waiting or dead, whose sink is not configured any more.",
                    &["sink"],
                ),
                plugin_info: gauges(
                    "leadgate_plugin_info",
                    "Always 1 for a loaded plugin.",
                    &["plugin", "version", "abi"],
                ),
                plugin_panics: counters(
                    "leadgate_plugin_panics_total",
                    "Panics caught in a plugin.",
                    &["plugin"],
                ),
                plugin_restarts: counters(
                    "leadgate_plugin_restarts_total",
                    "How often a sink's process was started again.",
                    &["sink"],
                ),
                plugin_faults: counters(
                    "leadgate_plugin_faults_total",
                    "How processes of plugins failed: crashed, exited, hung, contract, not_started.",
                    &["plugin", "fate"],
                ),
            },
            admin: AdminMetrics {
                wrong_tokens: must(IntCounter::new(
                    "leadgate_admin_wrong_tokens_total",
                    "Requests to the operators' API with a wrong token.",
                )),
                actions: counters(
                    "leadgate_operator_actions_total",
                    "What was recorded of what operators asked for: actions, looks at a person, searches and exports, by action.",
                    &["action"],
                ),
            },
            config: ConfigMetrics {
                reloads: counters(
                    "leadgate_config_reloads_total",
                    "Reloads of the configuration, by result: applied, refused for errors in it, failed.",
                    &["result"],
                ),
                info: gauges(
                    "leadgate_config_info",
                    "1 for the revision of the configuration that runs.",
                    &["revision"],
                ),
                loaded: must(Gauge::new(
                    "leadgate_config_loaded_timestamp_seconds",
                    "Since when the configuration runs, as Unix time.",
                )),
            },
            registry,
        };
        for result in ["applied", "refused", "failed"] {
            metrics.config.reloads.with_label_values(&[result]);
        }
        let Self {
            ingest,
            outbox,
            delivery,
            admin,
            config,
            registry,
        } = &metrics;
        let families: [Box<dyn prometheus::core::Collector>; 42] = [
            Box::new(build),
            Box::new(config.reloads.clone()),
            Box::new(config.info.clone()),
            Box::new(config.loaded.clone()),
            Box::new(admin.wrong_tokens.clone()),
            Box::new(admin.actions.clone()),
            Box::new(super::writer::UNWRITTEN.clone()),
            Box::new(super::writer::DROPPED.clone()),
            Box::new(ingest.requests.clone()),
            Box::new(ingest.refusals.clone()),
            Box::new(ingest.clock_difference.clone()),
            Box::new(ingest.connections.clone()),
            Box::new(ingest.connections_closed.clone()),
            Box::new(ingest.body_bytes.clone()),
            Box::new(ingest.duration.clone()),
            Box::new(ingest.last_lead.clone()),
            Box::new(outbox.commit_duration.clone()),
            Box::new(outbox.write_errors.clone()),
            Box::new(outbox.size.clone()),
            Box::new(outbox.disk_free.clone()),
            Box::new(outbox.quarantine.clone()),
            Box::new(outbox.unrouted.clone()),
            Box::new(outbox.unrouted_now.clone()),
            Box::new(outbox.expiring.clone()),
            Box::new(outbox.clock_ahead.clone()),
            Box::new(outbox.deliveries.clone()),
            Box::new(outbox.oldest_age.clone()),
            Box::new(delivery.attempts.clone()),
            Box::new(delivery.attempt_duration.clone()),
            Box::new(delivery.latency.clone()),
            Box::new(delivery.dead_letters.clone()),
            Box::new(delivery.circuit_open.clone()),
            Box::new(delivery.paused.clone()),
            Box::new(delivery.throttle_wait.clone()),
            Box::new(delivery.last_delivered.clone()),
            Box::new(delivery.held.clone()),
            Box::new(delivery.held_until.clone()),
            Box::new(delivery.orphaned.clone()),
            Box::new(delivery.plugin_info.clone()),
            Box::new(delivery.plugin_panics.clone()),
            Box::new(delivery.plugin_restarts.clone()),
            Box::new(delivery.plugin_faults.clone()),
        ];
        for family in families {
            must(registry.register(family));
        }
        must(registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        )));
        metrics
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory cannot fail; what cannot be encoded is left out of the page.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn must<T>(made: prometheus::Result<T>) -> T {
    made.expect("names and labels of metrics are constants, checked by a test")
}

fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    must(IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    must(IntGaugeVec::new(Opts::new(name, help), labels))
}

fn float_gauges(name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    must(GaugeVec::new(Opts::new(name, help), labels))
}

fn histograms(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    must(HistogramVec::new(
        HistogramOpts::new(name, help).buckets(buckets.to_vec()),
        labels,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_families_register_and_print() {
        let metrics = Metrics::new();
        metrics
            .ingest
            .requests
            .with_label_values(&["shop", "accepted"])
            .inc();
        let text = metrics.text();
        assert!(
            text.contains("leadgate_ingest_requests_total{result=\"accepted\",source=\"shop\"} 1"),
            "{text}"
        );
        assert!(text.contains("leadgate_build_info{version="), "{text}");
        assert!(text.contains("leadgate_log_write_errors_total "), "{text}");
    }
}
