//! System: which leadgate runs, with which configuration, since when, and on which outbox.

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;

use super::params::Params;
use super::problem::Problem;
use super::{Admin, reading, rfc3339};
use crate::config::Revision;

/// `GET /api/v1/system`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct System {
    version: &'static str,
    /// Of the configuration that runs; absent if it is not known where it was read from.
    revision: Option<String>,
    loaded_at: String,
    file: Option<String>,
    /// `same`, `changed` since it was loaded, or `unreadable`.
    files: &'static str,
    uptime_seconds: u64,
    outbox: Outbox,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Outbox {
    path: String,
    encrypted: bool,
    size_bytes: u64,
    free_bytes: u64,
    /// Pushes are refused when less is free.
    min_free_bytes: u64,
    leads: u64,
    /// Why nothing can be accepted any more, if so.
    fault: Option<String>,
}

/// `GET /system`
pub(super) async fn show(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let system = reading(&admin, |admin| Ok::<_, Problem>(read(admin))).await?;
    Ok(HttpResponse::Ok().json(system))
}

fn read(admin: &Admin) -> System {
    let configured = admin.configured.get();
    let revision = configured.revision.as_ref();
    let outbox = &admin.outbox;
    let uptime = admin.clock.monotonic().saturating_sub(admin.started);
    System {
        version: env!("CARGO_PKG_VERSION"),
        revision: revision.map(|revision| revision.hash.clone()),
        loaded_at: rfc3339(configured.loaded_at),
        file: revision.map(|revision| revision.file.display().to_string()),
        files: files(revision),
        uptime_seconds: uptime.as_secs(),
        outbox: Outbox {
            path: configured.outbox.display().to_string(),
            encrypted: configured.encrypted,
            size_bytes: outbox.size(),
            free_bytes: outbox.free(),
            min_free_bytes: outbox.min_free(),
            leads: outbox.totals().leads,
            fault: outbox.fault(),
        },
    }
}

/// Whether the files say what was loaded.
fn files(running: Option<&Revision>) -> &'static str {
    let now = running.and_then(|running| Some((running, Revision::of(&running.file).ok()?)));
    match now {
        Some((running, now)) if running.hash == now.hash => "same",
        Some(_) => "changed",
        None => "unreadable",
    }
}
