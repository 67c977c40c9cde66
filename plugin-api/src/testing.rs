//! Testing a sink without a gateway: sample events, a host that remembers what it was told, and
//! a runtime to run an attempt on.
//!
//! ```
//! use leadgate_plugin::testing::{self, Recorder};
//! use leadgate_plugin::{Delivery, Host, Level, Outcome, OutcomeKind, Problem, Problems, Sink};
//! # #[derive(serde::Deserialize, schemars::JsonSchema)]
//! # struct Settings { shop: String }
//! # struct Crier(String, Host);
//! # impl Sink for Crier {
//! #     type Settings = Settings;
//! #     type Parts = String;
//! #     fn prepare(settings: &Settings, _: &Host) -> Result<String, Problems> {
//! #         if settings.shop.is_empty() { return Err(Problem::at("/shop", "no name").into()); }
//! #         Ok(settings.shop.clone())
//! #     }
//! #     fn new(shop: String, host: Host) -> Result<Self, Problems> { Ok(Self(shop, host)) }
//! #     async fn deliver(&self, delivery: &Delivery) -> Outcome {
//! #         self.1.log(Level::Info, "said it", &serde_json::json!({}));
//! #         let _ = delivery.keep("said");
//! #         Outcome::delivered("")
//! #     }
//! # }
//! # let settings = |shop| Settings { shop: String::from(shop) };
//!
//! let recorder = Recorder::new("crier");
//! let sink: Crier = testing::create(&settings("flagship"), recorder.host()).unwrap();
//! for delivery in testing::deliveries() {
//!     let outcome = testing::deliver(&sink, &delivery);
//!     assert_eq!(outcome.kind, OutcomeKind::Delivered);
//!     assert_eq!(testing::retried(&delivery).step_record(), "said");
//! }
//! assert!(recorder.log().iter().all(|logged| logged.message == "said it"));
//! assert!(!recorder.shows_a_person());
//! let problems = testing::check::<Crier>(&settings(""), &recorder.host());
//! assert_eq!(problems.into_iter().next().unwrap().path, "/shop");
//! ```

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

pub use crate::sink::{check, create};
use crate::{Delivery, Event, Host, Level, Outcome, Sink, State, Tables};

/// How long an attempt of a sample may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a sink logged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Logged {
    /// How important it is.
    pub level: Level,
    /// The short phrase.
    pub message: String,
    /// Its fields.
    pub fields: Value,
}

/// All that was logged, in its order. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Logged>>>);

impl Log {
    pub(crate) fn add(&self, level: Level, message: &str, fields: &Value) {
        let logged = Logged {
            level,
            message: message.to_owned(),
            fields: fields.clone(),
        };
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push(logged);
    }
}

/// A host without a gateway, which remembers what the sink logs and keeps.
#[derive(Debug)]
pub struct Recorder {
    host: Host,
    log: Log,
}

impl Recorder {
    /// For a sink of that name, with a state and without tables.
    pub fn new(sink: &str) -> Self {
        Self::with_tables(sink, Tables::new())
    }

    /// For a sink of that name, with a state and the merchant's tables.
    pub fn with_tables(sink: &str, tables: Tables) -> Self {
        let log = Log::default();
        let host = Host::detached(sink, tables)
            .with_state(State::in_memory())
            .recorded(log.clone());
        Self { host, log }
    }

    /// The host to make the sink with.
    pub fn host(&self) -> Host {
        self.host.clone()
    }

    /// What was logged until now.
    pub fn log(&self) -> Vec<Logged> {
        let log = self.log.0.lock();
        log.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the log says something of the person in [`deliveries`].
    pub fn shows_a_person(&self) -> bool {
        shows_a_person(&format!("{:?}", self.log()))
    }
}

/// Whether a text says something of the person in [`deliveries`]: their name, phone, address or
/// nick. For logs, reasons and errors, which never may.
pub fn shows_a_person(text: &str) -> bool {
    ["张三", "13567658911", "浙江杭州", "仓前"]
        .iter()
        .any(|personal| text.contains(personal))
}

/// The platform's own sample lead, as it comes for the first time.
pub fn created() -> Delivery {
    delivery(1, &event("lead.created", 1, &sample(&json!({}))))
}

/// The same lead in a later revision: another remark, another status.
pub fn updated() -> Delivery {
    let lead = sample(&json!({"remark": "改约周六上午", "customer_status": "1"}));
    delivery(2, &event("lead.updated", 2, &lead))
}

/// A lead that says nothing but its id: any field may be missing.
pub fn empty() -> Delivery {
    let lead = json!({"record_id": 371_009, "other": {}});
    delivery(3, &event("lead.created", 1, &lead))
}

/// A lead whose texts are meant for whoever does not escape: quotes, line breaks, markup,
/// formulas, templates, control characters and great length.
pub fn hostile() -> Delivery {
    let lead = sample(&json!({
        "name": "=1+1\"'`;--\r\nX-Injected: 1",
        "remark": "{{ phone }} ${PATH} %s %00 </script><b>\u{202e}\u{0}\u{7}\u{1b}[31m",
        "address": "路".repeat(4000),
        "taobao_nick": "\u{feff}😀\u{2028}\\u0000\\",
        "other": {"Robert'); DROP TABLE leads;--": [{"deep": [[["\t"]]]}]},
    }));
    delivery(4, &event("lead.created", 1, &lead))
}

/// All of them: [`created`], [`updated`], [`empty`] and [`hostile`]. A sink should come to a
/// sensible outcome for each.
pub fn deliveries() -> [Delivery; 4] {
    [created(), updated(), empty(), hostile()]
}

/// A first attempt to deliver an event that was made by hand, under an id that is always the
/// same.
pub fn of_event(event: &Event) -> Delivery {
    delivery(9, event)
}

/// The next attempt of the same delivery: its id, and what was kept of it.
pub fn retried(delivery: &Delivery) -> Delivery {
    let next = Delivery::new(
        delivery.id(),
        delivery.attempt() + 1,
        delivery.timeout(),
        delivery.event_bytes(),
    );
    // As long as it is short enough for one, it is short enough for the other.
    let _ = next.keep(&delivery.step_record());
    next
}

/// Makes an attempt as the host does: on the library's runtime, and ambiguous when its time is
/// over. Not from async code; there, `sink.deliver(…).await`.
pub fn deliver<S: Sink>(sink: &S, delivery: &Delivery) -> Outcome {
    block_on(async {
        let attempt = tokio::time::timeout(delivery.timeout(), sink.deliver(delivery));
        let late = |_| Outcome::ambiguous("the plugin did not answer in time").rule("timeout");
        attempt.await.unwrap_or_else(late)
    })
}

/// Runs a future to its end, with the runtime that attempts have.
///
/// # Panics
///
/// From async code, which has a runtime already.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = crate::export::runtime().expect("threads for the runtime");
    runtime.block_on(future)
}

fn delivery(number: u32, event: &Event) -> Delivery {
    let id = format!("01980000-0000-7000-8000-{number:012}-sample");
    Delivery::new(id, 1, TIMEOUT, json!(event).to_string())
}

fn event(what: &str, revision: u32, lead: &Value) -> Event {
    let event = json!({
        "event": what,
        "id": "01980000-0000-7000-8000-000000371009",
        "revision": revision,
        "source": "flagship",
        "received_at": "2021-07-17T15:59:59.000Z",
        "lead": lead,
        "labels": {},
        "raw": lead.to_string(),
    });
    serde_json::from_value(event).expect("the samples are events")
}

/// The sample of the platform's document, as a lead.
const SAMPLE: &str = r#"{
    "area_name": "余杭区", "customer_appointment": "2021-07-17 23:59:59", "decoration_type": 2,
    "channel": 0, "city_code": "112900", "base_extra": "扩展字段", "remark": "备注",
    "gmt_modified": "2021-07-17 23:59:59", "province_code": 110002,
    "street_name": "仓前街道", "decoration_style": 3, "city_name": "杭州",
    "customer_budget": 1, "extra": "{}", "intended_category": 3, "kf_name": "店小二",
    "activity_id": 0, "open_key": "43534cf9d5154543", "decoration_stage": 3, "seller_id": 0,
    "store_id": 437763404, "purchase_intention": 1, "buyer_open_uid": "11111",
    "address": "浙江杭州", "openid": "11111", "area_code": "112300",
    "required_store": 437763404, "kf_id": "99988787", "street_code": "112860",
    "province_name": "浙江", "record_id": 371009, "phone": "13567658911",
    "customer_status": "0", "name": "张三", "gmt_appointment": "2021-07-17 23:59:59",
    "order_num": "100000", "taobao_nick": "张三淘宝", "order_id": "100000",
    "phone_e164": "+8613567658911",
    "customer_appointment_at": "2021-07-17T23:59:59+08:00",
    "gmt_modified_at": "2021-07-17T23:59:59+08:00",
    "gmt_appointment_at": "2021-07-17T23:59:59+08:00",
    "other": {}
}"#;

/// The sample with `more` over it.
fn sample(more: &Value) -> Value {
    let mut lead: Value = serde_json::from_str(SAMPLE).expect("the sample is JSON");
    for (key, value) in more.as_object().into_iter().flatten() {
        lead[key] = value.clone();
    }
    lead
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_events_and_say_what_they_are_named_for() {
        let event = |delivery: &Delivery| delivery.event().expect("an event");
        let [created, updated, empty, hostile] = deliveries();
        assert_eq!(event(&created).lead.name.as_deref(), Some("张三"));
        assert_eq!(event(&updated).id, event(&created).id);
        assert_eq!(event(&updated).revision, 2);
        let said = serde_json::to_value(event(&empty).lead).expect("JSON");
        let said = said.as_object().expect("an object").values();
        assert_eq!(said.filter(|value| !value.is_null()).count(), 2);
        let name = event(&hostile).lead.name.expect("a name");
        assert!(name.contains('\n') && name.starts_with('='));
        let mut ids: Vec<_> = deliveries().iter().map(|one| one.id().to_owned()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn a_recorder_remembers_what_is_logged_and_kept() {
        let recorder = Recorder::new("crm");
        let host = recorder.host();
        host.log(Level::Warn, "was slow", &json!({"ms": 3}));
        let expected = Logged {
            level: Level::Warn,
            message: "was slow".to_owned(),
            fields: json!({"ms": 3}),
        };
        assert_eq!(recorder.log(), [expected]);
        assert!(!recorder.shows_a_person());
        host.log(Level::Warn, "of", &json!({"name": "张三"}));
        assert!(recorder.shows_a_person());
        assert!(host.state().is_some());
    }

    struct Slow;

    impl Sink for Slow {
        type Settings = ();
        type Parts = Self;

        fn prepare((): &(), _: &Host) -> Result<Self, crate::Problems> {
            Ok(Self)
        }

        fn new(parts: Self, _: Host) -> Result<Self, crate::Problems> {
            Ok(parts)
        }

        async fn deliver(&self, delivery: &Delivery) -> Outcome {
            if delivery.attempt() == 1 {
                std::future::pending::<()>().await;
            }
            Outcome::duplicate()
        }
    }

    #[test]
    fn an_attempt_that_takes_too_long_is_ambiguous_as_it_is_for_the_host() {
        let sink: Slow = create(&(), Recorder::new("slow").host()).expect("made");
        let first = Delivery::new("d", 1, Duration::from_millis(10), "{}");
        assert_eq!(deliver(&sink, &first).rule, "timeout");
        let second = retried(&first);
        assert_eq!((second.id(), second.attempt()), ("d", 2));
        assert_eq!(deliver(&sink, &second), Outcome::duplicate());
    }
}
