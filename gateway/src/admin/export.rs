//! Export: all that is stored of one lead or of a person, as one JSON text, for the person.
//!
//! It is personal data in the clear, so it is logged that somebody asked, but not for whom.

use std::io::Write;

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::deliveries::Detail;
use super::params::{Body, Params};
use super::problem::Problem;
use super::subject::{Named, Subject};
use super::upkeep::streamed;
use super::{Admin, quarantine, reading, rfc3339};
use crate::outbox::{History, UpkeepError};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    lead: Option<String>,
    phone: Option<String>,
    record_id: Option<String>,
    order_num: Option<String>,
    nick: Option<String>,
    openid: Option<String>,
}

/// `POST /leads/export`, `{lead | phone | record_id | order_num | nick | openid}`:
/// `{leads: […], quarantined: […]}`
pub(super) async fn export(
    admin: web::Data<Admin>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    Params::of(&request, &[])?;
    let wish: Wish = body.json()?;
    let subject = Subject::of(Named {
        lead: wish.lead,
        phone: wish.phone,
        record_id: wish.record_id,
        order_num: wish.order_num,
        nick: wish.nick,
        openid: wish.openid,
    })?;
    let found = reading(&admin, move |admin| {
        let leads = subject.leads(admin)?;
        let mut pushes = Vec::new();
        subject.pushes(admin, |push| {
            pushes.push(push.id);
            Ok(())
        })?;
        Ok::<_, Problem>((subject.by(), leads, pushes))
    });
    let (by, leads, pushes) = found.await?;
    let asked = admin.clone();
    streamed(&admin, move |outbox, to| {
        let (mut leads_given, mut pushes_given) = (0_u64, 0_u64);
        write!(to, "{{\"leads\":[")?;
        for id in leads {
            if let Some(history) = outbox.history(id)? {
                item(to, &mut leads_given, &lead(&history))?;
            }
        }
        write!(to, "],\n\"quarantined\":[")?;
        for id in pushes {
            if let Some(push) = outbox.quarantined_push(id)? {
                let shown = quarantine::revealed(&asked, push);
                item(to, &mut pushes_given, &shown)?;
            }
        }
        writeln!(to, "]}}")?;
        tracing::info!(
            by,
            leads = leads_given,
            quarantined = pushes_given,
            "leads were exported"
        );
        Ok(())
    })
    .await
}

/// Writes one of a list, behind those that were given.
fn item(to: &mut dyn Write, given: &mut u64, item: &Value) -> Result<(), UpkeepError> {
    let comma = if *given == 0 { "" } else { "," };
    *given += 1;
    Ok(write!(to, "{comma}\n{item}")?)
}

/// A lead with its revisions as they were pushed, and its deliveries with their attempts.
fn lead(history: &History) -> Value {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let revisions = history.revisions.iter();
    let revisions: Vec<_> = revisions
        .map(|one| {
            json!({
                "revision": one.revision,
                "received_at": rfc3339(one.received_at),
                "lead": parsed(&one.lead),
                "labels": parsed(&one.labels),
                "raw": one.raw,
                "original_base64": one.original.as_ref().map(|bytes| STANDARD.encode(bytes)),
            })
        })
        .collect();
    let deliveries: Vec<_> = history.deliveries.iter().map(Detail::from).collect();
    json!({
        "id": history.id.to_string(),
        "source": history.revisions.last().map(|last| &last.source),
        "revisions": revisions,
        "deliveries": deliveries,
    })
}
