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
use crate::outbox::{
    Accepted, Arrival, LeadId, Quarantined, QuarantinedPush, Refusal, Unavailable,
};
use crate::route::Routes;
use crate::source::tmall::{PushParts, signed_push};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::pushes::PushClass;
use crate::telemetry::signed::ClueKind;

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
        state: State::new(&receiving, &Metrics::new().ingest, &clock, &Arc::default()),
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
    let push = signed();
    send(&ingress, "/leads", &push.query, push.body).await
}

/// Sends it from 10.0.0.9.
async fn send(
    ingress: &Arc<Ingress>,
    path: &str,
    query: &str,
    body: Vec<u8>,
) -> (u16, serde_json::Value) {
    let app = App::new()
        .app_data(web::Data::from(Arc::clone(ingress)))
        .default_service(web::to(answer));
    let app = init_service(app).await;
    let request = TestRequest::post()
        .uri(&format!("{path}?{query}"))
        .peer_addr(([10, 0, 0, 9], 1).into())
        .insert_header(("content-type", signed().content_type))
        .insert_header(("content-length", body.len()))
        .set_payload(body)
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

/// The only push that was noted.
fn noted(ingress: &Ingress) -> Arc<RecentPush> {
    let all = ingress
        .state
        .pushes
        .newest(&PushClass::ALL, |_| true, usize::MAX);
    assert_eq!(all.len(), 1);
    Arc::clone(&all[0].1)
}

fn told(push: &RecentPush) -> (&str, PushVerdict, Option<&'static str>, u16) {
    (&*push.source, push.verdict, push.reason, push.status)
}

type Made = fn() -> Result<Accepted, Refusal>;

const LEAD: LeadId = LeadId(uuid::Uuid::from_u128(7));

#[actix_web::test]
async fn what_becomes_of_a_push_is_noted() {
    let all: [(Made, PushVerdict, Option<&str>, u16); 9] = [
        (
            || {
                Ok(Accepted::New {
                    lead: LEAD,
                    revision: 1,
                    history: false,
                })
            },
            PushVerdict::Accepted,
            None,
            200,
        ),
        (
            || {
                Ok(Accepted::New {
                    lead: LEAD,
                    revision: 2,
                    history: false,
                })
            },
            PushVerdict::Revised,
            None,
            200,
        ),
        (
            || {
                Ok(Accepted::New {
                    lead: LEAD,
                    revision: 2,
                    history: true,
                })
            },
            PushVerdict::Older,
            None,
            200,
        ),
        (
            || {
                Ok(Accepted::Duplicate {
                    lead: LEAD,
                    revision: 1,
                })
            },
            PushVerdict::Duplicate,
            None,
            200,
        ),
        (|| Ok(Accepted::Deferred), PushVerdict::Deferred, None, 200),
        (
            || Err(Refusal::Full),
            PushVerdict::Overloaded,
            Some("queue_full"),
            503,
        ),
        (
            || Err(Refusal::NoSpace),
            PushVerdict::Overloaded,
            Some("no_space"),
            503,
        ),
        (
            || Err(Unavailable("disk".to_owned()).into()),
            PushVerdict::Failed,
            Some("store_unavailable"),
            503,
        ),
        (
            || panic!("on purpose"),
            PushVerdict::Failed,
            Some("internal"),
            500,
        ),
    ];
    for (made, verdict, reason, status) in all {
        let ingress = ingress(Arc::new(Broken(made)), None);
        let push = signed();
        let bytes = push.body.len();
        send(&ingress, "/leads", &push.query, push.body).await;
        let push = noted(&ingress);
        let source = if reason == Some("internal") {
            ""
        } else {
            "shop"
        };
        assert_eq!(told(&push), (source, verdict, reason, status));
        let ok = matches!(
            verdict,
            PushVerdict::Accepted
                | PushVerdict::Revised
                | PushVerdict::Older
                | PushVerdict::Duplicate
        );
        assert_eq!(push.lead, ok.then(|| LEAD.to_string()), "{verdict:?}");
        assert_eq!(push.bytes, bytes);
        assert_eq!(push.peer, Some([10, 0, 0, 9].into()));
        assert!(push.signed.is_none());
    }
}

#[actix_web::test]
async fn what_is_refused_is_noted_with_what_was_signed_and_nothing_of_whom_it_is_about() {
    let ingress = || ingress(Arc::new(Broken(|| Ok(Accepted::Deferred))), None);
    // The sample of the document, with a name and a phone, and a byte more than was signed.
    let push = signed();
    let gate = ingress();
    let body = [push.body.as_slice(), b"\n"].concat();
    let (status, _) = send(&gate, "/leads", &push.query, body).await;
    assert_eq!(status, 200);
    let refused = noted(&gate);
    let expected = ("shop", PushVerdict::Refused, Some("wrong_sign"), 200);
    assert_eq!(told(&refused), expected);
    let signed = refused.signed.as_deref().expect("it was looked into");
    let clue = signed.clue.as_ref().expect("a newline more");
    assert_eq!(clue.what, ClueKind::BodyEnds);
    assert!(!signed.authentic_before);
    let all = format!("{refused:?}");
    for personal in ["13567658911", "8911", "\u{5f20}", "taobao"] {
        assert!(!all.contains(personal), "{personal}: {all}");
    }
    // After one that was right the secret is known to be.
    let gate = ingress();
    send(&gate, "/leads", &push.query, push.body.clone()).await;
    send(&gate, "/leads", &push.query, b"{}".to_vec()).await;
    let refused = gate.state.pushes.newest(&[PushClass::Refused], |_| true, 1);
    let signed = refused[0].1.signed.as_deref().expect("it was looked into");
    assert!(signed.authentic_before && signed.clue.is_none());
    // Elsewhere.
    let gate = ingress();
    send(&gate, "/laeds", &push.query, push.body.clone()).await;
    let expected = (
        "shop",
        PushVerdict::UnknownPath,
        Some("authentic_elsewhere"),
        404,
    );
    assert_eq!(told(&noted(&gate)), expected);
    let gate = ingress();
    send(&gate, "/laeds", &push.query, b"{}".to_vec()).await;
    let expected = ("", PushVerdict::UnknownPath, Some("of_no_source"), 404);
    assert_eq!(told(&noted(&gate)), expected);
    // Too large.
    let gate = ingress();
    send(&gate, "/leads", &push.query, vec![b' '; 1 << 19]).await;
    let large = noted(&gate);
    let expected = ("shop", PushVerdict::Unread, Some("body_too_large"), 413);
    assert_eq!(told(&large), expected);
    assert_eq!(large.bytes, 1 << 19);
    // Authentic and no lead; this outbox takes nothing aside.
    let gate = ingress();
    let odd = signed_push(&PushParts {
        app_key: "1",
        secret: "s",
        method: None,
        now: SystemClock.now(),
        body: b"[]",
    });
    send(&gate, "/leads", &odd.query, odd.body).await;
    let expected = ("shop", PushVerdict::Overloaded, Some("queue_full"), 503);
    assert_eq!(told(&noted(&gate)), expected);
}

#[actix_web::test]
async fn a_flood_of_wrong_signatures_is_looked_into_only_so_often() {
    let gate = ingress(Arc::new(Broken(|| Ok(Accepted::Deferred))), None);
    let push = signed();
    let began = gate.clock.monotonic().as_secs();
    for _ in 0..300 {
        send(&gate, "/leads", &push.query, b"{}".to_vec()).await;
    }
    let seconds = gate.clock.monotonic().as_secs() - began + 1;
    let all = gate
        .state
        .pushes
        .newest(&[PushClass::Refused], |_| true, usize::MAX);
    let explained = all.iter().filter(|(_, one)| one.signed.is_some()).count();
    assert!(all.len() == 200, "{}", all.len());
    assert!(
        explained as u64 <= 4 * seconds,
        "{explained} in {seconds} s"
    );
}
