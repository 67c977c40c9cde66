//! The `lead` object of the event: [`Lead::json`], and the same for any serializer.
//!
//! All of the document's fields are there in its order, `null` when absent; then what was
//! derived from them; then `other`. Written straight into the buffer: this is on the path
//! between a push and its answer.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::fields::Value;
use super::{Lead, time};

impl Lead {
    /// The lead as the event shows it, compact: the document's fields, `phone_e164`,
    /// `customer_appointment_at`, `gmt_modified_at`, `gmt_appointment_at` (RFC 3339, +08:00)
    /// and `other`.
    pub fn json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2048);
        out.push(b'{');
        for field in self.fields() {
            out.extend_from_slice(field.key.as_bytes());
            match field.value {
                Value::Number(Some(number)) => value(&mut out, &number),
                Value::Text(Some(text)) => value(&mut out, text),
                Value::Number(None) | Value::Text(None) => out.extend_from_slice(b"null"),
            }
            out.push(b',');
        }
        for (name, derived) in self.derived() {
            value(&mut out, name);
            out.push(b':');
            value(&mut out, &derived);
            out.push(b',');
        }
        out.extend_from_slice(b"\"other\":{");
        for (at, (name, json)) in self.other.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            value(&mut out, name);
            out.push(b':');
            out.extend_from_slice(json.as_str().as_bytes());
        }
        out.extend_from_slice(b"}}");
        out
    }

    fn derived(&self) -> [(&'static str, Option<String>); 4] {
        let time = |text: &Option<String>| time::rfc3339(text.as_deref()?);
        let phone = self.phone_e164().map(|phone| phone.as_str().to_owned());
        [
            ("phone_e164", phone),
            ("customer_appointment_at", time(&self.customer_appointment)),
            ("gmt_modified_at", time(&self.gmt_modified)),
            ("gmt_appointment_at", time(&self.gmt_appointment)),
        ]
    }
}

fn value<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("writing to memory does not fail");
}

impl Serialize for Lead {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(super::FIELDS + 5))?;
        for field in self.fields() {
            match field.value {
                Value::Number(number) => map.serialize_entry(field.name, &number)?,
                Value::Text(text) => map.serialize_entry(field.name, &text)?,
            }
        }
        for (name, derived) in self.derived() {
            map.serialize_entry(name, &derived)?;
        }
        map.serialize_entry("other", &self.other)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use crate::lead::{Lead, SAMPLE};

    #[test]
    fn the_event_shows_every_field_in_the_documents_order() {
        let lead = Lead::parse_json(r#"{"phone":"135-6765-8911","new":[1.10]}"#).expect("a lead");
        let text = String::from_utf8(lead.json()).expect("text");
        let mut expected = String::from("{");
        for name in Lead::NAMES {
            let value = if name == "phone" {
                "\"135-6765-8911\""
            } else {
                "null"
            };
            expected.extend(["\"", name, "\":", value, ","]);
        }
        expected += concat!(
            r#""phone_e164":"+8613567658911","customer_appointment_at":null,"#,
            r#""gmt_modified_at":null,"gmt_appointment_at":null,"other":{"new":[1.10]}}"#
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn times_are_given_with_their_zone() {
        let lead = Lead::parse_json(SAMPLE).expect("the sample");
        let json: serde_json::Value = serde_json::from_slice(&lead.json()).expect("json");
        assert_eq!(json["gmt_modified_at"], "2021-07-17T23:59:59+08:00");
        assert_eq!(json["gmt_modified"], "2021-07-17 23:59:59");
        assert_eq!(json["record_id"], 371_009);
        assert_eq!(json["other"], serde_json::json!({}));
    }

    #[test]
    fn a_serializer_gives_the_same() {
        let text = r#"{"name":"\"张\n三\u0001","record_id":-5,"a":{"x":[1,2.5,"é"]},"b":null}"#;
        for text in [SAMPLE, text] {
            let lead = Lead::parse_json(text).expect("a lead");
            assert_eq!(serde_json::to_vec(&lead).expect("json"), lead.json());
        }
    }

    proptest::proptest! {
        #[test]
        fn a_lead_reads_back_from_its_own_json(
            name in ".{1,20}", id: i64, unknown in "[a-z]{1,3}", value in ".{0,20}"
        ) {
            let text = serde_json::json!({"name": name, "record_id": id, &unknown: value});
            let lead = Lead::parse_json(&text.to_string()).expect("a lead");
            let json: serde_json::Value = serde_json::from_slice(&lead.json()).expect("json");
            proptest::prop_assert_eq!(&json["name"], &name);
            proptest::prop_assert_eq!(&json["record_id"], id);
            proptest::prop_assert_eq!(&json["other"][&unknown], &value);
        }
    }
}
