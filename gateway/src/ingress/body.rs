//! Bodies: read whole, bounded in size and time.

use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::config::Server;

/// Why a body was not read.
pub(super) enum TooSlowOrLarge {
    TooLarge,
    TooSlow,
    Broken,
}

/// Reads the body. A body in one piece, the usual case, is not copied.
pub(super) async fn read(
    request: &HttpRequest,
    payload: web::Payload,
    limits: &Server,
) -> Result<Bytes, TooSlowOrLarge> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.max_body as u64) {
        return Err(TooSlowOrLarge::TooLarge);
    }
    tokio::time::timeout(limits.body_timeout, collect(payload, limits.max_body))
        .await
        .unwrap_or(Err(TooSlowOrLarge::TooSlow))
}

async fn collect(mut payload: web::Payload, limit: usize) -> Result<Bytes, TooSlowOrLarge> {
    let Some(first) = payload.next().await else {
        return Ok(Bytes::new());
    };
    let first = first.map_err(|_| TooSlowOrLarge::Broken)?;
    if first.len() > limit {
        return Err(TooSlowOrLarge::TooLarge);
    }
    let Some(second) = payload.next().await else {
        return Ok(first);
    };
    let mut whole = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        let chunk = chunk.map_err(|_| TooSlowOrLarge::Broken)?;
        if whole.len() + chunk.len() > limit {
            return Err(TooSlowOrLarge::TooLarge);
        }
        whole.extend_from_slice(&chunk);
        next = payload.next().await;
    }
    Ok(whole.freeze())
}
