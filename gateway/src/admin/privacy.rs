//! Privacy: what the API shows of a person unless asked to reveal.
//!
//! A list of what may be shown, not of what may not: a field that nobody thought of is
//! hidden. Names and phones keep as much as an operator needs to recognise them.

use serde_json::{Map, Value};

/// Fields of a lead that say nothing of who it is.
const SHOWN: [&str; 30] = [
    "record_id",
    "seller_id",
    "store_id",
    "required_store",
    "activity_id",
    "channel",
    "customer_status",
    "purchase_intention",
    "intended_category",
    "customer_budget",
    "decoration_type",
    "decoration_style",
    "decoration_stage",
    "province_code",
    "province_name",
    "city_code",
    "city_name",
    "area_code",
    "area_name",
    "kf_id",
    "gmt_modified",
    "gmt_modified_at",
    "gmt_appointment",
    "gmt_appointment_at",
    "customer_appointment",
    "customer_appointment_at",
    "street_code",
    "phone",
    "phone_e164",
    "name",
];

/// A lead's JSON as shown by default; what is hidden is `***`, what is absent stays `null`.
pub(super) fn masked(lead: &str) -> Value {
    let lead: Map<String, Value> = serde_json::from_str(lead).unwrap_or_default();
    let shown = lead.into_iter().map(|(name, value)| {
        let value = match (name.as_str(), value) {
            (_, Value::Null) => Value::Null,
            ("phone" | "phone_e164", Value::String(phone)) => mask_phone(&phone).into(),
            ("name", Value::String(person)) => mask_name(&person).into(),
            // The sender's own fields: their names say enough.
            ("other", Value::Object(other)) => hidden(other),
            (name, value) if SHOWN.contains(&name) => value,
            _ => "***".into(),
        };
        (name, value)
    });
    Value::Object(shown.collect())
}

fn hidden(fields: Map<String, Value>) -> Value {
    let hidden = fields.into_iter().map(|(name, _)| (name, "***".into()));
    Value::Object(hidden.collect())
}

/// Labels of the fields that are shown.
pub(super) fn labels(labels: &str) -> Value {
    let labels: Map<String, Value> = serde_json::from_str(labels).unwrap_or_default();
    let shown = labels
        .into_iter()
        .filter(|(name, _)| SHOWN.contains(&name.as_str()));
    Value::Object(shown.collect())
}

/// `13567658911` → `135****8911`, `+8613567658911` → `+86135****8911`; of what is shorter,
/// only its end.
fn mask_phone(phone: &str) -> String {
    let letters: Vec<char> = phone.chars().collect();
    let count = letters.len();
    if count < 11 {
        let tail = if count > 6 { count - 2 } else { count };
        return (0..count)
            .map(|at| if at < tail { '*' } else { letters[at] })
            .collect();
    }
    let hidden = count - 8..count - 4;
    letters
        .iter()
        .enumerate()
        .map(|(at, letter)| if hidden.contains(&at) { '*' } else { *letter })
        .collect()
}

/// `张三` → `张*`, `Anna` → `A***`.
fn mask_name(name: &str) -> String {
    name.chars()
        .enumerate()
        .map(|(at, letter)| if at == 0 { letter } else { '*' })
        .collect()
}

/// Text of a plugin or a destination, which may repeat a number although it should not:
/// eleven digits or more in a row lose all but the last two.
pub(super) fn without_phones(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut digits = String::new();
    for letter in text.chars().chain(std::iter::once('\0')) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        if digits.len() >= 11 {
            out.push_str("***");
            out.push_str(&digits[digits.len() - 2..]);
        } else {
            out.push_str(&digits);
        }
        digits.clear();
        out.push(letter);
    }
    out.pop();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lead::{Lead, SAMPLE};

    #[test]
    fn nothing_of_the_sample_that_says_who_it_is_is_shown() {
        let mut lead = Lead::parse_json(SAMPLE).expect("the sample");
        lead.extra = Some("{\"who\":\"张三\"}".to_owned());
        let json = String::from_utf8(lead.json()).expect("text");
        let shown = masked(&json);
        let text = shown.to_string();
        for personal in [
            "13567658911",
            "张三",
            "仓前街道",
            "浙江杭州",
            "43534cf9d5154543",
            "11111",
        ] {
            assert!(!text.contains(personal), "{personal}: {text}");
        }
        assert_eq!(shown["phone"], "135****8911");
        assert_eq!(shown["phone_e164"], "+86135****8911");
        assert_eq!(shown["name"], "张*");
        assert_eq!(shown["record_id"], 371_009);
        assert_eq!(shown["city_name"], "杭州");
        let known = SHOWN.iter().filter(|name| shown.get(**name).is_some());
        assert_eq!(known.count(), SHOWN.len(), "each name is a field");
    }

    #[test]
    fn numbers_like_phones_do_not_pass() {
        assert_eq!(without_phones("no 13567658911!"), "no ***11!");
        assert_eq!(
            without_phones("status 503, 13567658911"),
            "status 503, ***11"
        );
        assert_eq!(without_phones(""), "");
        assert_eq!(mask_phone("0571-8888"), "*******88");
        assert_eq!(mask_phone("12345"), "*****");
    }
}
