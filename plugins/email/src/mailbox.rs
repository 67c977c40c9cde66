//! Mailboxes: from what the settings say and what a lead's template gives to addresses that
//! a mail server may be told.
//!
//! A text is one mailbox, whatever a lead puts into its name: the address is what stands in
//! the last `<…>`. No error shows what the text was.

use leadgate_plugin::template::{self, Context, Engine, Scope, Template};
use leadgate_plugin::{Problem, Problems};
use lettre::Address;
use serde_json::Value;

const NO_ADDRESS: &str = "not an e-mail address";

/// An address, and whose it is.
#[derive(Clone)]
pub(crate) struct Mailbox {
    pub(crate) name: Option<String>,
    pub(crate) address: Address,
}

impl std::fmt::Display for Mailbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "{name} <{}>", self.address),
            None => self.address.fmt(formatter),
        }
    }
}

/// One entry of `to`, `cc` or `bcc`, or `reply_to`.
pub(crate) struct Slot {
    at: String,
    template: Template,
}

impl Slot {
    pub(crate) fn new(text: &str, at: String, engine: &Engine) -> Result<Self, Problems> {
        let template = engine
            .template(text, &Scope::EVENT)
            .map_err(|mistakes| template::problems(mistakes, &at))?;
        if template.is_plain() {
            read(text).ok_or_else(|| problem(&at))?;
        }
        Ok(Self { at, template })
    }

    /// The mailboxes for a lead: one, none, or all of a list.
    pub(crate) fn fill(&self, context: &Context) -> Result<Vec<Mailbox>, Problem> {
        let value = self
            .template
            .value(context)
            .map_err(|error| error.into_problem(&self.at))?;
        let values = match value {
            Value::Array(values) => values,
            one => vec![one],
        };
        let given = values.iter().filter_map(|value| match value {
            Value::Null => None,
            Value::String(text) if text.trim().is_empty() => None,
            Value::String(text) => Some(read(text)),
            _ => Some(None),
        });
        given
            .map(|mailbox| mailbox.ok_or_else(|| problem(&self.at)))
            .collect()
    }
}

fn problem(at: &str) -> Problem {
    Problem::at(at, NO_ADDRESS).help("write sales@shop.example or 销售 <sales@shop.example>")
}

/// The mailbox in the settings at `at`, which is not a template.
pub(crate) fn fixed(text: &str, at: &str) -> Result<Mailbox, Problem> {
    if text.contains("{{") || text.contains("{%") {
        return Err(Problem::at(at, "the same for every lead: no template here"));
    }
    read(text).ok_or_else(|| problem(at))
}

fn read(text: &str) -> Option<Mailbox> {
    let text = text.trim();
    let (name, address) = match text.strip_suffix('>') {
        Some(rest) => {
            let (name, address) = rest.rsplit_once('<')?;
            (one_line(name.trim().trim_matches('"')), address)
        }
        None => (String::new(), text),
    };
    let stray = |letter: char| {
        letter.is_control() || letter.is_whitespace() || "<>\"(),;\\".contains(letter)
    };
    if address.contains(stray) {
        return None;
    }
    Some(Mailbox {
        name: Some(name).filter(|name| !name.is_empty()),
        address: address.parse().ok()?,
    })
}

/// `text` on one line: what breaks lines, and other control characters, becomes a space.
pub(crate) fn one_line(text: &str) -> String {
    let breaks = |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
    let plain = text.replace(breaks, " ");
    let words: Vec<_> = plain.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_with_and_without_a_name() {
        for (text, name, address) in [
            ("a@x.example", None, "a@x.example"),
            (" 销售 <a@x.example> ", Some("销售"), "a@x.example"),
            ("\"Li, Si\" <a@x.example>", Some("Li, Si"), "a@x.example"),
            ("<a@x.example>", None, "a@x.example"),
            ("a+b@邮件.example", None, "a+b@邮件.example"),
            ("a@[127.0.0.1]", None, "a@[127.0.0.1]"),
            // What a lead says in a name changes nothing about the address.
            (
                "x\r\nBcc: e@evil.example> <e@evil.example> <a@x.example>",
                Some("x Bcc: e@evil.example> <e@evil.example>"),
                "a@x.example",
            ),
        ] {
            let mailbox = read(text).expect(text);
            assert_eq!(mailbox.name.as_deref(), name, "{text}");
            assert_eq!(mailbox.address.to_string(), address, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "sales",
            "@x.example",
            "a@",
            "a b@x.example",
            "a@x.example, b@x.example",
            "a@x.example>",
            "销售 <a@x.example",
            "a@x.example\r\nBcc: b@x.example",
            "<a@x.example> <b@x.example",
            "<>",
            "\"a b\"@x.example",
            "13567658911",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn line_breaks_become_spaces() {
        assert_eq!(one_line("a\r\n b\u{2028}c\t\u{7}d "), "a b c d");
    }
}
