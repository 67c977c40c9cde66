//! Trials: a test lead for a sink, by a person who wants to know whether it arrives.

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;

use super::audit::audited;
use super::params::Params;
use super::problem::{Kind, Problem};
use super::{Admin, privacy};
use crate::delivery::{Tried, Untried};
use crate::lang::Text;
use crate::lead::Sample;
use crate::outbox::{AuditAction, AuditEvent};
use crate::plugin;

/// How a test went.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SinkTest")]
pub(super) struct Trial {
    sink: String,
    delivered: bool,
    #[schemars(with = "super::shape::Outcome")]
    outcome: &'static str,
    rule: String,
    reason: String,
    receipt: String,
    /// If the destination asked for a wait.
    retry_after_seconds: Option<f64>,
    request: String,
    response: String,
    duration_ms: u64,
    /// What was sent: a made-up lead.
    lead: TestLead,
}

/// A made-up lead.
#[derive(Serialize, JsonSchema)]
struct TestLead {
    id: String,
    record_id: Option<i64>,
    name: Option<String>,
}

/// `POST /sinks/{name}/test`
pub(super) async fn test(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let name = path.into_inner();
    let (asked, sink, query) = (admin.clone(), name.clone(), request.clone());
    let tried = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        asked.configured_sink(&sink)?;
        event.target.clone_from(&sink);
        let tried = tried(&asked, &sink).await?;
        event.filter = format!("outcome={}", tried.1.outcome.kind.as_str());
        Ok(tried)
    };
    let (made, tried) = audited(&admin, &request, AuditAction::SinkTest, tried).await?;
    let outcome = tried.outcome;
    let delivered = matches!(
        outcome.kind,
        plugin::OutcomeKind::Delivered | plugin::OutcomeKind::Duplicate
    );
    let wait = outcome.retry_after.map(|wait| wait.as_secs_f64().ceil());
    Ok(HttpResponse::Ok().json(Trial {
        sink: name,
        delivered,
        outcome: outcome.kind.as_str(),
        reason: privacy::without_phones(&outcome.reason),
        retry_after_seconds: wait,
        request: privacy::without_phones(&outcome.request),
        response: privacy::without_phones(&outcome.response),
        duration_ms: u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX),
        lead: made,
        rule: outcome.rule,
        receipt: outcome.receipt,
    }))
}

/// Sends a test lead; what it says, and how it went.
async fn tried(admin: &Admin, name: &str) -> Result<(TestLead, Tried), Problem> {
    let now = admin.clock.now();
    let configured = admin.configured.get();
    let made = Sample::test(configured.source(), &configured.tables, now)
        .map_err(|error| Problem::new(Kind::Internal, Text::plain(error.to_string())))?;
    let tried = admin.delivery.try_out(name, made.event).await;
    let tried = tried.map_err(|why| match why {
        Untried::NoSink => Problem::no_such(("sink", "目的地"), name),
        Untried::Busy => Problem::new(
            Kind::Busy,
            (
                "a test of this sink is under way; wait for it",
                "此目的地的测试正在进行；请等待结束",
            ),
        ),
    })?;
    let outcome = &tried.outcome;
    tracing::info!(
        sink = name,
        outcome = outcome.kind.as_str(),
        rule = outcome.rule,
        "sink was tested"
    );
    let made = TestLead {
        id: made.id.to_string(),
        record_id: made.lead.record_id,
        name: made.lead.name,
    };
    Ok((made, tried))
}
