//! Failures: deliveries that failed alike, in groups, the largest first.
//!
//! A group's deliveries are listed by `GET /deliveries?group=`. Reasons are shown as elsewhere:
//! what a destination said, without phones.

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;

use super::params::Params;
use super::problem::Problem;
use super::{Admin, privacy, reading, rfc3339};
use crate::outbox::FailureGroup;

/// Groups in an answer at most.
pub(super) const MOST: usize = 500;

/// A group.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FailureGroup")]
struct Shown {
    id: String,
    sink: String,
    rule: String,
    /// With numbers and ids taken out.
    reason: String,
    /// Dead letters and those that wait for a retry, together.
    count: u64,
    dead: u64,
    retrying: u64,
    /// When the oldest and the newest delivery in it were made.
    first_at: String,
    last_at: String,
    /// One of them.
    sample: String,
}

/// The largest groups.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "FailureGroups")]
pub(super) struct Groups {
    items: Vec<Shown>,
    /// Whether there are others.
    more: bool,
}

impl From<FailureGroup> for Shown {
    fn from(group: FailureGroup) -> Self {
        Self {
            id: group.id.to_string(),
            count: group.size(),
            dead: group.dead,
            retrying: group.retrying,
            first_at: rfc3339(group.first),
            last_at: rfc3339(group.last),
            sample: group.sample.to_string(),
            reason: privacy::without_phones(&group.reason),
            sink: group.sink,
            rule: group.rule,
        }
    }
}

/// `GET /failure-groups`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let params = Params::of(&request)?;
    let limit = params.limit(MOST)?;
    let sink = params.text("sink").map(str::to_owned);
    let read = reading(&admin, move |admin| {
        admin.known(sink.as_deref(), None)?;
        let groups = admin.outbox.failure_groups(sink.as_deref(), limit + 1)?;
        Ok::<_, Problem>(groups)
    });
    let mut groups = read.await?;
    let more = groups.len() > limit;
    groups.truncate(limit);
    let items: Vec<_> = groups.into_iter().map(Shown::from).collect();
    Ok(HttpResponse::Ok().json(Groups { items, more }))
}
