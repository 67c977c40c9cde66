//! Classification: what an answer, or its absence, means for the delivery.
//!
//! | answer | outcome | rule |
//! |---|---|---|
//! | 2xx | delivered; receipt is the JSON field `id`, else the status | `status-2xx` |
//! | 3xx | rejected: redirects are not followed | `redirect` |
//! | 401 | reauth | `status-401` |
//! | 408, 425 | retry | `status-408`, `status-425` |
//! | 429 | throttled, by `retry-after` | `status-429` |
//! | other 4xx | rejected | `status-4xx` |
//! | 5xx | retry, by `retry-after` | `status-5xx` |
//! | no connection | retry: nothing was sent | `connect` |
//! | no answer in time, connection lost | ambiguous | `timeout`, `connection-lost` |
//!
//! Of an answer's body only the receipt is kept: it may repeat the lead.

use std::time::{Duration, SystemTime};

use leadgate_plugin::Outcome;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};

/// Bytes of an answer that are read.
const READ: usize = 16 * 1024;
/// Longest wait that a destination may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// What an answer means.
pub(crate) async fn answer(mut answer: Response) -> Outcome {
    let status = answer.status();
    let after = retry_after(answer.headers(), SystemTime::now());
    let body = read(&mut answer).await;
    let summary = format!("HTTP {} ({} bytes)", status.as_u16(), body.len());
    let reason = format!("the destination answered {status}");
    let outcome = match status.as_u16() {
        200..=299 => Outcome::delivered(receipt(status, &body)).rule("status-2xx"),
        300..=399 => Outcome::rejected(format!(
            "{reason}; redirects are not followed, configure the final URL"
        ))
        .rule("redirect"),
        401 => Outcome::reauth(reason).rule("status-401"),
        code @ (408 | 425) => Outcome::retry(after, reason).rule(format!("status-{code}")),
        429 => Outcome::throttled(after, reason).rule("status-429"),
        400..=499 => Outcome::rejected(reason).rule("status-4xx"),
        _ => Outcome::retry(after, reason).rule("status-5xx"),
    };
    outcome.response(summary)
}

/// What it means that no answer came.
pub(crate) fn failure(error: &reqwest::Error) -> Outcome {
    if error.is_connect() {
        return Outcome::retry(None, format!("no connection: {}", cause(error))).rule("connect");
    }
    if error.is_timeout() {
        return Outcome::ambiguous("no answer in time").rule("timeout");
    }
    if error.is_builder() {
        return Outcome::rejected(format!("the request cannot be made: {}", cause(error)))
            .rule("request");
    }
    Outcome::ambiguous(format!("the connection was lost: {}", cause(error))).rule("connection-lost")
}

/// The innermost cause: the one a person can act on, without the URL.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The beginning of the body. A body that breaks off changes nothing: the status was said.
async fn read(answer: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = READ - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == READ {
            break;
        }
    }
    body
}

fn receipt(status: StatusCode, body: &[u8]) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let id = parsed.as_ref().and_then(|body| match body.get("id")? {
        serde_json::Value::String(id) if id.len() <= 200 => Some(id.clone()),
        serde_json::Value::Number(id) => Some(id.to_string()),
        _ => None,
    });
    id.unwrap_or_else(|| format!("HTTP {}", status.as_u16()))
}

/// `retry-after` in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(now)
            .unwrap_or(Duration::ZERO),
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn wait(text: &str) -> Option<Duration> {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 04:00:00 GMT").expect("a date");
        let headers =
            HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).expect("a value"))]);
        retry_after(&headers, now)
    }

    #[test]
    fn waits_come_as_seconds_or_dates_and_are_capped() {
        assert_eq!(wait("120"), Some(Duration::from_mins(2)));
        assert_eq!(
            wait("Tue, 24 Nov 2026 04:00:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(wait("Tue, 24 Nov 2026 03:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("99999999"), Some(LONGEST_WAIT));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn receipts_are_ids_and_never_whole_answers() {
        assert_eq!(
            receipt(StatusCode::OK, br#"{"id":"crm-7","name":"x"}"#),
            "crm-7"
        );
        assert_eq!(receipt(StatusCode::CREATED, br#"{"id":12}"#), "12");
        assert_eq!(receipt(StatusCode::OK, b"thanks"), "HTTP 200");
        assert_eq!(
            receipt(StatusCode::OK, br#"{"id":{"phone":"1"}}"#),
            "HTTP 200"
        );
    }
}
