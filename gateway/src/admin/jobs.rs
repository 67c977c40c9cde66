//! Bulk jobs: plan one, start it, look at it, stop it.
//!
//! A plan is kept as a job that does nothing until it is started by its id, so nobody sets off
//! more than was shown: times are fixed when it is made, and what comes later is not meant.
//! Nothing in an answer says who a lead is of. Planning, starting, stopping and the end of a job
//! are logged with who, what and how many.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::audit::{audited, signed};
use super::params::{Body, Params, id};
use super::problem::{Kind, Noun, Problem};
use super::resources::allows;
use super::shape::{BulkJobState, Items, SkippedBecause, StoppedBecause};
use super::wish::{NOTE, Wish, bad, fits};
use super::{Admin, privacy, reading, rfc3339, samples};
use crate::bulk;
use crate::clock::Millis;
use crate::outbox::{
    self, AuditAction, AuditEvent, BulkAction, BulkJob, BulkPlan, DeathReason, JobId, JobState,
    Population, StateName, Steered, Stop,
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
        Params::of(&query)?;
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
) -> Result<One, Problem> {
    allows(&event.who, wish.role())?;
    let now = admin.clock.now();
    let (regardless, dry_run) = (wish.regardless, wish.dry_run);
    let mut wanted = wish.plan(admin, now)?;
    event.note.clone_from(&wanted.note);
    event.filter = meant(&wanted);
    if wanted.by.is_empty() {
        wanted.by.clone_from(&event.who.name);
    }
    let when = compiled(admin, wanted.when.as_deref())?;
    let when = match by_sink(admin, &wanted) {
        Some(both) if !regardless => {
            let when = compiled(admin, Some(&both))?;
            wanted.when = Some(both);
            when
        }
        _ => when,
    };
    let planned = reading(admin, move |admin| {
        admin.knows(&wanted.over)?;
        let planned = bulk::plan(&admin.bulk, wanted, when.as_ref())?;
        let samples = samples::all(admin, &planned.plan.action, &planned.samples);
        Ok::<_, Problem>((planned.plan, samples))
    });
    let (plan, samples) = planned.await?;
    event.count = Some(plan.count.number());
    if dry_run {
        let job = BulkJob::new(plan, now);
        return Ok(One {
            job: in_short(admin, None, &job, &BTreeMap::new()),
            skipped_ids: None,
            samples: Some(samples),
        });
    }
    let Some(id) = admin.outbox.plan_job(plan, now).await? else {
        let detail = (
            "as many bulk jobs run as are kept; cancel one first",
            "正在运行的批量任务已达上限；请先取消一个",
        );
        return Err(Problem::new(Kind::Busy, detail));
    };
    log(admin, "bulk job was planned", id, "");
    event.target = id.to_string();
    Ok(One {
        samples: Some(samples),
        ..one(admin, id)?
    })
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
    Params::of(&request)?;
    let jobs = admin.outbox.jobs();
    let newest_first = jobs.iter().rev();
    let behind = bulk::behind(&jobs);
    let items = newest_first.map(|(id, job)| in_short(&admin, Some(*id), job, &behind));
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
    let (asked, query) = (admin.clone(), request.clone());
    let started = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        let (id, by) = meant_job(&asked, event, &path, &body)?;
        if let Some(job) = asked.outbox.job(id) {
            let action = &job.plan.action;
            allows(&event.who, BulkAction::role(action.as_str()))?;
            if let Some(to) = action.to() {
                asked.configured_sink(to)?;
            }
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
        event.count = Some(job.plan.count.number());
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
        Params::of(&query)?;
        let (id, by) = meant_job(&asked, event, &path, &body)?;
        let now = asked.clock.now();
        let cancelled = asked.outbox.cancel_job(id, Stop::Person, now).await?;
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

/// A job in a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BulkJob")]
pub(super) struct Job {
    /// Null if it was only looked at what it would do.
    id: Option<String>,
    action: &'static str,
    /// The sink that it gives to.
    to: Option<String>,
    /// Whether a replay gives also what the sink was given already.
    again: Option<bool>,
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
    /// Why it was stopped.
    #[schemars(with = "Option<StoppedBecause>")]
    stopped: Option<&'static str>,
    /// Whether all of it was erased and is not known to be off the disk yet.
    wiping: bool,
    /// Why it does not get on, if it does not.
    waits: Option<String>,
    waits_zh: Option<String>,
    /// The job whose end it waits for.
    behind: Option<String>,
    made_at: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    done: u64,
    skipped: u64,
    /// How many, by why.
    skipped_because: BTreeMap<&'static str, u64>,
    /// Of what it erased, which sinks had been given how many leads.
    sinks: BTreeMap<String, Had>,
}

/// How many of the leads that a job erased a sink had been given.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SinkHad")]
struct Had {
    delivered: u64,
    in_doubt: u64,
}

impl From<outbox::Had> for Had {
    fn from(had: outbox::Had) -> Self {
        Self {
            delivered: had.delivered,
            in_doubt: had.in_doubt,
        }
    }
}

/// A job by itself.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BulkJobWithTargets")]
pub(super) struct One {
    #[serde(flatten)]
    job: Job,
    /// The first of those that were left as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_ids: Option<Vec<LeftAsIs>>,
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
        job: in_short(admin, Some(id), job, &bulk::behind(&jobs)),
        skipped_ids: Some(skips.collect()),
        samples: None,
    })
}

/// A job in a list; one that is not kept has no id.
fn in_short(
    admin: &Admin,
    id: Option<JobId>,
    job: &BulkJob,
    behind: &BTreeMap<JobId, Option<JobId>>,
) -> Job {
    let plan = &job.plan;
    let because = job.skipped.iter();
    let because = because.map(|(why, count)| (why.as_str(), *count));
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
    let waits = id.and_then(|id| admin.bulk.waits.of(id));
    let (waits, waits_zh) = waits.map(|why| why.both()).unzip();
    let sinks = job.had.iter();
    let sinks = sinks.map(|(sink, had)| (sink.clone(), Had::from(*had)));
    Job {
        id: id.map(|id| id.to_string()),
        action: plan.action.as_str(),
        to: plan.action.to().map(str::to_owned),
        again,
        filter: filter(&plan.over),
        when: plan.when.clone(),
        rate: plan.rate,
        note: plan.note.clone(),
        by: plan.by.clone(),
        count: plan.count.number(),
        exact: plan.count.is_exact(),
        state: job.state.as_str(),
        stopped,
        wiping: job.wiping,
        waits,
        waits_zh,
        behind: behind.map(|id| id.to_string()),
        made_at: rfc3339(job.made_at),
        started_at: job.started_at.map(rfc3339),
        ended_at,
        done: job.done,
        skipped: job.skipped.values().sum(),
        skipped_because: because.collect(),
        sinks: sinks.collect(),
    }
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
