//! Redaction: what of an answer may be kept.
//!
//! An answer may repeat the lead, and what was sent to prove who sends. So only fields that
//! usually say what went wrong are kept, and out of their texts is taken whatever the lead or
//! the settings said, and any run of digits as long as a phone number.

use std::sync::OnceLock;

use leadgate_plugin::Secret;
use leadgate_plugin::redact::{texts, without_any_number};
use serde_json::{Map, Value};

/// Longest text that is kept of an answer, in bytes.
const KEPT: usize = 1024;
/// Entries of a list that are kept.
const ENTRIES: usize = 3;

/// Fields that say what went wrong, in lower case and without `_`.
const FIELDS: [&str; 20] = [
    "code",
    "errcode",
    "errorcode",
    "error",
    "errors",
    "errorname",
    "category",
    "msg",
    "errmsg",
    "errormessage",
    "errordescription",
    "message",
    "status",
    "success",
    "ok",
    "result",
    "results",
    "data",
    "reason",
    "fields",
];

/// What must not be kept.
pub(crate) struct Redactor<'a> {
    event: &'a [u8],
    secrets: &'a [Secret],
    token: Option<&'a Secret>,
    /// Made of the above when it is needed: most answers say nothing that is kept.
    hidden: OnceLock<Vec<String>>,
}

impl<'a> Redactor<'a> {
    /// Hides the texts of the lead in `event`, `secrets` and `token`.
    pub(crate) fn new(event: &'a [u8], secrets: &'a [Secret], token: Option<&'a Secret>) -> Self {
        Self {
            event,
            secrets,
            token,
            hidden: OnceLock::new(),
        }
    }

    /// Longest first, so that no part of one is left.
    fn hidden(&self) -> &[String] {
        self.hidden.get_or_init(|| {
            let event: Value = serde_json::from_slice(self.event).unwrap_or_default();
            let mut hidden = Vec::new();
            texts(&event["lead"], &mut hidden);
            let secrets = self.secrets.iter().chain(self.token);
            hidden.extend(secrets.map(|secret| secret.expose().to_owned()));
            hidden.retain(|text| text.chars().count() >= 2);
            hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
            hidden
        })
    }

    /// `text` without what must be hidden, at most [`KEPT`] bytes.
    pub(crate) fn text(&self, text: &str) -> String {
        cut(without_any_number(&self.hide(text)))
    }

    /// `text` without what the lead and the settings say: enough for an id, which may be a
    /// long number.
    pub(crate) fn hide(&self, text: &str) -> String {
        let hidden = self.hidden().iter();
        hidden.fold(text.to_owned(), |text, hidden| {
            text.replace(hidden.as_str(), "***")
        })
    }

    /// The fields of `answer` that say what went wrong, as compact JSON; empty if there are none.
    pub(crate) fn answer(&self, answer: &Value) -> String {
        match self.kept(answer, false) {
            Value::Null => String::new(),
            kept => cut(kept.to_string()),
        }
    }

    fn kept(&self, value: &Value, named: bool) -> Value {
        match value {
            Value::Object(fields) => {
                let mut kept = Map::new();
                for (name, value) in fields {
                    let plain = name.to_ascii_lowercase().replace('_', "");
                    if FIELDS.contains(&plain.as_str()) {
                        let value = self.kept(value, true);
                        if !value.is_null() {
                            kept.insert(name.clone(), value);
                        }
                    }
                }
                if kept.is_empty() {
                    Value::Null
                } else {
                    Value::Object(kept)
                }
            }
            Value::Array(items) => {
                let kept: Vec<_> = items
                    .iter()
                    .take(ENTRIES)
                    .map(|item| self.kept(item, named))
                    .filter(|item| !item.is_null())
                    .collect();
                if kept.is_empty() {
                    Value::Null
                } else {
                    Value::Array(kept)
                }
            }
            Value::String(text) if named => Value::String(self.text(text)),
            Value::Number(number) if named => {
                let text = self.text(&number.to_string());
                if text == number.to_string() {
                    value.clone()
                } else {
                    Value::String(text)
                }
            }
            plain if named => plain.clone(),
            _ => Value::Null,
        }
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(KEPT));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EVENT: &[u8] = r#"{"lead":{"name":"张三","phone":"13567658911","record_id":371009,"other":{"nick":["tb_1"]}}}"#.as_bytes();

    fn with(test: impl FnOnce(Redactor<'_>)) {
        test(Redactor::new(EVENT, &[Secret::new("t0psecret")], None));
    }

    #[test]
    fn what_went_wrong_is_kept_and_the_lead_is_not() {
        let answer = json!({
            "code": 1254, "msg": "客户 张三 (13567658911) 已存在, 135 6765-8911, token t0psecret",
            "phone": "x", "data": {"name": "李四", "errors": [{"message": "no field 'city'", "value": "李四"}]},
        });
        with(|redactor| {
            assert_eq!(
                redactor.answer(&answer),
                r#"{"code":1254,"data":{"errors":[{"message":"no field 'city'"}]},"msg":"客户 *** (***) 已存在, ***, token ***"}"#
            );
            assert_eq!(
                redactor.answer(&json!({"code": 99_991_663, "data": 13_912_345_678_i64})),
                r#"{"code":99991663,"data":"***"}"#
            );
            assert_eq!(redactor.answer(&json!({"name": "李四"})), "");
            assert_eq!(redactor.answer(&json!("tb_1")), "");
        });
    }

    #[test]
    fn ids_may_be_long_numbers_but_not_those_of_the_lead() {
        with(|redactor| {
            assert_eq!(redactor.hide("99991234567 t0psecret"), "99991234567 ***");
            assert_eq!(redactor.hide("13567658911"), "***");
            assert_eq!(
                redactor.text("record 371009 of tb_1"),
                "record 371009 of ***"
            );
        });
    }

    #[test]
    fn long_answers_are_cut_at_a_letter() {
        with(|redactor| assert!(redactor.text(&"杭".repeat(1000)).len() <= KEPT));
    }
}
