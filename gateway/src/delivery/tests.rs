//! The dispatcher with a real store and a real plugin; lanes in virtual time are tested in
//! [`lanes`], faults end to end.

mod fake;
mod lanes;
mod model;
mod replacing;

use std::time::{Duration, Instant};

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::config::{Breaker, OnAmbiguous, OnUpdate, Retry};
use crate::lead::Tables;
use crate::outbox::sled::{Options, SledOutbox};
use crate::outbox::{Arrival, Outbox, Queue, Route, SinkPolicy};
use crate::plugin::{Plugins, SinkConfig};
use crate::telemetry::metrics::Metrics;

/// A sink that retries at once, never gives up and has no breaker.
pub(super) fn sink_config() -> config::Sink {
    config::Sink {
        plugin: "script".to_owned(),
        when: None,
        concurrency: 2,
        rate: None,
        timeout: Duration::from_secs(10),
        retry: Retry {
            first: Duration::from_millis(1),
            max: Duration::from_millis(1),
            max_attempts: u32::MAX,
            max_age: Duration::from_secs(1_000_000),
        },
        on_ambiguous: OnAmbiguous::Retry,
        on_update: OnUpdate::Supersede,
        on_dead: None,
        breaker: Breaker {
            failures: 0,
            wait: Duration::from_secs(10),
            max: Duration::from_secs(40),
        },
        max_hold: Duration::from_secs(3_600),
        settings: serde_json::Value::Null,
    }
}

fn target(path: &std::path::Path) -> Target {
    let settings = serde_json::json!({ "path": path });
    let plugins = Plugins::builtin().expect("the built-in plugins fit");
    let sink = plugins
        .get("file")
        .expect("built in")
        .create(&SinkConfig {
            name: "log",
            settings: &settings,
            tables: &Tables::new(),
        })
        .map_err(|problems| format!("{problems:?}"))
        .expect("the settings are valid");
    let config = config::Sink {
        plugin: "file".to_owned(),
        settings,
        ..sink_config()
    };
    Target {
        name: Arc::from("log"),
        config,
        sink: Arc::new(sink),
        revision: "first".into(),
        notes: None,
    }
}

fn arrival(record: u8) -> Arrival {
    Arrival {
        source: "shop".into(),
        received_at: SystemClock.now(),
        identity: [record; 32],
        stable: true,
        content: [record; 32],
        modified_at: None,
        request_id: None,
        method: None,
        lead: format!("{{\"record_id\":{record}}}"),
        labels: "{}".to_owned(),
        raw: "raw".to_owned(),
        original: None,
        finds: Vec::new(),
        routes: vec![Route {
            sink: "log".into(),
            failed: None,
        }],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_delivered_recorded_and_survives_a_stop() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let outbox: Arc<dyn Outbox> = Arc::new(
        SledOutbox::open(Options {
            path: &folder.path().join("store"),
            queue: 64,
            cache: 1 << 20,
            sinks: vec![SinkPolicy {
                name: "log".to_owned(),
                on_update: OnUpdate::Supersede,
                on_dead: None,
            }],
            keys: &[],
            min_free: 0,
            metrics: Metrics::new().outbox,
        })
        .expect("the store opens"),
    );
    // One lead before the dispatcher starts, the others while it runs.
    outbox.accept(arrival(0)).await.expect("accepted");
    let lines = folder.path().join("leads.jsonl");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let queue: Arc<dyn Queue> = Arc::clone(&outbox) as Arc<dyn Outbox>;
    let dispatcher = Dispatcher::start(
        vec![target(&lines)],
        &queue,
        &clock,
        &Metrics::new().delivery,
    );
    for record in 1..20 {
        outbox.accept(arrival(record)).await.expect("accepted");
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while outbox.totals().sinks["log"].delivered < 20 {
        assert!(Instant::now() < deadline, "{:?}", outbox.totals());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    dispatcher.stop(Duration::from_secs(5)).await;
    let totals = outbox.totals().sinks["log"].clone();
    assert_eq!((totals.waiting, totals.dead_letters()), (0, 0));
    let text = std::fs::read_to_string(&lines).expect("the sink's file is there");
    assert_eq!(text.lines().count(), 20);
}
