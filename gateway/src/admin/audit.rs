//! The audit log: every action leaves an entry, and so does every look at a person.
//!
//! What cannot be recorded is not done: [`audited`] asks first whether an entry can be kept, and
//! answers only when it is on disk. What takes long, or cannot be taken back, leaves an entry when
//! it begins and another when it has ended, so that neither a crash nor a reader who goes away
//! hides it. The action goes on to its entry, whoever waits for the answer.

use std::io::Write;
use std::net::IpAddr;

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::runtime::Handle;
use tracing::Instrument;

use super::auth::actor;
use super::parameter::{self, Parameter};
use super::params::{Params, one_of};
use super::problem::{Kind, Problem};
use super::shape::{AuditedAs, Page};
use super::streamed::streamed;
use super::wish::{self, NOTE};
use super::{Admin, reading, rfc3339};
use crate::lang::Text;
use crate::outbox::{
    Actor, AuditAction, AuditEntry, AuditEvent, AuditFilter, AuditResult, Outbox, Paged, Role,
    Unavailable, UpkeepError, Via,
};
use crate::telemetry::metrics::AdminMetrics;

/// Entries on a page at most.
pub(super) const MOST: usize = 500;
/// What picks entries.
const FILTERS: [&str; 5] = ["who", "action", "since", "until", "result"];
/// What an entry says of something that was cut short.
const BROKEN_OFF: &str = "broken-off";

/// Makes all that is counted, with zeros.
pub(super) fn begin(metrics: &AdminMetrics) {
    for action in AuditAction::ALL {
        metrics.actions.with_label_values(&[action.as_str()]);
    }
}

/// Does what is asked for, and records it. `act` says to what, and may say that it only begins
/// or that a part failed; a problem is recorded by its name.
pub(super) async fn audited<T: 'static>(
    admin: &web::Data<Admin>,
    request: &HttpRequest,
    action: AuditAction,
    act: impl AsyncFnOnce(&mut AuditEvent) -> Result<T, Problem> + 'static,
) -> Result<T, Problem> {
    let mut event = AuditEvent::new(admin.clock.now(), actor(request), action);
    let admin = admin.clone();
    let whole = async move {
        let ready = admin.outbox.audit_ready().await;
        ready.map_err(|why| not_recorded(&why, false))?;
        let done = act(&mut event).await;
        if let Err(problem) = &done {
            event.result = problem.result();
        }
        keep(&admin, event, done.is_ok()).await?;
        done
    };
    // Whoever asked may go.
    let task = actix_web::rt::spawn(whole.instrument(tracing::Span::current()));
    task.await.unwrap_or_else(|_| {
        let detail = (
            "the action was broken off; look what it did",
            "操作中断；请查看其结果",
        );
        Err(Problem::new(Kind::Internal, detail))
    })
}

/// The same for what is shown of a person only where `note` is given; else nothing is recorded.
pub(super) async fn revealed<T: 'static>(
    admin: &web::Data<Admin>,
    request: &HttpRequest,
    (action, target): (AuditAction, String),
    note: Option<String>,
    act: impl AsyncFnOnce() -> Result<T, Problem> + 'static,
) -> Result<T, Problem> {
    let Some(note) = note else {
        return act().await;
    };
    let work = async move |event: &mut AuditEvent| {
        (event.target, event.note) = (target, note);
        act().await
    };
    audited(admin, request, action, work).await
}

/// Records something of the console's own that is done at once.
pub(crate) async fn note(
    admin: &Admin,
    who: Actor,
    action: AuditAction,
    target: &str,
) -> Result<(), Problem> {
    let event = AuditEvent {
        target: target.to_owned(),
        ..AuditEvent::new(admin.clock.now(), who, action)
    };
    keep(admin, event, false).await
}

/// What an entry says of who they say they are.
pub(super) fn signed(by: &str) -> String {
    if by.is_empty() {
        String::new()
    } else {
        format!("by={by}")
    }
}

/// Why somebody wants to see a person, if they do.
pub(super) fn reason(params: &Params) -> Result<Option<String>, Problem> {
    let note = params.text("note").unwrap_or_default();
    wish::fits(&[("note", note, NOTE)]).map_err(Problem::in_query)?;
    Ok(params.flag("reveal")?.then(|| note.to_owned()))
}

/// Keeps an entry of what follows.
pub(super) async fn begun(admin: &Admin, event: &AuditEvent) -> Result<(), Problem> {
    let begun = AuditEvent {
        result: AuditResult::Begun,
        ..event.clone()
    };
    keep(admin, begun, false).await
}

async fn keep(admin: &Admin, event: AuditEvent, done: bool) -> Result<(), Problem> {
    let actions = &admin.metrics.admin.actions;
    actions.with_label_values(&[event.action.as_str()]).inc();
    let kept = admin.outbox.record(event).await;
    kept.map(drop).map_err(|why| not_recorded(&why, done))
}

fn not_recorded(why: &Unavailable, done: bool) -> Problem {
    let detail = if done {
        Text::new(
            format!("it was done, but could not be recorded: {}", why.0),
            format!("已执行，但无法写入审计日志：{}", why.0),
        )
    } else {
        Text::new(
            format!(
                "nothing was done, because it could not be recorded: {}",
                why.0
            ),
            format!("未执行，因为无法写入审计日志：{}", why.0),
        )
    };
    Problem::new(Kind::AuditUnavailable, detail)
}

/// Streams what `make` writes, of which an entry was kept when it began; another says how it
/// ended, before the last piece is given.
pub(super) async fn given_out(
    admin: &web::Data<Admin>,
    mut event: AuditEvent,
    make: impl FnOnce(&dyn Outbox, &mut dyn Write, &mut AuditEvent) -> Result<(), UpkeepError>
    + Send
    + 'static,
) -> Result<HttpResponse, Problem> {
    let clock = std::sync::Arc::clone(&admin.clock);
    streamed(admin, move |outbox, to| {
        let made = make(outbox, to, &mut event);
        let made = made.and_then(|()| Ok(to.flush()?));
        event.at = clock.now();
        event.result = match &made {
            Ok(()) => AuditResult::Done,
            Err(_) => AuditResult::Failed(BROKEN_OFF.to_owned()),
        };
        let kept = Handle::current().block_on(outbox.record(event));
        made.and(kept.map(drop).map_err(UpkeepError::Store))
    })
    .await
}

/// Which entries are meant.
fn filter(admin: &Admin, params: &Params) -> Result<AuditFilter, Problem> {
    let now = admin.clock.now();
    let text = |name: &str| params.text(name).map(str::to_owned);
    if let Some(action) = params.text("action") {
        one_of("action", action, &actions())?;
    }
    if let Some(result) = params.text("result") {
        one_of("result", result, &AuditResult::NAMES)?;
    }
    let (since, before) = super::filters::times(params, now)?;
    Ok(AuditFilter {
        who: text("who"),
        action: text("action"),
        result: text("result"),
        since,
        before,
    })
}

/// What picks entries, as parameters.
pub(super) fn filters() -> Vec<Parameter> {
    let mut all = vec![
        parameter::text("who", "Only by this token or person."),
        parameter::one_of(
            "action",
            actions(),
            "Only this action, or all about a thing: `leads` takes `leads.search`.",
        ),
        parameter::one_of("result", AuditResult::NAMES, "Only what ended so."),
    ];
    all.extend(parameter::times());
    all
}

/// All actions, and what they are about.
fn actions() -> Vec<&'static str> {
    let mut all = AuditAction::ALL.map(AuditAction::as_str).to_vec();
    let things = all.iter().filter_map(|name| name.split_once('.'));
    let mut things: Vec<_> = things.map(|(thing, _)| thing).collect();
    things.dedup();
    all.extend(things);
    all
}

/// An entry.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
pub(super) struct Shown {
    /// They follow each other from 1 on, without a gap.
    number: u64,
    at: String,
    /// The name of their token, or what the system calls them.
    who: String,
    role: Role,
    via: Via,
    /// From which address, if from one.
    peer: Option<IpAddr>,
    /// What: one of a newer leadgate may be unknown to this one.
    action: String,
    /// To what; empty if to many or to none.
    target: String,
    /// To which of many, or how.
    filter: String,
    /// To how many.
    count: Option<u64>,
    /// Why, as they said.
    note: String,
    #[schemars(with = "AuditedAs")]
    result: &'static str,
    /// The name of the problem, if there was one.
    problem: Option<String>,
    /// Which entry of another store it was before it was imported.
    origin: Option<From>,
    /// The hash of it and of all before it.
    chain: String,
}

/// An entry of another store.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditOrigin")]
struct From {
    number: u64,
    chain: String,
}

fn shown(entry: AuditEntry) -> Shown {
    let event = entry.event;
    Shown {
        number: entry.number,
        at: rfc3339(event.at),
        who: event.who.name,
        role: event.who.role,
        via: event.who.via,
        peer: event.who.peer,
        action: event.action,
        target: event.target,
        filter: event.filter,
        count: event.count,
        note: event.note,
        result: event.result.as_str(),
        problem: event.result.problem().map(str::to_owned),
        origin: entry.origin.map(|origin| From {
            number: origin.number,
            chain: origin.chain.to_string(),
        }),
        chain: entry.chain.to_string(),
    }
}

/// How the log is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditLog")]
pub(super) struct Verified {
    /// How many entries can be read.
    entries: u64,
    /// The number of the oldest that must be there.
    first: u64,
    /// The number of the newest; 0 if there never was one.
    last: u64,
    /// The hash of the newest: noted elsewhere it proves later that nothing before it was changed.
    chain: String,
    sound: bool,
    /// Where an entry was removed or changed first.
    broken: Option<Broken>,
}

/// What is wrong with the log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditBreak")]
struct Broken {
    /// The number of the entry.
    at: u64,
    detail: String,
    detail_zh: String,
}

/// `GET /audit`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let params = Params::of(&request)?;
    let filter = filter(&admin, &params)?;
    let limit = params.limit(MOST)?;
    let cursor = admin.cursor(&params, Paged::Audit)?;
    let page = reading(&admin, move |admin| {
        admin.outbox.audit(&filter, cursor.as_deref(), limit)
    });
    let page = page.await?;
    Ok(HttpResponse::Ok().json(Page {
        items: page.items.into_iter().map(shown).collect(),
        next: page.next,
    }))
}

/// `GET /audit/verify`
pub(super) async fn verify(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let state = reading(&admin, |admin| admin.outbox.verify_audit()).await?;
    let broken = state.broken.map(|broken| {
        let (detail, detail_zh) = broken.why.both();
        Broken {
            at: broken.at,
            detail,
            detail_zh,
        }
    });
    Ok(HttpResponse::Ok().json(Verified {
        entries: state.entries,
        first: state.first,
        last: state.last,
        chain: state.chain.to_string(),
        sound: broken.is_none(),
        broken,
    }))
}

/// `GET /audit/export`: JSON lines, oldest first.
pub(super) async fn export(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let work = async move |event: &mut AuditEvent| {
        let params = Params::of(&query)?;
        let filter = filter(&asked, &params)?;
        let who = params.text("who").unwrap_or_default();
        wish::fits(&[("who", who, NOTE)]).map_err(Problem::in_query)?;
        event.filter = FILTERS
            .iter()
            .filter_map(|name| Some(format!("{name}={}", params.text(name)?)))
            .collect::<Vec<_>>()
            .join(" ");
        event.result = AuditResult::Begun;
        Ok((filter, event.clone()))
    };
    let (filter, event) = audited(&admin, &request, AuditAction::AuditExport, work).await?;
    given_out(&admin, event, move |outbox, to, event| {
        let mut count = 0_u64;
        let made = outbox.each_audited(&mut |entry| {
            if !filter.passes(&entry.event) {
                return Ok(());
            }
            count += 1;
            let line = serde_json::to_string(&entry).map_err(std::io::Error::other)?;
            writeln!(to, "{line}")
        });
        event.count = Some(count);
        made
    })
    .await
}
