//! Parameters of a query, a form or listed headers: split, URL-decoded, each name once.
//!
//! What stands here is what is verified. Nothing else may split a query again: two parsers
//! that disagree are how an unsigned parameter gets in.

use std::borrow::Cow;

use super::charset::Charset;
use super::refusal::Refusal;

/// Most parameters taken. A push has some fifty; the limit keeps what strangers send cheap.
const MOST: usize = 256;

/// Decoded parameters in the order they came.
#[derive(Default)]
pub(super) struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Params<'a> {
    /// Of a raw query: `k` and `k=` are empty values, `&&` is nothing. A second raw `=` in
    /// one parameter refuses the push.
    pub(super) fn query(raw: &'a str, charset: Charset) -> Result<Self, Refusal> {
        Self::split(raw, charset, |value| {
            if value.contains('=') {
                return Err(Refusal::UnsignedParameter);
            }
            decode(value, charset)
        })
    }

    /// Of a form body. A value of white space alone counts as empty, as the platform's
    /// check has it.
    pub(super) fn form(raw: &'a str, charset: Charset) -> Result<Self, Refusal> {
        Self::split(raw, charset, |value| {
            let value = decode(value, charset)?;
            let blank = value.chars().all(is_java_whitespace);
            Ok(if blank { "".into() } else { value })
        })
    }

    fn split(
        raw: &'a str,
        charset: Charset,
        value_of: impl Fn(&'a str) -> Result<Cow<'a, str>, Refusal>,
    ) -> Result<Self, Refusal> {
        let mut params = Self(Vec::with_capacity(16));
        for parameter in raw.split('&').filter(|parameter| !parameter.is_empty()) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            params.push(decode(key, charset)?, value_of(value)?)?;
        }
        params.each_once()?;
        Ok(params)
    }

    /// Sorted, because strangers choose the names: comparing each with each would read long
    /// ones hundreds of times.
    fn each_once(&self) -> Result<(), Refusal> {
        let mut names: Vec<&str> = self.iter().map(|(key, _)| key).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::RepeatedParameter);
        }
        Ok(())
    }

    /// Of the headers that `list` names, separated by commas. Names are taken as they are
    /// spelled there, and a header that is missing has an empty value; a name may come twice.
    pub(super) fn headers(
        list: &'a [u8],
        charset: Charset,
        header: &dyn Fn(&str) -> Option<&'a [u8]>,
    ) -> Result<Self, Refusal> {
        let mut params = Self::default();
        // Servlets read headers as Latin-1.
        let (list, _) = Charset::Latin1.decode(list);
        if list.chars().all(is_java_whitespace) {
            return Ok(params);
        }
        for name in list.split(',').filter(|name| !name.is_empty()) {
            if params.get(name).is_some() {
                continue;
            }
            let value = if is_token(name) { header(name) } else { None };
            let (value, _) = Charset::Latin1.decode(value.unwrap_or_default());
            let value = decode(&value, charset)?.into_owned();
            params.push(name.to_owned().into(), value.into())?;
        }
        Ok(params)
    }

    fn push(&mut self, key: Cow<'a, str>, value: Cow<'a, str>) -> Result<(), Refusal> {
        if self.0.len() == MOST {
            return Err(Refusal::TooManyParameters);
        }
        self.0.push((key, value));
        Ok(())
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

/// `+` is a space and `%XX` a byte; bytes side by side are decoded together.
fn decode(raw: &str, charset: Charset) -> Result<Cow<'_, str>, Refusal> {
    let Some(first) = raw.find(['%', '+']) else {
        return Ok(raw.into());
    };
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    let mut next = Some(first);
    let mut bytes = Vec::new();
    while let Some(at) = next {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix('+') {
            text.push(' ');
            rest = after;
        } else {
            bytes.clear();
            while let Some(escape) = rest.strip_prefix('%') {
                bytes.push(hex_byte(escape.as_bytes()).ok_or(Refusal::BrokenEscape)?);
                rest = &escape[2..];
            }
            text.push_str(&charset.decode(&bytes).0);
        }
        next = rest.find(['%', '+']);
    }
    text.push_str(rest);
    Ok(text.into())
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// `Character.isWhitespace`: no-break spaces are none.
fn is_java_whitespace(character: char) -> bool {
    match character {
        '\u{A0}' | '\u{2007}' | '\u{202F}' | '\u{85}' => false,
        '\u{1C}'..='\u{1F}' => true,
        _ => character.is_whitespace(),
    }
}

/// Whether HTTP allows `name` as a header's name.
fn is_token(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(raw: &str) -> Result<Vec<(String, String)>, Refusal> {
        let params = Params::query(raw, Charset::Utf8)?;
        Ok(owned(&params))
    }

    fn owned(params: &Params<'_>) -> Vec<(String, String)> {
        params
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn queries_are_split_and_decoded_once() {
        let read = query("a&b=&&c=%E5%A4%A9+%2B%2541&%3D=%26&=x");
        let expected = [
            ("a", ""),
            ("b", ""),
            ("c", "天 +%41"),
            ("=", "&"),
            ("", "x"),
        ];
        assert_eq!(read, Ok(pairs(&expected)));
    }

    #[test]
    fn broken_escapes_are_refused() {
        for raw in [
            "a=%",
            "a=%4",
            "a=%4g",
            "a=%-1",
            "a=%+1",
            "%=1",
            "a=100%&b=1",
            "a=%é",
        ] {
            assert_eq!(query(raw), Err(Refusal::BrokenEscape), "{raw}");
        }
    }

    #[test]
    fn what_the_platform_would_not_sign_is_refused() {
        assert_eq!(query("k=a=b"), Err(Refusal::UnsignedParameter));
        assert_eq!(query("k=YWI="), Err(Refusal::UnsignedParameter));
        assert_eq!(query("k=1&%6b=1"), Err(Refusal::RepeatedParameter));
    }

    #[test]
    fn parameters_are_limited() {
        let numbered = |count: usize| {
            (0..count)
                .map(|n| n.to_string())
                .collect::<Vec<_>>()
                .join("&")
        };
        assert!(query(&numbered(MOST)).is_ok());
        assert_eq!(query(&numbered(MOST + 1)), Err(Refusal::TooManyParameters));
    }

    #[test]
    fn malformed_bytes_become_u_fffd() {
        assert_eq!(
            query("a=%FFx%E4%BD"),
            Ok(pairs(&[("a", "\u{fffd}x\u{fffd}")]))
        );
        let gbk = Params::query("a=%81%40", Charset::Gbk).expect("params");
        assert_eq!(gbk.get("a"), Some("丂"));
    }

    #[test]
    fn a_form_value_of_white_space_is_empty_and_may_hold_an_equals_sign() {
        let form =
            Params::form("a=+%09&b=%C2%A0&c=x=y&d=%E3%80%80", Charset::Utf8).expect("params");
        let expected = [("a", ""), ("b", "\u{a0}"), ("c", "x=y"), ("d", "")];
        assert_eq!(owned(&form), pairs(&expected));
    }

    #[test]
    fn listed_headers_are_looked_up_as_spelled() {
        let header = |name: &str| match name.to_ascii_lowercase().as_str() {
            "x-a" => Some(b"%E5%A4%A9+1".as_slice()),
            "x-raw" => Some(b"\xE9".as_slice()),
            _ => None,
        };
        let read = |list: &'static str| {
            Params::headers(list.as_bytes(), Charset::Utf8, &header).map(|params| owned(&params))
        };
        let expected = [("X-A", "天 1"), (" x-a", ""), ("gone", ""), ("x-raw", "é")];
        assert_eq!(read("X-A, x-a,gone,x-raw,X-A,"), Ok(pairs(&expected)));
        assert_eq!(read("  "), Ok(Vec::new()));
    }

    proptest::proptest! {
        #[test]
        fn no_query_panics(raw: String) {
            for charset in [Charset::Utf8, Charset::Gbk, Charset::Ascii] {
                let _ = Params::query(&raw, charset);
                let _ = Params::form(&raw, charset);
            }
        }
    }
}
