//! A signed push as Alibaba would send it, for tests, demonstrations and load.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::charset::Charset;
use super::signature::{SIGN, Signed};
use crate::clock::Millis;
use crate::lead::time::format_gmt8;

/// What Java's `URLEncoder` escapes; spaces become `+` beside it.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b' ');

/// What a push is made of.
#[derive(Clone, Copy)]
pub struct PushParts<'a> {
    /// `app_key` and `target_appkey`.
    pub app_key: &'a str,
    /// The secret that signs.
    pub secret: &'a str,
    /// `method`, if any.
    pub method: Option<&'a str>,
    /// The time of `timestamp`; also makes `request_id` differ from push to push.
    pub now: Millis,
    /// The body: the lead as JSON in UTF-8.
    pub body: &'a [u8],
}

/// A push, signed. It is sent with POST.
#[derive(Clone)]
pub struct SignedPush {
    /// The query string, without `?`.
    pub query: String,
    /// `content-type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// Signs a push.
pub fn signed_push(parts: &PushParts<'_>) -> SignedPush {
    let timestamp = format_gmt8(parts.now);
    let request_id = format!("{:016x}", fastrand::u64(..));
    let mut params = vec![
        ("app_key", parts.app_key),
        ("target_appkey", parts.app_key),
        ("sign_method", "md5"),
        ("format", "json"),
        ("request_id", &request_id),
        ("timestamp", &timestamp),
    ];
    params.extend(parts.method.map(|method| ("method", method)));
    // What is signed is the text that the receiver decodes.
    let (text, _) = Charset::Utf8.decode(parts.body);
    let signed = Signed::new(
        Charset::Utf8,
        params.iter().copied(),
        Cow::Borrowed(text.as_bytes()),
    );
    let sign = signed.sign(parts.secret);
    let sign = String::from_utf8_lossy(&sign);
    params.push((SIGN, &sign));
    SignedPush {
        query: query(&params),
        content_type: "application/json;charset=UTF-8",
        body: parts.body.to_vec(),
    }
}

fn query(params: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        percent_encode(text.as_bytes(), ESCAPED)
            .to_string()
            .replace(' ', "+")
    };
    let pairs: Vec<_> = params
        .iter()
        .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
        .collect();
    pairs.join("&")
}
