//! One sink: how it does, what is set of it, and how it stands in the files. Without secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use leadgate_plugin::HumanDuration;
use schemars::JsonSchema;
use serde::Serialize;

use super::params::Params;
use super::problem::{Kind, Problem};
use super::sinks::Said;
use super::{Admin, ConfiguredSink, reading, rfc3339, stats};
use crate::config::{OnAmbiguous, OnUpdate, Rate};

/// `GET /sinks/{name}`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SinkDetail")]
pub(super) struct Detail {
    name: String,
    #[serde(flatten)]
    counts: stats::Sink,
    /// Dead letters by their reason.
    dead_by_reason: BTreeMap<&'static str, u64>,
    /// How it is, by what its plugin says; not there if that cannot tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Said>,
    /// What is set, defaults among it; null for a sink that is not configured any more.
    set: Option<Set>,
}

/// What is set of a sink but its plugin's settings, under the names of the configuration.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SinkSet")]
struct Set {
    /// Since when the sink runs with this `when`.
    since: String,
    when: Option<String>,
    concurrency: usize,
    /// Null for no limit.
    rate: Option<String>,
    timeout: String,
    retry: Retry,
    on_ambiguous: &'static str,
    on_update: &'static str,
    on_dead: Option<String>,
    breaker: Breaker,
    max_hold: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SinkRetry")]
struct Retry {
    first: String,
    max: String,
    max_attempts: u32,
    max_age: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SinkBreaker")]
struct Breaker {
    /// 0 for none.
    failures: u32,
    wait: String,
    max: String,
}

impl Set {
    fn of(sink: &ConfiguredSink) -> Self {
        let set = &sink.set;
        let long = |time: Duration| HumanDuration(time).to_string();
        Self {
            since: rfc3339(sink.since),
            when: sink.when.clone(),
            concurrency: set.concurrency,
            rate: set.rate.map(rate),
            timeout: long(set.timeout),
            retry: Retry {
                first: long(set.retry.first),
                max: long(set.retry.max),
                max_attempts: set.retry.max_attempts,
                max_age: long(set.retry.max_age),
            },
            on_ambiguous: match set.on_ambiguous {
                OnAmbiguous::Retry => "retry",
                OnAmbiguous::Hold => "hold",
            },
            on_update: match sink.on_update {
                OnUpdate::Supersede => "supersede",
                OnUpdate::Each => "each",
                OnUpdate::Ignore => "ignore",
            },
            on_dead: set.on_dead.clone(),
            breaker: Breaker {
                failures: set.breaker.failures,
                wait: long(set.breaker.wait),
                max: long(set.breaker.max),
            },
            max_hold: long(set.max_hold),
        }
    }
}

/// As the configuration writes it.
pub(super) fn rate(rate: Rate) -> String {
    let unit = match rate.per.as_secs() {
        1 => "s",
        60 => "min",
        _ => "h",
    };
    format!("{}/{unit}", rate.count)
}

/// `GET /sinks/{name}`
pub(super) async fn show(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let name = path.into_inner();
    admin.known_sink(&name, Kind::NotFound)?;
    let read = reading(&admin, move |admin| {
        let totals = admin.outbox.totals();
        let dead = totals.sinks.get(&name).map(|counts| &counts.dead);
        let dead = dead.into_iter().flatten().filter(|(_, count)| **count > 0);
        let configured = admin.configured.get();
        Ok::<_, Problem>(Detail {
            counts: stats::sink(admin, &totals, &name)?,
            dead_by_reason: dead
                .map(|(reason, count)| (reason.as_str(), *count))
                .collect(),
            health: None,
            set: configured.sinks.get(&name).map(Set::of),
            name,
        })
    });
    let mut detail = read.await?;
    let said = admin.delivery.says(&detail.name).await;
    detail.health = said.as_ref().map(Said::of);
    Ok(HttpResponse::Ok().json(detail))
}

/// How a sink stands in the files that were read.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SinkSettings")]
pub(super) struct AsWritten {
    name: String,
    /// Its table as TOML, with its comments. References such as `env:NAME` are as they are;
    /// secrets that are written out are `***`.
    settings: String,
    /// Where it is.
    file: String,
}

/// `GET /sinks/{name}/settings`
pub(super) async fn settings(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let name = path.into_inner();
    admin.configured_sink(&name)?;
    let configured = admin.configured.get();
    let known = configured.sinks.get(&name);
    let written = known.and_then(|sink| sink.written.as_ref());
    let written = written.ok_or_else(not_known)?;
    Ok(HttpResponse::Ok().json(AsWritten {
        settings: written.text().to_owned(),
        file: written.file().display().to_string(),
        name,
    }))
}

/// Of a sink that was not read from files as they are.
pub(super) fn not_known() -> Problem {
    let detail = (
        "how this sink stands in the files is not known; reload the configuration",
        "不清楚该目的地在配置文件中的写法；请重新加载配置",
    );
    Problem::new(Kind::NotReloaded, detail)
}
