//! Upkeep over the API: backup and export as streams, rekeying step by step.
//!
//! What is streamed is made on a blocking thread that ends when the reader goes away. An error
//! in the middle cuts the connection, so that nobody takes a part for the whole.

use std::io::{self, Write};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Admin, problem, refuse};
use crate::outbox::{Outbox, UpkeepError};

/// Bytes in one piece of a stream.
const PIECE: usize = 64 << 10;
/// Pieces on their way.
const PIECES: usize = 4;

/// The routes.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/api/v1/outbox/backup", web::post().to(backup))
        .route("/api/v1/outbox/export", web::post().to(export))
        .route("/api/v1/outbox/rekey", web::post().to(rekey));
}

async fn backup(admin: web::Data<Admin>, request: HttpRequest) -> HttpResponse {
    streamed(&admin, &request, |outbox, to| outbox.backup(to).map(drop)).await
}

async fn export(admin: web::Data<Admin>, request: HttpRequest) -> HttpResponse {
    streamed(&admin, &request, write_export).await
}

/// Writes an export, line by line.
pub(crate) fn write_export(outbox: &dyn Outbox, to: &mut dyn Write) -> Result<(), UpkeepError> {
    let line = |to: &mut dyn Write, text: serde_json::Result<String>| {
        writeln!(to, "{}", text.map_err(io::Error::other)?)
    };
    line(to, serde_json::to_string(&outbox.export_header()))?;
    outbox.dump(&mut |one| line(to, serde_json::to_string(&one)))
}

async fn streamed(
    admin: &web::Data<Admin>,
    request: &HttpRequest,
    make: fn(&dyn Outbox, &mut dyn Write) -> Result<(), UpkeepError>,
) -> HttpResponse {
    if let Some(refused) = refuse(admin, request) {
        return refused;
    }
    let (to, mut pieces) = mpsc::channel::<Result<Bytes, UpkeepError>>(PIECES);
    let outbox = std::sync::Arc::clone(&admin.outbox);
    actix_web::rt::task::spawn_blocking(move || {
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
            HttpResponse::Ok()
                .content_type("application/octet-stream")
                .streaming(rest)
        }
        Some(Err(error @ UpkeepError::Busy)) => problem(StatusCode::CONFLICT, &error.to_string()),
        Some(Err(error)) => problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        None => problem(StatusCode::INTERNAL_SERVER_ERROR, "nothing was written"),
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
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    from: Option<String>,
    #[serde(default = "some")]
    limit: usize,
}

fn some() -> usize {
    1_000
}

async fn rekey(
    admin: web::Data<Admin>,
    request: HttpRequest,
    step: web::Json<Step>,
) -> HttpResponse {
    if let Some(refused) = refuse(&admin, &request) {
        return refused;
    }
    let Step { from, limit } = step.into_inner();
    let limit = limit.clamp(1, 10_000);
    match web::block(move || admin.outbox.rekey(from.as_deref(), limit)).await {
        Ok(Ok(done)) => HttpResponse::Ok()
            .json(serde_json::json!({ "resealed": done.resealed, "next": done.next })),
        Ok(Err(error)) => problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "rekeying was cut short"),
    }
}
