//! Bulk: all dead letters of a sink, or of one failure group of it, at once, in two steps. The plan says how many they are;
//! the run takes that number back, so that nobody sets off more than was shown.
//!
//! A run goes through the dead letters page by page. Each page shares a few commits, a
//! delivery that dies again meanwhile is left alone, and it ends after [`LONGEST`] with the
//! rest said.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::params::{Body, Params};
use super::problem::{Kind, Problem};
use super::{Admin, filters, reading};
use crate::clock::Millis;
use crate::outbox::{
    DeliveryId, FailureGroupId, Filter, Listed, Page, Repair, Repaired, StateName,
};

/// Deliveries repaired together.
const PAGE: usize = 100;
/// Failure groups of a sink that are looked through for one.
const GROUPS: usize = 10_000;
/// Ids in a plan.
const SAMPLE: usize = 5;
/// Longest run; what is left then is for the next one.
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    plan: bool,
    confirm_count: Option<u64>,
    /// Only those of this failure group.
    group: Option<String>,
}

/// Which dead letters.
#[derive(Clone)]
struct Chosen {
    sink: String,
    group: Option<FailureGroupId>,
}

#[derive(Debug, Default, Serialize)]
struct BulkRetry {
    retried: u64,
    /// Not tried again.
    skipped: u64,
    /// Those, by why not.
    skipped_because: BTreeMap<&'static str, u64>,
    /// Dead letters there are now.
    remaining: u64,
}

/// `POST /sinks/{name}/retry-dead`
pub(super) async fn retry_dead(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let sink = path.into_inner();
    admin.configured_sink(&sink)?;
    let wish: Wish = body.json()?;
    let group = wish.group.as_deref().map(filters::group).transpose()?;
    let chosen = Chosen { sink, group };
    match (wish.plan, wish.confirm_count) {
        (true, None) => plan(&admin, &chosen).await,
        (false, Some(count)) => run(&admin, &chosen, count).await,
        _ => Err(Problem::new(
            Kind::BadBody,
            (
                "give {\"plan\": true} to learn the count, then {\"confirm_count\": COUNT} to run",
                "先用 {\"plan\": true} 查询数量，再用 {\"confirm_count\": 数量} 执行",
            ),
        )),
    }
}

async fn plan(admin: &web::Data<Admin>, chosen: &Chosen) -> Result<HttpResponse, Problem> {
    let page = dead(admin, chosen, None, SAMPLE).await?;
    let sample: Vec<_> = page.items.iter().map(|one| one.id.to_string()).collect();
    Ok(HttpResponse::Ok().json(json!({
        "sink": chosen.sink,
        "group": chosen.group.map(|group| group.to_string()),
        "count": count(admin, chosen).await?,
        "sample": sample,
    })))
}

async fn run(
    admin: &web::Data<Admin>,
    chosen: &Chosen,
    confirmed: u64,
) -> Result<HttpResponse, Problem> {
    let there = count(admin, chosen).await?;
    if confirmed != there {
        let detail = (
            format!("{confirmed} were confirmed, but there are {there} now; plan again"),
            format!("确认的是 {confirmed} 条，现有 {there} 条；请重新查询"),
        );
        return Err(Problem::new(Kind::CountChanged, detail));
    }
    let (began, since) = (admin.clock.now(), admin.clock.monotonic());
    let mut done = BulkRetry::default();
    let mut cursor = None;
    while done.retried + done.skipped < confirmed
        && admin.clock.monotonic().saturating_sub(since) < LONGEST
    {
        let page = dead(admin, chosen, cursor, PAGE).await?;
        let (ids, died_again): (Vec<_>, Vec<_>) =
            page.items.iter().partition(|one| ended_by(one, began));
        if !died_again.is_empty() {
            let count = died_again.len() as u64;
            *done.skipped_because.entry("died_again").or_default() += count;
        }
        for repaired in repair(admin, ids.into_iter().map(|one| one.id)).await? {
            match repaired {
                Repaired::Done => done.retried += 1,
                other => {
                    done.skipped += 1;
                    *done.skipped_because.entry(why(other)).or_default() += 1;
                }
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    done.remaining = count(admin, chosen).await?;
    tracing::info!(
        sink = chosen.sink,
        group = chosen.group.map(tracing::field::display),
        retried = done.retried,
        skipped = done.skipped,
        remaining = done.remaining,
        "dead letters were told to try again"
    );
    Ok(HttpResponse::Ok().json(done))
}

async fn count(admin: &web::Data<Admin>, chosen: &Chosen) -> Result<u64, Problem> {
    let Some(id) = chosen.group else {
        let totals = admin.outbox.totals();
        let sink = totals.sinks.get(&chosen.sink);
        return Ok(sink.map_or(0, crate::outbox::SinkTotals::dead_letters));
    };
    let sink = chosen.sink.clone();
    reading(admin, move |admin| {
        let groups = admin.outbox.failure_groups(Some(&sink), GROUPS)?;
        let group = groups.iter().find(|group| group.id == id);
        Ok::<_, Problem>(group.map_or(0, |group| group.dead))
    })
    .await
}

async fn dead(
    admin: &web::Data<Admin>,
    chosen: &Chosen,
    cursor: Option<String>,
    limit: usize,
) -> Result<Page<Listed>, Problem> {
    let filter = Filter {
        sink: Some(chosen.sink.clone()),
        state: Some(StateName::Dead),
        group: chosen.group,
        ..Filter::default()
    };
    reading(admin, move |admin| {
        admin.outbox.deliveries(&filter, cursor.as_deref(), limit)
    })
    .await
}

/// Why a delivery was not tried again.
const fn why(repaired: Repaired) -> &'static str {
    match repaired {
        Repaired::Done => "done",
        Repaired::Unknown => "gone",
        Repaired::InFlight => "in_flight",
        Repaired::Over => "over",
        Repaired::Newer => "newer",
        Repaired::NoSink => "no_sink",
    }
}

/// Whether it was over by then: what this very run brought back to death is not tried again.
fn ended_by(one: &Listed, began: Millis) -> bool {
    one.delivery.state.ended_at().is_some_and(|at| at <= began)
}

async fn repair(
    admin: &Admin,
    ids: impl Iterator<Item = DeliveryId>,
) -> Result<Vec<Repaired>, Problem> {
    let now = admin.clock.now();
    let retry = Repair::Retry { force: false };
    let repairs = ids.map(|id| admin.outbox.repair(id, retry.clone(), now));
    let repaired: Result<Vec<_>, _> = join_all(repairs).await.into_iter().collect();
    Ok(repaired?)
}
