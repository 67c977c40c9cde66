//! What only a broken store can show: an answer for a panic, and for an outbox that refuses.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::App;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use futures_util::future::{BoxFuture, ready};
use leadgate_plugin::Secret;

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Ceiling};
use crate::outbox::{Accepted, Arrival, Quarantined, QuarantinedPush, Refusal, Unavailable};
use crate::route::Routes;
use crate::source::tmall::{PushParts, signed_push};
use crate::telemetry::metrics::Metrics;

/// An outbox that does what it is told when a lead comes.
struct Broken(fn() -> Result<Accepted, Refusal>);

impl Intake for Broken {
    fn accept(&self, _: Arrival) -> BoxFuture<'static, Result<Accepted, Refusal>> {
        Box::pin(ready((self.0)()))
    }
    fn quarantine(&self, _: QuarantinedPush) -> BoxFuture<'static, Result<Quarantined, Refusal>> {
        Box::pin(ready(Err(Refusal::Full)))
    }
}

/// An ingress with the source `shop` at `/leads`, in front of `outbox`.
pub(super) fn ingress(outbox: Arc<dyn Intake>, tls: Option<config::Certificate>) -> Arc<Ingress> {
    let server = config::Server {
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        tls,
        max_body: 1 << 18,
        max_body_memory: 1 << 20,
        max_connections: 16,
        max_connections_per_address: None,
        keep_alive: Duration::from_secs(60),
        header_timeout: Duration::from_secs(5),
        body_timeout: Duration::from_secs(5),
        ack_deadline: Duration::from_secs(10),
        failure_status: 503,
        refusal_status: 200,
        shutdown_timeout: Duration::from_secs(1),
    };
    let tmall = config::Tmall {
        app_key: None,
        app_secret: vec![Secret::new("s")],
        timestamp_tolerance: None,
        methods: vec![],
        open_key: None,
        on_invalid: config::QuarantinePolicy::Quarantine,
        on_stale: config::QuarantinePolicy::Quarantine,
    };
    let source = config::Source {
        path: "/leads".to_owned(),
        quarantine: Ceiling::default(),
        kind: config::SourceKind::Tmall(tmall),
    };
    let sinks: BTreeMap<String, config::Sink> = BTreeMap::new();
    let sources = BTreeMap::from([("shop".to_owned(), source)]);
    let tables = crate::lead::Tables::new();
    let routes = Routes::new(sinks.iter(), &tables).expect("no routes");
    let receiving = Receiving::new(&sources, &server, routes, &tables);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Arc::new(Ingress {
        state: State::new(&receiving, &Metrics::new().ingest, &clock),
        receiving: Swap::new(receiving),
        outbox,
        clock,
        refusing: Arc::default(),
        health: Arc::new(Health::default),
    })
}

/// A push to it as it goes over the wire.
pub(super) fn push_on_the_wire() -> Vec<u8> {
    let push = signed();
    let head = format!(
        "POST /leads?{} HTTP/1.1\r\nhost: a\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n",
        push.query,
        push.content_type,
        push.body.len()
    );
    [head.as_bytes(), push.body.as_slice()].concat()
}

fn signed() -> crate::source::tmall::SignedPush {
    signed_push(&PushParts {
        app_key: "1",
        secret: "s",
        method: None,
        now: SystemClock.now(),
        body: crate::lead::SAMPLE.as_bytes(),
    })
}

async fn push_into(broken: fn() -> Result<Accepted, Refusal>) -> (u16, serde_json::Value) {
    let ingress = ingress(Arc::new(Broken(broken)), None);
    let app = App::new()
        .app_data(web::Data::from(ingress))
        .default_service(web::to(answer));
    let app = init_service(app).await;
    let push = signed();
    let request = TestRequest::post()
        .uri(&format!("/leads?{}", push.query))
        .insert_header(("content-type", push.content_type))
        .set_payload(push.body)
        .to_request();
    let response = call_service(&app, request).await;
    let status = response.status().as_u16();
    let body = read_body(response).await;
    (
        status,
        serde_json::from_slice(&body).expect("every answer is JSON"),
    )
}

#[actix_web::test]
async fn a_panic_is_an_answer_in_json_and_never_success() {
    let (status, answer) = push_into(|| panic!("on purpose")).await;
    assert_eq!((status, &answer["result"]["success"]), (500, &false.into()));
}

#[actix_web::test]
async fn a_full_or_failed_outbox_is_the_failure_answer_with_its_status() {
    let (status, answer) = push_into(|| Err(Refusal::Full)).await;
    assert_eq!(
        (status, &answer["result"]["errCode"]),
        (503, &"overloaded".into())
    );
    let (status, answer) = push_into(|| Err(Unavailable("disk".to_owned()).into())).await;
    assert_eq!((status, &answer["result"]["success"]), (503, &false.into()));
}
