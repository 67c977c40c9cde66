//! The API against a real store in a temporary folder.

mod access;
mod answers;
mod audit;
mod documented;
mod erasing;
mod jobs;
pub(crate) mod previews;
pub(crate) mod pushes;
mod refusals;
mod sieving;
mod unfinished;

use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::http::header::AUTHORIZATION;
use actix_web::test;
use futures_util::FutureExt;
use leadgate_plugin::Secret;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::clock::SystemClock;
use crate::config::{self, Breaker, OnAmbiguous, OnUpdate, Retry};
use crate::delivery::{Destination, Dispatcher, Target};
use crate::lead::{Lead, SAMPLE, Tables};
use crate::outbox::sled::{Options, SledOutbox};
use crate::outbox::{
    Arrival, Claim, DeathReason, DeliveryId, Find, FindBy, Finish, LeadId, QuarantinedPush, Queue,
    Route, SinkPolicy, State,
};
use crate::plugin::OutcomeKind;

/// An API with its store, without lanes: deliveries stay where they are put.
pub(crate) struct Desk {
    pub(crate) admin: Arc<Admin>,
    folder: TempDir,
}

pub(crate) fn desk() -> Desk {
    desk_with(0)
}

/// With so many bytes that must stay free on the disk.
fn desk_with(min_free: u64) -> Desk {
    desk_in(tempfile::tempdir().expect("a temporary folder"), min_free)
}

/// At the store in that folder.
fn desk_in(folder: TempDir, min_free: u64) -> Desk {
    desk_to(folder, min_free, None)
}

/// With `crm` behind a lane; it is to be paused before anything is due.
fn desk_to(folder: TempDir, min_free: u64, crm: Option<Arc<dyn Destination>>) -> Desk {
    let metrics = Metrics::new();
    let policy = |name: &str| SinkPolicy {
        name: name.to_owned(),
        on_update: OnUpdate::Each,
        on_dead: None,
    };
    let outbox = SledOutbox::open(Options {
        path: &folder.path().join("store"),
        queue: 4096,
        cache: 16 << 20,
        keys: &[],
        sinks: vec![policy("crm"), policy("mail")],
        min_free,
        metrics: metrics.outbox.clone(),
    });
    let outbox: Arc<dyn Outbox> = Arc::new(outbox.expect("the store opens"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let queue: Arc<dyn Queue> = Arc::clone(&outbox) as Arc<dyn Outbox>;
    let target = |sink| Target {
        name: Arc::from("crm"),
        config: sink_config(),
        sink,
        notes: None,
        revision: "".into(),
    };
    let targets = crm.map(target).into_iter().collect();
    let dispatcher = Dispatcher::start(targets, &queue, &clock, &metrics.delivery);
    let reread = |quarantined: &StoredQuarantinedPush| {
        (quarantined.source == "shop").then(|| {
            let mut arrival = arrival(77, quarantined.received_at);
            if quarantined.body == b"nobody" {
                arrival.lead = r#"{"phone":null,"record_id":1}"#.to_owned();
            }
            if quarantined.body.starts_with(b"unreadable") {
                arrival.finds = Vec::new();
            }
            arrival
        })
    };
    let bulk = crate::bulk::Ground {
        outbox: Arc::clone(&outbox),
        clock: Arc::clone(&clock),
        tables: Arc::new(Arc::default),
        reread: Arc::new(reread),
        wake: Arc::default(),
        waits: Arc::default(),
    };
    let metrics_of_guesses = metrics.admin.wrong_tokens.clone();
    let configured = |name: &str, when: Option<&str>| {
        let sink = ConfiguredSink {
            plugin: "http".to_owned(),
            when: when.map(str::to_owned),
            on_update: OnUpdate::Each,
            since: 1,
        };
        (name.to_owned(), sink)
    };
    Desk {
        admin: Arc::new(Admin {
            outbox,
            delivery: dispatcher.sinks(),
            configured: Arc::new(Swap::new(Configured {
                sinks: BTreeMap::from([
                    configured("crm", None),
                    configured("mail", Some("store_id == 7 and name == '李四'")),
                ]),
                sources: vec!["shop".to_owned(), "other".to_owned()],
                tables: Tables::new(),
                revision: None,
                loaded_at: 0,
                outbox: folder.path().join("store"),
                encrypted: false,
                plugins: crate::plugin::Plugins::builtin()
                    .expect("they fit")
                    .iter()
                    .map(|(_, plugin)| plugin.listed())
                    .collect(),
                token: Some(Secret::new("token".to_owned())),
                open: false,
            })),
            reload: Arc::new(|| {
                let why = crate::lang::Text::new("no files here", "此处没有文件");
                std::future::ready(Err(NotReloaded::Failed(why))).boxed()
            }),
            reread: Arc::clone(&bulk.reread),
            bulk,
            pushed_at: Arc::new(|quarantined| Some(quarantined.received_at - 900_000)),
            crashes: BTreeMap::new(),
            children: crate::plugin::Children::default(),
            metrics,
            pushes: Arc::default(),
            started: clock.monotonic(),
            clock,
            guesses: Arc::new(Guesses::new(metrics_of_guesses)),
            uses: Uses::default(),
            stopping: Arc::default(),
        }),
        folder,
    }
}

pub(crate) fn arrival(record: u64, received_at: Millis) -> Arrival {
    let text = SAMPLE.replace("371009", &record.to_string());
    let lead = Lead::parse_json(&text).expect("the sample");
    let mut identity = [0; 32];
    identity[..8].copy_from_slice(&record.to_be_bytes());
    Arrival {
        source: "shop".into(),
        received_at,
        identity,
        stable: true,
        content: lead.content_hash(),
        modified_at: None,
        request_id: None,
        method: None,
        lead: String::from_utf8(lead.json()).expect("text"),
        labels: "{}".to_owned(),
        raw: text,
        original: None,
        finds: [FindBy::Phone, FindBy::PhoneEnd]
            .map(|field| Find::new(field, "135 6765 8911"))
            .to_vec(),
        routes: vec![Route {
            sink: "crm".into(),
            failed: None,
        }],
    }
}

/// A sink that has no breaker.
fn sink_config() -> config::Sink {
    let second = std::time::Duration::from_secs(1);
    config::Sink {
        plugin: "script".to_owned(),
        when: None,
        concurrency: 1,
        rate: None,
        timeout: second,
        retry: Retry {
            first: second,
            max: second,
            max_attempts: 1,
            max_age: second,
        },
        on_ambiguous: OnAmbiguous::Retry,
        on_update: OnUpdate::Each,
        on_dead: None,
        breaker: Breaker {
            failures: 0,
            wait: second,
            max: second,
        },
        max_hold: second,
        settings: Value::Null,
    }
}

impl Desk {
    async fn request(
        &self,
        method: Method,
        path: &str,
        token: bool,
        body: &str,
    ) -> ServiceResponse {
        let header = token.then_some("Bearer token");
        self.request_by(header, method, path, body).await
    }

    async fn request_by(
        &self,
        authorization: Option<&str>,
        method: Method,
        path: &str,
        body: &str,
    ) -> ServiceResponse {
        let app = App::new()
            .app_data(web::Data::from(Arc::clone(&self.admin)))
            .configure(|config| routes(config, |_| {}));
        let service = test::init_service(app).await;
        let mut request = test::TestRequest::with_uri(path)
            .method(method)
            .set_payload(body.to_owned());
        if let Some(header) = authorization {
            request = request.insert_header((AUTHORIZATION, header));
        }
        test::call_service(&service, request.to_request())
            .await
            .map_into_boxed_body()
    }

    /// As a reload does.
    fn configure(&self, change: impl FnOnce(&mut Configured)) {
        let mut configured = (*self.admin.configured.get()).clone();
        change(&mut configured);
        self.admin.configured.set(configured);
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let whole = format!("/api/v1{path}");
        let answer = self.request(method.clone(), &whole, true, body).await;
        let status = answer.status().as_u16();
        let body = test::read_body(answer).await;
        let answer = serde_json::from_slice(&body).expect("JSON");
        documented::check(&method, path, status, &answer);
        (status, answer)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, "").await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::POST, path, &body.to_string()).await
    }

    pub(crate) async fn accept(&self, record: u64) -> LeadId {
        let now = self.admin.clock.now();
        let accepted = self.admin.outbox.accept(arrival(record, now)).await;
        accepted.expect("accepted").lead().expect("it is known")
    }

    fn claim(&self) -> Vec<Claim> {
        let now = self.admin.clock.now() + 1_000;
        let due = self.admin.outbox.claim("crm", now, 100).expect("reads");
        due.deliveries
    }

    /// Ends an attempt of all that is due.
    pub(crate) async fn end_all(&self, state: impl Fn(Millis) -> State) -> Vec<DeliveryId> {
        let reason = "the destination refused 13567658911";
        self.end_all_by("status-4xx", reason, state).await
    }

    /// The same by that rule, for that reason.
    pub(crate) async fn end_all_by(
        &self,
        rule: &str,
        reason: &str,
        state: impl Fn(Millis) -> State,
    ) -> Vec<DeliveryId> {
        let request = "POST http://crm/leads (40 bytes) {\"phone\":\"text\",\"store\":\"number\"}";
        self.end_all_after(request, rule, reason, state).await
    }

    /// The same with that record of what was sent.
    async fn end_all_after(
        &self,
        request: &str,
        rule: &str,
        reason: &str,
        state: impl Fn(Millis) -> State,
    ) -> Vec<DeliveryId> {
        let mut ids = Vec::new();
        for claim in self.claim() {
            let State::Waiting { due_at } = claim.delivery.state else {
                panic!("a claim waits")
            };
            let now = self.admin.clock.now();
            let mut delivery = claim.delivery;
            delivery.attempts += 1;
            delivery.state = state(now);
            delivery.history.push(crate::outbox::Attempt {
                number: delivery.attempts,
                started_at: now,
                duration_ms: 3,
                outcome: OutcomeKind::Rejected,
                rule: rule.to_owned(),
                reason: reason.to_owned(),
                receipt: String::new(),
                request: request.to_owned(),
                response: "400".to_owned(),
                trace_id: "0".repeat(32),
                config_revision: "0123456789abcdef".to_owned(),
            });
            let finish = Finish {
                id: claim.id,
                sink: "crm".into(),
                now,
                was_due: due_at,
                delivery,
            };
            self.admin.outbox.finish(finish).await.expect("recorded");
            ids.push(claim.id);
        }
        ids
    }

    pub(crate) async fn quarantine(&self, source: &str, body: &str) {
        let quarantined = QuarantinedPush {
            source: source.into(),
            reason: "unparsable",
            received_at: self.admin.clock.now(),
            request_id: Some("r1".to_owned()),
            signature: String::new(),
            query: "app_key=1".to_owned(),
            content_type: "application/json".to_owned(),
            body: body.as_bytes().to_vec(),
            ceiling: crate::config::Ceiling::default(),
        };
        let kept = self.admin.outbox.quarantine(quarantined).await;
        kept.expect("kept");
    }
}

pub(crate) fn dead(at: Millis) -> State {
    State::Dead {
        at,
        reason: DeathReason::Rejected,
    }
}

const ID: &str = "01937f4e-8a6b-7c3d-9e2f-0123456789ab";
