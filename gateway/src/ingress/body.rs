//! Bodies: read whole, bounded in size, time and memory.

use std::sync::Arc;

use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use futures_util::StreamExt;

use super::memory::{Budget, Held};
use crate::config::Server;

/// The least room that is made for a body in several pieces.
const STEP: usize = 8 << 10;

/// Why a body was not read.
#[derive(Clone, Copy)]
pub(super) enum Unread {
    TooLarge,
    TooSlow,
    Broken,
    NoMemory,
}

/// A body, and the room it takes.
pub(super) struct Body {
    pub(super) bytes: Bytes,
    pub(super) _held: Held,
}

/// Reads the body. A body in one piece, the usual case, is not copied.
pub(super) async fn read(
    request: &HttpRequest,
    payload: web::Payload,
    limits: &Server,
    memory: &Arc<Budget>,
) -> Result<Body, Unread> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.max_body as u64) {
        return Err(Unread::TooLarge);
    }
    let announced = announced.and_then(|length| usize::try_from(length).ok());
    let mut held = memory.body();
    let bytes = tokio::time::timeout(
        limits.body_timeout,
        collect(payload, limits.max_body, announced, &mut held),
    )
    .await
    .unwrap_or(Err(Unread::TooSlow))?;
    Ok(Body { bytes, _held: held })
}

async fn collect(
    mut payload: web::Payload,
    limit: usize,
    announced: Option<usize>,
    held: &mut Held,
) -> Result<Bytes, Unread> {
    let Some(first) = payload.next().await else {
        return Ok(Bytes::new());
    };
    let first = first.map_err(|_| Unread::Broken)?;
    if first.len() > limit {
        return Err(Unread::TooLarge);
    }
    if announced == Some(first.len()) {
        return if held.grow(first.len()) {
            Ok(first)
        } else {
            Err(Unread::NoMemory)
        };
    }
    // Room is made as bytes come, and never more than the body can need: what is announced
    // costs its sender nothing. What counts is the room, not what is in it.
    let most = announced.map_or(limit, |announced| announced.min(limit));
    let mut whole = Vec::new();
    let mut next = Some(Ok(first));
    while let Some(chunk) = next {
        let chunk = chunk.map_err(|_| Unread::Broken)?;
        let needed = whole.len() + chunk.len();
        if needed > limit {
            return Err(Unread::TooLarge);
        }
        if whole.capacity() < needed {
            let room = (whole.capacity() * 2).max(STEP).min(most).max(needed);
            if !held.grow(room - whole.capacity()) {
                return Err(Unread::NoMemory);
            }
            whole.reserve_exact(room - whole.len());
        }
        whole.extend_from_slice(&chunk);
        next = payload.next().await;
    }
    Ok(whole.into())
}
