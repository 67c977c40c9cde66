//! Bulk jobs: plan one, start it, look at it, stop it.
//!
//! A plan is kept as a job that does nothing until it is started by its id, so nobody sets off
//! more than was shown: times are fixed when it is made, and what comes later is not meant.
//! Nothing in an answer says who a lead is of. Planning, starting, stopping and the end of a job
//! are logged with who, what, how many and why.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::audit::{audited, signed};
use super::params::{Body, Params, id};
use super::problem::{Kind, Noun, Problem};
use super::wish::{NOTE, Wish, bad, fits};
use super::{Admin, privacy, reading, rfc3339, samples};
use crate::bulk::{self, Lane, lane};
use crate::clock::Millis;
use crate::outbox::{
    AuditAction, AuditEvent, BulkJob, BulkPlan, Count, DeathReason, JobId, JobState, Population,
    StateName, Steered,
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
    let (asked, query) = (admin.clone(), request.clone());
    let planned = async move |event: &mut AuditEvent| {
        Params::of(&query, &[])?;
        planned(&asked, body.json()?, event).await
    };
    let answer = audited(&admin, &request, AuditAction::BulkPlan, planned).await?;
    Ok(HttpResponse::Ok().json(answer))
}

/// Plans what is wished; with samples of what is meant.
async fn planned(
    admin: &web::Data<Admin>,
    wish: Wish,
    event: &mut AuditEvent,
) -> Result<Value, Problem> {
    let now = admin.clock.now();
    let wanted = wish.plan(admin, now)?;
    event.note.clone_from(&wanted.note);
    event.filter = meant(&wanted);
    let when = wanted.when.as_deref();
    let when = when
        .map(|text| When::new(text, &(admin.bulk.tables)()))
        .transpose();
    let when = when.map_err(|why| bad(why.behind("`when`: ")))?;
    let planned = reading(admin, move |admin| {
        admin.knows(&wanted.over)?;
        let planned = bulk::plan(&admin.bulk, wanted, when.as_ref())?;
        let samples = samples::all(admin, &planned.plan.action, &planned.samples);
        Ok::<_, Problem>((planned.plan, samples))
    });
    let (plan, samples) = planned.await?;
    let Some(id) = admin.outbox.plan_job(plan, now).await? else {
        let detail = (
            "as many bulk jobs run as are kept; cancel one first",
            "正在运行的批量任务已达上限；请先取消一个",
        );
        return Err(Problem::new(Kind::Busy, detail));
    };
    log(admin, "bulk job was planned", id, "");
    let mut answer = one(admin, id)?;
    answer["samples"] = samples.into();
    event.target = id.to_string();
    event.count = answer["count"].as_u64();
    Ok(answer)
}

/// What a plan is, for the audit log: it outlives what is erased, so the condition, which may
/// name somebody, is left to the job.
fn meant(plan: &BulkPlan) -> String {
    let mut said = vec![format!("action={}", plan.action.as_str())];
    said.extend(plan.action.to().map(|to| format!("to={to}")));
    let filter = filter(&plan.over);
    for (name, value) in filter.as_object().into_iter().flatten() {
        match value {
            Value::String(text) => said.push(format!("{name}={text}")),
            Value::Bool(true) => said.push(name.clone()),
            _ => {}
        }
    }
    if plan.when.is_some() {
        said.push("when".to_owned());
    }
    said.extend((!plan.by.is_empty()).then(|| signed(&plan.by)));
    privacy::without_phones(&said.join(" "))
}

/// `GET /bulk`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let jobs = admin.outbox.jobs();
    let newest_first = jobs.iter().rev();
    let items = newest_first.map(|(id, job)| in_short(*id, job, &jobs));
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
    let (asked, query) = (admin.clone(), request.clone());
    let started = async move |event: &mut AuditEvent| {
        Params::of(&query, &[])?;
        let (id, by) = meant_job(&asked, event, &path, &body)?;
        if let Some(job) = asked.outbox.job(id)
            && let Some(to) = job.plan.action.to()
        {
            asked.configured_sink(to)?;
        }
        let started = asked.outbox.start_job(id, asked.clock.now()).await?;
        steered(started, id)?;
        asked.bulk.wake.notify_one();
        log(&asked, "bulk job was started", id, &by);
        Ok(id)
    };
    let id = audited(&admin, &request, AuditAction::BulkStart, started).await?;
    Ok(HttpResponse::Ok().json(one(&admin, id)?))
}

/// The job that a path names, and who steers it.
fn meant_job(
    admin: &Admin,
    event: &mut AuditEvent,
    path: &str,
    body: &Body,
) -> Result<(JobId, String), Problem> {
    let id = JobId(id(path, JOB)?);
    event.target = id.to_string();
    let Signed { by } = body.json()?;
    fits(&[("by", &by, NOTE)])?;
    event.filter = signed(&by);
    if let Some(job) = admin.outbox.job(id) {
        event.filter = meant(&job.plan);
        event.note.clone_from(&job.plan.note);
        event.count = Some(match job.plan.count {
            Count::Exact(count) | Count::AtLeast(count) => count,
        });
    }
    Ok((id, by))
}

/// `POST /bulk/{id}/cancel`
pub(super) async fn cancel(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let cancelled = async move |event: &mut AuditEvent| {
        Params::of(&query, &[])?;
        let (id, by) = meant_job(&asked, event, &path, &body)?;
        let cancelled = asked.outbox.cancel_job(id, asked.clock.now()).await?;
        steered(cancelled, id)?;
        asked.bulk.wake.notify_one();
        log(&asked, "bulk job was cancelled", id, &by);
        Ok(id)
    };
    let id = audited(&admin, &request, AuditAction::BulkCancel, cancelled).await?;
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
    let mut shown = in_short(id, job, &jobs);
    let skips = job.skips.iter();
    let skips = skips.map(|one| json!({ "id": one.id.to_string(), "why": one.why.as_str() }));
    shown["skipped_ids"] = skips.collect();
    Ok(shown)
}

/// A job in a list.
fn in_short(id: JobId, job: &BulkJob, all: &[(JobId, BulkJob)]) -> Value {
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
    let ended_at = match job.state {
        JobState::Cancelled { at } | JobState::Done { at } => Some(rfc3339(at)),
        JobState::Planned | JobState::Running => None,
    };
    json!({
        "id": id.to_string(),
        "action": plan.action.as_str(),
        "to": plan.action.to(),
        "filter": filter(&plan.over),
        "when": plan.when,
        "rate": plan.rate,
        "note": plan.note,
        "by": plan.by,
        "count": count,
        "exact": exact,
        "state": job.state.as_str(),
        "behind": behind(id, job, all).map(|id| id.to_string()),
        "made_at": rfc3339(job.made_at),
        "started_at": job.started_at.map(rfc3339),
        "ended_at": ended_at,
        "done": job.done,
        "skipped": job.skipped.values().sum::<u64>(),
        "skipped_because": because,
    })
}

/// The job whose end it waits for.
fn behind(id: JobId, job: &BulkJob, all: &[(JobId, BulkJob)]) -> Option<JobId> {
    let (this, sinks) = (lane(&job.plan), |lane: &Lane| {
        matches!(lane, Lane::Sink(_) | Lane::Sinks)
    });
    let mut earlier = all.iter().take_while(|(one, _)| *one != id);
    let is_before = |other: &BulkJob| {
        let other = lane(&other.plan);
        let several = this == Lane::Sinks || other == Lane::Sinks;
        other == this || (several && sinks(&other) && sinks(&this))
    };
    let runs = |job: &BulkJob| job.state == JobState::Running;
    let found = earlier.find(|(_, other)| runs(job) && runs(other) && is_before(other));
    found.map(|(id, _)| *id)
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
