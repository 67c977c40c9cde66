//! MIME: how any text becomes a header or a body that every mail server carries.
//!
//! What is beyond plain ASCII, or long, becomes encoded words in a header (RFC 2047); bodies
//! are base64. So neither can hold a line that a lead wrote.

use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::mailbox::Mailbox;

/// Bytes in an encoded word: with what stands around it and the longest name of a header it
/// stays below the 76 letters of a line.
const WORD: usize = 39;
/// Letters of a text that needs no folding.
const SHORT: usize = 60;
/// Letters in a line of base64.
const LINE: usize = 76;

/// A text for a header such as `Subject`, on one line.
pub(crate) fn text(text: &str) -> String {
    let plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    // What looks like an encoded word must not become one.
    if text.len() <= SHORT && text.bytes().all(plain) && !text.contains("=?") {
        return text.to_owned();
    }
    words(text)
}

/// Mailboxes for a header such as `To`.
pub(crate) fn mailboxes(mailboxes: &[Mailbox]) -> String {
    let written: Vec<_> = mailboxes.iter().map(mailbox).collect();
    written.join(",\r\n ")
}

fn mailbox(mailbox: &Mailbox) -> String {
    let Some(name) = &mailbox.name else {
        return mailbox.address.to_string();
    };
    let plain = |byte: u8| byte == b' ' || byte.is_ascii_alphanumeric();
    let name = if name.len() <= SHORT && name.bytes().all(plain) {
        format!("\"{name}\"")
    } else {
        words(name)
    };
    format!("{name}\r\n <{}>", mailbox.address)
}

fn words(text: &str) -> String {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        // A letter of UTF-8 is in one word.
        let (word, after) = rest.split_at(rest.floor_char_boundary(WORD));
        words.push(format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(word)));
        rest = after;
    }
    words.join("\r\n ")
}

/// A time for `Date`.
pub(crate) fn date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time).replace("GMT", "+0000")
}

/// A body and the headers that say how it is written. `kind` is such as `plain`.
pub(crate) fn body(kind: &str, text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut encoded = BASE64_STANDARD.encode(text.replace('\n', "\r\n"));
    let mut written = format!(
        "Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    );
    while !encoded.is_empty() {
        let rest = encoded.split_off(encoded.len().min(LINE));
        written.push_str(&encoded);
        written.push_str("\r\n");
        encoded = rest;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(header: &str) -> String {
        let words = header.split("\r\n ").map(|word| {
            let word = word.strip_prefix("=?utf-8?B?").expect("a word");
            let word = word.strip_suffix("?=").expect("a word");
            let bytes = BASE64_STANDARD.decode(word).expect("base64");
            String::from_utf8(bytes).expect("whole letters")
        });
        words.collect()
    }

    #[test]
    fn texts_are_plain_or_encoded_words_of_whole_letters() {
        assert_eq!(text("New lead: Li (A1)"), "New lead: Li (A1)");
        assert_eq!(text("客资"), "=?utf-8?B?5a6i6LWE?=");
        let long = "a".repeat(61);
        for subject in [
            "新客资：张三（杭州）".repeat(9),
            long,
            "=?utf-8?B?eA==?=".to_owned(),
        ] {
            let header = text(&subject);
            assert_eq!(decoded(&header), subject);
            let fits = |line: &str| line.len() + "Reply-To: ".len() <= LINE;
            assert!(header.split("\r\n").all(fits), "{header}");
        }
    }

    #[test]
    fn names_are_quoted_or_encoded() {
        let written = |name: Option<&str>| {
            let name = name.map(str::to_owned);
            let address = "a@x.example".parse().expect("an address");
            mailboxes(&[Mailbox { name, address }])
        };
        assert_eq!(written(None), "a@x.example");
        assert_eq!(written(Some("Li Si")), "\"Li Si\"\r\n <a@x.example>");
        for name in ["张三", "Li, Si", "a\" <b@x.example>", "=?x"] {
            let header = written(Some(name));
            let name_part = header
                .strip_suffix("\r\n <a@x.example>")
                .expect("the address");
            assert_eq!(decoded(name_part), name);
        }
    }

    #[test]
    fn bodies_have_short_lines_and_network_line_breaks() {
        let written = body("plain", &format!("a\nb\r\nc\rd{}", "杭".repeat(99)));
        let (head, body) = written.split_once("\r\n\r\n").expect("a body");
        assert!(head.ends_with("base64"), "{head}");
        assert!(body.lines().all(|line| line.len() <= LINE), "{body}");
        let bytes = BASE64_STANDARD.decode(body.replace("\r\n", ""));
        let text = String::from_utf8(bytes.expect("base64")).expect("text");
        assert!(text.starts_with("a\r\nb\r\nc\r\nd杭"), "{text}");
    }

    #[test]
    fn dates_are_in_universal_time() {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(784_887_151);
        assert_eq!(date(time), "Tue, 15 Nov 1994 08:12:31 +0000");
    }
}
