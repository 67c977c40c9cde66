//! The answer: what came back, read once and not further than needed.

use std::time::{Duration, SystemTime};

use leadgate_plugin::HumanDuration;
use leadgate_plugin::template::{Context, Scope};
use reqwest::Response;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::{Map, Value, json};

/// Bytes of an answer that are read.
const READ: usize = 64 * 1024;
/// Longest wait that a destination may ask for.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Names that rules and token requests know.
pub(crate) const SCOPE: Scope =
    Scope::of(&["status", "headers", "body", "text"]).holding(&["status"], &["text"]);

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// None if it is no JSON.
    pub(crate) json: Value,
    pub(crate) length: usize,
}

impl Answer {
    /// Reads the beginning of the body. A body that breaks off changes nothing: the status was
    /// said.
    pub(crate) async fn read(mut response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = READ - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == READ {
                break;
            }
        }
        Self::new(status, headers, &body)
    }

    pub(crate) fn new(status: u16, headers: HeaderMap, body: &[u8]) -> Self {
        Self {
            status,
            headers,
            text: String::from_utf8_lossy(body).into_owned(),
            json: serde_json::from_slice(body).unwrap_or(Value::Null),
            length: body.len(),
        }
    }

    /// For conditions and templates in [`SCOPE`].
    pub(crate) fn context(&self) -> Context {
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), Value::String(text))
            })
            .collect();
        Context::of(&json!({
            "status": self.status, "headers": headers, "body": self.json, "text": self.text,
        }))
    }

    /// `retry-after` in seconds or as a date.
    pub(crate) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => httpdate::parse_http_date(text)
                .ok()?
                .duration_since(now)
                .unwrap_or(Duration::ZERO),
        };
        Some(wait.min(LONGEST_WAIT))
    }
}

/// A wait as rules say it: a number of seconds, or a duration such as "10m".
pub(crate) fn wait(text: &str) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => text.parse::<HumanDuration>().ok()?.0,
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn waits_come_as_seconds_or_dates_and_are_capped() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 04:00:00 GMT").expect("a date");
        let asked = |text: &str| {
            let value = HeaderValue::from_str(text).expect("a value");
            Answer::new(429, HeaderMap::from_iter([(RETRY_AFTER, value)]), b"").retry_after(now)
        };
        assert_eq!(asked("120"), Some(Duration::from_mins(2)));
        assert_eq!(
            asked("Tue, 24 Nov 2026 04:00:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(asked("Tue, 24 Nov 2026 03:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("99999999"), Some(LONGEST_WAIT));
        assert_eq!(asked("soon"), None);
        assert_eq!(wait("2"), Some(Duration::from_secs(2)));
        assert_eq!(wait("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(wait("10m"), Some(Duration::from_mins(10)));
        assert_eq!(wait("9999999999"), Some(LONGEST_WAIT));
        assert_eq!((wait("-1"), wait("NaN"), wait("")), (None, None, None));
    }
}
