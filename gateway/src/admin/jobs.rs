//! Bulk jobs: plan one, start it, look at it, stop it.
//!
//! A plan is kept as a job that does nothing until it is started by its id, so nobody sets off
//! more than was shown: times are fixed when it is made, and what comes later is not meant.
//! Nothing in an answer says who a lead is of. Planning, starting, stopping and the end of a job
//! are logged with who, what and how many.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::params::{Body, Params, id};
use super::problem::{Kind, Noun, Problem};
use super::wish::{NOTE, Wish, bad, fits};
use super::{Admin, reading, rfc3339, samples};
use crate::bulk;
use crate::clock::Millis;
use crate::outbox::{
    BulkAction, BulkJob, BulkPlan, Count, DeathReason, JobId, JobState, Population, StateName,
    Steered, Stop,
};
use crate::route::When;

/// A bulk job.
const JOB: Noun = ("bulk job", "批量任务");

/// `POST /bulk`
pub(super) async fn plan(
    admin: web::Data<Admin>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let wish: Wish = body.json()?;
    let now = admin.clock.now();
    let (regardless, dry_run) = (wish.regardless, wish.dry_run);
    let mut wanted = wish.plan(&admin, now)?;
    let when = compiled(&admin, wanted.when.as_deref())?;
    let when = match by_sink(&admin, &wanted) {
        Some(both) if !regardless => {
            let when = compiled(&admin, Some(&both))?;
            wanted.when = Some(both);
            when
        }
        _ => when,
    };
    let planned = reading(&admin, move |admin| {
        admin.knows(&wanted.over)?;
        let planned = bulk::plan(&admin.bulk, wanted, when.as_ref())?;
        let samples = samples::all(admin, &planned.plan.action, &planned.samples);
        Ok::<_, Problem>((planned.plan, samples))
    });
    let (plan, samples) = planned.await?;
    if dry_run {
        let job = BulkJob::new(plan, now);
        let mut answer = in_short(None, &job, &BTreeMap::new());
        answer["samples"] = samples.into();
        return Ok(HttpResponse::Ok().json(answer));
    }
    let Some(id) = admin.outbox.plan_job(plan, now).await? else {
        let detail = (
            "as many bulk jobs run as are kept; cancel one first",
            "正在运行的批量任务已达上限；请先取消一个",
        );
        return Err(Problem::new(Kind::Busy, detail));
    };
    log(&admin, "bulk job was planned", id, "");
    let mut answer = one(&admin, id)?;
    answer["samples"] = samples.into();
    Ok(HttpResponse::Ok().json(answer))
}

/// A condition, compiled.
fn compiled(admin: &Admin, text: Option<&str>) -> Result<Option<When>, Problem> {
    let when = text.map(|text| When::new(text, &(admin.bulk.tables)()));
    when.transpose().map_err(|why| bad(why.behind("`when`: ")))
}

/// The condition of a replay with that of its sink, which its other leads meet, too; `None` where
/// there is none of the sink's.
fn by_sink(admin: &Admin, wanted: &BulkPlan) -> Option<String> {
    let BulkAction::Replay { to, .. } = &wanted.action else {
        return None;
    };
    let configured = admin.configured.get();
    let of_sink = configured.sinks.get(to)?.when.as_deref()?;
    Some(match &wanted.when {
        Some(when) => format!("({of_sink}) and ({when})"),
        None => of_sink.to_owned(),
    })
}

/// `GET /bulk`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let jobs = admin.outbox.jobs();
    let newest_first = jobs.iter().rev();
    let behind = bulk::behind(&jobs);
    let items = newest_first.map(|(id, job)| {
        let mut shown = in_short(Some(*id), job, &behind);
        waits(&admin, *id, &mut shown);
        shown
    });
    let items: Vec<Value> = items.collect();
    Ok(HttpResponse::Ok().json(json!({ "items": items })))
}

/// `GET /bulk/{id}`
pub(super) async fn show(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let id = JobId(id(&path, JOB)?);
    Ok(HttpResponse::Ok().json(one(&admin, id)?))
}

/// Who steers a job.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Signed {
    by: String,
}

/// `POST /bulk/{id}/start`
pub(super) async fn start(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let id = JobId(id(&path, JOB)?);
    let Signed { by } = body.json()?;
    fits(&[("by", &by, NOTE)])?;
    if let Some(job) = admin.outbox.job(id)
        && let Some(to) = job.plan.action.to()
    {
        admin.configured_sink(to)?;
    }
    let started = admin.outbox.start_job(id, admin.clock.now()).await?;
    steered(started, id)?;
    admin.bulk.wake.notify_one();
    log(&admin, "bulk job was started", id, &by);
    Ok(HttpResponse::Ok().json(one(&admin, id)?))
}

/// `POST /bulk/{id}/cancel`
pub(super) async fn cancel(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let id = JobId(id(&path, JOB)?);
    let Signed { by } = body.json()?;
    fits(&[("by", &by, NOTE)])?;
    let now = admin.clock.now();
    let cancelled = admin.outbox.cancel_job(id, Stop::Person, now).await?;
    steered(cancelled, id)?;
    admin.bulk.wake.notify_one();
    log(&admin, "bulk job was cancelled", id, &by);
    Ok(HttpResponse::Ok().json(one(&admin, id)?))
}

fn log(admin: &Admin, event: &str, id: JobId, by: &str) {
    if let Some(job) = admin.outbox.job(id) {
        bulk::log(event, id, &job, by);
    }
}

fn steered(steered: Steered, id: JobId) -> Result<(), Problem> {
    match steered {
        Steered::Done => Ok(()),
        Steered::Unknown => Err(Problem::no_such(JOB, id)),
        Steered::Over => Err(Problem::new(
            Kind::Over,
            (
                format!("bulk job {id} is done: nothing of it is left"),
                format!("批量任务 {id} 已全部完成"),
            ),
        )),
    }
}

impl Admin {
    /// Refuses names in a filter that nobody knows. Reads the disk.
    fn knows(&self, over: &Population) -> Result<(), Problem> {
        match over {
            Population::Deliveries(filter) => {
                self.known(filter.sink.as_deref(), filter.source.as_deref())
            }
            Population::Leads(filter) => self.known(None, filter.source.as_deref()),
            Population::Quarantine(filter) => match &filter.source {
                Some(source) => self.quarantine_knows(source),
                None => Ok(()),
            },
        }
    }
}

/// A job with all that is known of it.
fn one(admin: &Admin, id: JobId) -> Result<Value, Problem> {
    let jobs = admin.outbox.jobs();
    let found = jobs.iter().find(|(one, _)| *one == id);
    let (_, job) = found.ok_or_else(|| Problem::no_such(JOB, id))?;
    let mut shown = in_short(Some(id), job, &bulk::behind(&jobs));
    waits(admin, id, &mut shown);
    let skips = job.skips.iter();
    let skips = skips.map(|one| json!({ "id": one.id.to_string(), "why": one.why.as_str() }));
    shown["skipped_ids"] = skips.collect();
    Ok(shown)
}

/// Says why a job does not get on, if it does not.
fn waits(admin: &Admin, id: JobId, shown: &mut Value) {
    if let Some(why) = admin.bulk.waits.of(id) {
        let (en, zh) = why.both();
        shown["waits"] = en.into();
        shown["waits_zh"] = zh.into();
    }
}

/// A job in a list; one that is not kept has no id.
fn in_short(id: Option<JobId>, job: &BulkJob, behind: &BTreeMap<JobId, Option<JobId>>) -> Value {
    let plan = &job.plan;
    let (count, exact) = match plan.count {
        Count::Exact(count) => (count, true),
        Count::AtLeast(count) => (count, false),
    };
    let because: serde_json::Map<String, Value> = job
        .skipped
        .iter()
        .map(|(why, count)| (why.as_str().to_owned(), (*count).into()))
        .collect();
    let (ended_at, stopped) = match job.state {
        JobState::Cancelled { at, why } => (Some(rfc3339(at)), Some(why.as_str())),
        JobState::Done { at } => (Some(rfc3339(at)), None),
        JobState::Planned | JobState::Running => (None, None),
    };
    let again = match plan.action {
        BulkAction::Replay { again, .. } => Some(again),
        _ => None,
    };
    let behind = id.and_then(|id| behind.get(&id).copied().flatten());
    let sinks: serde_json::Map<String, Value> = job
        .had
        .iter()
        .map(|(sink, had)| {
            let had = json!({ "delivered": had.delivered, "in_doubt": had.in_doubt });
            (sink.clone(), had)
        })
        .collect();
    json!({
        "id": id.map(|id| id.to_string()),
        "action": plan.action.as_str(),
        "to": plan.action.to(),
        "again": again,
        "filter": filter(&plan.over),
        "when": plan.when,
        "rate": plan.rate,
        "note": plan.note,
        "by": plan.by,
        "count": count,
        "exact": exact,
        "state": job.state.as_str(),
        "stopped": stopped,
        "wiping": job.wiping,
        "waits": Value::Null,
        "waits_zh": Value::Null,
        "behind": behind.map(|id| id.to_string()),
        "made_at": rfc3339(job.made_at),
        "started_at": job.started_at.map(rfc3339),
        "ended_at": ended_at,
        "done": job.done,
        "skipped": job.skipped.values().sum::<u64>(),
        "skipped_because": because,
        "sinks": sinks,
    })
}

fn filter(over: &Population) -> Value {
    let time = |at: &Option<Millis>| at.map(rfc3339);
    match over {
        Population::Deliveries(filter) => json!({
            "of": "deliveries",
            "sink": filter.sink,
            "state": filter.state.map(StateName::as_str),
            "source": filter.source,
            "reason": filter.reason.map(DeathReason::as_str),
            "rule": filter.rule,
            "group": filter.group.map(|group| group.to_string()),
            "orphaned": filter.orphaned,
            "since": time(&filter.since),
            "until": time(&filter.before),
        }),
        Population::Leads(filter) => json!({
            "of": "leads",
            "source": filter.source,
            "since": time(&filter.since),
            "until": time(&filter.before),
        }),
        Population::Quarantine(filter) => json!({
            "of": "quarantine",
            "source": filter.source,
            "reason": filter.reason,
            "since": time(&filter.since),
            "until": time(&filter.before),
        }),
    }
}
