//! The operators' listener: health, metrics, and the API under `/api/v1`.
//!
//! Health and metrics are open: they carry nothing personal. The API takes a bearer token
//! only, compared in constant time; errors follow RFC 9457.

mod problem;
mod stats;
mod upkeep;

pub(crate) use self::upkeep::write_export;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use leadgate_plugin::Secret;
use subtle::ConstantTimeEq;

use self::problem::problem;
use crate::clock::Clock;
use crate::delivery::InFlight;
use crate::outbox::Outbox;
use crate::telemetry::metrics::Metrics;

/// What the API reads from.
pub struct Admin {
    /// The store.
    pub outbox: Arc<dyn Outbox>,
    /// Attempts in flight.
    pub in_flight: InFlight,
    /// Names of all sinks.
    pub sinks: Vec<String>,
    /// All metrics.
    pub metrics: Metrics,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The token of the API.
    pub token: Option<Secret>,
    /// Whether the API is open without one.
    pub open: bool,
}

/// Serves operators on `listener` until the handle stops it.
pub fn serve(
    admin: Arc<Admin>,
    listener: TcpListener,
) -> std::io::Result<(Server, ServerHandle, SocketAddr)> {
    let address = listener.local_addr()?;
    let data = web::Data::from(admin);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .route("/livez", web::get().to(livez))
            .route("/readyz", web::get().to(readyz))
            .route("/metrics", web::get().to(metrics))
            .route("/api/v1/stats", web::get().to(stats))
            .configure(upkeep::routes)
            .default_service(web::to(|| async {
                problem(StatusCode::NOT_FOUND, "no such path")
            }))
    })
    .workers(1)
    .max_connections(256)
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    Ok((server, handle, address))
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// Ready means that pushes can be taken; a dead sink does not make it fail.
async fn readyz(admin: web::Data<Admin>) -> HttpResponse {
    match admin.outbox.fault() {
        None => HttpResponse::Ok().json(serde_json::json!({ "status": "ok" })),
        Some(fault) => HttpResponse::ServiceUnavailable()
            .json(serde_json::json!({ "status": "unavailable", "reason": fault })),
    }
}

async fn metrics(admin: web::Data<Admin>) -> HttpResponse {
    let text = web::block(move || {
        stats::refresh(&admin);
        admin.metrics.text()
    });
    match text.await {
        Ok(text) => HttpResponse::Ok()
            .content_type("text/plain; version=0.0.4; charset=utf-8")
            .body(text),
        Err(_) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "metrics could not be read",
        ),
    }
}

async fn stats(admin: web::Data<Admin>, request: HttpRequest) -> HttpResponse {
    if let Some(refused) = refuse(&admin, &request) {
        return refused;
    }
    match web::block(move || stats::read(&admin)).await {
        Ok(Ok(stats)) => HttpResponse::Ok().json(stats),
        Ok(Err(error)) => problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "stats could not be read"),
    }
}

/// The refusal, unless the request carries the token.
fn refuse(admin: &Admin, request: &HttpRequest) -> Option<HttpResponse> {
    let Some(token) = &admin.token else {
        let detail =
            "no admin.token is configured; set one, or admin.allow_without_token on loopback";
        return (!admin.open).then(|| problem(StatusCode::FORBIDDEN, detail));
    };
    let given = request.headers().get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    // Digests have one length, so that not even the token's length shows in the time taken.
    let digest = |text: &str| *blake3::hash(text.as_bytes()).as_bytes();
    if given.is_some_and(|given| digest(given).ct_eq(&digest(token.expose())).into()) {
        return None;
    }
    let mut refused = problem(
        StatusCode::UNAUTHORIZED,
        "give the admin token as `authorization: Bearer TOKEN`",
    );
    refused.headers_mut().insert(
        actix_web::http::header::WWW_AUTHENTICATE,
        actix_web::http::header::HeaderValue::from_static("Bearer"),
    );
    Some(refused)
}
