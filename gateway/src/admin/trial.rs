//! Trials: a test lead for a sink, by a person who wants to know whether it arrives.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::params::Params;
use super::problem::{Kind, Problem};
use super::{Admin, privacy};
use crate::delivery::Untried;
use crate::lang::Text;
use crate::lead::Sample;
use crate::plugin;

/// `POST /sinks/{name}/test`
pub(super) async fn test(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let name = path.into_inner();
    admin.configured_sink(&name)?;
    let now = admin.clock.now();
    let configured = admin.configured.get();
    let made = Sample::test(configured.source(), &configured.tables, now)
        .map_err(|error| Problem::new(Kind::Internal, Text::plain(error.to_string())))?;
    let tried = admin.delivery.try_out(&name, made.event).await;
    let tried = tried.map_err(|why| match why {
        Untried::NoSink => Problem::no_such(("sink", "目的地"), &name),
        Untried::Busy => Problem::new(
            Kind::Busy,
            (
                "a test of this sink is under way; wait for it",
                "此目的地的测试正在进行；请等待结束",
            ),
        ),
    })?;
    let outcome = tried.outcome;
    tracing::info!(
        sink = name,
        outcome = outcome.kind.as_str(),
        rule = outcome.rule,
        "sink was tested"
    );
    let delivered = matches!(
        outcome.kind,
        plugin::OutcomeKind::Delivered | plugin::OutcomeKind::Duplicate
    );
    let wait = outcome.retry_after.map(|wait| wait.as_secs_f64().ceil());
    Ok(HttpResponse::Ok().json(json!({
        "sink": name,
        "delivered": delivered,
        "outcome": outcome.kind.as_str(),
        "rule": outcome.rule,
        "reason": privacy::without_phones(&outcome.reason),
        "receipt": outcome.receipt,
        "retry_after_seconds": wait,
        "request": privacy::without_phones(&outcome.request),
        "response": privacy::without_phones(&outcome.response),
        "duration_ms": u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX),
        "lead": { "id": made.id, "record_id": made.lead.record_id, "name": made.lead.name },
    })))
}
