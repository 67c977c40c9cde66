//! What the `Content-Type` header says of a push: how its body is signed, in which charset.
//!
//! The platform's own check looks at the header case-sensitively and by prefix. Here a type
//! must be one of five exactly: what is signed as text and what as parameters is no place
//! for a guess.

use super::charset::Charset;
use super::refusal::Refusal;

/// How the body is signed and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// As one text.
    Text,
    /// As parameters beside those of the query.
    Form,
}

/// A content type that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) body: Body,
    pub(super) charset: Charset,
}

impl Content {
    pub(super) fn parse(header: &str) -> Result<Self, Refusal> {
        let kind = header.split(';').next().unwrap_or_default();
        let body = match kind.trim() {
            "application/json" | "text/xml" | "application/xml" | "text/plain" => Body::Text,
            "application/x-www-form-urlencoded" => Body::Form,
            _ => return Err(Refusal::ContentType),
        };
        let charset = charset(header)?;
        Ok(Self { body, charset })
    }
}

/// The first `charset` parameter; UTF-8 if there is none or it is empty.
pub(super) fn charset(header: &str) -> Result<Charset, Refusal> {
    for parameter in header.split(';').skip(1) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name.trim() {
            "charset" if value.trim().is_empty() => return Ok(Charset::Utf8),
            "charset" => return Charset::named(value.trim()).ok_or(Refusal::Charset),
            // The platform's check takes `charsetx=` for `charset=`.
            name if name.starts_with("charset") => return Err(Refusal::Charset),
            _ => {}
        }
    }
    Ok(Charset::Utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_types_are_understood() {
        let text = Ok(Content {
            body: Body::Text,
            charset: Charset::Utf8,
        });
        let gbk_form = Ok(Content {
            body: Body::Form,
            charset: Charset::Gbk,
        });
        for (header, content) in [
            ("application/json", text),
            ("application/json;charset=", text),
            ("application/json; charset", text),
            (
                "application/json; boundary=x; charset = utf-8 ;charset=x",
                text,
            ),
            ("text/plain ; Charset=GBK", text),
            ("text/xml", text),
            ("application/xml", text),
            ("application/x-www-form-urlencoded;charset=gbk", gbk_form),
        ] {
            assert_eq!(Content::parse(header), content, "{header}");
        }
    }

    #[test]
    fn other_types_and_charsets_are_refused() {
        for header in [
            "",
            "text/json",
            "multipart/form-data; boundary=x",
            "application/jsonp",
            "TEXT/XML",
        ] {
            assert_eq!(
                Content::parse(header),
                Err(Refusal::ContentType),
                "{header}"
            );
        }
        for charset in [
            "charset=\"utf-8\"",
            "charset=utf-16",
            "charsetx=GBK",
            "charset=x",
        ] {
            let header = format!("application/json;{charset}");
            assert_eq!(Content::parse(&header), Err(Refusal::Charset), "{header}");
        }
    }
}
