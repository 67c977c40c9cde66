//! Release and discard: what a person decides about one push in quarantine. For many there are
//! bulk jobs ([`super::jobs`]).
//!
//! A release is never blind: it is shown what the push would become, and one by which nobody
//! could be reached is released only when that is said.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
#[derive(Serialize, JsonSchema)]
pub(super) struct Becomes {
    /// Its fields, masked.
    lead: Value,
    /// The sinks that want it.
    sinks: Vec<String>,
    /// Whether anybody could be reached by it.
    reachable: bool,
}

impl Becomes {
    fn of(arrival: &Arrival) -> Self {
        let sinks = arrival.routes.iter();
        Self {
            lead: privacy::masked(&arrival.lead),
            sinks: sinks.map(|route| route.sink.to_string()).collect(),
            reachable: is_reachable(arrival),
        }
    }
}

/// A push that was released.
#[derive(Serialize, JsonSchema)]
pub(super) struct Released {
    id: String,
    lead: String,
    revision: u32,
    /// Whether the lead was there already.
    duplicate: bool,
}

/// A push that was discarded.
#[derive(Serialize, JsonSchema)]
pub(super) struct Discarded {
    id: String,
    discarded: bool,
}

/// How a push is released.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ReleaseWish")]
pub(super) struct One {
    /// Also if nobody could be reached by it.
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
        Params::of(&query)?;
        let wish: One = body.json()?;
        if wish.force {
            "force".clone_into(&mut event.filter);
        }
        released(&asked, id, &wish).await
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
    wish: &One,
) -> Result<Released, Problem> {
    let quarantined = find(admin, id).await?;
    let Some(arrival) = (admin.reread)(&quarantined) else {
        let source = &quarantined.source;
        let detail = (
            format!("its source `{source}` is not configured any more; configure it first"),
            format!("其来源 `{source}` 已不在配置中；请先配置"),
        );
        return Err(Problem::new(Kind::NoSource, detail));
    };
    if !wish.force && !is_reachable(&arrival) {
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
    Ok(Released {
        id: id.to_string(),
        lead: lead.to_string(),
        revision,
        duplicate,
    })
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
        Params::of(&query)?;
        if !asked.outbox.discard(id).await? {
            return Err(no_such(id));
        }
        tracing::info!(quarantine = %id, "push in quarantine was discarded");
        Ok(id)
    };
    let id = audited(&admin, &request, AuditAction::QuarantineDiscard, discarded).await?;
    Ok(HttpResponse::Ok().json(Discarded {
        id: id.to_string(),
        discarded: true,
    }))
}

/// What a push would become, for whoever looks at it.
pub(super) fn preview(
    reread: &Arc<super::Reread>,
    quarantined: &StoredQuarantinedPush,
) -> Option<Becomes> {
    reread(quarantined).map(|arrival| Becomes::of(&arrival))
}
