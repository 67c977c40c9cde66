//! Came: what is known of a push before anything is made of it, for the list of recent pushes.

use std::net::IpAddr;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_LENGTH;

use super::Ingress;
use crate::clock::Millis;
use crate::telemetry::pushes::{PushVerdict, RecentPush};

/// A push that has come.
#[derive(Clone, Copy)]
pub(super) struct Came {
    pub(super) at: Millis,
    pub(super) began: Instant,
    pub(super) peer: Option<IpAddr>,
    bytes: usize,
}

impl Came {
    /// With a body of so many bytes.
    pub(super) fn with(ingress: &Ingress, request: &HttpRequest, bytes: usize) -> Self {
        Self {
            at: ingress.clock.now(),
            began: Instant::now(),
            peer: request.peer_addr().map(|peer| peer.ip()),
            bytes,
        }
    }

    /// With a body of so many bytes as it says itself.
    pub(super) fn unread(ingress: &Ingress, request: &HttpRequest) -> Self {
        let said = request.headers().get(CONTENT_LENGTH);
        let said = said.and_then(|length| length.to_str().ok()?.parse().ok());
        Self::with(ingress, request, said.unwrap_or(0))
    }

    /// What became of it; the rest is for whoever knows more.
    pub(super) fn became(self, source: &str, verdict: PushVerdict, status: u16) -> RecentPush {
        RecentPush {
            at: self.at,
            source: source.into(),
            verdict,
            reason: None,
            status,
            peer: self.peer,
            bytes: self.bytes,
            took: self.began.elapsed(),
            pushed_at: None,
            lead: None,
            quarantined: None,
            signed: None,
        }
    }
}
