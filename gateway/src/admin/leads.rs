//! Leads: by time and source, search, and one with its revisions and deliveries.
//!
//! Personal data never stands in a URL: what is searched for comes in a body. Lists show
//! none; one lead shows it masked, unless `reveal=true`, which is logged.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::audit::audited;
use super::deliveries::Summary;
use super::params::{Body, Params, guess, id};
use super::problem::{Kind, LEAD, Noun, Problem};
use super::shape::{DeliveryState, Items, Page};
use super::sieve::Sieve;
use super::{Admin, audit, filters, never, privacy, reading, rfc3339};
use crate::lang::Text;
use crate::outbox::{AuditAction, AuditEvent, Find, FindBy, History, LeadId, Paged, StoredLead};

/// Leads on a page, or found by one value, at most.
pub(super) const MOST: usize = 100;

const REVISION: Noun = ("such revision of lead", "客资版本");

/// A lead in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Lead")]
pub(super) struct Summarized {
    id: String,
    source: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    record_id: Value,
    revisions: usize,
    /// When its first and its newest push came.
    first_received_at: String,
    last_received_at: String,
    /// Where it stands, by sink: of the newest revision for it.
    #[schemars(with = "BTreeMap<String, DeliveryState>")]
    sinks: BTreeMap<String, &'static str>,
}

fn summarized(history: &History) -> Option<Summarized> {
    let (first, last) = (history.revisions.first()?, history.revisions.last()?);
    let lead: Value = serde_json::from_str(&last.lead).unwrap_or_default();
    let sinks = history.deliveries.iter();
    Some(Summarized {
        id: history.id.to_string(),
        source: last.source.clone(),
        record_id: lead["record_id"].clone(),
        revisions: history.revisions.len(),
        first_received_at: rfc3339(first.received_at),
        last_received_at: rfc3339(last.received_at),
        // By revision: the newest comes last and stays.
        sinks: sinks
            .map(|one| (one.delivery.sink.clone(), one.state.as_str()))
            .collect(),
    })
}

/// One lead as lists show it; `None` if it is gone.
pub(super) fn in_short(admin: &Admin, id: LeadId) -> Result<Option<Summarized>, Problem> {
    let history = admin.outbox.history(id)?;
    Ok(history.as_ref().and_then(summarized))
}

fn summaries(admin: &Admin, ids: &[LeadId]) -> Result<Vec<Summarized>, Problem> {
    let mut found = Vec::new();
    for id in ids {
        found.extend(in_short(admin, *id)?);
    }
    Ok(found)
}

/// `GET /leads`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let params = Params::of(&request)?;
    let limit = params.limit(MOST)?;
    let filter = filters::leads(&params, admin.clock.now())?;
    let sieve = Sieve::of(&params)?;
    let unrouted = params.flag("unrouted")?;
    if unrouted && params.any_but(&["limit", "cursor", "unrouted"]) {
        let detail = (
            "`unrouted` lists all of them, the newest first: it takes `limit` and `cursor` alone",
            "`unrouted` 列出全部，最新的在前：只可与 `limit`、`cursor` 同用",
        );
        return Err(Problem::new(Kind::BadParameter, detail));
    }
    let of = if unrouted {
        Paged::Unrouted
    } else {
        Paged::Leads
    };
    let cursor = admin.cursor(&params, of)?;
    let read = reading(&admin, move |admin| {
        let page = if unrouted {
            let page = admin.outbox.unrouted(cursor.as_deref(), limit)?;
            (summaries(admin, &page.items)?, page.next)
        } else {
            admin.known(sieve.sink(), filter.source.as_deref())?;
            let (found, next) = sieve.page(admin, &filter, cursor, limit)?;
            (found.iter().filter_map(summarized).collect(), next)
        };
        Ok::<_, Problem>(page)
    });
    let (items, next) = read.await?;
    Ok(HttpResponse::Ok().json(Page { items, next }))
}

/// What leads are searched by.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Search {
    /// Which field: `phone`, `phone_end`, `record_id`, `order_num`, `nick` or `openid`.
    by: String,
    /// What it is, whole; of a phone the last four digits are enough.
    value: String,
}

/// `POST /leads/search`
pub(super) async fn search(
    admin: web::Data<Admin>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let found = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        let find = meant(&body.json()?)?;
        let by = find.field;
        event.filter = format!("by={}", by.as_str());
        let read = reading(&asked, move |admin| {
            let ids = admin.outbox.find(&find, MOST)?;
            summaries(admin, &ids)
        });
        let items = read.await?;
        event.count = Some(items.len() as u64);
        tracing::info!(by = by.as_str(), found = items.len(), "leads were searched");
        Ok(items)
    };
    let items = audited(&admin, &request, AuditAction::LeadsSearch, found).await?;
    Ok(HttpResponse::Ok().json(Items { items }))
}

/// What is looked for.
fn meant(search: &Search) -> Result<Find, Problem> {
    let known = FindBy::ALL.into_iter();
    let Some(by) = known.clone().find(|by| by.as_str() == search.by) else {
        let guess = guess(&search.by, known.map(FindBy::as_str));
        return Err(Problem::new(
            Kind::BadBody,
            Text::new("`by` is unknown", "`by` 的值未知").and(&guess),
        ));
    };
    let find = Find::asked(by, &search.value);
    let by = find.field;
    if find.value.is_empty() {
        let detail = match by {
            FindBy::PhoneEnd => ("`value` has no four digits", "`value` 不足四位数字"),
            _ => ("`value` is empty", "`value` 为空"),
        };
        return Err(Problem::new(Kind::BadBody, detail));
    }
    Ok(find)
}

/// A revision of a lead.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Revision")]
struct Shown {
    revision: u32,
    received_at: String,
    /// Its fields; what says who it is masked unless it was to be revealed.
    lead: Value,
    labels: Value,
}

/// One lead.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LeadWithDeliveries")]
pub(super) struct One {
    id: String,
    source: Option<String>,
    /// No sink ever wanted it.
    unrouted: bool,
    /// Whether what follows is unmasked.
    revealed: bool,
    /// Oldest first.
    revisions: Vec<Shown>,
    deliveries: Vec<Summary>,
    /// The sinks that it did not go to, and why not.
    never: Vec<never::Never>,
}

/// What was pushed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RawPush")]
pub(super) struct Pushed {
    id: String,
    revision: u32,
    /// The body as text.
    raw: String,
    /// The body byte for byte, where it was no text.
    original_base64: Option<String>,
}

/// Text that is JSON already.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn revision(stored: &StoredLead, reveal: bool) -> Shown {
    let (lead, labels) = if reveal {
        (parsed(&stored.lead), parsed(&stored.labels))
    } else {
        (
            privacy::masked(&stored.lead),
            privacy::labels(&stored.labels),
        )
    };
    Shown {
        revision: stored.revision,
        received_at: rfc3339(stored.received_at),
        lead,
        labels,
    }
}

/// `GET /leads/{id}`
pub(super) async fn show(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = LeadId(id(&path, LEAD)?);
    let why = audit::reason(&Params::of(&request)?)?;
    let reveal = why.is_some();
    let asked = admin.clone();
    let look = async move || {
        let history = reading(&asked, move |admin| admin.outbox.history(id)).await?;
        let history = history.ok_or_else(|| Problem::no_such(LEAD, id))?;
        if reveal {
            tracing::info!(lead = %id, "lead was revealed");
        }
        Ok(history)
    };
    let of = (AuditAction::LeadsReveal, id.to_string());
    let history = audit::revealed(&admin, &request, of, why, look).await?;
    let revisions = history.revisions.iter();
    let revisions: Vec<_> = revisions.map(|one| revision(one, reveal)).collect();
    let deliveries: Vec<_> = history.deliveries.iter().map(Summary::from).collect();
    let never = never::of(&admin.configured.get(), &history, reveal);
    Ok(HttpResponse::Ok().json(One {
        id: id.to_string(),
        source: history.revisions.last().map(|last| last.source.clone()),
        unrouted: history.deliveries.is_empty(),
        revealed: reveal,
        revisions,
        deliveries,
        never,
    }))
}

/// `GET /leads/{id}/raw`
pub(super) async fn raw(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = LeadId(id(&path, LEAD)?);
    let params = Params::of(&request)?;
    let why = audit::reason(&params)?;
    if why.is_none() {
        let detail = (
            "what was pushed is personal data; ask with reveal=true, which is logged",
            "推送内容是个人信息；请用 reveal=true 查询，此操作会被记录",
        );
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let number = params.number("revision")?.unwrap_or(0);
    let asked = admin.clone();
    let look = async move || {
        let stored = reading(&asked, move |admin| admin.outbox.lead(id, number)).await?;
        let stored = stored.ok_or_else(|| Problem::no_such(REVISION, id))?;
        tracing::info!(lead = %id, "lead was revealed");
        Ok(stored)
    };
    let of = (AuditAction::LeadsReveal, id.to_string());
    let stored = audit::revealed(&admin, &request, of, why, look).await?;
    let original = stored.original.as_ref();
    Ok(HttpResponse::Ok().json(Pushed {
        id: id.to_string(),
        revision: stored.revision,
        original_base64: original
            .map(|bytes| base64::engine::general_purpose::STANDARD.encode(bytes)),
        raw: stored.raw,
    }))
}
