//! Upkeep over the API: backup and export as streams, rekeying step by step.
//!
//! What is streamed is made on a blocking thread that ends when the reader goes away. An error
//! in the middle cuts the connection, so that nobody takes a part for the whole.

use std::io::{self, Write};

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Admin;
use super::params::{Body, Params};
use super::problem::{Kind, Problem};
use crate::outbox::{Exported, Outbox, Paged, SegmentCopy, UpkeepError};

/// Bytes in one piece of a stream.
const PIECE: usize = 64 << 10;
/// Pieces on their way.
const PIECES: usize = 4;

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
    Params::of(&request)?;
    let Earlier { have } = body.json()?;
    streamed(&admin, move |outbox, to| {
        let made = outbox.backup_beyond(&have, to);
        match &made {
            Ok(done) => tracing::info!(records = done.entries, "backup was made"),
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
    Params::of(&request)?;
    streamed(&admin, |outbox, to| {
        let mut count = Disclosed::default();
        let made = write_export(outbox, to, &mut count);
        let Disclosed { leads, quarantined } = count;
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
        }
        Ok(())
    })
}

pub(super) async fn streamed(
    admin: &web::Data<Admin>,
    make: impl FnOnce(&dyn Outbox, &mut dyn Write) -> Result<(), UpkeepError> + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let (to, mut pieces) = mpsc::channel::<Result<Bytes, UpkeepError>>(PIECES);
    let outbox = std::sync::Arc::clone(&admin.outbox);
    // What is logged on the thread says who asked, as everywhere.
    let asked = tracing::Span::current();
    actix_web::rt::task::spawn_blocking(move || {
        let _asked = asked.enter();
        let mut stream = io::BufWriter::with_capacity(PIECE, Stream(to.clone()));
        let made = make(&*outbox, &mut stream);
        let made = made.and_then(|()| Ok(stream.flush()?));
        if let Err(error) = made {
            let _ = to.blocking_send(Err(error));
        }
    });
    // Whatever fails before the first piece is an answer of its own.
    match pieces.recv().await {
        Some(Ok(first)) => {
            let rest = stream::unfold((Some(first), pieces), |(first, mut pieces)| async {
                let piece = match first {
                    Some(first) => Ok(first),
                    None => pieces.recv().await?,
                };
                Some((piece.map_err(io::Error::other), (None, pieces)))
            });
            Ok(HttpResponse::Ok()
                .content_type("application/octet-stream")
                .streaming(rest))
        }
        Some(Err(error)) => Err(error.into()),
        None => Err(Problem::new(
            Kind::Internal,
            ("nothing was written", "未写入任何内容"),
        )),
    }
}

/// The sending end of a stream.
struct Stream(mpsc::Sender<Result<Bytes, UpkeepError>>);

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Ok(Bytes::copy_from_slice(bytes));
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.blocking_send(piece).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    Params::of(&request)?;
    let Step { from, limit } = body.json()?;
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
    Ok(HttpResponse::Ok().json(Rekeyed {
        resealed: done.resealed,
        next: done.next,
    }))
}
