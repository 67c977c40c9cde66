//! The public listener: takes pushes, and answers each only after it is durable.
//!
//! Promises parsable JSON on every path, bounded bodies and waits, and that success is said
//! only when the outbox said so. Never talks to the delivery: they meet in the outbox.

mod arrival;
mod body;
mod came;
mod connections;
mod files;
mod memory;
mod push;
mod receiving;
mod refusing;
mod serving;
mod skew;
mod stray;
mod stream;
mod tally;
mod tls;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use actix_rt::net::TcpStream;
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::FutureExt;
use tokio::sync::Semaphore;

pub use self::arrival::arrival;
use self::body::{Body, Unread};
use self::came::Came;
use self::connections::{Connection, Connections, Phase};
pub use self::files::make_room;
use self::memory::Budget;
pub use self::receiving::Receiving;
pub use self::refusing::{Health, Refusing};
pub use self::serving::{Serving, serve};
use self::stream::JsonStream;
use self::tally::{Tally, What};
pub use self::tls::Shown;
use self::tls::{Socket, Tls};
use crate::clock::Clock;
use crate::outbox::Intake;
use crate::source::{At, Reply};
use crate::swap::Swap;
use crate::telemetry::metrics::IngestMetrics;
use crate::telemetry::pushes::{PushVerdict, Pushes, RecentPush};

/// What proxies and load balancers may ask for; a source at that path goes first.
pub const PROBE_PATH: &str = "/healthz";

/// What it is answered with: the listener is up. Whether pushes can be stored is asked at
/// the operators' `/readyz`.
const ALIVE: &str = r#"{"status":"ok"}"#;

/// `content-type` of every answer that no source made.
const JSON: &str = "application/json;charset=UTF-8";

/// What pushes need.
pub struct Ingress {
    /// Where leads go.
    pub outbox: Arc<dyn Intake>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Whether pushes are refused, and since when.
    pub refusing: Arc<Refusing>,
    /// How the store does.
    pub health: Arc<dyn Fn() -> Health + Send + Sync>,
    /// What it counts and holds.
    pub state: State,
    /// What is configured now; see [`Ingress::replace`].
    pub receiving: Swap<Receiving>,
}

/// What the public listener counts and holds while it runs.
pub struct State {
    tally: Tally,
    connections: Arc<Connections>,
    memory: Arc<Budget>,
    /// Turns for the work on large bodies: half of the cores, so that the other half always
    /// has time for the others.
    large: Arc<Semaphore>,
    /// What became of the last pushes.
    pushes: Arc<Pushes>,
}

impl State {
    /// With every count of the configured sources at zero; what becomes of pushes is noted in
    /// `pushes`.
    pub fn new(
        receiving: &Receiving,
        metrics: &IngestMetrics,
        clock: &Arc<dyn Clock>,
        pushes: &Arc<Pushes>,
    ) -> Self {
        let limits = &receiving.limits;
        Self {
            tally: Tally::new(metrics.clone(), Arc::clone(clock), receiving.names()),
            connections: Connections::new(
                limits.max_connections,
                limits.max_connections_per_address,
                metrics.connections.clone(),
                metrics.connections_closed.clone(),
            ),
            memory: Budget::new(
                limits.max_body_memory.max(limits.max_body),
                metrics.body_bytes.clone(),
            ),
            large: Arc::new(Semaphore::new(workers().div_ceil(2))),
            pushes: Arc::clone(pushes),
        }
    }
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

impl Ingress {
    /// From now on pushes go by `receiving`. Those that are being read or stored go on by what
    /// they began with. The limits of all connections and of all bodies stay what they were at
    /// the start.
    pub fn replace(&self, receiving: Receiving) {
        let gone = self.receiving.get();
        let most = receiving.limits.max_connections_per_address;
        self.state.connections.bound_each_address(most);
        self.state.tally.know(receiving.names());
        self.receiving.set(receiving);
        let now = self.receiving.get();
        let gone = gone
            .names()
            .filter(|name| now.sources.named(name).is_none());
        self.state.tally.forget(gone);
    }

    fn admit(&self, peer: Option<std::net::IpAddr>) -> Option<connections::Ticket> {
        let state = &self.state;
        let said = |reason| {
            state.tally.say(What::Connection, "", reason, String::new);
        };
        state.connections.admit(peer, Instant::now(), said)
    }

    /// Greets whoever was admitted, if that is how this listener speaks.
    async fn greet(
        &self,
        socket: TcpStream,
        ticket: connections::Ticket,
        tls: Option<&Tls>,
    ) -> Option<JsonStream> {
        let socket = match tls {
            None => Socket::Plain(socket),
            Some(tls) => match tls.greet(socket, &ticket.connection).await {
                Ok(socket) => socket,
                Err(failed) => {
                    let tally = &self.state.tally;
                    tally.not_greeted(failed.reason, failed.detail);
                    return None;
                }
            },
        };
        Some(JsonStream::new(socket, ticket))
    }
}

/// Every request comes here: a panic below becomes an answer, not a closed connection.
async fn answer(
    ingress: web::Data<Ingress>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let connection = request.conn_data::<Arc<Connection>>();
    let leaves = || ingress.state.connections.are_leaving();
    let last = request.head().connection_type() == ConnectionType::Close || leaves();
    let is_over = |last| connection.is_some_and(|connection| connection.is_over(last));
    if is_over(last) {
        // Nobody would see the answer.
        return closing(failure(
            StatusCode::BAD_REQUEST,
            "closed",
            "the connection is closed",
        ));
    }
    let enter = |phase| {
        if let Some(connection) = connection {
            connection.enter(phase, Instant::now());
        }
    };
    enter(Phase::Body);
    let served = AssertUnwindSafe(serve_one(&ingress, &request, payload, &enter))
        .catch_unwind()
        .await;
    enter(Phase::Idle);
    let response = served.unwrap_or_else(|_| {
        tracing::error!("push handling panicked; the sender was told that it failed");
        ingress.state.pushes.note(RecentPush {
            reason: Some("internal"),
            ..Came::unread(&ingress, &request).became("", PushVerdict::Failed, 500)
        });
        failure(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "internal error",
        )
    });
    // A stop may have begun meanwhile.
    let last = last || leaves();
    is_over(last);
    // actix-http goes by the request it read last, which may be another.
    if last { closing(response) } else { response }
}

async fn serve_one(
    ingress: &Arc<Ingress>,
    request: &HttpRequest,
    payload: web::Payload,
    enter: &impl Fn(Phase),
) -> HttpResponse {
    let method = request.method().as_str();
    let asks = matches!(method, "GET" | "HEAD");
    // One for the whole push, whatever is loaded meanwhile.
    let receiving = ingress.receiving.get();
    let limits = &receiving.limits;
    let Some(at) = receiving.sources.at(request.path()) else {
        if asks && request.path() == PROBE_PATH {
            return HttpResponse::Ok().content_type(JSON).body(ALIVE);
        }
        if method == "POST" && stray::may_be_signed(request) {
            let read = body::read(request, payload, limits, &ingress.state.memory);
            let read = read.await;
            enter(Phase::Busy);
            if let Ok(Body { bytes, .. }) = read {
                stray::note(ingress, &receiving, request, bytes).await;
            }
        }
        return failure(StatusCode::NOT_FOUND, "not-found", "no such path");
    };
    if asks && !stray::may_be_signed(request) {
        // A probe of whether somebody is there, not a push: what a push without a signature
        // would get, and not counted as one.
        let source = at.sources.first();
        ingress.state.tally.count(source.name(), "probe");
        return render(source.answer(crate::source::Answer::Refused));
    }
    if !matches!(method, "POST" | "GET") {
        let mut response = failure(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "use POST",
        );
        response.headers_mut().insert(
            actix_web::http::header::ALLOW,
            actix_web::http::header::HeaderValue::from_static("POST, GET"),
        );
        return response;
    }
    match body::read(request, payload, limits, &ingress.state.memory).await {
        Ok(body) => {
            enter(Phase::Busy);
            let Body { bytes, _held } = body;
            render(push::take(ingress, &receiving, at, request, bytes).await)
        }
        Err(unread) => {
            let came = Came::unread(ingress, request);
            let source = at.sources.first().name();
            let (response, verdict, reason) = not_read(ingress, &at, unread);
            ingress.state.pushes.note(RecentPush {
                reason: Some(reason),
                ..came.became(source, verdict, response.status().as_u16())
            });
            response
        }
    }
}

/// The answer to a push whose body did not come whole, and what that is called.
fn not_read(
    ingress: &Ingress,
    at: &At<'_>,
    unread: Unread,
) -> (HttpResponse, PushVerdict, &'static str) {
    let (status, code, reason, message) = match unread {
        Unread::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "body_too_large",
            "the body is too large",
        ),
        Unread::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "body-timeout",
            "body_timeout",
            "the body came too slowly",
        ),
        Unread::Broken => (
            StatusCode::BAD_REQUEST,
            "bad-body",
            "bad_body",
            "the body could not be read",
        ),
        Unread::NoMemory => {
            let source = at.sources.first();
            let tally = &ingress.state.tally;
            tally.say(What::NoMemory, source.name(), "", String::new);
            tally.count(source.name(), "overloaded");
            let answer = crate::source::Answer::Failed("overloaded");
            let response = closing(render(source.answer(answer)));
            return (response, PushVerdict::Overloaded, "no_memory");
        }
    };
    let source = at.sources.first().name();
    let tally = &ingress.state.tally;
    tally.say(What::Unread, source, reason, String::new);
    tally.count(source, "unread");
    let response = closing(failure(status, code, message));
    (response, PushVerdict::Unread, reason)
}

fn render(reply: Reply) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status)
        .content_type(reply.content_type)
        .body(reply.body)
}

/// An answer that no source made, in the shape of Tmall's failure answer.
fn failure(status: StatusCode, code: &'static str, message: &'static str) -> HttpResponse {
    HttpResponse::build(status).content_type(JSON).body(format!(
        r#"{{"result":{{"errCode":"{code}","success":false,"errMsg":"{message}"}}}}"#
    ))
}

/// Unread body bytes are on the connection: it cannot be used again.
fn closing(mut response: HttpResponse) -> HttpResponse {
    response
        .head_mut()
        .set_connection_type(ConnectionType::Close);
    response
}

#[cfg(test)]
mod tests;
