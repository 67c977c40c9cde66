//! The request: one delivery as HTTP.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leadgate_plugin::{Delivery, Problem};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use crate::HttpSink;

/// A request before it is sent.
pub(crate) struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl HttpSink {
    /// Makes the request of `delivery`.
    pub(crate) fn request(&self, delivery: &Delivery) -> Result<Request, Problem> {
        let body = match &self.body {
            None => delivery.event_bytes().to_vec(),
            Some(tree) => {
                let event = serde_json::from_slice(delivery.event_bytes())
                    .map_err(|_| Problem::at("", "the event is not JSON"))?;
                let filled = tree
                    .render(&event, delivery.id())
                    .map_err(|error| error.into_problem("/body"))?;
                filled.to_string().into_bytes()
            }
        };
        let mut headers = self.headers.clone();
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        let id = HeaderValue::from_str(delivery.id())
            .map_err(|_| Problem::at("", "the delivery id cannot be a header"))?;
        headers.insert(HeaderName::from_static("idempotency-key"), id.clone());
        if let Some(signer) = &self.signer {
            // A clock before 1970 makes the destination refuse, which is right.
            let timestamp = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs());
            let signature = signer.sign(delivery.id(), timestamp, &body);
            headers.insert(HeaderName::from_static("webhook-id"), id);
            headers.insert(
                HeaderName::from_static("webhook-timestamp"),
                HeaderValue::from(timestamp),
            );
            if let Ok(signature) = HeaderValue::from_str(&signature) {
                headers.insert(HeaderName::from_static("webhook-signature"), signature);
            }
        }
        Ok(Request {
            method: self.method.clone(),
            url: self.url.clone(),
            headers,
            body,
        })
    }
}

impl Request {
    pub(crate) fn into_reqwest(self, timeout: Duration) -> reqwest::Request {
        let mut request = reqwest::Request::new(self.method, self.url);
        *request.headers_mut() = self.headers;
        *request.body_mut() = Some(self.body.into());
        *request.timeout_mut() = Some(timeout);
        request
    }

    /// For the record of the attempt: no query, no header, nothing of the lead.
    pub(crate) fn summary(&self) -> String {
        let port = self
            .url
            .port()
            .map_or_else(String::new, |port| format!(":{port}"));
        let host = self.url.host_str().unwrap_or_default();
        format!(
            "{} {}://{host}{port}{} ({} bytes)",
            self.method,
            self.url.scheme(),
            self.url.path(),
            self.body.len()
        )
    }

    /// For a merchant who wants to see it. `configured` headers may be secrets and are masked.
    pub(crate) fn render(&self, configured: &HeaderMap) -> String {
        let mut text = format!("{} {}\n", self.method, self.url);
        for (name, value) in &self.headers {
            let masked = configured.contains_key(name) && name != CONTENT_TYPE;
            let shown = if masked {
                "***"
            } else {
                value.to_str().unwrap_or("***")
            };
            let _ = writeln!(text, "{name}: {shown}");
        }
        text.push('\n');
        let pretty = serde_json::from_slice::<serde_json::Value>(&self.body)
            .and_then(|body| serde_json::to_string_pretty(&body));
        text.push_str(&pretty.unwrap_or_else(|_| String::from_utf8_lossy(&self.body).into_owned()));
        text
    }
}
