//! Release and discard: what a person decides about pushes in quarantine, one or many.
//!
//! A release is never blind: it is shown what each push would become, and one by which nobody
//! could be reached is released only when that is said. Many go in two steps, as every bulk:
//! the plan says how many, the run takes that number back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::params::{Body, Params, id};
use super::problem::{Kind, Problem, QUARANTINED};
use super::quarantine::{Wanted, find, no_such};
use super::{Admin, privacy, reading};
use crate::bulk::{REACH, is_reachable};
use crate::outbox::{Accepted, Arrival, QuarantineId, StoredQuarantinedPush};

/// Pushes read, and released, together.
const PAGE: usize = 100;
/// Longest run; what is left then is for the next one.
const LONGEST: Duration = Duration::from_secs(30);

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
    let id = QuarantineId(id(&path, QUARANTINED)?);
    Params::of(&request, &[])?;
    let wish: One = body.json()?;
    let quarantined = find(&admin, id).await?;
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
    let id = QuarantineId(id(&path, QUARANTINED)?);
    Params::of(&request, &[])?;
    if !admin.outbox.discard(id).await? {
        return Err(no_such(id));
    }
    tracing::info!(quarantine = %id, "push in quarantine was discarded");
    Ok(HttpResponse::Ok().json(json!({ "id": id.to_string(), "discarded": true })))
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Many {
    plan: bool,
    confirm_count: Option<u64>,
    /// Also those by which nobody could be reached.
    force: bool,
    reason: Option<String>,
    source: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// What a run would do.
#[derive(Debug, Default, Serialize)]
struct Plan {
    /// Pushes that are meant, all of the following among them.
    count: u64,
    /// Nobody could be reached by them.
    unreachable: u64,
    /// Their source is not configured any more.
    without_source: u64,
    by_reason: BTreeMap<String, u64>,
    by_source: BTreeMap<String, u64>,
    /// The moments that were asked for, so that a person sees what was understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct BulkRelease {
    released: u64,
    /// Of those, what was known as a lead already.
    duplicates: u64,
    /// Left where they are: nobody could be reached by them.
    unreachable: u64,
    /// Left where they are: their source is not configured any more.
    without_source: u64,
    /// Meant, and not looked at in the time of one run.
    remaining: u64,
}

/// `POST /quarantine/release`
pub(super) async fn release_many(
    admin: web::Data<Admin>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let wish: Many = body.json()?;
    let asked = wish.clone();
    let wanted = reading(&admin, move |admin| {
        let times = (asked.since.as_deref(), asked.until.as_deref());
        Wanted::of(admin, asked.reason, asked.source, times)
    })
    .await?;
    if wanted.is_all() {
        return Err(Problem::new(
            Kind::BadBody,
            (
                "say which: \"reason\", \"source\", \"since\" or \"until\"",
                "请说明放行哪些：\"reason\"、\"source\"、\"since\" 或 \"until\"",
            ),
        ));
    }
    match (wish.plan, wish.confirm_count) {
        (true, None) => Ok(HttpResponse::Ok().json(plan(&admin, wanted).await?)),
        (false, Some(count)) => run(&admin, wanted, count, wish.force).await,
        _ => Err(Problem::new(
            Kind::BadBody,
            (
                "give \"plan\": true to learn the count, then \"confirm_count\": COUNT to run",
                "先用 \"plan\": true 查询数量，再用 \"confirm_count\": 数量 执行",
            ),
        )),
    }
}

async fn plan(admin: &web::Data<Admin>, wanted: Wanted) -> Result<Plan, Problem> {
    let read = reading(admin, move |admin| {
        let [since, until] = wanted.moments();
        let mut plan = Plan {
            since,
            until,
            ..Plan::default()
        };
        wanted.each(admin, |quarantined| {
            plan.count += 1;
            *plan
                .by_reason
                .entry(quarantined.reason.clone())
                .or_default() += 1;
            *plan
                .by_source
                .entry(quarantined.source.clone())
                .or_default() += 1;
            match (admin.reread)(&quarantined) {
                None => plan.without_source += 1,
                Some(arrival) => plan.unreachable += u64::from(!is_reachable(&arrival)),
            }
        })?;
        Ok::<_, Problem>(plan)
    });
    read.await
}

async fn run(
    admin: &web::Data<Admin>,
    wanted: Wanted,
    confirmed: u64,
    force: bool,
) -> Result<HttpResponse, Problem> {
    let ids = reading(admin, move |admin| {
        let mut ids = Vec::new();
        wanted.each(admin, |quarantined| ids.push(quarantined.id))?;
        Ok::<_, Problem>(ids)
    })
    .await?;
    if confirmed != ids.len() as u64 {
        let there = ids.len();
        let detail = (
            format!("{confirmed} were confirmed, but there are {there} now; plan again"),
            format!("确认的是 {confirmed} 次，现有 {there} 次；请重新查询"),
        );
        return Err(Problem::new(Kind::CountChanged, detail));
    }
    let since = admin.clock.monotonic();
    let mut done = BulkRelease::default();
    let mut left = confirmed;
    for page in ids.chunks(PAGE) {
        if admin.clock.monotonic().saturating_sub(since) >= LONGEST {
            break;
        }
        left -= page.len() as u64;
        let page = page.to_vec();
        let read = reading(admin, move |admin| {
            let quarantined = page.into_iter().map(|id| admin.outbox.quarantined_push(id));
            let quarantined = quarantined.collect::<Result<Vec<_>, _>>()?;
            Ok::<Vec<StoredQuarantinedPush>, Problem>(quarantined.into_iter().flatten().collect())
        });
        let mut releases = Vec::new();
        for quarantined in read.await? {
            match (admin.reread)(&quarantined) {
                None => done.without_source += 1,
                Some(arrival) if !force && !is_reachable(&arrival) => done.unreachable += 1,
                Some(arrival) => {
                    releases.push(
                        admin
                            .outbox
                            .release(quarantined.id, arrival, admin.clock.now()),
                    );
                }
            }
        }
        for released in join_all(releases).await {
            // One that somebody else took out meanwhile counts for nobody.
            let Some(accepted) = released? else { continue };
            done.released += 1;
            done.duplicates += u64::from(matches!(accepted, Accepted::Duplicate { .. }));
        }
    }
    done.remaining = left;
    tracing::info!(
        released = done.released,
        duplicates = done.duplicates,
        unreachable = done.unreachable,
        remaining = done.remaining,
        "pushes were released from quarantine"
    );
    Ok(HttpResponse::Ok().json(done))
}

/// What a push would become, for whoever looks at it.
pub(super) fn preview(reread: &Arc<super::Reread>, quarantined: &StoredQuarantinedPush) -> Value {
    reread(quarantined).map_or(Value::Null, |arrival| becomes(&arrival))
}
