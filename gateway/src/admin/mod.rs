//! The operators' listener: health, metrics, and the API under `/api/v1`.
//!
//! Health and metrics are open: they carry nothing personal. The API takes a bearer token
//! only; errors follow RFC 9457. Lists and URLs carry nothing personal, and what reveals a
//! person is logged with the lead's id, and recorded ([`audit`]).

mod api;
mod audit;
mod auth;
mod condition;
mod configured;
mod deliveries;
mod difference;
mod erase;
mod export;
mod failures;
mod filters;
mod finding;
mod guesses;
mod holds;
mod inside;
mod jobs;
mod leads;
mod left;
mod local;
mod never;
mod openapi;
mod origin;
mod orphans;
mod pace;
mod parameter;
mod params;
mod plugins;
mod preview;
mod privacy;
mod problem;
mod pushes;
mod quarantine;
mod release;
mod reload;
mod remedy;
mod resources;
mod samples;
mod shape;
mod sieve;
mod sinks;
mod stats;
mod streamed;
mod subject;
mod system;
#[cfg(test)]
pub(crate) mod tests;
mod tokens;
mod trial;
mod upkeep;
mod wish;

pub(crate) use self::audit::note;
pub(crate) use self::auth::Pass;
pub use self::configured::{Configured, ConfiguredSink};
pub(crate) use self::erase::Given;
pub use self::guesses::Guesses;
pub(crate) use self::inside::Inside;
pub(crate) use self::never::Why;
pub(crate) use self::openapi::document as openapi;
pub(crate) use self::problem::{Kind, Problem};
pub use self::reload::{NotReloaded, Reload, Reloaded};
pub(crate) use self::resources::{allows, only};
pub use self::tokens::Uses;
pub(crate) use self::upkeep::{Disclosed, write_export};

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use self::params::Params;
use self::resources::served;
pub use crate::bulk::Reread;
use crate::clock::{Clock, Millis};
use crate::delivery::{Crash, Sinks};
use crate::outbox::{Outbox, Paged, StoredQuarantinedPush};
use crate::swap::Swap;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::pushes::Pushes;

/// When a push in quarantine was sent, by the sender's clock, if it says so.
pub type PushedAt = dyn Fn(&StoredQuarantinedPush) -> Option<Millis> + Send + Sync;

/// Largest body the API takes.
const MAX_BODY: usize = 64 << 10;

/// What the API works on.
pub struct Admin {
    /// The store.
    pub outbox: Arc<dyn Outbox>,
    /// How the sinks do.
    pub delivery: Sinks,
    /// What is configured now.
    pub configured: Arc<Swap<Configured>>,
    /// How the configuration is loaded again.
    pub reload: Arc<Reload>,
    /// How a push is taken out of quarantine.
    pub reread: Arc<Reread>,
    /// What bulk jobs work with.
    pub bulk: crate::bulk::Ground,
    /// When such a push was sent.
    pub pushed_at: Arc<PushedAt>,
    /// Sinks that were at work when the last process ended without stopping.
    pub crashes: BTreeMap<String, Crash>,
    /// The processes of sinks.
    pub children: crate::plugin::Children,
    /// All metrics.
    pub metrics: Metrics,
    /// What became of the last pushes.
    pub pushes: Arc<Pushes>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Since when it runs, by the monotonic clock.
    pub started: Duration,
    /// Wrong tokens of late.
    pub guesses: Arc<Guesses>,
    /// When tokens were used.
    pub uses: Uses,
    /// Whether the daemon is stopping; pushes are still taken.
    pub stopping: Arc<AtomicBool>,
}

/// Serves operators on `listener`, and on the socket of this machine if there is one, until the
/// handle stops it; beside the API whatever `pages` adds.
pub fn serve(
    admin: Arc<Admin>,
    listener: TcpListener,
    socket: Option<UnixListener>,
    pages: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> std::io::Result<(Server, ServerHandle, SocketAddr)> {
    let address = listener.local_addr()?;
    audit::begin(&admin.metrics.admin);
    let data = web::Data::from(admin);
    let app = move || {
        let pages = pages.clone();
        App::new()
            .app_data(data.clone())
            .configure(|config| routes(config, pages))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .max_connections(256)
        .shutdown_timeout(1)
        .disable_signals()
        .on_connect(local::note)
        .listen(listener)?;
    let server = match socket {
        Some(socket) => server.listen_uds(socket)?,
        None => server,
    };
    let server = server.run();
    let handle = server.handle();
    Ok((server, handle, address))
}

/// What answers on the operators' listener, beside `pages`.
pub(crate) fn routes(config: &mut web::ServiceConfig, pages: impl FnOnce(&mut web::ServiceConfig)) {
    let api = served(api::endpoints())
        .into_iter()
        .fold(web::scope("/api/v1"), actix_web::Scope::service);
    let all = web::scope("")
        .service(looks("/livez", web::get().to(livez)))
        .service(looks("/readyz", web::get().to(readyz)))
        .service(looks("/metrics", web::get().to(metrics)))
        .service(
            api.default_service(web::to(no_such_path))
                .wrap(from_fn(auth::check)),
        )
        .configure(pages)
        .default_service(web::to(no_such_path))
        .wrap(from_fn(origin::here));
    config
        .app_data(web::PayloadConfig::new(MAX_BODY))
        .service(all);
}

/// The command that asks each path.
#[cfg(test)]
pub(crate) fn commands() -> Vec<(&'static str, &'static str)> {
    let all = api::abouts();
    all.map(|about| (about.path, about.command)).collect()
}

/// A path outside of the API, to which whoever reaches the listener may look.
fn looks(path: &str, route: actix_web::Route) -> actix_web::Resource {
    only(web::resource(path).route(route), "GET".to_owned())
}

async fn no_such_path() -> Result<HttpResponse, Problem> {
    Err(Problem::new(
        Kind::NotFound,
        ("no such path", "没有这个路径"),
    ))
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

/// Ready means that pushes can be taken and should be sent here; a dead sink does not make it
/// fail. While it stops pushes are still taken, but the next ones should go elsewhere.
async fn readyz(admin: web::Data<Admin>) -> HttpResponse {
    let short = || {
        let why = "the disk has less room left than outbox.min_free";
        admin.outbox.short_of_space().then(|| why.to_owned())
    };
    let stopping = || {
        let stopping = admin.stopping.load(Ordering::Acquire);
        stopping.then(|| "leadgate is stopping".to_owned())
    };
    match admin.outbox.fault().or_else(short).or_else(stopping) {
        None => HttpResponse::Ok().json(serde_json::json!({ "status": "ok" })),
        Some(reason) => HttpResponse::ServiceUnavailable()
            .json(serde_json::json!({ "status": "unavailable", "reason": reason })),
    }
}

async fn metrics(admin: web::Data<Admin>) -> Result<HttpResponse, Problem> {
    let text = reading(&admin, |admin| {
        stats::refresh(admin);
        Ok::<_, Problem>(admin.metrics.text())
    });
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text.await?))
}

async fn show_stats(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let stats = reading(&admin, stats::read).await?;
    Ok(HttpResponse::Ok().json(stats))
}

impl Admin {
    /// The cursor of a request, if it can be the `next` of a page of this list.
    fn cursor(&self, params: &Params, of: Paged<'_>) -> Result<Option<String>, Problem> {
        let cursor = params.cursor()?;
        if cursor.is_some_and(|cursor| !self.outbox.continues(of, cursor)) {
            return Err(Problem::new(Kind::BadParameter, NOT_A_CURSOR));
        }
        Ok(cursor.map(str::to_owned))
    }
}

/// What is said of a cursor that no page of the list gave.
const NOT_A_CURSOR: (&str, &str) = (
    "`cursor` is not a cursor of this list: give the `next` of the page before, with the same filter",
    "`cursor` 不是此列表的游标：请给出上一页的 `next`，且筛选条件相同",
);

/// Does what reads the disk on a thread that may block.
async fn reading<T, E>(
    admin: &web::Data<Admin>,
    read: impl FnOnce(&Admin) -> Result<T, E> + Send + 'static,
) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Into<Problem> + Send + 'static,
{
    let admin = admin.clone();
    match web::block(move || read(&admin)).await {
        Ok(read) => read.map_err(Into::into),
        Err(_) => Err(Problem::new(
            Kind::Internal,
            ("the reading was broken off", "读取中断"),
        )),
    }
}

/// A time as the API shows it: RFC 3339, UTC, with milliseconds.
fn rfc3339(at: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(at).unwrap_or_default();
    format!("{at:.3}")
}
