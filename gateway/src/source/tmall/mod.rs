//! Tmall's lead push (天猫客资开放对接): verified first, read after that, answered as the
//! API's document says.
//!
//! What is known of the push, how surely, and what was chosen where nothing is known is in
//! ARCHITECTURE.md, The push. Business values come only from parameters and text that the
//! verification itself parsed.

mod answer;
mod charset;
mod chinese;
mod clue;
mod content;
mod explain;
#[cfg(test)]
mod explained;
#[cfg(test)]
mod linear;
mod params;
mod push;
mod refusal;
mod signature;
#[cfg(test)]
pub(super) mod tests;
#[cfg(test)]
mod vectors;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use leadgate_plugin::Secret;
use subtle::ConstantTimeEq;

pub use answer::{CONTENT_TYPE, REFUSED, SUCCESS, failure};
pub use push::{PushParts, SignedPush, signed_push};
pub use refusal::REFUSALS;

use self::charset::Charset;
use self::content::{Body, Content};
use self::params::Params;
use self::refusal::Refusal;
use self::signature::{SIGN, Signed};
use super::{Answer, Fit, Push, Quarantinable, RawPush, Reading, Reply, Request, Source, Statuses};
use crate::clock::Millis;
use crate::config::{self, QuarantinePolicy};
use crate::lead::{Identity, Lead, Merchant, time};

/// Decodes `bytes` by a charset and encodes the text again, which is all the work on a body
/// that depends on its charset; for benchmarks. `None` if there is no such charset.
pub fn recode(charset: &str, bytes: &[u8]) -> Option<usize> {
    let charset = Charset::named(charset)?;
    let (text, _) = charset.decode(bytes);
    Some(charset.encode(&text).len())
}

/// Parameters of the platform's own. In a form they are not the lead's.
const COMMON: [&str; 13] = [
    "app_key",
    "target_appkey",
    "source_appkey",
    "method",
    "sign_method",
    "format",
    "request_id",
    "timestamp",
    "v",
    "customerid",
    "session",
    "partner_id",
    SIGN,
];

/// A configured source of Tmall's pushes.
pub struct Tmall {
    name: String,
    settings: config::Tmall,
    statuses: Statuses,
}

/// A request whose signature was right.
struct Authentic<'a, 'r> {
    request: &'a Request<'r>,
    content_type: &'a str,
    query: Params<'a>,
    form: Params<'a>,
    /// The body as text; empty for a GET.
    text: &'a str,
    kind: Kind,
}

/// Where the lead is.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Form,
    Query,
}

/// Why an authentic push cannot be taken as it is, and what the merchant wants done with it.
struct QuarantineReason(&'static str, QuarantinePolicy);

impl Tmall {
    /// A source named `name`.
    pub fn new(name: &str, settings: &config::Tmall, statuses: Statuses) -> Self {
        Self {
            name: name.to_owned(),
            settings: settings.clone(),
            statuses,
        }
    }

    fn fit_of(&self, query: &Params<'_>) -> Fit {
        let Some(own) = self.settings.app_key.as_deref() else {
            return Fit::Anyone;
        };
        match (query.get("target_appkey"), query.get("app_key")) {
            (Some(addressee), _) if addressee == own => Fit::Addressee,
            (_, Some(sender)) if sender == own => Fit::Sender,
            // Nobody outside knows that either must be there; the signature decides.
            (None, None) => Fit::Unaddressed,
            _ => Fit::None,
        }
    }

    fn verified(&self, request: &Request<'_>) -> Result<Reading, Refusal> {
        let content_type = content_type(request)?;
        let (kind, charset) = kind(request.method, content_type)?;
        if matches!(kind, Kind::Query) && !request.body.is_empty() {
            return Err(Refusal::UnsignedBody);
        }
        let query = Params::query(request.query, charset)?;
        // Nothing is decoded, sorted or hashed for what cannot be signed.
        let sign = query.get(SIGN).filter(|sign| !sign.is_empty());
        let sign = sign.ok_or(Refusal::NoSign)?;
        if !signature::is_one(sign) {
            return Err(Refusal::WrongSign);
        }
        if self.fit_of(&query) == Fit::None {
            return Err(Refusal::AppKey);
        }
        let list = (request.header)("top-sign-list").unwrap_or_default();
        let headers = Params::headers(list, charset, request.header)?;
        let (text, complete) = charset.decode(&request.body);
        let form = match kind {
            Kind::Form => Params::form(&text, charset)?,
            Kind::Text | Kind::Query => Params::default(),
        };
        if form.iter().any(|(key, _)| query.get(key).is_some()) {
            return Err(Refusal::RepeatedParameter);
        }
        let body = match kind {
            Kind::Text if complete => Cow::Borrowed(&*request.body),
            Kind::Text => charset.encode(&text),
            Kind::Form | Kind::Query => Cow::Borrowed(b"".as_slice()),
        };
        let params = headers.iter().chain(form.iter()).chain(query.iter());
        if !Signed::new(charset, params, body).verify(&self.settings.app_secret, sign) {
            return Err(if is_compressed(request) {
                Refusal::ContentEncoding
            } else {
                Refusal::WrongSign
            });
        }
        Ok(self.understand(&Authentic {
            request,
            content_type,
            query,
            form,
            text: &text,
            kind,
        }))
    }

    fn understand(&self, authentic: &Authentic<'_, '_>) -> Reading {
        match self.lead(authentic) {
            Ok(lead) => Reading::Lead(Box::new(self.push(authentic, lead))),
            Err(QuarantineReason(reason, then)) => Reading::Quarantinable(Quarantinable {
                source: self.name.clone(),
                reason,
                then,
                pushed_at: authentic.pushed_at(),
                request_id: authentic.param("request_id"),
                signature: authentic.param(SIGN).unwrap_or_default(),
                query: authentic.request.query.to_owned(),
                content_type: authentic.content_type.to_owned(),
                body: authentic.request.body.clone(),
            }),
        }
    }

    fn push(&self, authentic: &Authentic<'_, '_>, lead: Lead) -> Push {
        let merchant = Merchant {
            customerid: authentic.query.get("customerid"),
            target_appkey: authentic.query.get("target_appkey"),
        };
        Push {
            source: self.name.clone(),
            identity: Identity::of(&lead, &self.name, merchant),
            lead,
            pushed_at: authentic.pushed_at(),
            request_id: authentic.param("request_id"),
            method: authentic.param("method"),
            raw: authentic.raw(),
            original: authentic.original(),
        }
    }

    fn lead(&self, authentic: &Authentic<'_, '_>) -> Result<Lead, QuarantineReason> {
        let invalid = |reason| QuarantineReason(reason, self.settings.on_invalid);
        if let Some(tolerance) = self.settings.timestamp_tolerance {
            check_time(
                authentic.pushed_at(),
                authentic.request.received_at,
                tolerance,
            )
            .map_err(|reason| QuarantineReason(reason, self.settings.on_stale))?;
        }
        let methods = &self.settings.methods;
        let method = authentic.query.get("method").unwrap_or_default();
        if !methods.is_empty() && !methods.iter().any(|expected| expected == method) {
            return Err(invalid("unknown_method"));
        }
        let lead = authentic
            .lead()
            .map_err(|unreadable| invalid(unreadable.reason()))?;
        match &self.settings.open_key {
            Some(expected) if !same(expected, lead.open_key.as_deref()) => Err(invalid("open_key")),
            _ => Ok(lead),
        }
    }
}

impl Source for Tmall {
    fn name(&self) -> &str {
        &self.name
    }

    fn fit(&self, request: &Request<'_>) -> Fit {
        let charset = content_type(request).and_then(content::charset);
        let query = charset.and_then(|charset| Params::query(request.query, charset));
        query.map_or(Fit::None, |query| self.fit_of(&query))
    }

    fn app_key(&self, query: &str) -> Option<String> {
        let query = Params::query(query, Charset::Utf8).ok()?;
        let key = query.get("target_appkey").or_else(|| query.get("app_key"));
        key.map(str::to_owned)
    }

    fn read(&self, request: &Request<'_>) -> Reading {
        self.verified(request)
            .unwrap_or_else(|refusal| Reading::Refused(refusal.reason()))
    }

    fn explain(&self, request: &Request<'_>) -> Option<crate::telemetry::signed::Signed> {
        explain::explain(&self.settings.app_secret, request)
    }

    fn release(&self, raw: RawPush<'_>) -> Push {
        let header = |name: &str| (name == "content-type").then_some(raw.content_type.as_bytes());
        let request = Request {
            method: if raw.body.is_empty() { "GET" } else { "POST" },
            query: raw.query,
            header: &header,
            body: Bytes::copy_from_slice(raw.body),
            received_at: 0,
        };
        // All of this could be read when the push was verified; if it cannot any more, the
        // text is still there.
        let (kind, charset) =
            kind(request.method, raw.content_type).unwrap_or((Kind::Text, Charset::Utf8));
        let (text, _) = charset.decode(&request.body);
        let form = match kind {
            Kind::Form => Params::form(&text, charset).unwrap_or_default(),
            Kind::Text | Kind::Query => Params::default(),
        };
        let authentic = Authentic {
            request: &request,
            content_type: raw.content_type,
            query: Params::query(raw.query, charset).unwrap_or_default(),
            form,
            text: &text,
            kind,
        };
        let unread = |_| Lead::unread(if text.is_empty() { raw.query } else { &text });
        let lead = authentic.lead().unwrap_or_else(unread);
        self.push(&authentic, lead)
    }

    fn pushed_at(&self, raw: RawPush<'_>) -> Option<Millis> {
        let charset = content::charset(raw.content_type).unwrap_or(Charset::Utf8);
        let query = Params::query(raw.query, charset).ok()?;
        query.get("timestamp").and_then(time::parse_gmt8)
    }

    fn answer(&self, answer: Answer) -> Reply {
        match answer {
            Answer::Success => answer::reply(200, Bytes::from_static(SUCCESS)),
            Answer::Refused => answer::reply(self.statuses.refusal, Bytes::from_static(REFUSED)),
            Answer::Failed(code) => failure(self.statuses.failure, code),
        }
    }
}

impl Authentic<'_, '_> {
    fn lead(&self) -> Result<Lead, crate::lead::Unreadable> {
        match self.kind {
            Kind::Text => Lead::parse_json(self.text),
            Kind::Form => {
                Lead::from_params(self.form.iter().filter(|(name, _)| !COMMON.contains(name)))
            }
            Kind::Query => Lead::from_params(
                self.query
                    .iter()
                    .filter(|(name, _)| Lead::NAMES.contains(name)),
            ),
        }
    }

    /// What a plugin gets as `raw`.
    fn raw(&self) -> Bytes {
        match self.kind {
            Kind::Query => Bytes::copy_from_slice(self.request.query.as_bytes()),
            // Nothing was decoded to anything else: share the bytes.
            _ if self.text.as_bytes() == &*self.request.body => self.request.body.clone(),
            _ => Bytes::copy_from_slice(self.text.as_bytes()),
        }
    }

    /// The body, where [`Self::raw`] is not the same bytes.
    fn original(&self) -> Option<Bytes> {
        let body = &self.request.body;
        (!body.is_empty() && self.text.as_bytes() != &**body).then(|| body.clone())
    }

    /// When it was sent, as it says itself.
    fn pushed_at(&self) -> Option<Millis> {
        let timestamp = self.query.get("timestamp");
        let timestamp = timestamp.or_else(|| self.form.get("timestamp"));
        timestamp.and_then(time::parse_gmt8)
    }

    fn param(&self, name: &str) -> Option<String> {
        let value = self.query.get(name).filter(|value| !value.is_empty());
        value.map(str::to_owned)
    }
}

fn content_type<'a>(request: &Request<'a>) -> Result<&'a str, Refusal> {
    let header = (request.header)("content-type").unwrap_or_default();
    std::str::from_utf8(header).map_err(|_| Refusal::ContentType)
}

/// Whether something between the sender and here has packed the body.
fn is_compressed(request: &Request<'_>) -> bool {
    let encoding = (request.header)("content-encoding").unwrap_or_default();
    !encoding.trim_ascii().is_empty() && !encoding.trim_ascii().eq_ignore_ascii_case(b"identity")
}

fn kind(method: &str, content_type: &str) -> Result<(Kind, Charset), Refusal> {
    match method {
        "GET" => Ok((Kind::Query, content::charset(content_type)?)),
        "POST" => {
            let content = Content::parse(content_type)?;
            let kind = match content.body {
                Body::Text => Kind::Text,
                Body::Form => Kind::Form,
            };
            Ok((kind, content.charset))
        }
        _ => Err(Refusal::HttpMethod),
    }
}

/// Either way: a clock that is wrong counts as much as a push that is late.
fn check_time(
    pushed_at: Option<Millis>,
    now: Millis,
    tolerance: Duration,
) -> Result<(), &'static str> {
    let at = pushed_at.ok_or("no_timestamp")?;
    if u128::from(now.abs_diff(at)) <= tolerance.as_millis() {
        Ok(())
    } else {
        Err("stale")
    }
}

fn same(expected: &Secret, given: Option<&str>) -> bool {
    let given = given.unwrap_or_default().as_bytes();
    expected.expose().as_bytes().ct_eq(given).into()
}
