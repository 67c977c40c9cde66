//! Redaction: takes what a lead says out of texts that others wrote, before they are kept.
//!
//! A destination, or a program, may repeat the lead in its complaints. Looked for is each text of
//! the lead as it is and with its letters escaped as in JSON, and any run of digits as long as a
//! phone number.

use std::fmt::Write;

use serde_json::Value;

/// Texts of less bytes, or of one letter, are not looked for: they would hide everything.
const SHORTEST: usize = 3;
/// Digits in a row, not counting what groups them, that are taken for a number of a person.
const DIGITS: usize = 10;
/// What stands instead.
const MASK: &str = "***";

/// What must not be kept.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that no part of one is left.
    hidden: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Redactor").finish_non_exhaustive()
    }
}

impl Redactor {
    /// Hides the texts of the leads in these events.
    ///
    /// ```
    /// use leadgate_plugin::redact::Redactor;
    /// let event = r#"{"lead":{"name":"张三","phone":"13567658911"}}"#.as_bytes();
    /// let redactor = Redactor::of_events([event]);
    /// assert_eq!(redactor.text("张三 is there, 139 1234-5678 too"), "*** is there, *** too");
    /// assert_eq!(redactor.text(r"no \u5f20\u4e09"), "no ***");
    /// ```
    pub fn of_events<'a>(events: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hidden = Vec::new();
        for event in events {
            let event: Value = serde_json::from_slice(event).unwrap_or_default();
            texts(&event["lead"], &mut hidden);
        }
        hidden.retain(|text| {
            let says = text.chars().any(char::is_alphanumeric);
            says && text.len() >= SHORTEST && text.chars().count() > 1
        });
        let escaped: Vec<String> = hidden.iter().filter_map(|text| escaped(text)).collect();
        hidden.extend(escaped);
        hidden.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        hidden.dedup();
        Self { hidden }
    }

    /// `text` without what the leads say: enough for an id, which may be a long number.
    pub fn hide(&self, text: &str) -> String {
        self.hidden.iter().fold(text.to_owned(), |text, hidden| {
            if text.contains(hidden.as_str()) {
                text.replace(hidden.as_str(), MASK)
            } else {
                text
            }
        })
    }

    /// `text` without what the leads say and without long numbers.
    pub fn text(&self, text: &str) -> String {
        without_numbers(&self.hide(text))
    }
}

/// Adds every text in `value`, as it is and trimmed, to `found`.
pub fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            found.push(text.clone());
            let trimmed = text.trim();
            if trimmed != text {
                found.push(trimmed.to_owned());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

/// As a JSON writer that keeps to ASCII has it; `None` if that is no other text.
fn escaped(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let mut escaped = String::with_capacity(text.len() * 2);
    let mut units = [0; 2];
    for letter in text.chars() {
        if letter.is_ascii() {
            escaped.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut units) {
                // Writing into a text does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    Some(escaped)
}

/// Takes out runs of digits, also grouped ones such as `135-6765 8911`. Dates, times and UUIDs stay.
pub fn without_numbers(text: &str) -> String {
    mask_numbers(text, stays)
}

/// The same, and no date, time or UUID stays if it looks like one.
pub fn without_any_number(text: &str) -> String {
    mask_numbers(text, |_| 0)
}

/// `stays` says how many bytes at the front of a text are no number of a person.
fn mask_numbers(text: &str, stays: impl Fn(&str) -> usize) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut run = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let begins = run.is_empty() && !kept.ends_with(|before: char| before.is_alphanumeric());
        let whole = if begins { stays(rest) } else { 0 };
        if whole > 0 {
            kept.push_str(&rest[..whole]);
            rest = &rest[whole..];
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        if letter.is_ascii_digit() || (!run.is_empty() && matches!(letter, ' ' | '-')) {
            run.push(letter);
        } else {
            end(&mut run, &mut kept);
            kept.push(letter);
        }
    }
    end(&mut run, &mut kept);
    kept
}

/// Ends a run of digits and what groups them.
fn end(run: &mut String, kept: &mut String) {
    if run.chars().filter(char::is_ascii_digit).count() >= DIGITS {
        let tail = run.len() - run.trim_end_matches([' ', '-']).len();
        kept.push_str(MASK);
        kept.push_str(&run[run.len() - tail..]);
    } else {
        kept.push_str(run);
    }
    run.clear();
}

/// How many bytes at the front of `text` are a UUID, a date or a time, which say nothing of a person.
fn stays(text: &str) -> usize {
    // `x` is a hexadecimal digit, `d` a decimal one.
    const SHAPES: [&str; 3] = [
        "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
        "20dd-dd-dd",
        "dd:dd:dd",
    ];
    let bytes = text.as_bytes();
    let fits = |shape: &&&str| {
        let alike = |(shape, byte): (u8, &u8)| match shape {
            b'x' => byte.is_ascii_hexdigit(),
            b'd' => byte.is_ascii_digit(),
            other => *byte == other,
        };
        let behind = bytes.get(shape.len());
        bytes.len() >= shape.len()
            && shape.bytes().zip(bytes).all(alike)
            && !behind.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    SHAPES.iter().find(fits).map_or(0, |shape| shape.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_lead_says_is_taken_out_however_it_is_written() {
        let event = r#"{"lead":{"name":" 张三 ","nick":"tb_zhang_3","gender":"男","extra":"{}","state":"OK","record_id":371009,
            "other":{"notes":["tb_zhang","愿意😀"]}}}"#;
        let redactor = Redactor::of_events([event.as_bytes(), b"no json"]);
        for (text, kept) in [
            ("张三, tb_zhang_3 and tb_zhang", "***, *** and ***"),
            (r"\u5f20\u4e09 \u613f\u610f\ud83d\ude00", "*** ***"),
            ("record 371009 of 男: OK {}", "record 371009 of 男: OK {}"),
            ("call 135-6765 8911 or 13567658911x", "call *** or ***x"),
            ("code 99991663, 2026-11-28", "code 99991663, 2026-11-28"),
            (
                "2026-11-28 10:15:00 135 6765 8911",
                "2026-11-28 10:15:00 ***",
            ),
            (
                "id 0193a6f2-1234-7abc-8def-135676589110",
                "id 0193a6f2-1234-7abc-8def-135676589110",
            ),
            (
                "x0193a6f2-1234-7abc-8def-135676589110",
                "x0193a6f2-1234-7abc-8def-***",
            ),
        ] {
            assert_eq!(redactor.text(text), kept);
        }
        assert_eq!(redactor.hide("99991234567 张三"), "99991234567 ***");
        assert!(!format!("{redactor:?}").contains("tb_"));
    }
}
