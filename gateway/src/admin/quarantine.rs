//! The quarantine: look at a push that was kept aside, release it as a lead, or discard it.
//!
//! What was pushed is shown only with `reveal=true`, which is logged.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use serde::Serialize;
use serde_json::json;

use super::params::{Params, id};
use super::problem::{Kind, Problem};
use super::{Admin, reading, rfc3339};
use crate::outbox::{Accepted, QuarantineId, StoredSuspect};

/// Pushes on a page at most: each is read with its body.
const MOST: usize = 100;

#[derive(Debug, Serialize)]
struct Suspect {
    id: String,
    source: String,
    reason: String,
    received_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    content_type: String,
    /// Of the body.
    bytes: usize,
}

impl From<&StoredSuspect> for Suspect {
    fn from(stored: &StoredSuspect) -> Self {
        Self {
            id: stored.id.to_string(),
            source: stored.source.clone(),
            reason: stored.reason.clone(),
            received_at: rfc3339(stored.received_at),
            request_id: stored.request_id.clone(),
            content_type: stored.content_type.clone(),
            bytes: stored.body.len(),
        }
    }
}

/// The push itself.
#[derive(Serialize)]
struct Revealed {
    #[serde(flatten)]
    suspect: Suspect,
    query: String,
    /// The body as text; what is no text is replaced.
    body: String,
    /// The body byte for byte, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl From<StoredSuspect> for Revealed {
    fn from(stored: StoredSuspect) -> Self {
        let text = std::str::from_utf8(&stored.body).is_ok();
        Self {
            suspect: Suspect::from(&stored),
            body: String::from_utf8_lossy(&stored.body).into_owned(),
            body_base64: (!text)
                .then(|| base64::engine::general_purpose::STANDARD.encode(&stored.body)),
            query: stored.query,
        }
    }
}

/// `GET /quarantine`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let params = Params::of(&request, &["limit", "cursor"])?;
    let limit = params.limit(MOST)?;
    let cursor = params.cursor()?.map(str::to_owned);
    let read = reading(&admin, move |admin| {
        admin.outbox.suspects(cursor.as_deref(), limit)
    });
    let page = read.await?;
    let items: Vec<_> = page.items.iter().map(Suspect::from).collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items, "next": page.next })))
}

/// `GET /quarantine/{id}`
pub(super) async fn show(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = QuarantineId(id(&path)?);
    let reveal = Params::of(&request, &["reveal"])?.flag("reveal")?;
    let found = find(&admin, id).await?;
    if reveal {
        tracing::info!(quarantine = %id, "push in quarantine was revealed");
        return Ok(HttpResponse::Ok().json(Revealed::from(found)));
    }
    Ok(HttpResponse::Ok().json(Suspect::from(&found)))
}

async fn find(admin: &web::Data<Admin>, id: QuarantineId) -> Result<StoredSuspect, Problem> {
    let found = reading(admin, move |admin| admin.outbox.suspect(id)).await?;
    found.ok_or_else(|| no_such(id))
}

fn no_such(id: QuarantineId) -> Problem {
    Problem::no_such("push in quarantine with the id", id)
}

/// `POST /quarantine/{id}/release`
pub(super) async fn release(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = QuarantineId(id(&path)?);
    Params::of(&request, &[])?;
    let suspect = find(&admin, id).await?;
    let reread = Arc::clone(&admin.reread);
    let Some(arrival) = reread(&suspect) else {
        let detail = format!(
            "its source `{}` is not configured any more; configure it first",
            suspect.source
        );
        return Err(Problem::new(Kind::NoSource, detail));
    };
    let accepted = admin.outbox.admit(id, arrival, admin.clock.now()).await?;
    let (lead, revision, duplicate) = match accepted.ok_or_else(|| no_such(id))? {
        Accepted::New { lead, revision, .. } | Accepted::Routed { lead, revision } => {
            (lead, revision, false)
        }
        Accepted::Duplicate { lead, revision } => (lead, revision, true),
    };
    tracing::info!(quarantine = %id, %lead, revision, duplicate, "push was released from quarantine");
    Ok(HttpResponse::Ok().json(json!({
        "id": id.to_string(),
        "lead": lead.to_string(),
        "revision": revision,
        "duplicate": duplicate,
    })))
}

/// `POST /quarantine/{id}/discard`
pub(super) async fn discard(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = QuarantineId(id(&path)?);
    Params::of(&request, &[])?;
    if !admin.outbox.discard(id).await? {
        return Err(no_such(id));
    }
    tracing::info!(quarantine = %id, "push in quarantine was discarded");
    Ok(HttpResponse::Ok().json(json!({ "id": id.to_string(), "discarded": true })))
}
