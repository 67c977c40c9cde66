//! Lanes in virtual time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::*;
use super::fake::{Memory, Script, Seen, VirtualClock, outcome};
use super::sink_config;
use crate::clock::Clock;
use crate::config::Rate;
use crate::outbox::{DeathReason, DeliveryId, Queue, State};
use crate::plugin::OutcomeKind;
use crate::telemetry::metrics::Metrics;

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A lane under way.
pub(super) struct Scene {
    pub(super) clock: Arc<VirtualClock>,
    pub(super) memory: Arc<Memory>,
    pub(super) script: Arc<Script>,
    pub(super) metrics: Metrics,
    pub(super) dispatcher: Dispatcher,
}

impl Scene {
    /// `count` deliveries that are due, and a destination that answers after `takes`.
    pub(super) fn start(
        count: usize,
        config: config::Sink,
        takes: Duration,
        rule: impl Fn(&Seen) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        let clock = VirtualClock::new();
        let memory = Arc::new(Memory::default());
        for _ in 0..count {
            memory.add(clock.now(), 0, false);
        }
        let script = Arc::new(Script {
            clock: Arc::clone(&clock),
            takes,
            rule: Box::new(rule),
            seen: std::sync::Mutex::default(),
        });
        let metrics = Metrics::new();
        let outbox: Arc<dyn Queue> = memory.clone();
        let shared: Arc<dyn Clock> = clock.clone();
        let target = Target {
            name: "crm".into(),
            config,
            sink: Arc::new(Arc::clone(&script)),
            revision: "first".into(),
            notes: None,
        };
        let dispatcher = Dispatcher::start(vec![target], &outbox, &shared, &metrics.delivery);
        Self {
            clock,
            memory,
            script,
            metrics,
            dispatcher,
        }
    }

    /// Admits time permit until `at`, counted from the start.
    pub(super) async fn until(&self, at: Duration) {
        let left = at.saturating_sub(self.clock.monotonic());
        tokio::time::sleep(left).await;
    }

    /// Admits time permit until `count` are delivered.
    pub(super) async fn delivered(&self, count: usize) {
        while self.memory.delivered() < count {
            assert!(self.clock.monotonic() < seconds(100_000), "never delivered");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn status(&self) -> SinkStatus {
        self.dispatcher.sinks().of("crm")
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_sink_is_left_alone_probed_and_taken_up_again_without_burning_attempts() {
    let mut config = sink_config();
    config.breaker.failures = 4;
    let scene = Scene::start(20, config, Duration::ZERO, |seen| {
        let down = seen.at < seconds(100);
        outcome(if down {
            OutcomeKind::Retry
        } else {
            OutcomeKind::Delivered
        })
    });

    scene.until(seconds(5)).await;
    let status = scene.status();
    assert_eq!((status.breaker, status.in_flight), (BreakerState::Open, 0));
    let left = status.opens_again_in.expect("it is open");
    assert!(left <= seconds(5) && left > seconds(4), "{left:?}");
    assert_eq!(scene.memory.claims(), 0, "nothing is held back from others");
    let text = scene.metrics.text();
    assert!(
        text.contains("leadgate_sink_circuit_open{sink=\"crm\"} 1"),
        "{text}"
    );

    scene.delivered(20).await;
    assert_eq!(scene.status(), SinkStatus::default());
    let seen = scene.script.seen();
    let while_down: Vec<_> = seen.iter().filter(|seen| seen.at < seconds(100)).collect();
    let leads: std::collections::HashSet<_> = while_down.iter().map(|seen| &seen.event).collect();
    // Four that opened it, at most one beside the fourth, probes after 10, 20 and 40 s.
    assert!(leads.len() <= 4 + 1 + 3, "{while_down:?}");
    let probes: Vec<_> = while_down
        .iter()
        .filter(|seen| seen.at > seconds(1))
        .collect();
    assert_eq!(probes.len(), 3, "{while_down:?}");
    let text = scene.metrics.text();
    assert!(
        text.contains("leadgate_sink_circuit_open{sink=\"crm\"} 0"),
        "{text}"
    );
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_plugin_keeps_reaches_its_next_attempts_until_it_is_delivered() {
    let scene = Scene::start(1, sink_config(), Duration::ZERO, |seen| {
        outcome(if seen.attempt < 3 {
            OutcomeKind::Retry
        } else {
            OutcomeKind::Delivered
        })
    });
    scene.delivered(1).await;
    let records: Vec<_> = scene
        .script
        .seen()
        .into_iter()
        .map(|seen| seen.step_record)
        .collect();
    assert_eq!(records, ["", "1", "12"]);
    let id = *scene
        .memory
        .deliveries
        .lock()
        .expect("no panics")
        .keys()
        .next()
        .expect("one");
    assert_eq!(scene.memory.state(id).journal, "");
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn while_one_probe_is_under_way_no_other_attempt_is() {
    let mut config = sink_config();
    config.breaker.failures = 2;
    let scene = Scene::start(20, config, seconds(8), |seen| {
        outcome(if seen.attempt == 1 && seen.at < seconds(1) {
            OutcomeKind::Ambiguous
        } else {
            OutcomeKind::Delivered
        })
    });
    // Opened at 8 s, probed from 18 s to 26 s.
    scene.until(seconds(20)).await;
    let status = scene.status();
    assert_eq!(
        (status.breaker, status.in_flight),
        (BreakerState::HalfOpen, 1)
    );
    scene.until(seconds(25)).await;
    assert_eq!(scene.script.seen().len(), 3);
    assert_eq!(scene.memory.claims(), 1);
    scene.delivered(20).await;
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_sink_gives_its_claims_back_and_goes_on_when_resumed() {
    let scene = Scene::start(20, sink_config(), seconds(4), |_| {
        outcome(OutcomeKind::Delivered)
    });
    scene.until(seconds(2)).await;
    assert!(scene.memory.claims() > 2, "some are claimed ahead");
    scene.memory.pause(true);
    scene.until(seconds(3)).await;
    assert_eq!(scene.memory.claims(), 2, "only what is under way");
    scene.until(seconds(500)).await;
    assert_eq!((scene.memory.claims(), scene.memory.delivered()), (0, 2));
    scene.memory.pause(false);
    scene.until(seconds(501)).await;
    assert_eq!(scene.script.seen().len(), 4, "it woke at once");
    scene.delivered(20).await;
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_throttles_holds_the_whole_sink_and_no_breaker_opens() {
    let mut config = sink_config();
    config.breaker.failures = 1;
    config.concurrency = 1;
    let scene = Scene::start(5, config, Duration::ZERO, |seen| {
        let mut outcome = outcome(OutcomeKind::Throttled);
        outcome.retry_after = Some(seconds(60));
        if seen.at >= seconds(60) {
            outcome.kind = OutcomeKind::Delivered;
        }
        outcome
    });
    scene.until(seconds(59)).await;
    assert_eq!(scene.script.seen().len(), 1);
    assert_eq!(scene.memory.claims(), 0);
    assert_eq!(scene.status().breaker, BreakerState::Closed);
    scene.delivered(5).await;
    let waited = scene
        .metrics
        .delivery
        .throttle_wait
        .with_label_values(&["crm"]);
    assert!((59.0..61.0).contains(&waited.get()), "{}", waited.get());
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_person_ends_the_wait_that_a_destination_asked_for() {
    let scene = Scene::start(3, sink_config(), Duration::ZERO, |seen| {
        let mut outcome = outcome(OutcomeKind::Delivered);
        if seen.at < seconds(1) {
            outcome.kind = OutcomeKind::Throttled;
            outcome.retry_after = Some(seconds(86_400));
        }
        outcome
    });
    scene.until(seconds(5)).await;
    let holds = scene.status().holds;
    assert_eq!(holds[0].reason, HoldReason::Destination);
    let (since, until) = (
        holds[0].since.expect("known"),
        holds[0].until.expect("known"),
    );
    assert_eq!(until - since, 3_600_000, "max_hold, whatever was asked");
    let sinks = scene.dispatcher.sinks();
    assert!(sinks.resume("crm").expect("it is there").destination);
    scene.until(seconds(6)).await;
    // Those that were throttled themselves wait for their own time.
    assert_eq!(
        scene.memory.delivered(),
        3 - scene
            .script
            .seen()
            .iter()
            .filter(|one| one.at < seconds(1))
            .count()
    );
    scene.until(seconds(3_700)).await;
    assert_eq!(scene.memory.delivered(), 3);
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_person_asks_for_is_a_probe_and_so_is_a_trial_that_was_taken() {
    let mut config = sink_config();
    config.breaker.failures = 2;
    config.breaker.wait = seconds(1_000);
    config.breaker.max = seconds(1_000);
    config.retry.first = seconds(100_000);
    config.retry.max = seconds(100_000);
    let up = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let switch = Arc::clone(&up);
    let scene = Scene::start(4, config, Duration::ZERO, move |_| {
        let up = switch.load(Ordering::Relaxed);
        outcome(if up {
            OutcomeKind::Delivered
        } else {
            OutcomeKind::Retry
        })
    });
    scene.until(seconds(1)).await;
    assert_eq!(scene.status().breaker, BreakerState::Open);
    let seen = scene.script.seen().len();
    let sinks = scene.dispatcher.sinks();
    let id = *scene
        .memory
        .deliveries
        .lock()
        .expect("no panics")
        .keys()
        .next_back()
        .expect("four");
    sinks.hurry("crm", id);
    scene.until(seconds(2)).await;
    assert_eq!(scene.script.seen().len(), seen + 1, "one probe");
    assert_eq!(scene.status().breaker, BreakerState::Open);
    let tried = scene.memory.state(id);
    assert_eq!(
        (tried.attempts, tried.budget.spent),
        (1, 1),
        "a probe uses nothing up"
    );
    up.store(true, Ordering::Relaxed);
    let tried = sinks
        .try_out("crm", b"{}".to_vec())
        .await
        .expect("it is there");
    assert_eq!(tried.outcome.kind, OutcomeKind::Delivered);
    scene.until(seconds(3)).await;
    assert_eq!(scene.status().breaker, BreakerState::Closed);
    assert!(scene.memory.delivered() > 0);
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_tried_again_has_a_share_of_the_rate_and_never_all_of_it() {
    let mut config = sink_config();
    config.rate = Some(Rate {
        count: 10,
        per: seconds(1),
    });
    let scene = Scene::start(0, config, Duration::ZERO, |_| {
        outcome(OutcomeKind::Delivered)
    });
    let old: Vec<_> = (0..400)
        .map(|_| scene.memory.add(scene.clock.now(), 3, false))
        .collect();
    let mut fresh = Vec::new();
    for second in 1..=40 {
        for _ in 0..7 {
            fresh.push(scene.memory.add(scene.clock.now(), 0, false));
        }
        scene.until(seconds(second)).await;
    }
    let done = |ids: &[DeliveryId]| {
        let done =
            |id: &&DeliveryId| matches!(scene.memory.state(**id).state, State::Delivered { .. });
        ids.iter().filter(done).count()
    };
    assert!(done(&fresh) >= 270, "{} of 280", done(&fresh));
    assert!(
        done(&old) >= 90,
        "{} of 400 at a quarter of 10/s",
        done(&old)
    );
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_sinks_metrics_are_there_before_anything_happens() {
    let scene = Scene::start(0, sink_config(), Duration::ZERO, |_| {
        outcome(OutcomeKind::Delivered)
    });
    let text = scene.metrics.text();
    for line in [
        "leadgate_delivery_attempts_total{outcome=\"ambiguous\",sink=\"crm\"} 0",
        "leadgate_dead_letters_total{reason=\"max_age\",sink=\"crm\"} 0",
        "leadgate_sink_held{reason=\"destination\",sink=\"crm\"} 0",
        "leadgate_last_delivered_timestamp_seconds{sink=\"crm\"} 0",
        "leadgate_sink_rate_limit_wait_seconds_total{sink=\"crm\"} 0",
        "leadgate_delivery_latency_seconds_count{sink=\"crm\"} 0",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_from_the_fresh_budget() {
    let mut config = sink_config();
    config.retry.max_attempts = 3;
    let scene = Scene::start(0, config, Duration::ZERO, |_| outcome(OutcomeKind::Retry));
    let id = scene.memory.add(scene.clock.now(), 10, false);
    scene.until(seconds(60)).await;
    let delivery = scene.memory.state(id);
    let reason = DeathReason::MaxAttempts;
    assert!(matches!(delivery.state, State::Dead { reason: why, .. } if why == reason));
    assert_eq!(delivery.attempts, 13);
    let numbers: Vec<_> = scene.script.seen().iter().map(|one| one.attempt).collect();
    assert_eq!(numbers, [11, 12, 13]);
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lead_is_updated_only_for_a_sink_that_had_it() {
    let scene = Scene::start(0, sink_config(), Duration::ZERO, |_| {
        outcome(OutcomeKind::Delivered)
    });
    scene.memory.add(scene.clock.now(), 0, false);
    scene.delivered(1).await;
    scene.memory.add(scene.clock.now(), 0, true);
    scene.delivered(2).await;
    let seen = scene.script.seen();
    assert!(seen[0].event.contains("lead.created"), "{}", seen[0].event);
    assert!(seen[1].event.contains("lead.updated"), "{}", seen[1].event);
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_holds_nobody() {
    let mut config = sink_config();
    config.rate = Some(Rate {
        count: 1,
        per: seconds(2),
    });
    let scene = Scene::start(10, config, Duration::ZERO, |_| {
        outcome(OutcomeKind::Delivered)
    });
    scene.until(seconds(5)).await;
    assert_eq!(scene.memory.delivered(), 3);
    scene.clock.set_by(-1_000);
    scene.until(seconds(9)).await;
    assert_eq!(scene.memory.delivered(), 5);
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_found_soon_after_the_clock_is_set_forward() {
    let mut config = sink_config();
    config.retry.first = seconds(3600);
    config.retry.max = seconds(3600);
    let scene = Scene::start(1, config, Duration::ZERO, |seen| {
        let mut outcome = outcome(OutcomeKind::Delivered);
        if seen.attempt == 1 {
            outcome.kind = OutcomeKind::Retry;
            outcome.retry_after = Some(seconds(3600));
        }
        outcome
    });
    scene.until(seconds(5)).await;
    scene.clock.set_by(3_600_000);
    scene.until(seconds(36)).await;
    assert_eq!(scene.memory.delivered(), 1);
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_outbox_is_asked_again_soon_although_the_clock_was_set_back() {
    let hour = 3_600_000;
    let scene = Scene::start(0, sink_config(), Duration::ZERO, |_| {
        outcome(OutcomeKind::Delivered)
    });
    scene.memory.broken.store(true, Ordering::Relaxed);
    scene.memory.add(scene.clock.now() - 2 * hour, 0, false);
    scene.until(Duration::from_millis(500)).await;
    scene.clock.set_by(-hour);
    scene.memory.broken.store(false, Ordering::Relaxed);
    scene.until(seconds(33)).await;
    assert_eq!(scene.memory.delivered(), 1);
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_back_what_was_claimed_and_records_what_was_under_way() {
    let scene = Scene::start(20, sink_config(), seconds(9), |_| {
        outcome(OutcomeKind::Delivered)
    });
    scene.until(seconds(1)).await;
    let (memory, script) = (scene.memory, scene.script);
    scene.dispatcher.stop(seconds(3)).await;
    assert_eq!((memory.claims(), memory.delivered()), (0, 0));
    assert_eq!(script.seen().len(), 2);
    let deliveries = memory.deliveries.lock().expect("no panics");
    let ambiguous = deliveries.values().filter(|(one, _)| {
        one.history
            .iter()
            .any(|one| one.outcome == OutcomeKind::Ambiguous)
    });
    assert_eq!(ambiguous.count(), 2);
}
