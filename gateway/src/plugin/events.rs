//! Events: what a plugin writes into the log.
//!
//! A plugin is told never to log personal data; what looks like a phone is masked all the same.
//! Its fields are fields of the event, so many of them and as long as may be. What cannot be a
//! field, because of its name or because plugins have used too many names, stands in `more`.

use std::fmt;
use std::sync::OnceLock;

use leadgate_plugin::abi;
use serde_json::Value;
use tracing::Level;
use tracing::field::display;

use super::callsites::{self, SITES, Sites};

/// Fields of one event that count.
const FIELDS: usize = callsites::NAMES;
/// Longest name and value, in characters.
const NAME: usize = 40;
const VALUE: usize = 300;
/// Characters behind those that tell whether the last of them are of a phone.
const AROUND: usize = 64;

/// What is the gateway's own to say of an event.
const TAKEN: &[&str] = &[
    "message",
    "sink",
    "plugin",
    "more",
    "timestamp",
    "level",
    "target",
    "span",
    "spans",
    "fields",
    "filename",
    "line_number",
    "threadName",
    "threadId",
];

/// An event's fields.
#[derive(Default)]
struct Fields {
    own: Vec<(String, Shown)>,
    more: String,
}

/// The value of a field.
enum Shown {
    Text(String),
    Flag(bool),
    Whole(i64),
    Large(u64),
    Real(f64),
}

impl Shown {
    /// `text` is what `value` is when it is masked and cut.
    fn of(value: &Value, text: String) -> Self {
        match value {
            Value::Bool(flag) => Self::Flag(*flag),
            // A number that was masked is none any more.
            Value::Number(number) if number.to_string() == text => {
                let whole = number.as_i64().map(Self::Whole);
                let large = || number.as_u64().map(Self::Large);
                let real = || number.as_f64().map(Self::Real);
                let shown = whole.or_else(large).or_else(real);
                shown.unwrap_or(Self::Text(text))
            }
            _ => Self::Text(text),
        }
    }

    fn value(&self) -> &dyn tracing::Value {
        match self {
            Self::Text(text) => text,
            Self::Flag(flag) => flag,
            Self::Whole(number) => number,
            Self::Large(number) => number,
            Self::Real(number) => number,
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Flag(flag) => flag.fmt(formatter),
            Self::Whole(number) => number.fmt(formatter),
            Self::Large(number) => number.fmt(formatter),
            Self::Real(number) => number.fmt(formatter),
        }
    }
}

impl Fields {
    /// Of a JSON object; anything else stands as it is.
    fn read(text: &str) -> Self {
        let mut fields = Self::default();
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => {
                let left = object.len().saturating_sub(FIELDS);
                for (name, value) in object.into_iter().take(FIELDS) {
                    fields.add(&name, &value);
                }
                if left > 0 {
                    fields.add_more("left_out", &left.to_string());
                }
            }
            _ if text.trim().is_empty() => {}
            _ => fields.add_more("fields", &shown(text, VALUE)),
        }
        fields
    }

    fn add(&mut self, name: &str, value: &Value) {
        let text = match value {
            Value::Null => return,
            Value::String(text) => shown(text, VALUE),
            other => shown(&other.to_string(), VALUE),
        };
        if may_name(name) {
            self.own.push((name.to_owned(), Shown::of(value, text)));
        } else {
            self.add_more(&shown(name, NAME), &text);
        }
    }

    /// All of them without names of their own.
    fn together(mut self) -> Self {
        for (name, shown) in std::mem::take(&mut self.own) {
            self.add_more(&name, &shown.to_string());
        }
        self
    }

    fn names(&self) -> Vec<String> {
        self.own.iter().map(|(name, _)| name.clone()).collect()
    }

    fn add_more(&mut self, name: &str, text: &str) {
        if !self.more.is_empty() {
            self.more.push(' ');
        }
        self.more.push_str(name);
        self.more.push('=');
        self.more.push_str(text);
    }
}

/// Whether a field may have this name.
fn may_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    name.len() <= NAME
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(plain)
        && !TAKEN.contains(&name)
        && masked(name) == name
}

/// Writes one event.
fn write(sites: &Sites, (sink, plugin): (&str, &str), level: u32, message: &str, fields: Fields) {
    let level = match level {
        abi::LOG_ERROR => Level::ERROR,
        abi::LOG_WARN => Level::WARN,
        abi::LOG_INFO => Level::INFO,
        _ => Level::DEBUG,
    };
    let (site, fields) = match sites.named(level, fields.names()) {
        Some(site) => (site, fields),
        None => (sites.nameless(level), fields.together()),
    };
    let Fields { own, more } = fields;
    let message = display(message);
    let more = Some(&more).filter(|more| !more.is_empty());
    let more = more.map(|more| more as &dyn tracing::Value);
    let values: Vec<_> = own.iter().map(|(_, shown)| shown.value()).collect();
    let common: [Option<&dyn tracing::Value>; 4] =
        [Some(&message), Some(&sink), Some(&plugin), more];
    callsites::write(site, common, &values);
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
    let message = shown(message, VALUE);
    let fields = Fields::read(fields);
    write(&SITES, (sink, plugin), level, &message, fields);
}

/// As it may be logged: on one line, phones masked, at most so many characters. Masked before it
/// is cut: of a phone that is cut nobody would know that it is one.
fn shown(text: &str, most: usize) -> String {
    // The mask needs no more than what stands around the end.
    cut(&masked(&cut(text, most + AROUND)), most)
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
    use crate::telemetry::logged::Logged;

    /// The fields of the event that is logged with `fields`, without those that each has.
    fn logged(fields: &str) -> serde_json::Map<String, Value> {
        let logged = Logged::here();
        log("crm", "http", abi::LOG_INFO, "hello", fields);
        let [Value::Object(event)] = &logged.events("hello")[..] else {
            panic!("one event");
        };
        assert_eq!(
            (&event["sink"], &event["plugin"]),
            (&"crm".into(), &"http".into())
        );
        let own = |name: &str| !matches!(name, "message" | "sink" | "plugin");
        let event = event.iter().filter(|(name, _)| own(name));
        event
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    #[test]
    fn what_a_plugin_names_are_fields_of_the_event_and_keep_their_types() {
        let fields = r#"{"rule":"status-5xx","code":503,"store":"shop","on":true,"none":null,
            "share":0.5,"sizes":[1,2],"left.over-1":"x"}"#;
        assert_eq!(
            Value::Object(logged(fields)),
            serde_json::json!({
                "rule": "status-5xx", "code": 503, "store": "shop", "on": true, "share": 0.5,
                "sizes": "[1,2]", "left.over-1": "x",
            })
        );
        assert!(logged("{}").is_empty());
        assert!(logged("").is_empty());
        assert_eq!(logged("no json")["more"], "fields=no json");
    }

    #[test]
    fn a_phone_over_the_cut_is_masked_whole() {
        for at in VALUE - 11..VALUE {
            let text = format!("{}13567658911 and more of it", "x".repeat(at));
            let said = shown(&text, VALUE);
            assert!(!said.contains("135"), "{at}: {said}");
            assert!(said.chars().count() <= VALUE + 1, "{at}: {said}");
        }
    }

    #[test]
    fn what_cannot_be_a_field_stands_together() {
        let fields = r#"{"message":"m","sink":"x","a b":1,"客资":2,"k13567658911":3,"good":4}"#;
        let event = logged(fields);
        assert_eq!(event["good"], 4);
        let more = event["more"].as_str().expect("text");
        let mut more: Vec<_> = more.split(' ').collect();
        more.sort_unstable();
        assert_eq!(
            more,
            ["a", "b=1", "k***=3", "message=m", "sink=x", "客资=2"]
        );
        assert_eq!(event.len(), 2);
    }

    #[test]
    fn fields_are_bounded_in_number_and_length_and_stay_on_their_line() {
        let many: serde_json::Map<_, _> = (0..99)
            .map(|n| (format!("k{n}"), Value::from("v\nw".repeat(1000))))
            .collect();
        let event = logged(&Value::Object(many).to_string());
        assert_eq!(event.len(), FIELDS + 1);
        assert_eq!(event["more"], "left_out=83");
        let values = event.values().map(|value| value.as_str().expect("text"));
        for value in values {
            assert!(
                value.chars().count() <= VALUE + 1 && !value.contains('\n'),
                "{value}"
            );
        }
        let long = logged(&format!(r#"{{"{}":1}}"#, "k".repeat(NAME + 1)));
        assert_eq!(long.keys().collect::<Vec<_>>(), ["more"]);
    }

    #[test]
    fn plugins_that_use_too_many_names_have_them_together() {
        let logged = Logged::here();
        let sites = Sites::default();
        for number in 0..1_000 {
            let fields = Fields::read(&format!(r#"{{"at{number}":1}}"#));
            write(&sites, ("crm", "http"), abi::LOG_INFO, "hello", fields);
        }
        let events = logged.events("hello");
        assert_eq!(
            (&events[0]["at0"], &events[0]["more"]),
            (&1.into(), &Value::Null)
        );
        assert_eq!(events[999]["more"], "at999=1");
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
        let number = logged(r#"{"phone":13567658911,"13567658911":1}"#);
        let number = Value::Object(number).to_string();
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
