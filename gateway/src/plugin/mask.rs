//! Masks: takes a sink's secrets out of whatever its plugin says.
//!
//! A secret can stand anywhere in what a plugin sends, and a destination may repeat it; the
//! plugin does not know which of its settings were secrets. The gateway does. Looked for is each
//! secret as it is and as it looks in JSON, in a URL, in a form and in HTML.

use std::fmt::Write;

use leadgate_plugin::Secret;

use super::Outcome;

/// Shorter secrets are not looked for: they would hide everything.
const SHORTEST: usize = 6;
/// What stands instead of a secret.
const MASK: &str = "***";

/// What to take out, the longest first, so that no part of one is left.
#[derive(Default)]
pub(super) struct Masks(Vec<String>);

impl Masks {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let mut hidden: Vec<String> = Vec::new();
        for secret in secrets {
            for piece in pieces(secret.expose()) {
                hidden.extend([
                    in_json(piece),
                    in_url(piece),
                    in_form(piece),
                    in_html(piece),
                ]);
                hidden.push(piece.to_owned());
            }
        }
        hidden.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        hidden.dedup();
        Self(hidden)
    }

    /// The texts of leads, as they are and as programs write them.
    pub(super) fn of_leads<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut hidden: Vec<String> = Vec::new();
        for text in texts.filter(|text| !is_short(text)) {
            let url = in_url(text);
            hidden.extend([
                in_json(text),
                in_form(text),
                in_html(text),
                url.to_lowercase(),
            ]);
            if !text.is_ascii() {
                let escaped = in_ascii(text);
                hidden.extend([
                    escaped.replace('\\', "\\\\"),
                    escaped.to_uppercase().replace("\\U", "\\u"),
                    escaped,
                ]);
            }
            hidden.extend([url, text.to_owned()]);
        }
        hidden.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        hidden.dedup();
        Self(hidden)
    }

    /// `text` without the secrets.
    pub(super) fn hide(&self, text: String) -> String {
        let hidden = self.0.iter();
        hidden.fold(text, |text, hidden| {
            if text.contains(hidden.as_str()) {
                text.replace(hidden.as_str(), MASK)
            } else {
                text
            }
        })
    }

    /// The same for all that an outcome says.
    pub(super) fn outcome(&self, mut outcome: Outcome) -> Outcome {
        for text in [
            &mut outcome.receipt,
            &mut outcome.reason,
            &mut outcome.rule,
            &mut outcome.request,
            &mut outcome.response,
        ] {
            *text = self.hide(std::mem::take(text));
        }
        outcome
    }
}

/// Whether a text of a lead is too short to be looked for inside of others.
fn is_short(text: &str) -> bool {
    // One letter more says as much for a word of another script as for a name of ours.
    let shortest = if text.is_ascii() { 3 } else { 2 };
    text.chars().count() < shortest
}

/// `text` without these texts of a lead, as they are and as programs write them; short ones are
/// taken out where they stand alone.
pub(crate) fn without(text: String, of_lead: &[String]) -> String {
    let texts = of_lead.iter().map(String::as_str);
    let text = Masks::of_leads(texts.clone()).hide(text);
    let words = texts.filter(|one| is_short(one) && one.chars().any(char::is_alphabetic));
    words.fold(text, |text, word| without_word(&text, word))
}

fn without_word(text: &str, word: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut copied = 0;
    for (at, _) in text.match_indices(word) {
        let behind = text[at + word.len()..].chars().next();
        let before = text[..at].chars().next_back();
        if !before.into_iter().chain(behind).any(char::is_alphanumeric) {
            left.push_str(&text[copied..at]);
            left.push_str(MASK);
            copied = at + word.len();
        }
    }
    left.push_str(&text[copied..]);
    left
}

/// What stands in a secret beside its expressions, if it is a template.
fn pieces(secret: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = secret;
    for (open, close) in [("{{", "}}"), ("{%", "%}"), ("{#", "#}")] {
        // Texts with several kinds of them are rare; what is left of those is looked for whole.
        while let Some((before, (_, behind))) = rest
            .split_once(open)
            .and_then(|(before, inside)| Some((before, inside.split_once(close)?)))
        {
            pieces.push(before);
            rest = behind;
        }
    }
    pieces.push(rest);
    let long = |piece: &&str| piece.chars().count() >= SHORTEST;
    pieces.into_iter().map(str::trim).filter(long).collect()
}

fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::String(text.to_owned()).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// As JSON of ASCII alone.
fn in_ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => escaped.push(char::from(byte)),
            // Writing into a text does not fail.
            _ => drop(write!(escaped, "\\u{unit:04x}")),
        }
    }
    escaped
}

fn in_url(text: &str) -> String {
    encoded(text, |byte| b"-._~".contains(&byte))
}

fn in_form(text: &str) -> String {
    encoded(text, |byte| b"-._* ".contains(&byte)).replace(' ', "+")
}

fn encoded(text: &str, plain: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain(byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a text does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn in_html(text: &str) -> String {
    let plain = text.replace('&', "&amp;").replace('<', "&lt;");
    let plain = plain.replace('>', "&gt;").replace('"', "&quot;");
    plain.replace('\'', "&#x27;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(secrets: &[&str]) -> Masks {
        let secrets: Vec<Secret> = secrets.iter().map(|one| Secret::new(*one)).collect();
        Masks::new(&secrets)
    }

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        let masks = masks(&["a\"b/c d&ü~", "short", "Bearer tok3n-{{ name }}-behind"]);
        for (text, hidden) in [
            (r#"{"k":"a\"b/c d&ü~"}"#, r#"{"k":"***"}"#),
            ("x=a%22b%2Fc%20d%26%C3%BC~&y", "x=***&y"),
            ("x=a%22b%2Fc+d%26%C3%BC%7E&y", "x=***&y"),
            ("<p>a&quot;b/c d&amp;ü~</p>", "<p>***</p>"),
            ("a\"b/c d&ü~", "***"),
            ("Bearer tok3n-张三-behind", "***张三***"),
            ("short and tok3n", "short and tok3n"),
        ] {
            assert_eq!(masks.hide(text.to_owned()), hidden);
        }
    }

    #[test]
    fn texts_of_a_lead_are_taken_out_and_short_ones_only_where_they_stand_alone() {
        let of_lead = ["张三", "Li", "李", "1"].map(str::to_owned);
        let hidden = without(
            r#"{"a": "张三", "b": "Li", "c": "Lima, 李", "d": "李家 \u5f20\u4e09", "e": 1}"#
                .to_owned(),
            &of_lead,
        );
        assert_eq!(
            hidden,
            r#"{"a": "***", "b": "***", "c": "Lima, ***", "d": "李家 ***", "e": 1}"#
        );
    }

    #[test]
    fn all_that_an_outcome_says_is_without_secrets() {
        let text = || "with t0psecret in it".to_owned();
        let mut outcome = Outcome::delivered(text())
            .rule(text())
            .request(text())
            .response(text());
        outcome.reason = text();
        let masked = format!("{:?}", masks(&["t0psecret", "t0p"]).outcome(outcome));
        assert!(!masked.contains("t0p"), "{masked}");
        assert_eq!(masked.matches("with *** in it").count(), 5, "{masked}");
    }
}
