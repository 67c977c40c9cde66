//! The clue: whether one of the usual mistakes, of a sender or of a proxy between, makes a wrong
//! signature right. Where one does the secret is the sender's, and it is known what to mend.
//!
//! Nothing is accepted by it, and the sender is told nothing of it.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use leadgate_plugin::{Secret, hex};
use md5::Md5;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Kind;
use super::charset::Charset;
use super::explain::{Parts, name};
use super::params::Params;
use super::signature::{SIGN, Signed};
use crate::source::Request;
use crate::telemetry::signed::{Clue, ClueKind};

/// Parameters that may have been added, each tried by itself.
const ADDED: usize = 24;

/// What is tried against.
struct Held<'a> {
    secrets: &'a [Secret],
    /// In capital letters, whatever is tried.
    sign: String,
}

impl Held<'_> {
    fn is(&self, signed: &Signed<'_>) -> bool {
        signed.verify(self.secrets, &self.sign)
    }
}

/// What would have made `sign` right.
pub(super) fn find(
    secrets: &[Secret],
    request: &Request<'_>,
    parts: &Parts<'_>,
    sign: &str,
) -> Option<Clue> {
    let held = Held {
        secrets,
        sign: sign.to_ascii_uppercase(),
    };
    of_itself(&held, parts, sign)
        .or_else(|| of_the_parameters(&held, request, parts))
        .or_else(|| of_the_body(&held, parts))
        .or_else(|| of_the_charset(&held, request, parts))
        .or_else(|| added(&held, parts))
}

fn clue(what: ClueKind) -> Clue {
    Clue { what, detail: None }
}

/// The signature and the secret themselves.
fn of_itself(held: &Held<'_>, parts: &Parts<'_>, sign: &str) -> Option<Clue> {
    let signed = parts.signed();
    if held.is(&signed) {
        return Some(clue(if held.sign == sign {
            ClueKind::Nothing
        } else {
            ClueKind::LowerCase
        }));
    }
    let trimmed = held.secrets.iter().map(|one| one.expose().trim());
    let trimmed: Vec<_> = trimmed.map(Secret::new).collect();
    if signed.verify(&trimmed, &held.sign) {
        return Some(clue(ClueKind::SecretSpace));
    }
    let mut secrets = held.secrets.iter();
    let is_hmac = secrets.any(|secret| {
        let key = parts.charset.encode(secret.expose());
        is_mac::<Hmac<Md5>>(&key, &signed, &held.sign)
            || is_mac::<Hmac<Sha256>>(&key, &signed, &held.sign)
    });
    is_hmac.then_some(Clue {
        what: ClueKind::Hmac,
        detail: None,
    })
}

fn is_mac<M: Mac + KeyInit>(key: &[u8], signed: &Signed<'_>, sign: &str) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else {
        return false;
    };
    for piece in signed.pieces() {
        mac.update(piece);
    }
    let made = mac.finalize().into_bytes();
    let hex = hex(made.as_slice()).to_ascii_uppercase();
    hex.as_bytes().ct_eq(sign.as_bytes()).into()
}

fn of_the_parameters(held: &Held<'_>, request: &Request<'_>, parts: &Parts<'_>) -> Option<Clue> {
    let charset = parts.charset;
    let as_sent = parts.query.iter().chain(parts.form.iter());
    let as_sent = as_sent.filter(|(key, _)| *key != SIGN);
    if held.is(&Signed::in_order(charset, as_sent, parts.body())) {
        return Some(clue(ClueKind::Unsorted));
    }
    let has_headers = parts.headers.iter().next().is_some();
    if has_headers && held.is(&Signed::new(charset, parts.sent(), parts.body())) {
        return Some(clue(ClueKind::WithoutHeaders));
    }
    let raw = request.query.split('&').filter(|one| !one.is_empty());
    let raw = raw.map(|one| one.split_once('=').unwrap_or((one, "")));
    let raw = parts.headers.iter().chain(parts.form.iter()).chain(raw);
    if held.is(&Signed::new(charset, raw, parts.body())) {
        return Some(clue(ClueKind::Encoded));
    }
    None
}

fn of_the_body(held: &Held<'_>, parts: &Parts<'_>) -> Option<Clue> {
    let (charset, text) = (parts.charset, parts.text);
    if text.is_empty() {
        return None;
    }
    let with = |body: &str| {
        let params = parts.headers.iter().chain(parts.query.iter());
        held.is(&Signed::new(charset, params, charset.encode(body)))
    };
    if with("") {
        return Some(clue(ClueKind::WithoutBody));
    }
    if matches!(parts.kind, Kind::Form) {
        return if with(text) {
            Some(clue(ClueKind::BodyAsText))
        } else {
            None
        };
    }
    let plain = text.strip_prefix('\u{feff}').unwrap_or(text);
    let trimmed = plain.trim();
    let ends = [
        Cow::Borrowed(plain),
        plain.trim_end().into(),
        trimmed.into(),
        format!("{trimmed}\n").into(),
        format!("{trimmed}\r\n").into(),
        format!("\u{feff}{trimmed}").into(),
    ];
    if ends.iter().any(|body| with(body)) {
        return Some(clue(ClueKind::BodyEnds));
    }
    let (tight, wide) = (without_space(trimmed, ""), without_space(trimmed, " "));
    if with(&tight) || with(&wide) {
        return Some(clue(ClueKind::BodyAnew));
    }
    let form = Params::form(text, charset).unwrap_or_default();
    let params = parts.params().chain(form.iter());
    if held.is(&Signed::new(charset, params, Cow::Borrowed(b""))) {
        return Some(clue(ClueKind::BodyAsParameters));
    }
    None
}

fn of_the_charset(held: &Held<'_>, request: &Request<'_>, parts: &Parts<'_>) -> Option<Clue> {
    let all = [
        Charset::Utf8,
        Charset::Gbk,
        Charset::Gb18030,
        Charset::Latin1,
    ];
    let others = all.into_iter().filter(|other| *other != parts.charset);
    let mut right = others.filter(|other| {
        let is = Parts::with(request, parts.kind, *other, |parts| {
            held.is(&parts.signed())
        });
        is == Some(true)
    });
    let charset = right.next()?;
    Some(Clue {
        what: ClueKind::Charset,
        detail: Some(charset.name().to_owned()),
    })
}

/// A parameter that the sender did not sign.
fn added(held: &Held<'_>, parts: &Parts<'_>) -> Option<Clue> {
    let names = parts.query.iter().map(|(key, _)| key);
    let mut names = names.filter(|key| *key != SIGN).take(ADDED);
    let added = names.find(|added| {
        let params = parts.params().filter(|(key, _)| key != added);
        held.is(&Signed::new(parts.charset, params, parts.body()))
    })?;
    Some(Clue {
        what: ClueKind::AddedParameter,
        detail: Some(name(added)),
    })
}

/// JSON with nothing between its parts but `gap` behind commas and colons.
fn without_space(json: &str, gap: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for letter in json.chars() {
        if quoted {
            out.push(letter);
            quoted = escaped || letter != '"';
            escaped = letter == '\\' && !escaped;
            continue;
        }
        if letter.is_ascii_whitespace() {
            continue;
        }
        out.push(letter);
        quoted = letter == '"';
        if matches!(letter, ',' | ':') {
            out.push_str(gap);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_anew_but_for_its_texts() {
        let json = "{ \"a b\" : [1,\n 2], \"c\\\" : \" : null }";
        assert_eq!(without_space(json, ""), "{\"a b\":[1,2],\"c\\\" : \":null}");
        assert_eq!(
            without_space(json, " "),
            "{\"a b\": [1, 2], \"c\\\" : \": null}"
        );
    }
}
