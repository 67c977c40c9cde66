//! A JSON value kept as text: exact numbers, no surprises for whoever parses it next.
//!
//! A push is Java's JSON, and some of what Java writes trips stricter parsers later, in a
//! plugin or a CRM, when nobody can ask for it again. So a [`Json`] has no nesting beyond
//! [`MAX_DEPTH`], no half of a surrogate pair and no number that overflows a double.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// Deepest nesting taken. Parsers commonly stop at 128, and the event adds three levels.
pub(super) const MAX_DEPTH: usize = 100;

/// A JSON value as compact text.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Box<str>);

/// Nested deeper than [`MAX_DEPTH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooDeep;

impl Json {
    /// From text that is known to be one JSON value.
    pub(super) fn from_valid(text: &str) -> Result<Self, TooDeep> {
        let bytes = text.as_bytes();
        let mut out = String::with_capacity(text.len());
        let mut depth = 0;
        let mut at = 0;
        while at < bytes.len() {
            let end = match bytes[at] {
                b'"' => {
                    let end = string_end(bytes, at);
                    out.push_str(&mend(&text[at..end]));
                    end
                }
                b'-' | b'0'..=b'9' => {
                    let end = number_end(bytes, at);
                    push_number(&mut out, &text[at..end]);
                    end
                }
                byte => {
                    match byte {
                        b'{' | b'[' if depth == MAX_DEPTH => return Err(TooDeep),
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                    if !byte.is_ascii_whitespace() {
                        out.push(char::from(byte));
                    }
                    at + 1
                }
            };
            at = end;
        }
        Ok(Self(out.into()))
    }

    /// A JSON string.
    pub(super) fn string(text: &str) -> Self {
        Self(quote(text).into())
    }

    /// The value as compact JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value parsed. Integers beyond 64 bits and long decimals lose digits here, as in
    /// any parser that has only doubles for them.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).expect("a Json holds one valid value")
    }
}

impl Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may hold personal data.
        formatter.write_str("Json(***)")
    }
}

/// The text of a valid JSON string literal, quotes included in `literal`.
pub(super) fn unquote(literal: &str) -> Cow<'_, str> {
    let inner = &literal[1..literal.len() - 1];
    if inner.contains('\\') {
        let text = serde_json::from_str(&mend(literal)).expect("a mended literal is valid");
        Cow::Owned(text)
    } else {
        Cow::Borrowed(inner)
    }
}

fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a string always serializes")
}

/// A number as it is, unless no double can hold it: then the same digits as a string.
fn push_number(out: &mut String, number: &str) {
    if number.parse::<f64>().is_ok_and(f64::is_finite) {
        out.push_str(number);
    } else {
        out.push('"');
        out.push_str(number);
        out.push('"');
    }
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    start + bytes[start..].iter().take_while(|&byte| part(byte)).count()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Writes U+FFFD for each half of a surrogate pair that stands alone: what is left of an
/// emoji when a name was cut to so many Java characters.
fn mend(literal: &str) -> Cow<'_, str> {
    if !literal.contains("\\u") {
        return Cow::Borrowed(literal);
    }
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match (code_unit(rest), rest.get(6..).and_then(code_unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                out.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => 2,
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The code unit of the `\uXXXX` that `text` begins with.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compact(text: &str) -> String {
        Json::from_valid(text).expect("shallow").as_str().to_owned()
    }

    #[test]
    fn only_insignificant_white_space_goes() {
        assert_eq!(
            compact(" { \"a b\" : [ 1 , \" \\\" \" ,\n null ] } "),
            r#"{"a b":[1," \" ",null]}"#
        );
    }

    #[test]
    fn numbers_keep_every_digit() {
        let digits = "[12345678901234567890123,0.10,-0,1E+2]";
        assert_eq!(compact(digits), digits);
    }

    #[test]
    fn a_number_no_double_holds_becomes_a_string() {
        assert_eq!(compact("[1e999,-1e999]"), r#"["1e999","-1e999"]"#);
    }

    #[test]
    fn lone_surrogates_are_mended_and_pairs_kept() {
        assert_eq!(
            compact(r#""\ud83c\udfe0 \ud83c""#),
            r#""\ud83c\udfe0 \ufffd""#
        );
        assert_eq!(compact(r#""\\ud83c\udfe0x""#), r#""\\ud83c\ufffdx""#);
        assert_eq!(unquote(r#""a\ud83c""#), "a\u{fffd}");
        assert_eq!(unquote(r#""\ud83c\u0041""#), "\u{fffd}A");
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Json::from_valid(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(Json::from_valid(&nested(MAX_DEPTH + 1)), Err(TooDeep));
    }

    proptest::proptest! {
        #[test]
        fn compact_json_is_what_a_serializer_writes(text in "\\PC{0,24}", n: f64, m: i64) {
            let value = serde_json::json!({"a": [text, n, m, null, true], "b": {"c": {}}});
            let pretty = serde_json::to_string_pretty(&value).expect("json");
            let plain = serde_json::to_string(&value).expect("json");
            proptest::prop_assert_eq!(compact(&pretty), plain);
        }
    }
}
