//! Previews: what a sink would be sent of a stored lead now, with the configuration that runs,
//! and how that differs from what was sent. Nothing is sent.
//!
//! Secrets are masked always, and what says who it is unless `reveal=true`, which is logged.

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::difference::{self, Change};
use super::params::{Params, id};
use super::problem::{DELIVERY, LEAD, Problem};
use super::{Admin, audit, deliveries, privacy, reading, rfc3339};
use crate::delivery::Unsent;
use crate::lang::Text;
use crate::outbox::{
    Attempt, AuditAction, DeliveryId, History, LeadId, Listed, StateName, StoredLead,
};

/// What would be sent of a lead to a sink.
#[derive(Serialize, JsonSchema)]
pub(super) struct Preview {
    /// The delivery, if there is one already.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<String>,
    lead: String,
    revision: u32,
    sink: String,
    /// Of the configuration that runs.
    config_revision: Option<String>,
    /// The last attempt, as it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Last>,
    /// What would be sent now.
    now: Option<String>,
    /// Why that cannot be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    cannot: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cannot_zh: Option<String>,
    /// What is otherwise now than in the last attempt; not there if its record keeps too little
    /// to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<Vec<Change>>,
}

/// An attempt, in short.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LastAttempt")]
struct Last {
    number: u32,
    started_at: String,
    #[schemars(with = "super::shape::Outcome")]
    outcome: leadgate_plugin::OutcomeKind,
    /// What its record keeps of what was sent.
    request: String,
}

impl From<&Attempt> for Last {
    fn from(attempt: &Attempt) -> Self {
        Self {
            number: attempt.number,
            started_at: rfc3339(attempt.started_at),
            outcome: attempt.outcome,
            request: privacy::without_phones(&attempt.request),
        }
    }
}

/// `GET /deliveries/{id}/preview`
pub(super) async fn show(
    admin: web::Data<Admin>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = DeliveryId(id(&path, DELIVERY)?);
    let why = audit::reason(&Params::of(&request)?)?;
    let reveal = why.is_some();
    let asked = admin.clone();
    let look = async move || {
        let preview = reading(&asked, move |admin| {
            let found = deliveries::find(admin, id)?;
            of_delivery(admin, &found, &found.delivery.sink, reveal)
        });
        preview.await
    };
    let of = (AuditAction::DeliveryReveal, id.to_string());
    let preview = audit::revealed(&admin, &request, of, why, look).await?;
    if reveal {
        tracing::info!(lead = preview.lead, delivery = %id, "lead was revealed");
    }
    Ok(HttpResponse::Ok().json(preview))
}

/// What `sink` would be sent of a delivery, which may be another one's. Reads the disk, and asks
/// the plugin.
pub(super) fn of_delivery(
    admin: &Admin,
    listed: &Listed,
    sink: &str,
    reveal: bool,
) -> Result<Preview, Problem> {
    let delivery = &listed.delivery;
    let lead = admin.outbox.lead(delivery.lead, delivery.revision)?;
    let lead = lead.ok_or_else(|| Problem::no_such(LEAD, delivery.lead))?;
    let is_its = delivery.sink == sink;
    let of = Unsent {
        id: listed.id,
        lead: &lead,
        update: was_given_before(admin, &lead, sink)?,
        step_record: if is_its { &delivery.journal } else { "" },
    };
    let rendered = render(admin, sink, &of);
    let mut preview = Preview::of(admin, sink, &of);
    preview.delivery = Some(listed.id.to_string());
    if is_its && let Some(last) = delivery.history.last() {
        let now = rendered.as_deref().ok();
        preview.difference = now.and_then(|now| difference::between(&last.request, now));
        // Where it goes now may say whose lead it is.
        for change in preview.difference.iter_mut().flatten() {
            change.before = change.before.take().map(|was| masked(was, &lead));
            change.now = change.now.take().map(|now| masked(now, &lead));
        }
        preview.last = Some(last.into());
    }
    Ok(preview.saying(rendered, (!reveal).then_some(&lead)))
}

/// What `sink` would be sent of the newest revision of a lead.
pub(super) fn of_lead(admin: &Admin, lead: LeadId, sink: &str) -> Result<Preview, Problem> {
    let newest = admin.outbox.lead(lead, 0)?;
    let newest = newest.ok_or_else(|| Problem::no_such(LEAD, lead))?;
    let of = Unsent {
        // It has none yet.
        id: DeliveryId(Uuid::now_v7()),
        lead: &newest,
        update: was_given_before(admin, &newest, sink)?,
        step_record: "",
    };
    let rendered = render(admin, sink, &of);
    Ok(Preview::of(admin, sink, &of).saying(rendered, Some(&newest)))
}

/// Whether the sink was given an earlier revision.
pub(super) fn was_given_before(
    admin: &Admin,
    lead: &StoredLead,
    sink: &str,
) -> Result<bool, Problem> {
    let history: Option<History> = admin.outbox.history(lead.id)?;
    let mut others = history.iter().flat_map(|lead| &lead.deliveries);
    Ok(others.any(|other| {
        other.delivery.sink == sink
            && other.delivery.revision < lead.revision
            && other.state == StateName::Delivered
    }))
}

/// What `sink` would send, or why that cannot be said. Nothing in it is masked but secrets.
pub(super) fn render(admin: &Admin, sink: &str, of: &Unsent<'_>) -> Result<String, Text> {
    match admin.delivery.render(sink, of) {
        Some(Ok(Some(text))) => Ok(text),
        Some(Ok(None)) => Err(cannot_show()),
        Some(Err(why)) => Err(Text::plain(why)),
        None => Err(Text::new(
            "its sink is not configured any more",
            "其目的地已不在配置中",
        )),
    }
}

/// What is said of a plugin that has no previews.
pub(super) fn cannot_show() -> Text {
    Text::new(
        "the plugin of this sink cannot show what it sends",
        "该目的地的插件不支持预览",
    )
}

pub(super) fn masked(text: String, lead: &StoredLead) -> String {
    privacy::rendered(text, &lead.lead, &lead.raw)
}

impl Preview {
    fn of(admin: &Admin, sink: &str, of: &Unsent<'_>) -> Self {
        let revision = admin.configured.get().revision.clone();
        Self {
            delivery: None,
            lead: of.lead.id.to_string(),
            revision: of.lead.revision,
            sink: sink.to_owned(),
            config_revision: revision.map(|revision| revision.hash),
            last: None,
            now: None,
            cannot: None,
            cannot_zh: None,
            difference: None,
        }
    }

    /// With what was rendered; without what it says of the person of `hidden`.
    fn saying(mut self, rendered: Result<String, Text>, hidden: Option<&StoredLead>) -> Self {
        let shown = |text: String| match hidden {
            Some(lead) => masked(text, lead),
            None => text,
        };
        match rendered {
            Ok(text) => self.now = Some(shown(text)),
            Err(why) => {
                let (en, zh) = why.both();
                self.cannot = Some(shown(en));
                self.cannot_zh = Some(shown(zh));
            }
        }
        self
    }
}
