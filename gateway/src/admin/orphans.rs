//! Orphans: deliveries that wait or are dead and whose sink is not configured any more.
//!
//! They are never dropped and never sent by themselves: a person configures the sink again or
//! cancels them.

use actix_web::{HttpRequest, HttpResponse, web};

use super::deliveries::Summary;
use super::params::Params;
use super::problem::{Kind, Problem};
use super::{Admin, reading, stats};
use crate::outbox::{Filter, StateName};

/// Deliveries on a page at most.
const MOST: usize = 500;
/// The states that have not ended well.
const OPEN: [StateName; 4] = [
    StateName::Pending,
    StateName::Retrying,
    StateName::Behind,
    StateName::Dead,
];

/// `GET /orphaned`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let params = Params::of(&request, &["limit", "cursor"])?;
    let limit = params.limit(MOST)?;
    let cursor = params.text("cursor").map(str::to_owned);
    let (items, next) = reading(&admin, move |admin| page(admin, cursor.as_deref(), limit)).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "items": items, "next": next })))
}

/// One list after the other: each sink in each state. The cursor says which, and where in it.
fn page(
    admin: &Admin,
    cursor: Option<&str>,
    limit: usize,
) -> Result<(Vec<Summary>, Option<String>), Problem> {
    let totals = admin.outbox.totals();
    let sinks: Vec<String> = stats::names(admin, &totals)
        .into_iter()
        .filter(|name| !admin.sinks.contains_key(name))
        .collect();
    let (mut at, mut inner) = match cursor {
        None => (0, None),
        Some(cursor) => {
            place(cursor).ok_or_else(|| Problem::new(Kind::BadParameter, super::NOT_A_CURSOR))?
        }
    };
    let mut items = Vec::new();
    while let Some(sink) = sinks.get(at / OPEN.len()) {
        let filter = Filter {
            sink: Some(sink.clone()),
            state: Some(OPEN[at % OPEN.len()]),
            ..Filter::default()
        };
        let page = admin
            .outbox
            .deliveries(&filter, inner.as_deref(), limit - items.len())?;
        for listed in &page.items {
            items.push(Summary::held(admin, listed)?);
        }
        match page.next {
            Some(next) => return Ok((items, Some(format!("{at}.{next}")))),
            None => (at, inner) = (at + 1, None),
        }
        if items.len() >= limit && at < sinks.len() * OPEN.len() {
            return Ok((items, Some(format!("{at}."))));
        }
    }
    Ok((items, None))
}

fn place(cursor: &str) -> Option<(usize, Option<String>)> {
    let (at, inner) = cursor.split_once('.')?;
    let inner = (!inner.is_empty()).then(|| inner.to_owned());
    Some((at.parse().ok()?, inner))
}
