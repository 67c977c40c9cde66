//! Privacy: what the API shows of a person unless asked to reveal.
//!
//! A list of what may be shown, not of what may not: a field that nobody thought of is
//! hidden. Names and phones keep as much as an operator needs to recognise them.

use std::ops::Range;

use leadgate_plugin::phone;
use serde_json::{Map, Value};

use crate::lead::mask::{self, HIDDEN, digit, groups};
use crate::lead::{Lead, TEST_NAME, TEST_PHONE};

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

/// Of those, the ones of which only a part is.
const PERSONAL: [&str; 3] = ["phone", "phone_e164", "name"];

/// Whether a field of a lead, by its name, says who it is.
pub(super) fn is_personal(field: &str) -> bool {
    let is_field = Lead::NAMES.contains(&field) || field == "other";
    is_field && (!SHOWN.contains(&field) || PERSONAL.contains(&field))
}

/// A lead's JSON as shown by default; what is hidden is `***`, what is absent stays `null`.
pub(super) fn masked(lead: &str) -> Value {
    let lead: Map<String, Value> = serde_json::from_str(lead).unwrap_or_default();
    let shown = lead.into_iter().map(|(name, value)| {
        let value = match (name.as_str(), value) {
            (_, Value::Null) => Value::Null,
            ("phone" | "phone_e164", Value::String(phone)) => mask::phone(&phone).into(),
            ("name", Value::String(person)) => mask::name(&person).into(),
            // The sender's own fields: their names say enough.
            ("other", Value::Object(other)) => hidden(other),
            // A sender may put anything into any text.
            (name, Value::String(text)) if SHOWN.contains(&name) => without_phones(&text).into(),
            (name, value @ (Value::Number(_) | Value::Bool(_))) if SHOWN.contains(&name) => value,
            _ => HIDDEN.into(),
        };
        (name, value)
    });
    Value::Object(shown.collect())
}

fn hidden(fields: Map<String, Value>) -> Value {
    let hidden = fields.into_iter().map(|(name, _)| (name, HIDDEN.into()));
    Value::Object(hidden.collect())
}

/// What a plugin would send of a lead, without what it says of the person: the texts and numbers
/// of fields that are not shown, however they are written, and all that may be a phone.
pub(super) fn rendered(text: String, lead: &str, raw: &str) -> String {
    let mut personal = Vec::new();
    for json in [lead, raw] {
        let json: Value = serde_json::from_str(json).unwrap_or_default();
        collect(&json, &mut personal);
    }
    without_phones(&crate::plugin::without(text, &personal))
}

/// Digits that a number needs to be somebody's.
const DIGITS: usize = 5;

/// What a lead, or what was pushed of it, says of the person, with what stands in texts that are
/// objects themselves.
fn collect(value: &Value, personal: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_shown = SHOWN.contains(&name.as_str()) && !PERSONAL.contains(&name.as_str());
                if !is_shown {
                    collect(value, personal);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, personal)),
        Value::String(text) => {
            if text.starts_with(['{', '['])
                && let Ok(inner) = serde_json::from_str(text)
            {
                collect(&inner, personal);
            }
            personal.push(text.clone());
        }
        Value::Number(number) => {
            let number = number.to_string();
            if number.len() >= DIGITS {
                personal.push(number);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// The value of one field, by its path (`phone`, `lead.other.vip`), as shown by default.
pub(super) fn of_field(path: &str, value: &Value) -> Value {
    let path = path.strip_prefix("lead.").unwrap_or(path);
    match path {
        // Where it came from.
        "source" => value.clone(),
        _ => {
            let field = serde_json::json!({ path: value });
            masked(&field.to_string())[path].clone()
        }
    }
}

/// The JSON of a lead, or of what was pushed of it, in which all that says who it is is made up:
/// a text is another text, a number another number, what is not there stays so. What is made of
/// it says nothing of the person, whatever takes it apart. Of what is no JSON nothing is left.
pub(super) fn made_up(json: &str) -> String {
    let fields: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
    let made = fields.into_iter().map(|(name, value)| {
        let is_shown = SHOWN.contains(&name.as_str()) && !PERSONAL.contains(&name.as_str());
        let value = match (name.as_str(), value) {
            (_, Value::String(text)) if text.is_empty() => text.into(),
            ("phone", Value::String(_)) => TEST_PHONE.into(),
            ("phone", Value::Number(_)) => TEST_PHONE.parse::<u64>().unwrap_or_default().into(),
            ("phone_e164", Value::String(_)) => format!("+86{TEST_PHONE}").into(),
            ("name", Value::String(_)) => TEST_NAME.into(),
            (_, Value::String(text)) if is_shown => without_phones(&text).into(),
            (_, value @ (Value::Number(_) | Value::Bool(_))) if is_shown => value,
            (_, value) => other(value),
        };
        (name, value)
    });
    Value::Object(made.collect()).to_string()
}

/// Another value of the same kind; objects, also those in texts, keep their names.
fn other(value: Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => false.into(),
        Value::Number(_) => 0.into(),
        Value::String(text) if text.starts_with(['{', '[']) => {
            match serde_json::from_str::<Value>(&text) {
                Ok(inner) => other(inner).to_string().into(),
                Err(_) => HIDDEN.into(),
            }
        }
        Value::String(text) if text.is_empty() => text.into(),
        Value::String(_) => HIDDEN.into(),
        Value::Array(items) => items.into_iter().map(other).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            let fields = fields.map(|(name, value)| (without_phones(&name), other(value)));
            Value::Object(fields.collect())
        }
    }
}

/// Labels of the fields that are shown.
pub(super) fn labels(labels: &str) -> Value {
    let labels: Map<String, Value> = serde_json::from_str(labels).unwrap_or_default();
    let shown = labels
        .into_iter()
        .filter(|(name, _)| SHOWN.contains(&name.as_str()));
    Value::Object(shown.collect())
}

/// Text that may say a phone although it should not: a sender's, a plugin's, a destination's.
/// Numbers of eleven digits or more, and groups of digits that together are a phone, lose all
/// but the last two.
pub(super) fn without_phones(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let groups = digit_groups(&letters);
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut at = 0;
    while at < groups.len() {
        let Some(count) = phone_at(&letters, &groups[at..]) else {
            at += 1;
            continue;
        };
        let (from, to) = (groups[at].start, groups[at + count - 1].end);
        out.extend(&letters[copied..from]);
        out.push_str(HIDDEN);
        let digits: Vec<char> = letters[from..to]
            .iter()
            .filter_map(|one| digit(*one))
            .collect();
        out.extend(&digits[digits.len().saturating_sub(2)..]);
        copied = to;
        at += count;
    }
    out.extend(&letters[copied..]);
    out
}

/// Groups that may make one phone together, at most.
const GROUPS: usize = 6;

/// Where digits stand in a row.
fn digit_groups(letters: &[char]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, letter) in letters.iter().enumerate() {
        if digit(*letter).is_none() {
            continue;
        }
        match groups.last_mut() {
            Some(last) if last.end == at => last.end = at + 1,
            _ => groups.push(at..at + 1),
        }
    }
    groups
}

/// How many of the first groups are one phone, if they are.
fn phone_at(letters: &[char], rest: &[Range<usize>]) -> Option<usize> {
    let first = rest.first()?;
    if first.len() >= 11 {
        return Some(1);
    }
    let plus = first.start > 0 && matches!(letters[first.start - 1], '+' | '＋');
    let mut digits = String::new();
    let mut end = first.start;
    let mut found = None;
    for (count, group) in rest.iter().take(GROUPS).enumerate() {
        if !letters[end..group.start].iter().all(|one| groups(*one)) {
            break;
        }
        digits.extend(letters[group.clone()].iter().filter_map(|one| digit(*one)));
        end = group.end;
        if digits.len() > 15 {
            break;
        }
        let landline = (1..=2).contains(&count)
            && (3..=4).contains(&first.len())
            && digits.starts_with('0')
            && (10..=12).contains(&digits.len());
        if phone::e164(&digits).is_some() || landline || plus && digits.len() >= 8 {
            found = Some(count + 1);
        }
    }
    found
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
        assert_eq!(shown["name"], "张**");
        assert_eq!(shown["record_id"], 371_009);
        assert_eq!(shown["city_name"], "杭州");
        let known = SHOWN.iter().filter(|name| shown.get(**name).is_some());
        assert_eq!(known.count(), SHOWN.len(), "each name is a field");
    }

    #[test]
    fn what_would_be_sent_says_nothing_of_who_it_is_and_keeps_what_is_shown() {
        let lead = Lead::parse_json(SAMPLE).expect("the sample");
        let json = String::from_utf8(lead.json()).expect("text");
        let text = format!(
            "POST https://crm.example/leads?name=%E5%BC%A0%E4%B8%89\n\n{{\"city\": \"杭州\", \"who\": \"张三 13567658911\", \"tel\": \"+86 135 6765 8911\", \"raw\": {}}}",
            serde_json::json!(SAMPLE)
        );
        let shown = rendered(text, &json, SAMPLE);
        for personal in [
            "13567658911",
            "6765",
            "张三",
            "%E5%BC%A0",
            "仓前街道",
            "43534cf9d5154543",
        ] {
            assert!(!shown.contains(personal), "{personal}: {shown}");
        }
        assert!(shown.contains("\"city\": \"杭州\""), "{shown}");
        assert!(
            shown.starts_with("POST https://crm.example/leads?name=***"),
            "{shown}"
        );
    }

    #[test]
    fn a_value_in_an_explanation_is_shown_as_its_field_is() {
        use serde_json::json;
        for (path, value, shown) in [
            ("store_id", json!(7), json!(7)),
            ("phone", json!("13567658911"), json!("135****8911")),
            ("lead.name", json!("张三"), json!("张**")),
            ("address", json!("某街 1 号"), json!("***")),
            ("other.vip", json!(3), json!("***")),
            ("remark", Value::Null, Value::Null),
            ("source", json!("shop"), json!("shop")),
        ] {
            assert_eq!(of_field(path, &value), shown, "{path}");
        }
    }

    #[test]
    fn numbers_like_phones_do_not_pass() {
        assert_eq!(without_phones("no 13567658911!"), "no ***11!");
        assert_eq!(
            without_phones("status 503, 13567658911"),
            "status 503, ***11"
        );
        assert_eq!(without_phones(""), "");
    }

    #[test]
    fn only_a_text_that_is_one_phone_is_shown_in_part() {
        for text in [
            "13567658911/13900000001",
            "张三13567658911 晚上打",
            "13567658911 张三",
            "13567658911 13900000001",
            "13567658911-1234",
        ] {
            let shown = masked(&serde_json::json!({ "phone": text }).to_string());
            assert_eq!(shown["phone"], "***", "{text}");
        }
    }

    #[test]
    fn a_phone_in_any_shown_text_is_found_however_it_is_written() {
        for phone in [
            "13567658911",
            "135 6765 8911",
            "135-6765-8911",
            "135.6765.8911",
            "+86 135 6765 8911",
            "１３５６７６５８９１１",
            "135\u{200b}67658911",
            "0571-88888888",
            "(0571) 8888 8888",
            "+852 9123 4567",
        ] {
            for text in [
                phone.to_owned(),
                format!("杭州{phone}找张"),
                format!("7 {phone} 9"),
            ] {
                let hidden = without_phones(&text);
                let left = hidden.chars().filter(|one| digit(*one).is_some()).count();
                assert!(left <= 6, "{text}: {hidden}");
                for name in ["city_name", "channel", "required_store", "gmt_appointment"] {
                    let shown = masked(&serde_json::json!({ name: text }).to_string());
                    assert_eq!(shown[name], hidden, "{name}");
                }
            }
        }
        for harmless in [
            "2026-11-28 10:30:00",
            "2018-01-01",
            "杭州",
            "status 503, code 40001, 12 of 300",
            "330106",
        ] {
            assert_eq!(without_phones(harmless), harmless);
        }
    }
}
