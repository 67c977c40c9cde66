//! Upkeep over the API: backup and export as streams, rekeying step by step.

use std::io::{self, Write};

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::audit::{audited, given_out};
use super::params::{Body, Params};
use super::problem::{Kind, Problem};
use crate::outbox::{
    AuditAction, AuditEvent, AuditResult, Exported, Outbox, Paged, Resealed, SegmentCopy,
    UpkeepError,
};

/// Longest list of what an earlier backup has, in bytes: that of a store of some terabytes.
pub(super) const MAX_HAVE: usize = 4 << 20;

/// What an earlier backup has.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "EarlierBackup")]
pub(super) struct Earlier {
    have: Vec<SegmentCopy>,
}

/// `POST /outbox/backup`, `{have?: [{number, bytes, crc}]}`: the backup itself, without the
/// segments of the store that an earlier one has.
pub(super) async fn backup(
    admin: web::Data<Admin>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let query = request.clone();
    let begun = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        let Earlier { have } = body.json()?;
        event.result = AuditResult::Begun;
        Ok((have, event.clone()))
    };
    let (have, event) = audited(&admin, &request, AuditAction::OutboxBackup, begun).await?;
    given_out(&admin, event, move |outbox, to, event| {
        let made = outbox.backup_beyond(&have, to);
        match &made {
            Ok(done) => {
                event.count = Some(done.entries);
                tracing::info!(records = done.entries, "backup was made");
            }
            Err(error) => tracing::warn!(error = %error, "backup was broken off"),
        }
        made.map(drop)
    })
    .await
}

/// `POST /outbox/export`: JSON lines.
pub(super) async fn export(
    admin: web::Data<Admin>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = request.clone();
    let begun = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        event.result = AuditResult::Begun;
        Ok(event.clone())
    };
    let event = audited(&admin, &request, AuditAction::OutboxExport, begun).await?;
    given_out(&admin, event, |outbox, to, event| {
        let mut count = Disclosed::default();
        let made = write_export(outbox, to, &mut count);
        let Disclosed { leads, quarantined } = count;
        event.count = Some(leads + quarantined);
        match &made {
            Ok(()) => tracing::info!(leads, quarantined, "leads were exported"),
            // What was written before is disclosed all the same.
            Err(error) => {
                tracing::warn!(leads, quarantined, error = %error, "export was broken off");
            }
        }
        made
    })
    .await
}

/// What an export has given out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disclosed {
    leads: u64,
    /// Pushes in quarantine.
    quarantined: u64,
}

/// Writes an export, line by line.
pub(crate) fn write_export(
    outbox: &dyn Outbox,
    to: &mut dyn Write,
    count: &mut Disclosed,
) -> Result<(), UpkeepError> {
    let line = |to: &mut dyn Write, text: serde_json::Result<String>| {
        writeln!(to, "{}", text.map_err(io::Error::other)?)
    };
    line(to, serde_json::to_string(&outbox.export_header()))?;
    outbox.dump(&mut |one| {
        line(to, serde_json::to_string(&one))?;
        match one {
            Exported::Lead(_) => count.leads += 1,
            Exported::Quarantined(_) => count.quarantined += 1,
            Exported::Audit(_) => {}
        }
        Ok(())
    })
}

/// One step of rekeying.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "RekeyStep")]
pub(super) struct Step {
    /// The `next` of the step before.
    from: Option<String>,
    /// How many records are looked at.
    limit: usize,
}

/// What a step of rekeying did.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Rekeyed")]
pub(super) struct Rekeyed {
    resealed: u64,
    /// Where the next step begins; null behind the last one.
    next: Option<String>,
}

impl Default for Step {
    fn default() -> Self {
        Self {
            from: None,
            limit: 1_000,
        }
    }
}

/// `POST /outbox/rekey`: one step, `{from?, limit?}` → `{resealed, next}`.
pub(super) async fn rekey(
    admin: web::Data<Admin>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let (asked, query) = (admin.clone(), request.clone());
    let step = async move |event: &mut AuditEvent| {
        Params::of(&query)?;
        let step: Step = body.json()?;
        if let Some(from) = &step.from {
            event.filter = format!("from={from}");
        }
        let done = rekeyed(asked, step).await?;
        event.count = Some(done.resealed);
        Ok(done)
    };
    let done = audited(&admin, &request, AuditAction::OutboxRekey, step).await?;
    Ok(HttpResponse::Ok().json(Rekeyed {
        resealed: done.resealed,
        next: done.next,
    }))
}

async fn rekeyed(admin: web::Data<Admin>, Step { from, limit }: Step) -> Result<Resealed, Problem> {
    let limit = limit.clamp(1, 10_000);
    if let Some(from) = &from
        && !admin.outbox.continues(Paged::Rekey, from)
    {
        let detail = (
            "`from` is not where a step of rekeying ended: give its `next`",
            "`from` 不是上一步重新加密结束之处：请给出其 `next`",
        );
        return Err(Problem::new(Kind::BadBody, detail));
    }
    let step = web::block(move || admin.outbox.rekey(from.as_deref(), limit));
    let done = step
        .await
        .map_err(|_| Problem::new(Kind::Internal, ("rekeying was cut short", "重新加密中断")))??;
    let last = done.next.is_none();
    if done.resealed > 0 || last {
        tracing::info!(
            records = done.resealed,
            last,
            "records were sealed with the current key"
        );
    }
    Ok(done)
}
