//! Bulk jobs: plan one, start it, look at it, stop it.
//!
//! A plan is kept as a job that does nothing until it is started by its id, so nobody sets off
//! more than was shown: times are fixed when it is made, and what comes later is not meant.
//! Nothing in an answer says who a lead is of. Planning, starting, stopping and the end of a job
//! are logged with who, what, how many and why.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::auth::actor;
use super::params::{Body, Params, id};
use super::problem::{Kind, Noun, Problem};
use super::resources::allows;
use super::shape::{BulkJobState, Items, SkippedBecause};
use super::wish::{NOTE, Wish, bad, fits, role_for};
use super::{Admin, reading, rfc3339, samples};
use crate::bulk::{self, Lane, lane};
use crate::clock::Millis;
use crate::outbox::{BulkJob, Count, DeathReason, JobId, JobState, Population, StateName, Steered};
use crate::route::When;

/// A bulk job.
const JOB: Noun = ("bulk job", "批量任务");

/// `POST /bulk`
pub(super) async fn plan(
    admin: web::Data<Admin>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let wish: Wish = body.json()?;
    allows(&actor(&request), wish.role())?;
    let now = admin.clock.now();
    let wanted = wish.plan(&admin, now)?;
    let when = wanted.when.as_deref();
    let when = when
        .map(|text| When::new(text, &(admin.bulk.tables)()))
        .transpose();
    let when = when.map_err(|why| bad(why.behind("`when`: ")))?;
    let planned = reading(&admin, move |admin| {
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
    log(&admin, "bulk job was planned", id, "");
    Ok(HttpResponse::Ok().json(One {
        samples: Some(samples),
        ..one(&admin, id)?
    }))
}

/// `GET /bulk`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let jobs = admin.outbox.jobs();
    let newest_first = jobs.iter().rev();
    let items = newest_first.map(|(id, job)| in_short(*id, job, &jobs));
    let items: Vec<Job> = items.collect();
    Ok(HttpResponse::Ok().json(Items { items }))
}

/// `GET /bulk/{id}`
pub(super) async fn show(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let id = JobId(id(&path, JOB)?);
    Ok(HttpResponse::Ok().json(one(&admin, id)?))
}

/// Who steers a job.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Signed {
    by: String,
}

/// `POST /bulk/{id}/start`
pub(super) async fn start(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let id = JobId(id(&path, JOB)?);
    let Signed { by } = body.json()?;
    fits(&[("by", &by, NOTE)])?;
    if let Some(job) = admin.outbox.job(id) {
        let action = &job.plan.action;
        allows(&actor(&request), role_for(action.as_str()))?;
        if let Some(to) = action.to() {
            admin.configured_sink(to)?;
        }
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
    Params::of(&request)?;
    let id = JobId(id(&path, JOB)?);
    let Signed { by } = body.json()?;
    fits(&[("by", &by, NOTE)])?;
    let cancelled = admin.outbox.cancel_job(id, admin.clock.now()).await?;
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

/// A job in a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BulkJob")]
pub(super) struct Job {
    id: String,
    action: &'static str,
    /// The sink that it gives to.
    to: Option<String>,
    /// What it is about; times are fixed.
    filter: Value,
    /// Of it, only that whose lead meets this condition.
    when: Option<String>,
    /// Targets a second, at most.
    rate: u32,
    note: String,
    by: String,
    /// How many targets there are, or at least so many.
    count: u64,
    exact: bool,
    #[schemars(with = "BulkJobState")]
    state: &'static str,
    /// The job whose end it waits for.
    behind: Option<String>,
    made_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    done: u64,
    skipped: u64,
    /// How many, by why.
    skipped_because: BTreeMap<&'static str, u64>,
}

/// A job by itself.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BulkJobWithTargets")]
pub(super) struct One {
    #[serde(flatten)]
    job: Job,
    /// The first of those that were left as they are.
    skipped_ids: Vec<LeftAsIs>,
    /// Of a plan, its first targets: what would be sent, or what lists show of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<Vec<Value>>,
}

/// A target that was left as it is.
#[derive(Serialize, JsonSchema)]
struct LeftAsIs {
    id: String,
    #[schemars(with = "SkippedBecause")]
    why: &'static str,
}

/// A job with all that is known of it.
fn one(admin: &Admin, id: JobId) -> Result<One, Problem> {
    let jobs = admin.outbox.jobs();
    let found = jobs.iter().find(|(one, _)| *one == id);
    let (_, job) = found.ok_or_else(|| Problem::no_such(JOB, id))?;
    let skips = job.skips.iter();
    let skips = skips.map(|one| LeftAsIs {
        id: one.id.to_string(),
        why: one.why.as_str(),
    });
    Ok(One {
        job: in_short(id, job, &jobs),
        skipped_ids: skips.collect(),
        samples: None,
    })
}

fn in_short(id: JobId, job: &BulkJob, all: &[(JobId, BulkJob)]) -> Job {
    let plan = &job.plan;
    let (count, exact) = match plan.count {
        Count::Exact(count) => (count, true),
        Count::AtLeast(count) => (count, false),
    };
    let because = job.skipped.iter();
    let because = because.map(|(why, count)| (why.as_str(), *count));
    let ended_at = match job.state {
        JobState::Cancelled { at } | JobState::Done { at } => Some(rfc3339(at)),
        JobState::Planned | JobState::Running => None,
    };
    Job {
        id: id.to_string(),
        action: plan.action.as_str(),
        to: plan.action.to().map(str::to_owned),
        filter: filter(&plan.over),
        when: plan.when.clone(),
        rate: plan.rate,
        note: plan.note.clone(),
        by: plan.by.clone(),
        count,
        exact,
        state: job.state.as_str(),
        behind: behind(id, job, all).map(|id| id.to_string()),
        made_at: rfc3339(job.made_at),
        started_at: job.started_at.map(rfc3339),
        ended_at,
        done: job.done,
        skipped: job.skipped.values().sum(),
        skipped_because: because.collect(),
    }
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
