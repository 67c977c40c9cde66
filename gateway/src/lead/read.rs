//! From what a push said to a [`Lead`]: tolerant of types, strict about losing nothing.
//!
//! - A number field takes an integer, or a string that is one. Ids beyond 2^53 stay exact.
//! - A text field takes a string, or a number with its digits as they came. `extra` and
//!   `base_extra` take any JSON, as its text.
//! - `""` and `null` mean absent.
//! - A value that does not fit goes to `other` under its field's name, as do unknown fields.
//! - Of a repeated key the last counts.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::Slot;
use super::json::{Json, TooDeep, unquote};
use super::{FIELDS, Lead};

/// Why a text holds no lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON, or nested beyond reason.
    #[error("not JSON, or nested too deeply")]
    Unparsable,
    /// JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// None of the document's fields has a value.
    #[error("none of the {FIELDS} known fields has a value")]
    NoKnownField,
}

impl Unreadable {
    /// The reason's stable name.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unparsable => "unparsable",
            Self::NotAnObject => "not_an_object",
            Self::NoKnownField => "no_known_field",
        }
    }
}

impl Lead {
    /// Reads a lead from a JSON object; a byte order mark in front is no obstacle.
    ///
    /// ```
    /// let lead = leadgate::lead::Lead::parse_json(r#"{"record_id": "371009", "phone": ""}"#)?;
    /// assert_eq!(lead.record_id, Some(371009));
    /// assert_eq!(lead.phone, None);
    /// # Ok::<(), leadgate::lead::Unreadable>(())
    /// ```
    pub fn parse_json(text: &str) -> Result<Self, Unreadable> {
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let json_space = |c| matches!(c, ' ' | '\t' | '\r' | '\n');
        if !text.trim_start_matches(json_space).starts_with('{') {
            // Skipping a value needs no recursion, however deep it is.
            return Err(match serde_json::from_str::<&RawValue>(text) {
                Ok(_) => Unreadable::NotAnObject,
                Err(_) => Unreadable::Unparsable,
            });
        }
        let Object(lead) = serde_json::from_str(text).map_err(|_| Unreadable::Unparsable)?;
        lead.known()
    }

    /// Reads a lead from parameters, each name once.
    pub fn from_params<'a>(
        params: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Unreadable> {
        let mut lead = Self::default();
        for (name, value) in params {
            lead.set_text(name, value);
        }
        lead.known()
    }

    /// A lead of which nothing is known but its text, which stands in [`Lead::other`] as
    /// `unread`: what a person released although nobody could read it.
    pub fn unread(text: &str) -> Self {
        let mut lead = Self::default();
        lead.set_text("unread", text);
        lead
    }

    fn known(self) -> Result<Self, Unreadable> {
        let misfit = |lead: &Self| lead.other.keys().any(|name| lead.field(name).is_some());
        if self.fields().iter().any(|field| !field.value.is_absent()) || misfit(&self) {
            Ok(self)
        } else {
            Err(Unreadable::NoKnownField)
        }
    }

    fn set_json(&mut self, name: &str, raw: &str) -> Result<(), TooDeep> {
        match raw.as_bytes()[0] {
            b'"' => self.set_text(name, &unquote(raw)),
            b'-' | b'0'..=b'9' => match self.cleared(name) {
                Some(Slot::Text(slot)) => *slot = Some(raw.to_owned()),
                Some(Slot::Number(slot)) => {
                    *slot = integer(raw);
                    if slot.is_none() {
                        self.keep(name, Json::from_valid(raw)?);
                    }
                }
                None => self.keep(name, Json::from_valid(raw)?),
            },
            b'n' if self.cleared(name).is_some() => {}
            _ => match self.cleared(name) {
                Some(Slot::Text(slot)) if matches!(name, "extra" | "base_extra") => {
                    *slot = Some(raw.to_owned());
                }
                _ => self.keep(name, Json::from_valid(raw)?),
            },
        }
        Ok(())
    }

    fn set_text(&mut self, name: &str, text: &str) {
        match self.cleared(name) {
            Some(Slot::Text(slot)) => *slot = (!text.is_empty()).then(|| text.to_owned()),
            Some(Slot::Number(slot)) => {
                *slot = integer(text.trim());
                if slot.is_none() && !text.trim().is_empty() {
                    self.keep(name, Json::string(text));
                }
            }
            None => self.keep(name, Json::string(text)),
        }
    }

    /// The field's slot, with nothing left of an earlier value of the same name.
    fn cleared(&mut self, name: &str) -> Option<Slot<'_>> {
        if !self.other.is_empty() {
            self.other.remove(name);
        }
        let mut slot = self.slot(name)?;
        match &mut slot {
            Slot::Number(value) => **value = None,
            Slot::Text(value) => **value = None,
        }
        Some(slot)
    }

    fn keep(&mut self, name: &str, value: Json) {
        self.other.insert(name.to_owned(), value);
    }
}

/// `text` as an integer, if that is all it says: `007` and `1.0` say more.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (!digits.starts_with('0') || text == "0");
    if plain { text.parse().ok() } else { None }
}

/// A JSON object read as a lead.
struct Object(Lead);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields).map(Self)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Lead;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a lead")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lead, A::Error> {
        let mut lead = Lead::default();
        while let Some(Name(name)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            lead.set_json(&name, value.get())
                .map_err(|TooDeep| serde::de::Error::custom("nested too deeply"))?;
        }
        Ok(lead)
    }
}

/// A key, borrowed when it has no escapes.
struct Name<'a>(std::borrow::Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a field's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(name.into()))
    }

    fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
        Ok(Name(name.to_owned().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lead::SAMPLE;

    fn read(text: &str) -> Lead {
        Lead::parse_json(text).expect("a lead")
    }

    fn other(lead: &Lead, name: &str) -> Option<String> {
        lead.other.get(name).map(|value| value.as_str().to_owned())
    }

    #[test]
    fn the_sample_has_every_field_and_nothing_else() {
        let lead = read(SAMPLE);
        assert!(lead.fields().iter().all(|field| !field.value.is_absent()));
        assert!(lead.other.is_empty());
        assert_eq!(lead.store_id, Some(437_763_404));
        assert_eq!(lead.city_name.as_deref(), Some("杭州"));
        assert_eq!(lead.extra.as_deref(), Some("{}"));
    }

    #[test]
    fn numbers_and_strings_stand_in_for_each_other() {
        let lead = read(r#"{"record_id":"371009","store_id":" 7 ","kf_id":99,"order_id":1.50}"#);
        assert_eq!(lead.record_id, Some(371_009));
        assert_eq!(lead.store_id, Some(7));
        assert_eq!(lead.kf_id.as_deref(), Some("99"));
        assert_eq!(lead.order_id.as_deref(), Some("1.50"));
    }

    #[test]
    fn ids_beyond_two_to_the_53_stay_exact() {
        let lead = read(r#"{"record_id":9007199254740993,"seller_id":"9223372036854775807"}"#);
        assert_eq!(lead.record_id, Some(9_007_199_254_740_993));
        assert_eq!(lead.seller_id, Some(i64::MAX));
    }

    #[test]
    fn what_does_not_fit_its_field_is_kept_verbatim() {
        let lead = read(
            r#"{"record_id":"R-1","seller_id":9223372036854775808,"store_id":1.0,
                "channel":"007","activity_id":true,"phone":["1", 2],"required_store":-0}"#,
        );
        assert_eq!(lead.record_id, None);
        for (name, value) in [
            ("record_id", r#""R-1""#),
            ("seller_id", "9223372036854775808"),
            ("store_id", "1.0"),
            ("channel", r#""007""#),
            ("activity_id", "true"),
            ("phone", r#"["1",2]"#),
            ("required_store", "-0"),
        ] {
            assert_eq!(other(&lead, name).as_deref(), Some(value), "{name}");
        }
    }

    #[test]
    fn empty_and_null_are_absent() {
        let lead =
            read(r#"{"name":"","phone":null,"record_id":"","store_id":" ","city_code":"1"}"#);
        let only = Lead {
            city_code: Some("1".into()),
            ..Lead::default()
        };
        assert!(lead == only);
    }

    #[test]
    fn the_last_of_a_repeated_key_counts() {
        let lead = read(r#"{"record_id":1,"record_id":"x","record_id":3,"name":"a","name":""}"#);
        assert_eq!(lead.record_id, Some(3));
        assert_eq!(lead.name, None);
        assert!(lead.other.is_empty());
        let lead = read(r#"{"record_id":1,"record_id":"x","new":1,"new":2}"#);
        assert_eq!(lead.record_id, None);
        assert_eq!(other(&lead, "record_id").as_deref(), Some(r#""x""#));
        assert_eq!(other(&lead, "new").as_deref(), Some("2"));
    }

    #[test]
    fn unknown_fields_are_kept() {
        let lead = read(r#"{"phone":"1","new":{"b":1, "a":[12345678901234567890123]},"":null}"#);
        let kept = r#"{"b":1,"a":[12345678901234567890123]}"#;
        assert_eq!(other(&lead, "new").as_deref(), Some(kept));
        assert_eq!(other(&lead, "").as_deref(), Some("null"));
    }

    #[test]
    fn extra_may_come_as_json_instead_of_a_string() {
        let lead = read(r#"{"extra":{"channelName": "直播"},"base_extra":"{\"a\":1}"}"#);
        assert_eq!(lead.extra.as_deref(), Some(r#"{"channelName": "直播"}"#));
        assert_eq!(lead.base_extra.as_deref(), Some(r#"{"a":1}"#));
    }

    #[test]
    fn a_lead_of_which_every_field_but_one_is_missing_is_a_lead() {
        for name in Lead::NAMES {
            assert!(Lead::parse_json(&format!(r#"{{"{name}":"1"}}"#)).is_ok());
            assert!(Lead::parse_json(&format!(r#"{{"{name}":[]}}"#)).is_ok());
        }
    }

    #[test]
    fn what_is_no_lead_says_why() {
        let deep = |n: usize| format!(r#"{{"phone":"1","x":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        for (text, why) in [
            ("", Unreadable::Unparsable),
            ("{", Unreadable::Unparsable),
            (r#"{"phone":"1"} x"#, Unreadable::Unparsable),
            (r#"{"phone":"1\u12"}"#, Unreadable::Unparsable),
            ("<xml/>", Unreadable::Unparsable),
            ("[{}]", Unreadable::NotAnObject),
            ("null", Unreadable::NotAnObject),
            ("{}", Unreadable::NoKnownField),
            (r#"{"z":1}"#, Unreadable::NoKnownField),
            (r#"{"phone":"","record_id":null}"#, Unreadable::NoKnownField),
            (&deep(100_000), Unreadable::Unparsable),
            (&"[".repeat(100_000), Unreadable::Unparsable),
            (&r#"{"a":"#.repeat(100_000), Unreadable::Unparsable),
        ] {
            let read = Lead::parse_json(text).map(|_| ());
            assert_eq!(read, Err(why), "{text:.40}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_a_lone_surrogate_are_no_obstacle() {
        let lead = read("\u{feff} {\"name\":\"a\\ud83c\"}");
        assert_eq!(lead.name.as_deref(), Some("a\u{fffd}"));
    }

    #[test]
    fn parameters_read_like_json_strings() {
        let lead = Lead::from_params([("record_id", "5"), ("phone", ""), ("new", "1")]);
        let lead = lead.expect("a lead");
        assert_eq!(lead.record_id, Some(5));
        assert_eq!(lead.phone, None);
        assert_eq!(other(&lead, "new").as_deref(), Some(r#""1""#));
        assert!(Lead::from_params([("new", "1")]).is_err());
    }
}
