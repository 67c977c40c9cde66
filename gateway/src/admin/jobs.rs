//! Bulk jobs: plan one, start it, look at it, stop it.
//!
//! A plan is kept as a job that does nothing until it is started by its id, so nobody sets off
//! more than was shown: times are fixed when it is made, and what comes later is not meant.
//! Nothing in an answer says who a lead is of. Planning, starting, stopping and the end of a job
//! are logged with who, what, how many and why.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::params::{Body, Params, id, moment, one_of};
use super::problem::{Kind, Noun, Problem};
use super::{Admin, filters, privacy, reading, rfc3339, samples};
use crate::bulk::{self, Lane, lane};
use crate::clock::Millis;
use crate::lead::Phone;
use crate::outbox::{
    BulkAction, BulkJob, BulkPlan, Count, DeathReason, Filter, JobId, JobState, LeadFilter,
    Population, PushFilter, StateName, Steered,
};
use crate::route::When;
use crate::source::QUARANTINE_REASONS;

/// A bulk job.
const JOB: Noun = ("bulk job", "批量任务");
/// Targets a second unless asked otherwise.
const RATE: u32 = 20;
/// And at most.
const FASTEST: u32 = 1_000;
/// Letters of a note, and of a name, at most.
pub(super) const NOTE: usize = 200;
/// Letters of a condition, at most.
const WHEN: usize = 2_000;
/// What a person asks for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    action: String,
    /// The sink that a replay or a move gives to.
    to: Option<String>,
    /// Replay also what it was given already.
    again: bool,
    /// Release also those by which nobody could be reached.
    force: bool,
    sink: Option<String>,
    source: Option<String>,
    state: Option<String>,
    reason: Option<String>,
    rule: Option<String>,
    group: Option<String>,
    since: Option<String>,
    until: Option<String>,
    when: Option<String>,
    rate: Option<u32>,
    note: String,
    by: String,
}

/// `POST /bulk`
pub(super) async fn plan(
    admin: web::Data<Admin>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let wish: Wish = body.json()?;
    let now = admin.clock.now();
    let wanted = wish.plan(&admin, now)?;
    let when = wanted.when.as_deref();
    let when = when
        .map(|text| When::new(text, &(admin.bulk.tables)()))
        .transpose();
    let when = when.map_err(|why| bad(why.behind("`when`: ")))?;
    let planned = reading(&admin, move |admin| {
        if let Population::Deliveries(filter) = &wanted.over {
            admin.known(filter.sink.as_deref(), filter.source.as_deref())?;
        }
        if let Population::Leads(filter) = &wanted.over {
            admin.known(None, filter.source.as_deref())?;
        }
        if let Population::Quarantine(PushFilter {
            source: Some(source),
            ..
        }) = &wanted.over
        {
            admin.quarantine_knows(source)?;
        }
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
    if let Some(job) = admin.outbox.job(id) {
        bulk::log("bulk job was planned", id, &job, "");
    }
    let mut answer = one(&admin, id)?;
    answer["samples"] = samples.into();
    Ok(HttpResponse::Ok().json(answer))
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
    if let Some(job) = admin.outbox.job(id) {
        bulk::log("bulk job was started", id, &job, &by);
    }
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
    let cancelled = admin.outbox.cancel_job(id, admin.clock.now()).await?;
    steered(cancelled, id)?;
    admin.bulk.wake.notify_one();
    if let Some(job) = admin.outbox.job(id) {
        bulk::log("bulk job was cancelled", id, &job, &by);
    }
    Ok(HttpResponse::Ok().json(one(&admin, id)?))
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

fn bad(detail: impl Into<crate::lang::Text>) -> Problem {
    Problem::new(Kind::BadBody, detail)
}

/// Texts are short, and name no phone: they are kept, whoever is erased.
pub(super) fn fits(texts: &[(&str, &str, usize)]) -> Result<(), Problem> {
    for (name, text, most) in texts {
        if text.chars().count() > *most {
            return Err(bad((
                format!("`{name}` is longer than {most} letters"),
                format!("`{name}` 超过 {most} 个字"),
            )));
        }
        let names_a_phone = match *name {
            // Ids of eleven digits and more are no phones.
            "when" => holds_a_mobile(text),
            _ => privacy::without_phones(text) != *text,
        };
        if names_a_phone {
            return Err(bad((
                format!(
                    "`{name}` holds what looks like a phone: it is kept, so it must name nobody; use `leadgate leads find` for one person"
                ),
                format!(
                    "`{name}` 中有疑似手机号的内容：它会被保留，不得写入个人信息；查某个人请用 `leadgate leads find`"
                ),
            )));
        }
    }
    Ok(())
}

/// Whether a group of digits in it surely is a mobile.
fn holds_a_mobile(text: &str) -> bool {
    let mut groups = text.split(|letter: char| !letter.is_ascii_digit());
    groups.any(|digits| Phone::parse(digits).is_some())
}

/// Whether a note says anything.
pub(super) fn says_how(note: &str) -> Result<(), Problem> {
    if note.trim().is_empty() {
        return Err(bad((
            "`note` is missing: say how it was seen to",
            "缺少 `note`：请说明是如何处理的",
        )));
    }
    Ok(())
}

impl Wish {
    /// What it asks for, if that can be meant.
    fn plan(self, admin: &Admin, now: Millis) -> Result<BulkPlan, Problem> {
        one_of("action", &self.action, &BulkAction::NAMES)?;
        let when = self.when.as_deref().unwrap_or_default();
        fits(&[
            ("note", &self.note, NOTE),
            ("by", &self.by, NOTE),
            ("when", when, WHEN),
        ])?;
        let rate = self.rate.unwrap_or(RATE);
        if !(1..=FASTEST).contains(&rate) {
            return Err(bad((
                format!("`rate` is how many a second, from 1 to {FASTEST}"),
                format!("`rate` 是每秒条数，1 到 {FASTEST}"),
            )));
        }
        let action = self.action(admin)?;
        Ok(BulkPlan {
            over: self.over(&action, now)?,
            action,
            rate,
            by: self.by,
            note: self.note,
            when: self.when,
            count: Count::AtLeast(0),
        })
    }

    fn action(&self, admin: &Admin) -> Result<BulkAction, Problem> {
        let to = || {
            let Some(to) = self.to.clone() else {
                return Err(bad((
                    "`to` is missing: the sink that they go to",
                    "缺少 `to`：投递到哪个目的地",
                )));
            };
            admin.configured_sink(&to)?;
            Ok(to)
        };
        Ok(match &*self.action {
            "retry" => BulkAction::Retry,
            "cancel" => BulkAction::Cancel,
            "done" => {
                says_how(&self.note)?;
                BulkAction::Done
            }
            "replay" => BulkAction::Replay {
                to: to()?,
                again: self.again,
            },
            "move" => BulkAction::Move { to: to()? },
            "erase" => BulkAction::Erase,
            "release" => BulkAction::Release { force: self.force },
            _ => BulkAction::Discard,
        })
    }

    fn over(&self, action: &BulkAction, now: Millis) -> Result<Population, Problem> {
        let time = |name: &str, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| moment(name, text, now)).transpose()
        };
        let (since, before) = (time("since", &self.since)?, time("until", &self.until)?);
        if let (Some(since), Some(before)) = (since, before)
            && since >= before
        {
            return Err(bad((
                "no time is both: `since` is not before `until`",
                "时间范围为空：`since` 不早于 `until`",
            )));
        }
        let source = self.source.clone();
        if matches!(
            action,
            BulkAction::Erase | BulkAction::Release { .. } | BulkAction::Discard
        ) {
            self.says_which()?;
        }
        Ok(match action {
            BulkAction::Retry | BulkAction::Cancel | BulkAction::Done | BulkAction::Move { .. } => {
                let moves = matches!(action, BulkAction::Move { .. });
                Population::Deliveries(Filter {
                    sink: self.sink.clone(),
                    // What nobody asked for by its state is what waits for a person.
                    state: self.state(moves)?,
                    source,
                    reason: self.death()?,
                    rule: self.rule.clone(),
                    group: self.group.as_deref().map(filters::group).transpose()?,
                    orphaned: moves,
                    since,
                    before,
                    newest_first: false,
                })
            }
            BulkAction::Replay { .. } | BulkAction::Erase => {
                let (rule, group) = (&self.rule, &self.group);
                let none = [&self.sink, &self.state, &self.reason, rule, group];
                self.only_of_deliveries(&none)?;
                Population::Leads(LeadFilter {
                    source,
                    since,
                    before,
                    newest_first: false,
                })
            }
            BulkAction::Release { .. } | BulkAction::Discard => {
                self.only_of_deliveries(&[&self.sink, &self.state, &self.rule, &self.group])?;
                if let Some(reason) = &self.reason {
                    one_of("reason", reason, &QUARANTINE_REASONS)?;
                }
                Population::Quarantine(PushFilter {
                    source,
                    reason: self.reason.clone(),
                    since,
                    before,
                })
            }
        })
    }

    /// What cannot be taken back is never done to all there is.
    fn says_which(&self) -> Result<(), Problem> {
        let given = [
            &self.reason,
            &self.source,
            &self.since,
            &self.until,
            &self.when,
        ];
        if given.iter().any(|one| one.is_some()) {
            return Ok(());
        }
        Err(bad((
            "say which: `source`, `since`, `until` or `when`, and of the quarantine also `reason`",
            "请说明针对哪些：`source`、`since`、`until` 或 `when`，隔离区还可用 `reason`",
        )))
    }

    fn state(&self, moves: bool) -> Result<Option<StateName>, Problem> {
        let Some(text) = &self.state else {
            return Ok((!moves).then_some(StateName::Dead));
        };
        let names = StateName::ALL.map(StateName::as_str);
        one_of("state", text, &names)?;
        let mut all = StateName::ALL.into_iter();
        Ok(all.find(|one| one.as_str() == text))
    }

    fn death(&self) -> Result<Option<DeathReason>, Problem> {
        let Some(text) = &self.reason else {
            return Ok(None);
        };
        one_of("reason", text, &DeathReason::ALL.map(DeathReason::as_str))?;
        let mut all = DeathReason::ALL.into_iter();
        Ok(all.find(|one| one.as_str() == text))
    }

    fn only_of_deliveries(&self, given: &[&Option<String>]) -> Result<(), Problem> {
        if given.iter().all(|one| one.is_none()) {
            return Ok(());
        }
        let action = &self.action;
        Err(bad((
            format!(
                "{action} is not about deliveries: it takes `source`, `since`, `until` and `when`, and not `sink`, `state`, `rule` or `group`"
            ),
            format!(
                "{action} 针对的不是投递：可用 `source`、`since`、`until`、`when`，不可用 `sink`、`state`、`rule`、`group`"
            ),
        )))
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
