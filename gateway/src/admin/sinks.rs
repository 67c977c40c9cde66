//! Sinks: how each does, and whether it is paused. A pause is durable: it holds over
//! restarts until a person ends it.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::json;

use super::params::{Params, guess};
use super::problem::{Kind, Problem};
use super::{Admin, reading, stats};

#[derive(Debug, Serialize)]
struct Sink {
    name: String,
    /// `None` for a sink that is not configured any more but has deliveries.
    plugin: Option<String>,
    configured: bool,
    #[serde(flatten)]
    counts: stats::Sink,
}

impl Admin {
    /// Refuses a sink that is neither configured nor has deliveries.
    pub(super) fn known_sink(&self, name: &str, kind: Kind) -> Result<(), Problem> {
        let totals = self.outbox.totals();
        let known: BTreeSet<&str> = self
            .sinks
            .keys()
            .chain(totals.sinks.keys())
            .map(String::as_str)
            .collect();
        if known.contains(name) {
            return Ok(());
        }
        let guess = guess(name, known.iter().copied());
        Err(Problem::new(
            kind,
            format!("there is no such sink; {guess}"),
        ))
    }

    /// Refuses a sink that is not configured.
    pub(super) fn configured_sink(&self, name: &str) -> Result<(), Problem> {
        if self.sinks.contains_key(name) {
            return Ok(());
        }
        let guess = guess(name, self.sinks.keys().map(String::as_str));
        let detail = format!("there is no such sink; {guess}");
        Err(Problem::new(Kind::NotFound, detail))
    }
}

/// `GET /sinks`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let items = reading(&admin, all).await?;
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

fn all(admin: &Admin) -> Result<Vec<Sink>, Problem> {
    let totals = admin.outbox.totals();
    let names: BTreeSet<&String> = admin.sinks.keys().chain(totals.sinks.keys()).collect();
    let mut sinks = Vec::new();
    for name in names {
        let plugin = admin.sinks.get(name);
        let configured = plugin.is_some();
        let counts = stats::sink(admin, &totals, name)?;
        // Once it is not configured and has nothing left, it is history.
        if configured || counts.has_work() {
            sinks.push(Sink {
                name: name.clone(),
                plugin: plugin.cloned(),
                configured,
                counts,
            });
        }
    }
    Ok(sinks)
}

/// `POST /sinks/{name}/pause`
pub(super) async fn pause(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    set(&admin, &path, true).await
}

/// `POST /sinks/{name}/resume`
pub(super) async fn resume(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    set(&admin, &path, false).await
}

async fn set(admin: &Admin, name: &str, paused: bool) -> Result<HttpResponse, Problem> {
    admin.configured_sink(name)?;
    admin.outbox.pause(name, paused).await?;
    if paused {
        tracing::info!(sink = name, "sink was paused");
    } else {
        tracing::info!(sink = name, "sink was resumed");
    }
    Ok(HttpResponse::Ok().json(json!({ "name": name, "paused": paused })))
}
