//! Sinks: how each does, and whether it is paused. A pause is durable: it holds over
//! restarts until a person ends it.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit::audited;
use super::params::{Body, Params, guess};
use super::problem::{Kind, Problem};
use super::{Admin, holds, reading, sink, stats, wish};
use crate::lang::{Text, counted};
use crate::outbox::{AuditAction, AuditEvent, PAUSE_NOTE, PauseCause};

/// A sink.
#[derive(Debug, Serialize, JsonSchema)]
struct Sink {
    name: String,
    #[serde(flatten)]
    counts: stats::Sink,
    /// Attempts begun at most, as the configuration writes it; null for no limit.
    rate: Option<String>,
    /// How it is, by what its plugin says; not there if that cannot tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Said>,
}

/// What a plugin says of its sink.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SinkHealth")]
pub(super) struct Said {
    state: &'static str,
    /// Empty if it is well.
    why: String,
}

impl Said {
    pub(super) fn of(said: &crate::plugin::Health) -> Self {
        Self {
            state: said.as_str(),
            why: said.why().to_owned(),
        }
    }
}

/// All sinks.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Sinks")]
pub(super) struct All {
    items: Vec<Sink>,
    config: Option<stats::Running>,
}

/// A sink after it was paused, or resumed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SinkPaused")]
pub(super) struct Standing {
    name: String,
    paused: bool,
    /// What holds its deliveries back now.
    holds: Vec<holds::Shown>,
}

/// A sink that was resumed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SinkResumed")]
pub(super) struct Resumed {
    #[serde(flatten)]
    now: Standing,
    ended: Ended,
}

/// What a resumption ended.
#[derive(Serialize, JsonSchema)]
struct Ended {
    pause: bool,
    breaker: bool,
    destination_wait: bool,
}

impl Admin {
    /// Refuses a sink that is neither configured nor has deliveries.
    pub(super) fn known_sink(&self, name: &str, kind: Kind) -> Result<(), Problem> {
        let totals = self.outbox.totals();
        let configured = self.configured.get();
        let known: BTreeSet<&str> = configured
            .sinks
            .keys()
            .chain(totals.sinks.keys())
            .map(String::as_str)
            .collect();
        if known.contains(name) {
            return Ok(());
        }
        let guess = guess(name, known.iter().copied());
        Err(Problem::new(kind, no_such_sink().and(&guess)))
    }

    /// Refuses a sink that is not configured, and says so if it was.
    pub(super) fn configured_sink(&self, name: &str) -> Result<(), Problem> {
        let configured = self.configured.get();
        if configured.sinks.contains_key(name) {
            return Ok(());
        }
        let totals = self.outbox.totals();
        if let Some(counts) = totals.sinks.get(name) {
            let (waiting, dead) = (counts.waiting, counts.dead_letters());
            return Err(Problem::new(
                Kind::NoSink,
                (
                    format!(
                        "sink {name} is not configured any more, so nothing is sent to it: {} and {}; configure [sinks.{name}] again, or see `leadgate outbox orphaned` and cancel them",
                        counted(waiting, "delivery waits", "deliveries wait"),
                        counted(dead, "is dead", "are dead"),
                    ),
                    format!(
                        "目的地 {name} 已不在配置中，不会再投递：{waiting} 条等待，{dead} 条死信；请重新配置 [sinks.{name}]，或用 `leadgate outbox orphaned` 查看并取消"
                    ),
                ),
            ));
        }
        let guess = guess(name, configured.sinks.keys().map(String::as_str));
        Err(Problem::new(Kind::NotFound, no_such_sink().and(&guess)))
    }
}

fn no_such_sink() -> Text {
    Text::new("there is no such sink", "没有这个目的地")
}

/// `GET /sinks`
pub(super) async fn list(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    let mut items = reading(&admin, all).await?;
    let asked = items.iter().map(|sink| admin.delivery.says(&sink.name));
    let said = futures_util::future::join_all(asked).await;
    for (sink, said) in items.iter_mut().zip(said) {
        sink.health = said.as_ref().map(Said::of);
    }
    let config = stats::Running::of(&admin.configured.get());
    Ok(HttpResponse::Ok().json(All { items, config }))
}

fn all(admin: &Admin) -> Result<Vec<Sink>, Problem> {
    let totals = admin.outbox.totals();
    let names = stats::names(admin, &totals).into_iter();
    let configured = admin.configured.get();
    let rate = |name: &str| configured.sinks.get(name)?.set.rate.map(sink::rate);
    let sink = |name: String| {
        Ok(Sink {
            counts: stats::sink(admin, &totals, &name)?,
            rate: rate(&name),
            name,
            health: None,
        })
    };
    names.map(sink).collect()
}

/// The body of a pause.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "PauseNote")]
pub(super) struct Asked {
    /// Why, for whoever looks later.
    note: String,
}

/// `POST /sinks/{name}/pause`
pub(super) async fn pause(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let name = path.into_inner();
    let (asked, sink, query) = (admin.clone(), name.clone(), request.clone());
    let paused = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        let Asked { note } = body.json()?;
        wish::note_fits(&note, PAUSE_NOTE)?;
        event.note.clone_from(&note);
        // Also of a sink that is not configured: it holds when that is configured again.
        asked.known_sink(&sink, Kind::NotFound)?;
        event.target.clone_from(&sink);
        let cause = PauseCause::Person(note);
        asked.outbox.pause(&sink, Some(cause)).await?;
        tracing::info!(sink, "sink was paused");
        Ok(())
    };
    audited(&admin, &request, AuditAction::SinkPause, paused).await?;
    Ok(HttpResponse::Ok().json(Standing {
        holds: holds::shown_of(&admin, &name),
        paused: true,
        name,
    }))
}

/// `POST /sinks/{name}/resume`: ends a pause, the breaker and the destination's wait.
pub(super) async fn resume(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let name = path.into_inner();
    let (asked, sink, query) = (admin.clone(), name.clone(), request.clone());
    let ended = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        let paused = asked.outbox.paused(&sink);
        if paused {
            event.target.clone_from(&sink);
            asked.outbox.pause(&sink, None).await?;
        }
        asked.configured_sink(&sink)?;
        event.target.clone_from(&sink);
        let resumed = asked.delivery.resume(&sink).unwrap_or_default();
        tracing::info!(
            sink,
            paused,
            breaker = resumed.breaker,
            destination_wait = resumed.destination,
            "sink was resumed"
        );
        Ok((paused, resumed))
    };
    let ended = audited(&admin, &request, AuditAction::SinkResume, ended).await?;
    let (paused, resumed) = ended;
    Ok(HttpResponse::Ok().json(Resumed {
        now: Standing {
            holds: holds::shown_of(&admin, &name),
            paused: false,
            name,
        },
        ended: Ended {
            pause: paused,
            breaker: resumed.breaker,
            destination_wait: resumed.destination,
        },
    }))
}
