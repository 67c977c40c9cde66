//! The answer: what came back, and how far it could be read.
//!
//! The one thing that rules, `extract`, token requests and records ask. What could not be read
//! is no value: a condition or a template that asks for it gets [`Unread`] instead of a result,
//! so that nobody takes it for "not there". Only what an evaluation really came to counts:
//! `status == 409 and body.code == 7` asks nothing of the body of a 200.
//!
//! | body | `text` | `body` |
//! |---|---|---|
//! | whole, JSON | its text | its JSON |
//! | whole, anything else, also nothing | its text | could not be read |
//! | 204, 205, 304: none by its status | empty | none |
//! | cut off, too long, packed or written as nobody knows | could not be read | could not be read |

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use leadgate_plugin::HumanDuration;
use leadgate_plugin::template::{Asked, Condition, Context, Scope, Template, TemplateError};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, Url};
use serde_json::{Map, Value, json};

use crate::endpoint::masked;
use crate::failure::{is_cut, is_late};

/// Bytes of an answer that are read.
const READ: usize = 256 * 1024;
/// Longest wait that is told: more would only overflow clocks. How much of it is obeyed is for
/// the gateway to say.
const LONGEST_WAIT: Duration = Duration::from_hours(24 * 365 * 10);

/// Names that rules and token requests know.
pub(crate) const SCOPE: Scope =
    Scope::of(&["status", "headers", "body", "text"]).holding(&["status"], &["text"]);

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// Bytes that were read.
    pub(crate) length: usize,
    content: Content,
}

/// Why an answer could not be read, or not as JSON, for a person: "the answer is …".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unread(String);

enum Content {
    /// All of it as text, and its JSON.
    Whole(String, Result<Value, Unread>),
    /// None by its status.
    None,
    Unread(Unread),
}

/// An answer as conditions and templates see it.
pub(crate) struct View<'a> {
    answer: &'a Answer,
    context: Context,
    asked: Asked,
    looked: Cell<bool>,
}

impl std::fmt::Display for Unread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn unread<T>(why: impl std::fmt::Display) -> Result<T, Unread> {
    Err(Unread(format!("the answer {why}")))
}

impl Answer {
    /// Reads the body, as far as it can be. The status was said, whatever becomes of it.
    pub(crate) async fn read(mut response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let promised = response.content_length();
        let mut body = Vec::new();
        let ended = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > READ => {
                    let of = promised.map_or_else(String::new, |all| format!("of {all} bytes "));
                    break unread(format!("{of}is longer than {} KiB", READ / 1024));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break Ok(()),
                Err(error) => break unread(broken(&error, body.len(), promised)),
            }
        };
        Self::of(status, headers, &body, ended)
    }

    /// An answer whose body came whole.
    #[cfg(test)]
    pub(crate) fn new(status: u16, headers: HeaderMap, body: &[u8]) -> Self {
        Self::of(status, headers, body, Ok(()))
    }

    fn of(status: u16, headers: HeaderMap, body: &[u8], ended: Result<(), Unread>) -> Self {
        let content = match ended {
            Err(why) => Content::Unread(why),
            Ok(()) if body.is_empty() && matches!(status, 204 | 205 | 304) => Content::None,
            Ok(()) => match text_of(&headers, body) {
                Err(why) => Content::Unread(why),
                Ok(text) => {
                    let json = json_of(&headers, &text);
                    Content::Whole(text, json)
                }
            },
        };
        let length = body.len();
        Self {
            status,
            headers,
            length,
            content,
        }
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn text(&self) -> Result<&str, &Unread> {
        match &self.content {
            Content::Whole(text, _) => Ok(text),
            Content::None => Ok(""),
            Content::Unread(why) => Err(why),
        }
    }

    /// Its JSON.
    pub(crate) fn json(&self) -> Result<&Value, &Unread> {
        match &self.content {
            Content::Whole(_, json) => json.as_ref(),
            Content::None => Ok(&Value::Null),
            Content::Unread(why) => Err(why),
        }
    }

    /// What its JSON says as `key`, for who tells more if there is more: null also if it could not
    /// be read.
    pub(crate) fn said(&self, key: &str) -> &Value {
        self.json().map_or(&Value::Null, |json| &json[key])
    }

    /// Why not even its text could be read.
    pub(crate) fn illegible(&self) -> Option<&Unread> {
        self.text().err()
    }

    /// For conditions and templates in [`SCOPE`].
    pub(crate) fn view(&self) -> View<'_> {
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), Value::String(text))
            })
            .collect();
        let mut names = Map::new();
        names.insert("status".to_owned(), json!(self.status));
        names.insert("headers".to_owned(), Value::Object(headers));
        if let Ok(text) = self.text() {
            names.insert("text".to_owned(), json!(text));
        }
        if let Ok(json) = self.json() {
            names.insert("body".to_owned(), json.clone());
        }
        let (context, asked) = Context::of(&names).watched();
        View {
            answer: self,
            context,
            asked,
            looked: Cell::new(false),
        }
    }

    /// `retry-after` in seconds or as a date, which counts from the answer's own `date`: its
    /// clock wrote both.
    pub(crate) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let header = |name| self.headers.get(name)?.to_str().ok().map(str::trim);
        let text = header(RETRY_AFTER)?;
        if let Ok(date) = httpdate::parse_http_date(text) {
            let said = header(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
            let wait = date.duration_since(said.unwrap_or(now));
            return Some(wait.unwrap_or(Duration::ZERO).min(LONGEST_WAIT));
        }
        seconds(text)
    }

    /// Where a redirect leads to: without user, password, query and what looks like a key.
    pub(crate) fn leads_to(&self) -> Option<String> {
        let location = self.headers.get(LOCATION)?.to_str().ok()?.trim();
        let plain = location.split(['?', '#']).next().unwrap_or_default();
        let place = match Url::parse(plain) {
            Ok(url) => format!(
                "{}{}",
                url.origin().ascii_serialization(),
                masked(url.path())
            ),
            // A path, or `//host/path`, whose user would stand before an `@`.
            Err(_) => masked(plain.rsplit('@').next().unwrap_or_default()),
        };
        let shown: String = place
            .chars()
            .filter(|letter| !letter.is_control())
            .collect();
        (!shown.is_empty()).then(|| shown.chars().take(200).collect())
    }
}

impl View<'_> {
    /// Whether the condition holds. It does not for an answer that has not what it asks for.
    pub(crate) fn meets(&self, condition: &Condition) -> Result<bool, &Unread> {
        let holds = condition.meets(&self.context).unwrap_or(false);
        self.known(holds)
    }

    /// What the template gives as text; none if it gives nothing.
    pub(crate) fn text(&self, template: &Template) -> Result<Option<String>, &Unread> {
        let text = template.text(&self.context).ok().flatten();
        self.known(text)
    }

    /// What the template gives.
    pub(crate) fn value(
        &self,
        template: &Template,
    ) -> Result<Result<Value, TemplateError>, &Unread> {
        let value = template.value(&self.context);
        self.known(value)
    }

    /// Whether anything so far asked what is in the answer.
    pub(crate) fn looked(&self) -> bool {
        self.looked.get()
    }

    /// `result`, unless it asked for what could not be read.
    fn known<T>(&self, result: T) -> Result<T, &Unread> {
        let asked = self.asked.take();
        let (text, body) = (asked.contains("text"), asked.contains("body"));
        self.looked.set(self.looked.get() || text || body);
        if text {
            self.answer.text()?;
        }
        if body {
            self.answer.json()?;
        }
        Ok(result)
    }
}

/// How a body broke off.
fn broken(error: &reqwest::Error, came: usize, promised: Option<u64>) -> String {
    if is_late(error) {
        return format!("stopped after {came} bytes, and no more came in time");
    }
    if !is_cut(error) {
        return "is packed (gzip), and the packing is broken or ends early".to_owned();
    }
    match promised {
        Some(all) => format!("ended after {came} of {all} bytes"),
        None => format!("ended after {came} bytes, before its end"),
    }
}

/// The text, by its byte order mark, else by the charset that the header names, else UTF-8.
fn text_of(headers: &HeaderMap, body: &[u8]) -> Result<String, Unread> {
    // What the client has unpacked is not said here any more.
    let packed = headers
        .get(CONTENT_ENCODING)
        .map(|value| plain(value.as_bytes()));
    if let Some(packed) = packed.filter(|packed| !packed.is_empty() && packed != "identity") {
        return unread(format!(
            "is packed as `{packed}`, which leadgate did not ask for"
        ));
    }
    let label = charset(headers);
    let encoding = match label.as_deref() {
        Some(label) => match Encoding::for_label(label.as_bytes()) {
            Some(encoding) => encoding,
            None if label.replace(['_', ' '], "-").starts_with("utf-8") || label == "utf8mb4" => {
                UTF_8
            }
            None if body.is_ascii() => UTF_8,
            None => {
                return unread(format!(
                    "is in the charset `{label}`, which is not known here"
                ));
            }
        },
        None => match body {
            // No text begins with a NUL: a character of two bytes does.
            [0, other, ..] if *other != 0 => UTF_16BE,
            [other, 0, ..] if *other != 0 => UTF_16LE,
            _ => UTF_8,
        },
    };
    let (text, used, wrong) = encoding.decode(body);
    match (wrong, &label) {
        (false, _) => Ok(text.into_owned()),
        (true, Some(_)) => unread(format!("is no {}, which it says it is", used.name())),
        (true, None) => unread(format!("is no {}, and names no other charset", used.name())),
    }
}

fn json_of(headers: &HeaderMap, text: &str) -> Result<Value, Unread> {
    if let Ok(json) = serde_json::from_str(text) {
        return Ok(json);
    }
    let begins = text.trim_start();
    let html = ["<!doctype html", "<html"].iter().any(|tag| {
        let head = begins.get(..tag.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(tag))
    });
    if begins.is_empty() {
        unread("is empty, not JSON")
    } else if html {
        unread("is a web page, not JSON: a login or an error page?")
    } else if media_type(headers).is_some_and(|kind| kind.contains("json")) {
        unread("is not JSON although its content-type says so")
    } else {
        unread("is not JSON")
    }
}

/// The type in `content-type`, without parameters.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.as_bytes();
    value.split(|byte| *byte == b';').next().map(plain)
}

/// The charset that `content-type` names.
fn charset(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.as_bytes();
    let mut parameters = value.split(|byte| *byte == b';').skip(1);
    let charset = parameters.find_map(|parameter| {
        let text = plain(parameter);
        let (name, value) = text.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']).trim();
        (name.trim() == "charset").then(|| value.to_owned())
    });
    charset.filter(|charset| !charset.is_empty())
}

/// Of a header what may be shown: short, lower case, nothing but what names consist of.
fn plain(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    let plain = text
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || "/+-._=\"' ".contains(*letter));
    plain.take(60).collect::<String>().trim().to_owned()
}

/// A wait as rules say it: a number of seconds, or a duration such as "10m".
pub(crate) fn wait(text: &str) -> Option<Duration> {
    let text = text.trim();
    let long = |wait: HumanDuration| wait.0.min(LONGEST_WAIT);
    seconds(text).or_else(|| text.parse().ok().map(long))
}

/// A number of seconds, however large.
fn seconds(text: &str) -> Option<Duration> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0)?;
    Some(Duration::try_from_secs_f64(seconds).map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT)))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_str(value).expect("a value");
            (HeaderName::from_static(name), value)
        };
        given.iter().map(header).collect()
    }

    #[test]
    fn waits_come_as_seconds_or_dates_and_are_told_in_full() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 04:00:00 GMT").expect("a date");
        let asked =
            |given: &[(&'static str, &str)]| Answer::new(429, headers(given), b"").retry_after(now);
        let after = |text: &str| asked(&[("retry-after", text)]);
        assert_eq!(after("120"), Some(Duration::from_mins(2)));
        assert_eq!(after("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(after("99999999"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(after("99999999999999999999999"), Some(LONGEST_WAIT));
        let date = "Tue, 24 Nov 2026 04:00:30 GMT";
        assert_eq!(after(date), Some(Duration::from_secs(30)));
        let theirs = ("date", "Tue, 24 Nov 2026 03:45:00 GMT");
        let by_theirs = asked(&[("retry-after", date), theirs]);
        assert_eq!(
            by_theirs,
            Some(Duration::from_secs(930)),
            "their clock is slow"
        );
        assert_eq!(after("Tue, 24 Nov 2026 03:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(
            after("Wed, 24 Nov 2027 04:00:00 GMT"),
            Some(Duration::from_hours(24 * 365))
        );
        assert_eq!(
            (after("soon"), after("-1"), after("NaN")),
            (None, None, None)
        );
        assert_eq!(wait("2"), Some(Duration::from_secs(2)));
        assert_eq!(wait("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(wait("10m"), Some(Duration::from_mins(10)));
        assert_eq!(wait("99999999999"), Some(LONGEST_WAIT));
        assert_eq!((wait("-1"), wait("NaN"), wait("")), (None, None, None));
    }

    /// What is read of `body`: its JSON, or why not.
    fn json(kind: &str, body: &[u8]) -> Result<Value, String> {
        let given = [("content-type", kind)];
        let given = if kind.is_empty() { &[][..] } else { &given };
        let answer = Answer::new(200, headers(given), body);
        answer.json().cloned().map_err(ToString::to_string)
    }

    #[test]
    fn an_answer_is_read_in_the_charset_that_it_says_or_shows() {
        let text = "{\"msg\":\"电话\"}";
        let known = Ok(serde_json::json!({"msg": "电话"}));
        let utf16 = |to: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to).collect::<Vec<u8>>();
        let (little, big) = (utf16(u16::to_le_bytes), utf16(u16::to_be_bytes));
        let gbk = encoding_rs::GBK.encode(text).0.into_owned();
        let with = |mark: &[u8], body: &[u8]| [mark, body].concat();
        let utf8 = text.as_bytes();
        for (kind, body) in [
            ("", utf8.to_vec()),
            ("", with(b"\xef\xbb\xbf", utf8)),
            ("application/json; charset=gbk", with(b"\xef\xbb\xbf", utf8)),
            ("application/json; charset=\"UTF-8\"", utf8.to_vec()),
            ("application/json;charset=utf8mb4", utf8.to_vec()),
            ("application/json;a=b; Charset = GB2312", gbk.clone()),
            ("text/html; charset=gb18030", gbk.clone()),
            ("application/json", with(b"\xff\xfe", &little)),
            ("application/json", with(b"\xfe\xff", &big)),
            ("application/json", little.clone()),
            ("application/json", big),
            ("application/json; charset=utf-16", little),
        ] {
            assert_eq!(json(kind, &body), known, "{kind}");
        }
        let wrong = |kind, body: &[u8]| json(kind, body).expect_err("unread");
        assert_eq!(
            wrong("", &gbk),
            "the answer is no UTF-8, and names no other charset"
        );
        assert_eq!(
            wrong("text/plain; charset=utf-8", &gbk),
            "the answer is no UTF-8, which it says it is"
        );
        assert_eq!(
            wrong("text/plain; charset=ebcdic", &gbk),
            "the answer is in the charset `ebcdic`, which is not known here"
        );
        assert_eq!(
            json("text/plain; charset=ebcdic", b"7"),
            Ok(serde_json::json!(7))
        );
    }

    #[test]
    fn what_is_no_json_says_what_it_is() {
        let wrong = |kind, body: &str| json(kind, body.as_bytes()).expect_err("unread");
        assert_eq!(wrong("", ""), "the answer is empty, not JSON");
        assert_eq!(wrong("text/plain", "ok"), "the answer is not JSON");
        let said = "the answer is not JSON although its content-type says so";
        assert_eq!(wrong("application/problem+json; x=y", "{\"a\":"), said);
        for page in ["<!DOCTYPE html>", " <HTML lang=zh>", "<html"] {
            let why = wrong("application/json", page);
            assert_eq!(
                why,
                "the answer is a web page, not JSON: a login or an error page?"
            );
        }
        let packed = Answer::new(200, headers(&[("content-encoding", "br")]), b"{}");
        assert!(
            packed
                .illegible()
                .is_some_and(|why| why.0.contains("packed as `br`"))
        );
        let none = Answer::new(204, HeaderMap::new(), b"");
        assert_eq!((none.json(), none.illegible()), (Ok(&Value::Null), None));
    }

    #[test]
    fn where_a_redirect_leads_is_told_without_what_is_secret() {
        let leads = |to: &str| Answer::new(302, headers(&[("location", to)]), b"").leads_to();
        for (to, told) in [
            (
                "https://u:p@crm.example/login?next=/x&token=t#f",
                "https://crm.example/login",
            ),
            ("https://crm.example:8443", "https://crm.example:8443/"),
            ("/sso/login;jsessionid=0123456789abcdef?x=1", "/sso/***"),
            ("//u:p@crm.example/a", "crm.example/a"),
            ("../a?b", "../a"),
        ] {
            assert_eq!(leads(to).as_deref(), Some(told), "{to}");
        }
        assert_eq!(leads("?x"), None);
    }
}
