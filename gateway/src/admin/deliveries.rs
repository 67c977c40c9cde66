//! Deliveries: list them, look at one with its attempts, try it again, give it up.
//!
//! Nothing personal: ids, names of sinks, and the reasons that plugins gave.

use std::fmt::Write;

use actix_web::{HttpRequest, HttpResponse, web};
use leadgate_plugin::OutcomeKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit::{audited, signed};
use super::params::{Body, Params, id};
use super::problem::{DELIVERY, Kind, Problem};
use super::shape::{DeadBecause, DeliveryState, Outcome, Page};
use super::{Admin, filters, holds, privacy, reading, rfc3339, wish};
use crate::lang::counted;
use crate::outbox::{
    Attempt, AuditAction, AuditEvent, Delivery, DeliveryId, Filter, Listed, Paged, Repair,
    Repaired, State, StateName,
};

/// Deliveries on a page at most.
pub(super) const MOST: usize = 500;

/// A delivery in a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Delivery")]
pub(super) struct Summary {
    id: String,
    sink: String,
    source: String,
    lead: String,
    revision: u32,
    #[schemars(with = "DeliveryState")]
    state: &'static str,
    attempts: u32,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    /// Why it is a dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<DeadBecause>")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Outcome>")]
    last_outcome: Option<OutcomeKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_attempt_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback_of: Option<String>,
    /// What holds it back now; empty if it is over or under way.
    held_by: Vec<holds::Shown>,
}

impl Summary {
    /// With what holds it back. Reads the disk.
    pub(super) fn held(admin: &Admin, listed: &Listed) -> Result<Self, Problem> {
        Ok(Self {
            held_by: holds::of_delivery(admin, listed)?,
            ..Self::from(listed)
        })
    }
}

impl From<&Listed> for Summary {
    fn from(listed: &Listed) -> Self {
        let delivery = &listed.delivery;
        let last = delivery.history.last();
        Self {
            id: listed.id.to_string(),
            sink: delivery.sink.clone(),
            source: delivery.source.clone(),
            lead: delivery.lead.to_string(),
            revision: delivery.revision,
            state: listed.state.as_str(),
            attempts: delivery.attempts,
            created_at: rfc3339(delivery.created_at),
            due_at: match delivery.state {
                State::Waiting { due_at } => Some(rfc3339(due_at)),
                _ => None,
            },
            ended_at: delivery.state.ended_at().map(rfc3339),
            reason: match delivery.state {
                State::Dead { reason, .. } => Some(reason.as_str()),
                _ => None,
            },
            last_outcome: last.map(|attempt| attempt.outcome),
            last_reason: last.map(|attempt| privacy::without_phones(&attempt.reason)),
            last_attempt_at: last.map(|attempt| rfc3339(attempt.started_at)),
            fallback_of: delivery.fallback_of.map(|id| id.to_string()),
            held_by: Vec::new(),
        }
    }
}

/// A delivery by itself.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "DeliveryWithAttempts")]
pub(super) struct Detail {
    #[serde(flatten)]
    summary: Summary,
    /// Attempts that do not count: probes, and those from before a person last said "try
    /// again".
    attempts_not_counted: u32,
    /// What the attempts say together.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    /// The same in Chinese.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice_zh: Option<String>,
    /// The newest attempts, oldest first.
    history: Vec<AttemptDetail>,
}

impl From<&Listed> for Detail {
    fn from(listed: &Listed) -> Self {
        let (advice, advice_zh) = advice(listed).unzip();
        Self {
            summary: Summary::from(listed),
            attempts_not_counted: listed.delivery.budget.spent,
            advice,
            advice_zh,
            history: listed
                .delivery
                .history
                .iter()
                .map(AttemptDetail::from)
                .collect(),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Attempt")]
struct AttemptDetail {
    number: u32,
    started_at: String,
    duration_ms: u64,
    #[schemars(with = "Outcome")]
    outcome: OutcomeKind,
    rule: String,
    reason: String,
    receipt: String,
    request: String,
    response: String,
    trace_id: String,
    /// Of the configuration; empty if nothing was rendered, or before it was recorded.
    config_revision: String,
}

impl From<&Attempt> for AttemptDetail {
    fn from(attempt: &Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: rfc3339(attempt.started_at),
            duration_ms: attempt.duration_ms,
            outcome: attempt.outcome,
            rule: attempt.rule.clone(),
            reason: privacy::without_phones(&attempt.reason),
            receipt: attempt.receipt.clone(),
            request: privacy::without_phones(&attempt.request),
            response: privacy::without_phones(&attempt.response),
            trace_id: attempt.trace_id.clone(),
            config_revision: attempt.config_revision.clone(),
        }
    }
}

/// `GET /deliveries`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let params = Params::of(&request)?;
    let filter = filters::deliveries(&params, admin.clock.now())?;
    page(&admin, &params, filter).await
}

/// A page of what passes `filter`.
pub(super) async fn page(
    admin: &web::Data<Admin>,
    params: &Params,
    filter: Filter,
) -> Result<HttpResponse, Problem> {
    let limit = params.limit(MOST)?;
    let cursor = admin.cursor(params, Paged::Deliveries(&filter))?;
    let page = reading(admin, move |admin| {
        admin.known(filter.sink.as_deref(), filter.source.as_deref())?;
        let page = admin.outbox.deliveries(&filter, cursor.as_deref(), limit)?;
        let items = page.items.iter();
        let items: Vec<_> = items
            .map(|listed| Summary::held(admin, listed))
            .collect::<Result<_, _>>()?;
        Ok::<_, Problem>((items, page.next))
    });
    let (items, next) = page.await?;
    Ok(HttpResponse::Ok().json(Page { items, next }))
}

/// `GET /deliveries/{id}`
pub(super) async fn show(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    answer(&admin, DeliveryId(id(&path, DELIVERY)?)).await
}

async fn answer(admin: &web::Data<Admin>, id: DeliveryId) -> Result<HttpResponse, Problem> {
    let (found, summary) = reading(admin, move |admin| {
        let found = find(admin, id)?;
        let summary = Summary::held(admin, &found)?;
        Ok::<_, Problem>((found, summary))
    })
    .await?;
    Ok(HttpResponse::Ok().json(Detail {
        summary,
        ..Detail::from(&found)
    }))
}

/// A delivery with its state, of which "in flight" is known to lists only.
pub(super) fn find(admin: &Admin, id: DeliveryId) -> Result<Listed, Problem> {
    let Some(delivery) = admin.outbox.delivery(id)? else {
        return Err(Problem::no_such(DELIVERY, id));
    };
    let lead = admin.outbox.history(delivery.lead)?;
    let listed = lead
        .into_iter()
        .flat_map(|lead| lead.deliveries)
        .find(|one| one.id == id);
    Ok(listed.unwrap_or_else(|| Listed {
        id,
        state: at_rest(&delivery),
        delivery,
    }))
}

/// Attempts that were sent and whose answer came too late or not at all: the destination may
/// have the lead as often.
fn advice(listed: &Listed) -> Option<(String, String)> {
    if listed.state == StateName::Cancelled {
        return None;
    }
    let history = listed.delivery.history.iter();
    let unanswered = history.filter(|one| one.outcome == OutcomeKind::Ambiguous);
    let (mut times, mut late) = (0, 0);
    for one in unanswered {
        times += 1;
        late += u64::from(one.rule == "timeout");
    }
    if times == 0 {
        return None;
    }
    let mut en = format!(
        "{} sent and not answered: the destination may have the lead {}",
        counted(times, "of its attempts was", "of its attempts were"),
        counted(times, "time", "times"),
    );
    let mut zh = format!("有 {times} 次已发出但没有应答：对方可能已收到 {times} 次");
    if late > 0 {
        let sink = &listed.delivery.sink;
        let _ = write!(
            en,
            "; {late} of them waited for `timeout`: if the destination answers later than that, raise `timeout` of sinks.{sink}"
        );
        let _ = write!(
            zh,
            "；其中 {late} 次超时：若对方应答更慢，请调大 sinks.{sink} 的 timeout"
        );
    }
    Some((en, zh))
}

fn at_rest(delivery: &Delivery) -> StateName {
    match delivery.state {
        State::Waiting { .. } if delivery.attempts > 0 => StateName::Retrying,
        State::Waiting { .. } => StateName::Pending,
        State::Behind => StateName::Behind,
        State::Delivered { .. } => StateName::Delivered,
        State::Superseded { .. } => StateName::Superseded,
        State::Cancelled { .. } => StateName::Cancelled,
        State::Dead { .. } => StateName::Dead,
    }
}

/// How a delivery is tried again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Force {
    /// Also one that was delivered or superseded, or whose lead has a newer revision.
    force: bool,
}

/// `POST /deliveries/{id}/retry`
pub(super) async fn retry(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let retried = async move |event: &mut AuditEvent| {
        let id = of_path(event, &path)?;
        let force = Params::of(&query)?.flag("force")?;
        // The body is read whatever the query says: what cannot be meant is refused.
        let wish: Force = body.json()?;
        let force = force || wish.force;
        if force {
            "force".clone_into(&mut event.filter);
        }
        let repair = Repair::Retry { force };
        let repaired = asked.outbox.repair(id, repair, asked.clock.now());
        done(repaired.await?, id, true)?;
        tracing::info!(delivery = %id, force, "delivery was told to try again");
        // As a probe, too: a person wants to see how it goes.
        if let Some(delivery) = reading(&asked, move |admin| admin.outbox.delivery(id)).await? {
            asked.delivery.hurry(&delivery.sink, id);
        }
        Ok(id)
    };
    let id = audited(&admin, &request, AuditAction::DeliveryRetry, retried).await?;
    answer(&admin, id).await
}

/// The delivery that a path names.
fn of_path(event: &mut AuditEvent, path: &str) -> Result<DeliveryId, Problem> {
    let id = DeliveryId(id(path, DELIVERY)?);
    event.target = id.to_string();
    Ok(id)
}

/// `POST /deliveries/{id}/cancel`
pub(super) async fn cancel(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let cancelled = async move |event: &mut AuditEvent| {
        let id = of_path(event, &path)?;
        Params::of(&query)?;
        let repaired = asked.outbox.repair(id, Repair::Cancel, asked.clock.now());
        done(repaired.await?, id, false)?;
        tracing::info!(delivery = %id, "delivery was cancelled");
        Ok(id)
    };
    let id = audited(&admin, &request, AuditAction::DeliveryCancel, cancelled).await?;
    answer(&admin, id).await
}

/// How somebody saw to it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["note"]))]
pub(super) struct ByHand {
    /// What was done; it must say something, and name nobody.
    #[schemars(length(min = 1, max = wish::NOTE), example = "called back")]
    note: String,
    /// Who did it; whoever asks unless it says so.
    by: String,
}

/// `POST /deliveries/{id}/done`
pub(super) async fn done_by_hand(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let did = async move |event: &mut AuditEvent| {
        let id = of_path(event, &path)?;
        Params::of(&query)?;
        let ByHand { note, by } = body.json()?;
        wish::fits(&[("note", &note, wish::NOTE), ("by", &by, wish::NOTE)])?;
        wish::says_how(&note)?;
        event.note.clone_from(&note);
        event.filter = signed(&by);
        let by = Some(by).filter(|by| !by.is_empty());
        let by = by.unwrap_or_else(|| event.who.name.clone());
        let repair = Repair::Done { by, note };
        let repaired = asked.outbox.repair(id, repair, asked.clock.now());
        done(repaired.await?, id, false)?;
        tracing::info!(delivery = %id, "delivery was done by hand");
        Ok(id)
    };
    let id = audited(&admin, &request, AuditAction::DeliveryDone, did).await?;
    answer(&admin, id).await
}

fn done(repaired: Repaired, id: DeliveryId, retry: bool) -> Result<(), Problem> {
    let (kind, en, zh) = match repaired {
        Repaired::Done => return Ok(()),
        Repaired::Unknown => return Err(Problem::no_such(DELIVERY, id)),
        Repaired::InFlight => (
            Kind::InFlight,
            "an attempt is under way; ask again when it has ended",
            "正在投递；请在结束后再试",
        ),
        Repaired::Over if retry => (
            Kind::Over,
            "it was delivered or superseded already; --force (in the API {\"force\": true}) sends it again",
            "已送达或已被取代；加 --force（API 中为 {\"force\": true}）可再次发送",
        ),
        Repaired::Over => (
            Kind::Over,
            "it was delivered, superseded or cancelled already",
            "已送达、已被取代或已取消",
        ),
        Repaired::Newer => (
            Kind::Newer,
            "the sink was given, or waits for, a newer revision of this lead; --force (in the API {\"force\": true}) sends this one after all",
            "目的地已收到或正等待该客资的新版本；加 --force（API 中为 {\"force\": true}）仍发送此版本",
        ),
        Repaired::NoSink => (
            Kind::NoSink,
            "its sink is not configured any more; configure it first",
            "目的地已不在配置中；请先配置",
        ),
    };
    let detail = (format!("delivery {id}: {en}"), format!("投递 {id}：{zh}"));
    Err(Problem::new(kind, detail))
}
