//! Release and discard: what a person decides about one push in quarantine. For many there are
//! bulk jobs ([`super::jobs`]).
//!
//! A release is never blind: it is shown what the push would become, and one by which nobody
//! could be reached is released only when that is said.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::audit::audited;
use super::params::{Body, Params, id};
use super::problem::{Kind, Problem, QUARANTINED};
use super::quarantine::{find, no_such};
use super::{Admin, privacy};
use crate::bulk::{REACH, is_reachable};
use crate::outbox::{
    Accepted, Arrival, AuditAction, AuditEvent, QuarantineId, StoredQuarantinedPush,
};

/// What a push would be as a lead.
pub(super) fn becomes(arrival: &Arrival) -> Value {
    let sinks: Vec<&str> = arrival.routes.iter().map(|route| &*route.sink).collect();
    json!({
        "lead": privacy::masked(&arrival.lead),
        "sinks": sinks,
        "reachable": is_reachable(arrival),
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct One {
    force: bool,
}

/// `POST /quarantine/{id}/release`
pub(super) async fn release(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let released = async move |event: &mut AuditEvent| {
        let id = of_path(event, &path)?;
        Params::of(&query, &[])?;
        let One { force } = body.json()?;
        if force {
            "force".clone_into(&mut event.filter);
        }
        released(&asked, id, force).await
    };
    let told = audited(&admin, &request, AuditAction::QuarantineRelease, released).await?;
    Ok(HttpResponse::Ok().json(told))
}

/// The push that a path names.
fn of_path(event: &mut AuditEvent, path: &str) -> Result<QuarantineId, Problem> {
    let id = QuarantineId(id(path, QUARANTINED)?);
    event.target = id.to_string();
    Ok(id)
}

async fn released(
    admin: &web::Data<Admin>,
    id: QuarantineId,
    force: bool,
) -> Result<Value, Problem> {
    let quarantined = find(admin, id).await?;
    let Some(arrival) = (admin.reread)(&quarantined) else {
        let source = &quarantined.source;
        let detail = (
            format!("its source `{source}` is not configured any more; configure it first"),
            format!("其来源 `{source}` 已不在配置中；请先配置"),
        );
        return Err(Problem::new(Kind::NoSource, detail));
    };
    if !force && !is_reachable(&arrival) {
        let detail = (
            format!(
                "nobody could be reached by it: it has no {}; {{\"force\": true}} releases it all the same",
                REACH.join(", no ")
            ),
            format!(
                "无法联系到任何人：没有 {}；{{\"force\": true}} 可仍然放行",
                REACH.join("、")
            ),
        );
        return Err(Problem::new(Kind::Unreachable, detail));
    }
    let accepted = admin.outbox.release(id, arrival, admin.clock.now()).await?;
    let (lead, revision, duplicate) = match accepted.ok_or_else(|| no_such(id))? {
        Accepted::New { lead, revision, .. } | Accepted::Routed { lead, revision } => {
            (lead, revision, false)
        }
        Accepted::Duplicate { lead, revision } => (lead, revision, true),
        // It was in quarantine and is none the less not known: the store is at fault.
        Accepted::Deferred => return Err(no_such(id)),
    };
    tracing::info!(quarantine = %id, %lead, revision, duplicate, "push was released from quarantine");
    Ok(json!({
        "id": id.to_string(),
        "lead": lead.to_string(),
        "revision": revision,
        "duplicate": duplicate,
    }))
}

/// `POST /quarantine/{id}/discard`
pub(super) async fn discard(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let discarded = async move |event: &mut AuditEvent| {
        let id = of_path(event, &path)?;
        Params::of(&query, &[])?;
        if !asked.outbox.discard(id).await? {
            return Err(no_such(id));
        }
        tracing::info!(quarantine = %id, "push in quarantine was discarded");
        Ok(id)
    };
    let id = audited(&admin, &request, AuditAction::QuarantineDiscard, discarded).await?;
    Ok(HttpResponse::Ok().json(json!({ "id": id.to_string(), "discarded": true })))
}

/// What a push would become, for whoever looks at it.
pub(super) fn preview(reread: &Arc<super::Reread>, quarantined: &StoredQuarantinedPush) -> Value {
    reread(quarantined).map_or(Value::Null, |arrival| becomes(&arrival))
}
