//! Strays: pushes to a path that no source has. An authentic one is a merchant's mistake that
//! would lose leads for ever in silence, so whose it is and where it belongs is said.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use bytes::Bytes;

use super::Ingress;
use super::came::Came;
use super::receiving::Receiving;
use super::tally::What;
use crate::source::Request;
use crate::telemetry::pushes::{PushVerdict, RecentPush};

/// Of a stray: it is authentic for the source that is named with it.
const AUTHENTIC: &str = "authentic_elsewhere";
/// Of a stray: it is for none, as far as was looked.
const UNKNOWN: &str = "of_no_source";

/// Whether the query has something like a signature. Cheap, and no verification.
pub(super) fn may_be_signed(request: &HttpRequest) -> bool {
    let mut parameters = request.query_string().split('&');
    // A name may be spelled with escapes.
    parameters.any(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        name == "sign" || name.contains('%')
    })
}

/// Says and counts a push that is authentic for one of the sources, and notes each that may be one.
/// It is not stored: nothing says that whoever sends it there means it for leadgate.
pub(super) async fn note(
    ingress: &Ingress,
    receiving: &Arc<Receiving>,
    request: &HttpRequest,
    body: Bytes,
) {
    let Ok(turn) = Arc::clone(&ingress.state.large).try_acquire_owned() else {
        // Only a word in the log is at stake, and strangers choose how often.
        return;
    };
    let came = Came::with(ingress, request, body.len());
    let headers = request.headers().clone();
    let (method, query) = (request.method().clone(), request.query_string().to_owned());
    let received_at = came.at;
    let shared = Arc::clone(receiving);
    let found = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let header = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
        let found = shared.sources.whose(&Request {
            method: method.as_str(),
            query: &query,
            header: &header,
            body,
            received_at,
        });
        found.map(|(source, path)| (source.name().to_owned(), path.to_owned()))
    });
    let found = found.await.ok().flatten();
    let source = found.as_ref().map_or("", |(source, _)| source);
    ingress.state.pushes.note(RecentPush {
        reason: Some(if found.is_some() { AUTHENTIC } else { UNKNOWN }),
        ..came.became(source, PushVerdict::UnknownPath, 404)
    });
    if let Some((source, path)) = found {
        let tally = &ingress.state.tally;
        tally.count(&source, "unknown_path");
        tally.say(What::UnknownPath, &source, "", || path);
    }
}
