//! The quarantine: look at pushes that were kept aside. What becomes of them is decided in
//! [`super::release`].
//!
//! What was pushed is shown only with `reveal=true`, which is logged.

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::parameter::{self, Parameter};
use super::params::{Params, id, one_of};
use super::problem::{Problem, QUARANTINED};
use super::shape::Page;
use super::{Admin, audit, privacy, reading, release, rfc3339};
use crate::outbox::{
    AuditAction, Paged, PushFilter, QuarantineCount, QuarantineId, StoredQuarantinedPush,
};
use crate::source::QUARANTINE_REASONS;

/// Pushes on a page at most: each is read with its body.
pub(super) const MOST: usize = 100;

/// A push in quarantine.
#[derive(Debug, Serialize, JsonSchema)]
struct QuarantinedPush {
    id: String,
    source: String,
    reason: String,
    received_at: String,
    /// When it was sent, by the sender's clock.
    pushed_at: Option<String>,
    /// The sender's clock less this machine's, when the push came.
    clock_difference_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    content_type: String,
    /// Of the body.
    bytes: usize,
}

impl QuarantinedPush {
    fn of(admin: &Admin, stored: &StoredQuarantinedPush) -> Self {
        let pushed_at = (admin.pushed_at)(stored);
        Self {
            pushed_at: pushed_at.map(rfc3339),
            clock_difference_seconds: pushed_at
                .map(|pushed_at| pushed_at.saturating_sub(stored.received_at) / 1000),
            id: stored.id.to_string(),
            source: stored.source.clone(),
            reason: stored.reason.clone(),
            received_at: rfc3339(stored.received_at),
            request_id: stored.request_id.as_deref().map(privacy::without_phones),
            content_type: privacy::without_phones(&stored.content_type),
            bytes: stored.body.len(),
        }
    }
}

/// The push itself.
#[derive(Serialize, JsonSchema)]
struct Revealed {
    #[serde(flatten)]
    quarantined: QuarantinedPush,
    query: String,
    /// The body as text; what is no text is replaced.
    body: String,
    /// The body byte for byte, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl Revealed {
    fn of(admin: &Admin, stored: StoredQuarantinedPush) -> Self {
        let text = std::str::from_utf8(&stored.body).is_ok();
        Self {
            quarantined: QuarantinedPush::of(admin, &stored),
            body: String::from_utf8_lossy(&stored.body).into_owned(),
            body_base64: (!text)
                .then(|| base64::engine::general_purpose::STANDARD.encode(&stored.body)),
            query: stored.query,
        }
    }
}

/// A push by itself.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "QuarantinedPushWithLead")]
pub(super) struct One {
    #[serde(flatten)]
    push: Shown,
    /// The lead that it would be; null if its source is not configured any more.
    becomes: Option<release::Becomes>,
}

/// As lists show it, or whole.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Shown {
    Revealed(Box<Revealed>),
    InShort(QuarantinedPush),
}

/// A push itself, whole.
pub(super) fn revealed(admin: &Admin, stored: StoredQuarantinedPush) -> serde_json::Value {
    json!(Revealed::of(admin, stored))
}

/// How much of a source is there.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "QuarantineCount")]
struct Count {
    source: String,
    entries: u64,
    bytes: u64,
    /// Pushes that were not kept, because as many as may be were there: they got the failure
    /// answer.
    not_kept: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_not_kept_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_not_kept_at: Option<String>,
}

impl From<(String, QuarantineCount)> for Count {
    fn from((source, count): (String, QuarantineCount)) -> Self {
        let when = |at| (count.not_kept > 0).then(|| rfc3339(at));
        Self {
            source,
            entries: count.entries,
            bytes: count.bytes,
            not_kept: count.not_kept,
            first_not_kept_at: when(count.first_not_kept_at),
            last_not_kept_at: when(count.last_not_kept_at),
        }
    }
}

impl Admin {
    /// Refuses a source that neither the configuration nor the quarantine knows. Reads the disk.
    pub(super) fn quarantine_knows(&self, source: &str) -> Result<(), Problem> {
        // Of one that is not configured any more there may still be pushes.
        let counts = self.outbox.quarantine_counts()?;
        let kept = counts.iter().map(|(source, _)| source.as_str());
        let configured = self.configured.get();
        let mut sources: Vec<&str> = configured.sources.iter().map(String::as_str).collect();
        sources.extend(kept);
        sources.sort_unstable();
        sources.dedup();
        one_of("source", source, &sources)
    }
}

/// A page of pushes, with how many there are of each source.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Quarantine")]
pub(super) struct List {
    #[serde(flatten)]
    page: Page<QuarantinedPush>,
    counts: Vec<Count>,
}

/// What [`list`] understands.
pub(super) fn parameters() -> Vec<Parameter> {
    let mut all = vec![
        parameter::one_of("reason", QUARANTINE_REASONS, "Only with this reason."),
        parameter::text("source", "Only of this source."),
        parameter::limit(MOST),
        parameter::cursor(),
    ];
    all.extend(parameter::times());
    all
}

/// Which pushes are listed.
fn wanted(admin: &Admin, params: &Params) -> Result<PushFilter, Problem> {
    let reason = params.text("reason");
    if let Some(reason) = reason {
        one_of("reason", reason, &QUARANTINE_REASONS)?;
    }
    let source = params.text("source");
    if let Some(source) = source {
        admin.quarantine_knows(source)?;
    }
    let now = admin.clock.now();
    Ok(PushFilter {
        reason: reason.map(str::to_owned),
        source: source.map(str::to_owned),
        since: params.time("since", now)?,
        before: params.time("until", now)?,
    })
}

/// `GET /quarantine`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let params = Params::of(&request)?;
    let limit = params.limit(MOST)?;
    let cursor = admin.cursor(&params, Paged::Quarantine)?;
    let read = reading(&admin, move |admin| {
        let wanted = wanted(admin, &params)?;
        let page = admin.outbox.quarantined_pushes(cursor.as_deref(), limit)?;
        let items = page.items.iter().filter(|one| wanted.passes(one));
        let items: Vec<_> = items.map(|one| QuarantinedPush::of(admin, one)).collect();
        let counts = admin.outbox.quarantine_counts()?.into_iter();
        let counts: Vec<_> = counts.map(Count::from).collect();
        let page = Page {
            items,
            next: page.next,
        };
        Ok::<_, Problem>(List { page, counts })
    });
    Ok(HttpResponse::Ok().json(read.await?))
}

/// `GET /quarantine/{id}`
pub(super) async fn show(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = QuarantineId(id(&path, QUARANTINED)?);
    let why = audit::reason(&Params::of(&request)?)?;
    let reveal = why.is_some();
    let asked = admin.clone();
    let of = (AuditAction::QuarantineReveal, id.to_string());
    let look = async move || find(&asked, id).await;
    let found = audit::revealed(&admin, &request, of, why, look).await?;
    let becomes = release::preview(&admin.reread, &found);
    let push = if reveal {
        tracing::info!(quarantine = %id, "push in quarantine was revealed");
        Shown::Revealed(Box::new(Revealed::of(&admin, found)))
    } else {
        Shown::InShort(QuarantinedPush::of(&admin, &found))
    };
    Ok(HttpResponse::Ok().json(One { push, becomes }))
}

/// A push as lists show it, with what it would become; `None` if it is gone. Reads the disk.
pub(super) fn in_short(
    admin: &Admin,
    id: QuarantineId,
) -> Result<Option<serde_json::Value>, Problem> {
    let found = admin.outbox.quarantined_push(id)?;
    Ok(found.map(|found| {
        json!(One {
            becomes: release::preview(&admin.reread, &found),
            push: Shown::InShort(QuarantinedPush::of(admin, &found)),
        })
    }))
}

pub(super) async fn find(
    admin: &web::Data<Admin>,
    id: QuarantineId,
) -> Result<StoredQuarantinedPush, Problem> {
    let found = reading(admin, move |admin| admin.outbox.quarantined_push(id)).await?;
    found.ok_or_else(|| no_such(id))
}

pub(super) fn no_such(id: QuarantineId) -> Problem {
    Problem::no_such(("push in quarantine with the id", QUARANTINED.1), id)
}
