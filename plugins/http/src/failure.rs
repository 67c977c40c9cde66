//! Failures: what it means that no answer came.
//!
//! | what happened | outcome | rule |
//! |---|---|---|
//! | no connection | retry: nothing was sent | `connect` |
//! | HTTP/2: the destination says that it did not process the request; or it was never sent | retry | `not-processed` |
//! | no answer in time, connection lost | ambiguous | `timeout`, `connection-lost` |

use std::error::Error;

use leadgate_plugin::{Outcome, tls};

/// What `error` means for the delivery.
pub(crate) fn failure(error: &reqwest::Error) -> Outcome {
    if error.is_connect() {
        return Outcome::retry(None, format!("no connection: {}", cause(error))).rule("connect");
    }
    if error.is_builder() {
        return Outcome::rejected(format!("the request cannot be made: {}", cause(error)))
            .rule("request");
    }
    if let Some(why) = not_processed(error) {
        return Outcome::retry(None, why).rule("not-processed");
    }
    if is_late(error) {
        return Outcome::ambiguous("no answer in time").rule("timeout");
    }
    let reason = format!(
        "the connection was lost before an answer came: {}; nobody knows whether the request was \
         read. If this repeats, the destination may close connections that are kept: shorten \
         `idle_timeout`, or keep_alive = false",
        cause(error)
    );
    Outcome::ambiguous(reason).rule("connection-lost")
}

/// How the protocol says that the destination never processed the request.
///
/// Invariant: h2 gives a remote GOAWAY as a request's error only above the last stream that the
/// frame names, and to requests that were not sent any more; what was below ends as a broken
/// pipe. Hyper cancels only requests that are still in its queue.
fn not_processed(error: &reqwest::Error) -> Option<&'static str> {
    causes(error).find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return (error.is_remote() && (error.is_go_away() || refused)).then_some(if refused {
                "the destination refused the request without processing it (HTTP/2 REFUSED_STREAM)"
            } else {
                "the destination closed the connection and did not process the request (HTTP/2 \
                 GOAWAY)"
            });
        }
        let error = cause.downcast_ref::<hyper::Error>()?;
        let why = "the connection was closed before the request was sent";
        error.is_canceled().then_some(why)
    })
}

/// Whether it took too long.
pub(crate) fn is_late(error: &reqwest::Error) -> bool {
    error.is_timeout()
}

/// Whether the connection broke, rather than what it carried.
pub(crate) fn is_cut(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.is::<hyper::Error>() || cause.is::<h2::Error>())
}

/// The cause that a person can act on, without the URL.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    if let Some(why) = tls::distrust(error, "tls.ca", "url") {
        return why;
    }
    causes(error)
        .last()
        .map_or_else(String::new, ToString::to_string)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}
