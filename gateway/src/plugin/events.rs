//! Events: what a plugin writes into the log.
//!
//! A plugin is told never to log personal data; what looks like a phone is masked all the same.
//! Usual names become fields of the event; others stand together in `more`, because the names
//! of an event's fields are fixed when this program is compiled.

use std::sync::OnceLock;

use leadgate_plugin::abi;
use serde_json::Value;

/// Fields of one event that count.
const FIELDS: usize = 16;
/// Longest name and value, in characters.
const NAME: usize = 40;
const VALUE: usize = 300;

macro_rules! usual {
    ($($name:ident)*) => {
        const USUAL: &[&str] = &[$(stringify!($name)),*];

        /// Writes one event.
        fn write(sink: &str, plugin: &str, level: u32, message: &str, fields: &Fields) {
            let more = (!fields.more.is_empty()).then_some(fields.more.as_str());
            macro_rules! at {
                ($level:ident) => {
                    tracing::$level!(
                        sink, plugin, $($name = fields.usual(stringify!($name)),)* more, "{message}"
                    )
                };
            }
            match level {
                abi::LOG_ERROR => at!(error),
                abi::LOG_WARN => at!(warn),
                abi::LOG_INFO => at!(info),
                _ => at!(debug),
            }
        }
    };
}

usual! {
    delivery lead attempt reason rule error status code kind count took_ms wait_ms refused
    recipients leads server topic path
}

/// An event's fields: name and value.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fields {
    usual: Vec<(String, String)>,
    more: String,
}

impl Fields {
    fn usual(&self, name: &str) -> Option<&str> {
        let found = self.usual.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Of a JSON object; anything else stands as it is.
    fn read(text: &str) -> Self {
        let mut fields = Self::default();
        let add = |more: &mut String, name: &str, value: &str| {
            if !more.is_empty() {
                more.push(' ');
            }
            more.push_str(name);
            more.push('=');
            more.push_str(value);
        };
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => {
                let left = object.len().saturating_sub(FIELDS);
                for (name, value) in object.into_iter().take(FIELDS) {
                    let name = masked(&cut(&name, NAME));
                    let value = match value {
                        Value::String(text) => text,
                        Value::Null => continue,
                        other => other.to_string(),
                    };
                    let value = masked(&cut(&value, VALUE));
                    if USUAL.contains(&name.as_str()) {
                        fields.usual.push((name, value));
                    } else {
                        add(&mut fields.more, &name, &value);
                    }
                }
                if left > 0 {
                    add(&mut fields.more, "left_out", &left.to_string());
                }
            }
            _ if text.trim().is_empty() => {}
            _ => add(&mut fields.more, "fields", &masked(&cut(text, VALUE))),
        }
        fields
    }
}

/// Takes level, message and fields.
type Forward = Box<dyn Fn(u32, &str, &str) + Send + Sync>;

/// Where events go from a process that has no log of its own.
static FORWARD: OnceLock<Forward> = OnceLock::new();

/// Has this process give all that plugins say to `forward` instead of its own log, as it is.
pub(super) fn forward(forward: Forward) {
    // Only fails if it was said before.
    let _ = FORWARD.set(forward);
}

/// Logs what the plugin of `sink` says.
pub(super) fn log(sink: &str, plugin: &str, level: u32, message: &str, fields: &str) {
    if let Some(forward) = FORWARD.get() {
        return forward(level, message, fields);
    }
    let message = masked(&cut(message, VALUE));
    write(sink, plugin, level, &message, &Fields::read(fields));
}

/// At most so many characters, on one line.
fn cut(text: &str, most: usize) -> String {
    let line = text
        .chars()
        .map(|one| if one.is_control() { ' ' } else { one });
    let mut cut: String = line.clone().take(most).collect();
    if line.count() > most {
        cut.push('…');
    }
    cut
}

/// With stars for what may be a phone: a mobile or a number with its area code, whatever
/// stands between the digits.
fn masked(text: &str) -> String {
    if uuid::Uuid::try_parse(text).is_ok() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let (mut run, mut digits) = (String::new(), String::new());
    let flush = |out: &mut String, run: &mut String, digits: &mut String| {
        if is_phone(digits) {
            let behind: String = run.chars().rev().take_while(|one| *one == ' ').collect();
            out.push_str("***");
            out.push_str(&behind);
        } else {
            out.push_str(run);
        }
        run.clear();
        digits.clear();
    };
    for one in text.chars() {
        let digit = match one {
            '0'..='9' => Some(one),
            '０'..='９' => char::from_digit(one as u32 - '０' as u32, 10),
            _ => None,
        };
        let filler = matches!(
            one,
            ' ' | '-' | '(' | ')' | '+' | '.' | '（' | '）' | '－' | '·'
        ) || matches!(one, '\u{2010}'..='\u{2015}' | '\u{200B}'..='\u{200F}' | '\u{FEFF}');
        match digit {
            Some(digit) => {
                run.push(one);
                digits.push(digit);
            }
            None if filler && !run.is_empty() => run.push(one),
            None => {
                flush(&mut out, &mut run, &mut digits);
                out.push(one);
            }
        }
    }
    flush(&mut out, &mut run, &mut digits);
    out
}

fn is_phone(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    let mobile = |window: &[u8]| window[0] == b'1' && matches!(window[1], b'3'..=b'9');
    bytes.windows(11).any(mobile) || (matches!(bytes.len(), 10..=12) && bytes[0] == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_become_fields_and_others_stand_together() {
        let fields = Fields::read(r#"{"rule":"status-5xx","code":503,"store":"shop","on":true}"#);
        assert_eq!(fields.usual("rule"), Some("status-5xx"));
        assert_eq!(fields.usual("code"), Some("503"));
        let mut more: Vec<_> = fields.more.split(' ').collect();
        more.sort_unstable();
        assert_eq!(more, ["on=true", "store=shop"]);
        assert_eq!(Fields::read("{}"), Fields::default());
        assert_eq!(Fields::read(""), Fields::default());
        assert_eq!(Fields::read("no json").more, "fields=no json");
    }

    #[test]
    fn fields_are_bounded_in_number_and_length_and_stay_on_their_line() {
        let many: serde_json::Map<_, _> = (0..99)
            .map(|n| (format!("k{n}"), Value::from("v\nw".repeat(1000))))
            .collect();
        let fields = Fields::read(&Value::Object(many).to_string());
        assert!(fields.more.chars().count() < FIELDS * (NAME + VALUE + 3));
        assert!(fields.more.ends_with("left_out=83"), "{}", fields.more);
        assert!(!fields.more.contains('\n'));
    }

    #[test]
    fn phones_are_masked_however_they_are_written() {
        for phone in [
            "13567658911",
            "+86 135-6765-8911",
            "(0086)13567658911",
            "１３５６７６５８９１１",
            "135 6765 8911",
            "0571-88888888",
            "13567658911/13900000001",
        ] {
            for text in [
                phone.to_owned(),
                format!("lead 张三 {phone} refused"),
                format!("x{phone}y"),
            ] {
                let shown = masked(&text);
                let digits = shown.chars().filter(char::is_ascii_digit).count();
                assert!(digits == 0 && shown.contains("***"), "{text} -> {shown}");
            }
        }
        let number = Fields::read(r#"{"phone":13567658911,"13567658911":1}"#).more;
        assert!(!number.contains("13567658911"), "{number}");
    }

    #[test]
    fn other_numbers_stay() {
        for text in [
            "status 503 after 1200 ms",
            "437763404",
            "2026-11-28",
            "0193a6f2-1234-7abc-8def-135676589110",
        ] {
            assert_eq!(masked(text), text);
        }
    }
}
