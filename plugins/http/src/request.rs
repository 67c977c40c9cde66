//! The request: one delivery as HTTP.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use leadgate_plugin::template::Context;
use leadgate_plugin::{Delivery, Problem, Secret, pointer_segment};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;

use crate::auth::{Carrier, Proof};
use crate::parts::Parts;
use crate::signer::Signed;
use crate::slot::Slot;
use crate::step::Step;

/// Longest shape of a body that is kept, in bytes.
const SHAPE: usize = 2048;
/// Entries of a list that are kept of it.
const ENTRIES: usize = 3;

/// A request before it is sent.
pub(crate) struct Request {
    method: Method,
    url: Url,
    /// The URL as a merchant may see it.
    shown: String,
    /// The URL as the record of the attempt may have it.
    recorded: String,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

impl Parts {
    /// Makes the request of one step of `delivery`, with `token` if the sink fetches tokens.
    pub(crate) fn request(
        &self,
        step: &Step,
        delivery: &Delivery,
        context: &Context,
        token: Option<&Secret>,
        now: SystemTime,
    ) -> Result<Request, Problem> {
        let draft = &step.draft;
        let mut headers = headers(&self.headers, context)?;
        headers.extend(self::headers(&draft.headers, context)?);
        let mut body = None;
        if draft.sends_body() {
            let mut filled = draft.body.fill(context, delivery.event_bytes())?;
            if let (Proof::Token(_, Carrier::Body(field)), Some(token)) = (&self.proof, token) {
                filled.add(field, token)?;
            }
            if let Ok(kind) = HeaderValue::from_str(&filled.content_type) {
                headers.entry(CONTENT_TYPE).or_insert(kind);
            }
            body = Some(filled.bytes);
        }
        // Each step is a request of its own to a destination that knows such keys.
        let id = match step.name.as_str() {
            "" => delivery.id().to_owned(),
            name => format!("{}-{name}", delivery.id()),
        };
        let id = HeaderValue::from_str(&id)
            .map_err(|_| Problem::at("", "the delivery id cannot be a header"))?;
        headers.insert(HeaderName::from_static("idempotency-key"), id);

        let mut query = query(&self.query, context)?;
        query.extend(self::query(&draft.query, context)?);
        match (&self.proof, token) {
            (Proof::Header(name, value), _) => {
                headers.insert(name.clone(), value.clone());
            }
            (Proof::Query(name, value), _) => {
                query.push((name.clone(), value.expose().to_owned(), false));
            }
            (Proof::Token(_, carrier), Some(token)) => {
                carrier.carry(token, &mut headers, &mut query)?;
            }
            (Proof::None | Proof::Token(..), _) => {}
        }
        let mut target = draft.endpoint.target(context, &query)?;
        if let Some(signer) = &self.signer {
            let signature = signer.sign(&Signed {
                id: delivery.id(),
                now,
                method: draft.method.as_str(),
                path: target.url.path(),
                query: target.url.query().unwrap_or_default(),
                body: body.as_deref().unwrap_or_default(),
            })?;
            headers.extend(signature.headers);
            body = signature.body.or(body);
            if !signature.query.is_empty() {
                let signed = signature.query.into_iter();
                query.extend(signed.map(|(name, value)| (name, value, true)));
                target = draft.endpoint.target(context, &query)?;
            }
        }
        Ok(Request {
            method: draft.method.clone(),
            url: target.url,
            shown: target.shown,
            recorded: draft.endpoint.recorded(),
            headers,
            body,
        })
    }
}

fn headers(given: &[(HeaderName, Slot)], context: &Context) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    for (name, slot) in given {
        let at = format!("/headers{}", pointer_segment(name.as_str()));
        let Some((text, show)) = slot.value(context, &at)? else {
            continue;
        };
        // Text beyond ASCII goes as its bytes; what ends a line never does.
        let mut value = HeaderValue::from_bytes(text.as_bytes())
            .map_err(|_| Problem::at(at, "the value has characters that a header cannot carry"))?;
        value.set_sensitive(!show);
        headers.insert(name.clone(), value);
    }
    Ok(headers)
}

fn query(
    given: &[(String, Slot)],
    context: &Context,
) -> Result<Vec<(String, String, bool)>, Problem> {
    let mut query = Vec::new();
    for (name, slot) in given {
        let at = format!("/query{}", pointer_segment(name));
        if let Some((text, show)) = slot.value(context, &at)? {
            query.push((name.clone(), text, show));
        }
    }
    Ok(query)
}

/// The same with kinds in the place of values: what is true, false, null or empty says nothing.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| (name.clone(), shape(value)));
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().take(ENTRIES).map(shape).collect(),
        Value::String(text) if !text.is_empty() => "text".into(),
        Value::Number(_) => "number".into(),
        plain => plain.clone(),
    }
}

impl Request {
    pub(crate) fn into_reqwest(self, timeout: Duration) -> reqwest::Request {
        let mut request = reqwest::Request::new(self.method, self.url);
        *request.headers_mut() = self.headers;
        *request.body_mut() = self.body.map(Into::into);
        *request.timeout_mut() = Some(timeout);
        request
    }

    /// For the record of the attempt: no query, no header, nothing of the lead.
    pub(crate) fn summary(&self) -> String {
        let length = self.body.as_ref().map_or(0, Vec::len);
        format!("{} {} ({length} bytes)", self.method, self.recorded)
    }

    /// For the record of an attempt that was not taken: of a JSON body the names, and of its
    /// values the kinds. `None` for any other body and for one that has too many.
    pub(crate) fn shape(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(self.body.as_deref()?).ok()?;
        if !body.is_object() && !body.is_array() {
            return None;
        }
        let shape = shape(&body).to_string();
        (shape.len() <= SHAPE).then_some(shape)
    }

    /// For a merchant who wants to see it, with what may be a secret masked.
    pub(crate) fn render(&self) -> String {
        let mut text = format!("{} {}\n", self.method, self.shown);
        for (name, value) in &self.headers {
            let masked = value.is_sensitive() && name != CONTENT_TYPE;
            let shown = if masked {
                "***".into()
            } else {
                String::from_utf8_lossy(value.as_bytes())
            };
            let _ = writeln!(text, "{name}: {shown}");
        }
        let Some(body) = &self.body else {
            return text;
        };
        text.push('\n');
        let pretty = serde_json::from_slice::<Value>(body)
            .and_then(|body| serde_json::to_string_pretty(&body));
        text.push_str(&pretty.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned()));
        text
    }
}
