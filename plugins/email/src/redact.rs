//! Redaction: what of a server's reply may be kept.
//!
//! Servers repeat addresses and users. So every word with an `@` is taken out, whatever the
//! lead and the settings say about people, and any run of digits as long as a phone number.

use serde_json::Value;

/// Longest text that is kept of a reply, in bytes.
const KEPT: usize = 512;
/// Shorter texts are not looked for: they would hide everything.
const SHORTEST: usize = 3;
/// Digits in a row that are taken for a number of a person.
const DIGITS: usize = 10;
const MASK: &str = "***";

/// What must not be kept.
#[derive(Default)]
pub(crate) struct Redactor {
    /// Longest first, so that no part of one is left.
    hidden: Vec<String>,
}

impl Redactor {
    /// Hides the texts of the lead in `event`, and `more`.
    pub(crate) fn new(event: &Value, more: impl IntoIterator<Item = String>) -> Self {
        let mut hidden: Vec<String> = more.into_iter().collect();
        texts(&event["lead"], &mut hidden);
        hidden.retain(|text| text.len() >= SHORTEST);
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        hidden.dedup();
        Self { hidden }
    }

    /// `reply` without what must be hidden, on one line.
    pub(crate) fn text(&self, reply: &str) -> String {
        let words = reply.split_whitespace();
        let words = words.map(|word| if word.contains('@') { MASK } else { word });
        let plain = words.collect::<Vec<_>>().join(" ");
        let plain = self
            .hidden
            .iter()
            .fold(plain, |text, hidden| text.replace(hidden.as_str(), MASK));
        let mut kept = without_numbers(&plain);
        kept.truncate(kept.floor_char_boundary(KEPT));
        kept
    }
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.trim().to_owned()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

fn without_numbers(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(from) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, digits) = rest.split_at(from);
        let end = digits.find(|letter: char| !letter.is_ascii_digit());
        let (digits, after) = digits.split_at(end.unwrap_or(digits.len()));
        kept.push_str(before);
        kept.push_str(if digits.len() >= DIGITS { MASK } else { digits });
        rest = after;
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reply_is_kept_without_people() {
        let event =
            json!({"lead": {"name": "张三", "taobao_nick": "tb_zhang", "other": {"n": ["qq77"]}}});
        let redactor = Redactor::new(&event, ["sales".to_owned(), "t0psecret".to_owned()]);
        for (reply, kept) in [
            ("2.0.0 Ok: queued as 4XyZ12", "2.0.0 Ok: queued as 4XyZ12"),
            (
                "5.1.1 <sales@x.example>: Recipient address rejected: user sales unknown",
                "5.1.1 *** Recipient address rejected: user *** unknown",
            ),
            (
                "no 张三, tb_zhang or qq77; t0psecret",
                "no ***, *** or ***; ***",
            ),
            ("spam\r\n13567658911x 123456789", "spam ***x 123456789"),
        ] {
            assert_eq!(redactor.text(reply), kept);
        }
        assert!(redactor.text(&"杭".repeat(1000)).len() <= KEPT);
    }
}
