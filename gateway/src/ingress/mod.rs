//! The public listener: takes pushes, and answers each only after it is durable.
//!
//! Promises parsable JSON on every path, bounded bodies and waits, and that success is said
//! only when the outbox said so. Never talks to the delivery: they meet in the outbox.

mod arrival;
mod body;
mod push;
mod refusing;
mod stream;

use std::net::{SocketAddr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_rt::net::TcpStream;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, Server, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, web};
use futures_util::FutureExt;

pub use self::arrival::arrival;
use self::body::TooSlowOrLarge;
pub use self::refusing::{Health, Refusing};
use self::stream::JsonStream;
use crate::clock::Clock;
use crate::config;
use crate::outbox::Intake;
use crate::route::Routes;
use crate::source::{Registry, Reply};
use crate::telemetry::metrics::IngestMetrics;

/// `content-type` of every answer that no source made.
const JSON: &str = "application/json;charset=UTF-8";

/// What pushes need.
pub struct Ingress {
    /// Who may push.
    pub sources: Registry,
    /// Which sinks want a lead.
    pub routes: Routes,
    /// Where leads go.
    pub outbox: Arc<dyn Intake>,
    /// The merchant's labels.
    pub tables: config::Tables,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: IngestMetrics,
    /// Whether pushes are refused, and since when.
    pub refusing: Arc<Refusing>,
    /// How the store does.
    pub health: Arc<dyn Fn() -> Health + Send + Sync>,
    /// The listener's limits.
    pub limits: config::Server,
}

/// Serves pushes on `listener` until the handle stops it. To be awaited on a tokio runtime.
pub fn serve(
    ingress: Arc<Ingress>,
    listener: TcpListener,
) -> std::io::Result<(Server, ServerHandle, SocketAddr)> {
    let address = listener.local_addr()?;
    let limits = ingress.limits.clone();
    let workers = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let data = web::Data::from(ingress);
    let header_timeout = limits.header_timeout;
    // What `HttpServer` does, with our own stream between the socket and HTTP.
    let factory = move || {
        let app = App::new()
            .app_data(data.clone())
            .default_service(web::to(answer))
            .into_factory()
            .map_err(|error: actix_web::Error| error.error_response());
        let http = HttpService::build()
            .client_request_timeout(header_timeout)
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(|socket: TcpStream| async move {
            let peer = socket.peer_addr().ok();
            Ok::<_, DispatchError>((JsonStream::new(socket), peer))
        })
        .and_then(http)
    };
    let server = Server::build()
        .workers(workers)
        .max_concurrent_connections(limits.max_connections.div_ceil(workers))
        .shutdown_timeout(limits.ack_deadline.as_secs() + 1)
        .disable_signals()
        .listen("public", listener, factory)?
        .run();
    let handle = server.handle();
    Ok((server, handle, address))
}

/// Every request comes here: a panic below becomes an answer, not a closed connection.
async fn answer(
    ingress: web::Data<Ingress>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let served = AssertUnwindSafe(serve_one(&ingress, &request, payload))
        .catch_unwind()
        .await;
    served.unwrap_or_else(|_| {
        tracing::error!("push handling panicked; the sender was told that it failed");
        failure(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "internal error",
        )
    })
}

async fn serve_one(
    ingress: &Ingress,
    request: &HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let Some(group) = ingress.sources.at(request.path()) else {
        return failure(StatusCode::NOT_FOUND, "not-found", "no such path");
    };
    if !matches!(request.method().as_str(), "POST" | "GET") {
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
    let body = match body::read(request, payload, &ingress.limits).await {
        Ok(body) => body,
        Err(TooSlowOrLarge::TooLarge) => {
            return closing(failure(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "the body is too large",
            ));
        }
        Err(TooSlowOrLarge::TooSlow) => {
            return closing(failure(
                StatusCode::REQUEST_TIMEOUT,
                "body-timeout",
                "the body came too slowly",
            ));
        }
        Err(TooSlowOrLarge::Broken) => {
            return closing(failure(
                StatusCode::BAD_REQUEST,
                "bad-body",
                "the body could not be read",
            ));
        }
    };
    render(push::take(ingress, group, request, body).await)
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
        .set_connection_type(actix_web::http::ConnectionType::Close);
    response
}

#[cfg(test)]
mod tests;
