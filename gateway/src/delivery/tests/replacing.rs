//! Lanes that are replaced, retired and added while others run, in virtual time.

use std::time::Duration;

use super::super::*;
use super::fake::{Script, Seen, outcome};
use super::lanes::{Scene, seconds};
use super::sink_config;
use crate::clock::Clock;
use crate::outbox::State;
use crate::plugin::OutcomeKind;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Scene {
    /// Puts another destination in the place of the one that is there, or is not.
    fn put(
        &self,
        config: config::Sink,
        takes: Duration,
        rule: impl Fn(&Seen) -> Outcome + Send + Sync + 'static,
    ) -> Arc<Script> {
        let script = Arc::new(Script {
            clock: Arc::clone(&self.clock),
            takes,
            rule: Box::new(rule),
            seen: std::sync::Mutex::default(),
        });
        let target = Target {
            name: "crm".into(),
            config,
            sink: Arc::new(Arc::clone(&script)),
            revision: "second".into(),
            notes: None,
        };
        self.dispatcher.change(vec![target], &[]);
        script
    }

    fn remove(&self) {
        self.dispatcher.change(Vec::new(), &["crm".into()]);
    }

    fn ambiguous(&self) -> usize {
        let deliveries = self.memory.deliveries.lock().expect("no panics");
        let ambiguous = deliveries.values().filter(|(one, _)| {
            let mut attempts = one.history.iter();
            attempts.any(|one| one.outcome == OutcomeKind::Ambiguous)
        });
        ambiguous.count()
    }
}

fn taken(_: &Seen) -> Outcome {
    outcome(OutcomeKind::Delivered)
}

#[tokio::test(start_paused = true)]
async fn in_the_place_of_one_that_hangs_another_starts_at_once_and_nothing_is_sent_twice() {
    let scene = Scene::start(20, sink_config(), seconds(9), taken);
    scene.until(seconds(1)).await;
    assert!(scene.memory.claims() > 2, "some are claimed ahead");
    let new = scene.put(sink_config(), Duration::ZERO, taken);
    scene.until(millis(1_500)).await;
    assert_eq!(scene.memory.delivered(), 18, "all but those under way");
    assert_eq!((scene.memory.claims(), scene.status().in_flight), (2, 2));
    scene.memory.add(scene.clock.now(), 0, false);
    scene.until(seconds(2)).await;
    assert_eq!(
        scene.memory.delivered(),
        19,
        "what comes goes there as well"
    );
    scene.until(seconds(10)).await;
    assert_eq!(scene.memory.delivered(), 21);
    assert_eq!((scene.script.seen().len(), new.seen().len()), (2, 19));
    assert_eq!((scene.memory.claims(), scene.status().in_flight), (0, 0));
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_at_the_old_one_is_tried_at_the_new_one_soon() {
    let scene = Scene::start(2, sink_config(), seconds(5), |_| {
        outcome(OutcomeKind::Retry)
    });
    scene.until(seconds(1)).await;
    let new = scene.put(sink_config(), Duration::ZERO, taken);
    scene.until(seconds(4)).await;
    assert_eq!(new.seen().len(), 0, "they are under way");
    scene.until(seconds(6)).await;
    assert_eq!((scene.memory.delivered(), new.seen().len()), (2, 2));
    assert!(new.seen().iter().all(|seen| seen.attempt == 2));
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_gone_starts_nothing_and_goes_on_when_it_is_there_again() {
    let scene = Scene::start(20, sink_config(), seconds(3), taken);
    scene.until(seconds(1)).await;
    scene.remove();
    scene.until(seconds(2)).await;
    assert_eq!(scene.memory.claims(), 2, "only what is under way");
    assert!(scene.dispatcher.sinks().resume("crm").is_none());
    let text = scene.metrics.text();
    assert!(!text.contains("leadgate_sink_circuit_open{"), "{text}");
    scene.until(seconds(1_000)).await;
    assert_eq!((scene.memory.claims(), scene.memory.delivered()), (0, 2));
    let new = scene.put(sink_config(), Duration::ZERO, taken);
    scene.until(seconds(1_001)).await;
    assert_eq!((scene.memory.delivered(), new.seen().len()), (20, 18));
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_breaker_of_a_lane_that_was_replaced_says_nothing_of_the_sink() {
    let mut config = sink_config();
    config.breaker.failures = 1;
    let scene = Scene::start(1, config.clone(), seconds(5), |_| {
        outcome(OutcomeKind::Retry)
    });
    scene.until(seconds(1)).await;
    scene.put(config, seconds(1_000), taken);
    scene.until(seconds(7)).await;
    assert_eq!(scene.status().breaker, BreakerState::Closed);
    let text = scene.metrics.text();
    assert!(
        text.contains("leadgate_sink_circuit_open{sink=\"crm\"} 0"),
        "{text}"
    );
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_stays_is_left_alone_as_long_as_before() {
    let mut config = sink_config();
    config.breaker.failures = 1;
    config.breaker.wait = seconds(1_000);
    config.breaker.max = seconds(1_000);
    let scene = Scene::start(9, config.clone(), Duration::ZERO, |_| {
        outcome(OutcomeKind::Retry)
    });
    scene.until(seconds(1)).await;
    let before = scene.script.seen().len();
    let same = scene.dispatcher.sinks().find("crm").expect("there");
    config.concurrency += 1;
    let target = Target {
        name: "crm".into(),
        config,
        sink: Arc::clone(&same.sink),
        revision: "second".into(),
        notes: None,
    };
    scene.dispatcher.change(vec![target], &[]);
    scene.until(seconds(500)).await;
    assert_eq!(scene.status().breaker, BreakerState::Open);
    assert_eq!(scene.script.seen().len(), before);
    let text = scene.metrics.text();
    let open = "leadgate_sink_circuit_open{sink=\"crm\"} 1";
    assert!(text.contains(open), "{text}");
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_stays_keeps_the_wait_it_asked_for_and_another_has_none() {
    let throttling = |_: &Seen| {
        let mut throttled = outcome(OutcomeKind::Throttled);
        throttled.retry_after = Some(seconds(1_000));
        throttled
    };
    let mut config = sink_config();
    config.concurrency = 1;
    let scene = Scene::start(2, config.clone(), Duration::ZERO, throttling);
    scene.until(seconds(1)).await;
    let same = scene.dispatcher.sinks().find("crm").expect("there");
    let target = Target {
        name: "crm".into(),
        config: sink_config(),
        sink: Arc::clone(&same.sink),
        revision: "first".into(),
        notes: None,
    };
    scene.dispatcher.change(vec![target], &[]);
    scene.until(seconds(10)).await;
    assert_eq!(scene.script.seen().len(), 1);
    assert_eq!(scene.status().holds[0].reason, HoldReason::Destination);
    let new = scene.put(config, Duration::ZERO, taken);
    scene.until(seconds(11)).await;
    assert_eq!(new.seen().len(), 1, "the one that was not throttled itself");
    scene.dispatcher.stop(seconds(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_records_what_lanes_that_were_replaced_have_under_way() {
    let scene = Scene::start(2, sink_config(), seconds(9), taken);
    scene.until(seconds(1)).await;
    scene.put(sink_config(), seconds(9), taken);
    scene.memory.add(scene.clock.now(), 0, false);
    scene.until(seconds(2)).await;
    scene.dispatcher.stop(seconds(3)).await;
    assert!(scene.clock.monotonic() < seconds(6));
    assert_eq!((scene.memory.claims(), scene.ambiguous()), (0, 3));
    let waits = |id| matches!(scene.memory.state(id).state, State::Waiting { .. });
    let ids: Vec<_> = {
        let deliveries = scene.memory.deliveries.lock().expect("no panics");
        deliveries.keys().copied().collect()
    };
    assert!(ids.into_iter().all(waits));
    let late = scene.put(sink_config(), Duration::ZERO, taken);
    scene.until(seconds(20)).await;
    assert_eq!(late.seen().len(), 0, "nothing starts after a stop");
}

#[tokio::test(start_paused = true)]
async fn attempts_say_by_which_configuration_they_were_rendered() {
    let mut config = sink_config();
    config.concurrency = 1;
    // It is replaced while an attempt is under way.
    let scene = Scene::start(3, config.clone(), seconds(20), taken);
    scene.until(seconds(1)).await;
    scene.put(config, Duration::ZERO, taken);
    scene.until(seconds(60)).await;
    let recorded = || {
        let deliveries = scene.memory.deliveries.lock().expect("no panics");
        let histories = deliveries.values().flat_map(|(one, _)| &one.history);
        let mut all: Vec<_> = histories.map(|one| one.config_revision.clone()).collect();
        all.sort();
        all
    };
    assert_eq!(recorded(), ["first", "second", "second"]);
    // The next one leaves the lane as it is.
    scene.dispatcher.runs(&"third".into());
    scene.memory.add(scene.clock.now(), 0, false);
    scene.until(seconds(120)).await;
    assert_eq!(recorded(), ["first", "second", "second", "third"]);
}
