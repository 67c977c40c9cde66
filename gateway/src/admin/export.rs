//! Export: all that is stored of one lead or of a person, as one JSON text, for the person.
//!
//! It is personal data in the clear, so it is logged that somebody asked, but not for whom.

use std::io::Write;

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::audit::{audited, given_out};
use super::deliveries::Detail;
use super::left::Left;
use super::params::{Body, Params};
use super::problem::Problem;
use super::subject::{MOST, Subject};
use super::{Admin, quarantine, reading, rfc3339};
use crate::outbox::{
    AuditAction, AuditEvent, AuditResult, History, LeadId, Outbox, QuarantineId, UpkeepError,
};

/// What is given out.
pub(super) struct Found {
    by: &'static str,
    leads: Vec<LeadId>,
    pushes: Vec<QuarantineId>,
    unread: Vec<Left>,
    more: bool,
}

impl Found {
    /// All of a subject, of its leads at most `most`. Reads the disk.
    pub(super) fn of(admin: &Admin, subject: &Subject, most: usize) -> Result<Self, Problem> {
        let leads = subject.leads(admin, most)?;
        let mut pushes = Vec::new();
        let unread = subject.pushes(admin, |push| pushes.push(push.id))?;
        Ok(Self {
            by: subject.by(),
            more: leads.len() >= most,
            leads,
            pushes,
            unread,
        })
    }

    /// Gives it out, counts it, and logs it, also if the reader goes away. Reads the disk.
    pub(super) fn give(
        mut self,
        admin: &Admin,
        outbox: &dyn Outbox,
        to: &mut dyn Write,
        (leads, quarantined): (&mut u64, &mut u64),
    ) -> Result<(), UpkeepError> {
        let made = self.write(admin, outbox, to, (leads, quarantined));
        let (leads, quarantined) = (*leads, *quarantined);
        let made = made.and_then(|()| Ok(to.flush()?));
        let (by, unread, more) = (self.by, self.unread.len(), self.more);
        match &made {
            Ok(()) => {
                tracing::info!(by, leads, quarantined, unread, more, "leads were exported");
            }
            // What was written before is disclosed all the same.
            Err(error) => {
                tracing::warn!(by, leads, quarantined, error = %error, "export was broken off");
            }
        }
        made
    }

    fn write(
        &mut self,
        admin: &Admin,
        outbox: &dyn Outbox,
        to: &mut dyn Write,
        (leads, quarantined): (&mut u64, &mut u64),
    ) -> Result<(), UpkeepError> {
        write!(to, "{{\"leads\":[")?;
        for id in &self.leads {
            match outbox.history(*id) {
                // It may have left meanwhile.
                Ok(history) => {
                    if let Some(history) = history {
                        item(to, leads, &lead(&history))?;
                    }
                }
                Err(error) => {
                    // One that is damaged; a store that cannot be asked is another matter.
                    if outbox.outline(*id)?.is_some() {
                        self.unread.push(Left::unreadable_lead(*id, &error));
                    }
                }
            }
        }
        write!(to, "],\n\"quarantined\":[")?;
        for id in &self.pushes {
            match outbox.quarantined_push(*id) {
                Ok(push) => {
                    if let Some(push) = push {
                        item(to, quarantined, &quarantine::revealed(admin, push))?;
                    }
                }
                // It could be read before.
                Err(error) => self.unread.push(Left::unreadable_push(*id, &error)),
            }
        }
        let more = self.more;
        let is_complete = self.unread.is_empty() && !more;
        let unread = json!(self.unread);
        let end = format!("\"unread\":{unread},\n\"more\":{more},\"complete\":{is_complete}}}");
        Ok(writeln!(to, "],\n{end}")?)
    }
}

/// `POST /leads/export`, `{lead | phone | record_id | order_num | nick | openid}`:
/// `{leads: […], quarantined: […], unread: […], more, complete}`
pub(super) async fn export(
    admin: web::Data<Admin>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let found = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        let subject = Subject::of(body.json()?)?;
        event.target = subject.lead().map(|id| id.to_string()).unwrap_or_default();
        event.filter = format!("by={}", subject.by());
        let found = reading(&asked, move |admin| Found::of(admin, &subject, MOST)).await?;
        event.result = AuditResult::Begun;
        Ok((found, event.clone()))
    };
    let (found, event) = audited(&admin, &request, AuditAction::LeadsExport, found).await?;
    let asked = admin.clone();
    given_out(&admin, event, move |outbox, to, event| {
        let (mut leads, mut quarantined) = (0, 0);
        let made = found.give(&asked, outbox, to, (&mut leads, &mut quarantined));
        event.count = Some(leads + quarantined);
        made
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
