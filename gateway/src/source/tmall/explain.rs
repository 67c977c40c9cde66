//! What was signed of a push that was refused, and how, for whoever looks for the fault. Shows
//! names and values only of which it is known that they are nobody's, and no secret.

use std::borrow::Cow;
use std::fmt::Write;

use leadgate_plugin::Secret;

use super::charset::Charset;
use super::params::Params;
use super::signature::{self, LENGTH, SIGN, Signed};
use super::{COMMON, Kind, clue, content_type, is_compressed, kind};
use crate::lead::{Lead, time};
use crate::source::Request;
use crate::telemetry::signed::{self, GivenSign, Oddity, SignShape};

/// Letters of the signed text that are shown.
const SHOWN: usize = 2_000;
/// Parameters whose order is shown.
const ORDERED: usize = 64;
/// Other ways to sign are tried for bodies up to this.
const TRIED: usize = 32 << 10;

const HOW: &str =
    "HEX(MD5(secret + key1 + value1 + key2 + value2 + … + body + secret)), keys sorted";

/// A push, split as its verification splits it.
pub(super) struct Parts<'a> {
    pub(super) kind: Kind,
    pub(super) charset: Charset,
    pub(super) headers: &'a Params<'a>,
    pub(super) query: &'a Params<'a>,
    pub(super) form: &'a Params<'a>,
    /// The body as text.
    pub(super) text: &'a str,
    /// Whether the text is all that is in the body.
    complete: bool,
    bytes: &'a [u8],
}

impl<'a> Parts<'a> {
    /// What is made of a request by its kind, or by what else it could be; `None` if it cannot be
    /// split so.
    pub(super) fn with<T>(
        request: &Request<'_>,
        kind: Kind,
        charset: Charset,
        then: impl FnOnce(&Parts<'_>) -> T,
    ) -> Option<T> {
        let query = Params::query(request.query, charset).ok()?;
        let list = (request.header)("top-sign-list").unwrap_or_default();
        let headers = Params::headers(list, charset, request.header).ok()?;
        let (text, complete) = charset.decode(&request.body);
        let form = match kind {
            Kind::Form => Params::form(&text, charset).ok()?,
            Kind::Text | Kind::Query => Params::default(),
        };
        Some(then(&Parts {
            kind,
            charset,
            headers: &headers,
            query: &query,
            form: &form,
            text: &text,
            complete,
            bytes: &request.body,
        }))
    }

    /// All parameters but those that are signed as headers.
    pub(super) fn sent(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.form.iter().chain(self.query.iter())
    }

    /// All parameters.
    pub(super) fn params(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.headers.iter().chain(self.sent())
    }

    /// What is signed of the body as text.
    pub(super) fn body(&self) -> Cow<'a, [u8]> {
        match self.kind {
            Kind::Text if self.complete => Cow::Borrowed(self.bytes),
            Kind::Text => self.charset.encode(self.text),
            Kind::Form | Kind::Query => Cow::Borrowed(b""),
        }
    }

    /// What is signed.
    pub(super) fn signed(&self) -> Signed<'a> {
        Signed::new(self.charset, self.params(), self.body())
    }
}

/// What of a request is signed, and what about it is not as it should be.
pub(super) fn explain(secrets: &[Secret], request: &Request<'_>) -> Option<signed::Signed> {
    let (kind, charset) = kind(request.method, content_type(request).ok()?).ok()?;
    Parts::with(request, kind, charset, |parts| {
        let sign = parts.query.get(SIGN).filter(|sign| !sign.is_empty());
        let tried = request.body.len() <= TRIED;
        let clue = sign.filter(|_| tried);
        let clue = clue.and_then(|sign| clue::find(secrets, request, parts, sign));
        let timestamp = parts.query.get("timestamp");
        let timestamp = timestamp.or_else(|| parts.form.get("timestamp"));
        let sorted = signature::sorted(parts.params());
        signed::Signed {
            how: HOW,
            charset: charset.name(),
            text: text(parts, &sorted),
            order: sorted
                .iter()
                .take(ORDERED)
                .map(|(key, _)| name(key))
                .collect(),
            given: sign.map(given),
            expected_length: LENGTH,
            secrets: secrets.len(),
            pushed_at: timestamp.and_then(time::parse_gmt8),
            oddities: oddities(secrets, request, parts),
            clue,
            tried,
            authentic_before: false,
        }
    })
}

/// The signed text with what may be shown of it.
fn text(parts: &Parts<'_>, sorted: &[(&str, &str)]) -> String {
    let mut text = "⟨secret⟩".to_owned();
    for (key, value) in sorted {
        text.push_str(&name(key));
        text.push_str(&shown(key, value));
        if text.len() > SHOWN {
            text.push('…');
            break;
        }
    }
    if matches!(parts.kind, Kind::Text) {
        let bytes = parts.body().len();
        // Writing into a string cannot fail.
        let _ = write!(text, "⟨body {bytes}⟩");
    }
    text.push_str("⟨secret⟩");
    text
}

/// The name of a parameter, if it is one that the document names.
pub(super) fn name(name: &str) -> String {
    if COMMON.contains(&name) || Lead::NAMES.contains(&name) {
        name.to_owned()
    } else {
        hidden(name)
    }
}

/// The value of a parameter of the platform's own, if it is as the platform writes it.
fn shown(name: &str, value: &str) -> String {
    let is_plain = |most: usize, digits: usize| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        value.len() <= most && value.bytes().all(letter) && longest_number(value) <= digits
    };
    let is_shown = match name {
        // Numbers of applications have fewer digits than a phone.
        "app_key" | "target_appkey" | "source_appkey" => is_plain(32, 10),
        "method" => is_plain(100, 4),
        "sign_method" | "format" | "v" => is_plain(16, 4),
        "timestamp" => time::parse_gmt8(value).is_some(),
        _ => false,
    };
    if is_shown || value.is_empty() {
        value.to_owned()
    } else {
        hidden(value)
    }
}

fn hidden(text: &str) -> String {
    format!("⟨{}⟩", text.chars().count())
}

/// How many digits stand beside each other.
fn longest_number(text: &str) -> usize {
    let numbers = text.split(|letter: char| !letter.is_ascii_digit());
    numbers.map(str::len).max().unwrap_or(0)
}

fn given(sign: &str) -> GivenSign {
    let is_hex = sign.bytes().all(|byte| byte.is_ascii_hexdigit());
    let shape = if signature::is_one(sign) {
        SignShape::Right
    } else if !is_hex {
        SignShape::NotHex
    } else if sign.len() == LENGTH {
        SignShape::LowerCase
    } else {
        SignShape::Length
    };
    // Both ends are short enough to be nobody's number.
    let has_ends = matches!(shape, SignShape::Right | SignShape::LowerCase);
    let ends = || format!("{}…{}", &sign[..4], &sign[LENGTH - 4..]);
    GivenSign {
        length: sign.chars().count(),
        shape,
        ends: has_ends.then(ends),
    }
}

fn oddities(secrets: &[Secret], request: &Request<'_>, parts: &Parts<'_>) -> Vec<Oddity> {
    let text = parts.text;
    let is_spaced = |secret: &Secret| secret.expose().trim() != secret.expose();
    [
        (Oddity::Compressed, is_compressed(request)),
        (Oddity::NotInCharset, !parts.complete),
        (Oddity::Mark, text.starts_with('\u{feff}')),
        (Oddity::SpaceAtEnd, text.trim_end() != text),
        (Oddity::SecretSpace, secrets.iter().any(is_spaced)),
    ]
    .into_iter()
    .filter_map(|(oddity, is_so)| is_so.then_some(oddity))
    .collect()
}
