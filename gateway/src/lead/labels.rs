//! Labels: what the merchant's own tables call a code.
//!
//! What Tmall's codes mean is not published, so no meaning is invented here: a field gets a
//! label only from a table that is named like it.

use std::collections::BTreeMap;

use super::Lead;
use super::Tables;
use super::fields::Value;

/// Entries of a table that are no codes.
const DEFAULT: &str = "default";
const TITLE: &str = "label";

impl Lead {
    /// The labels of the lead's fields, by field. A table's `default` serves codes that it
    /// does not list and may show them as `{{ value }}`; its `label` is the field's title.
    pub fn labels(&self, tables: &Tables) -> BTreeMap<String, String> {
        let labelled = tables.iter().filter_map(|(name, table)| {
            let code = match self.field(name)? {
                Value::Number(number) => number?.to_string(),
                Value::Text(text) => text?.to_owned(),
            };
            Some((name.clone(), label(table, &code)?))
        });
        labelled.collect()
    }
}

fn label(table: &BTreeMap<String, String>, code: &str) -> Option<String> {
    match table.get(code) {
        Some(label) if code != DEFAULT && code != TITLE => Some(label.clone()),
        _ => table.get(DEFAULT).map(|default| {
            default
                .replace("{{ value }}", code)
                .replace("{{value}}", code)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> Tables {
        let table = |entries: &[(&str, &str)]| {
            entries
                .iter()
                .map(|(code, label)| ((*code).to_owned(), (*label).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        Tables::from([
            (
                "decoration_style".into(),
                table(&[
                    ("label", "风格"),
                    ("3", "北欧"),
                    ("default", "其他（{{ value }}）"),
                ]),
            ),
            ("customer_status".into(), table(&[("0", "新客资")])),
            ("not_a_field".into(), table(&[("default", "x")])),
        ])
    }

    fn labels(text: &str) -> Vec<String> {
        let lead = Lead::parse_json(text).expect("a lead");
        let labels = lead.labels(&tables());
        labels
            .iter()
            .map(|(name, label)| format!("{name}={label}"))
            .collect()
    }

    #[test]
    fn codes_get_the_label_of_the_table_named_like_their_field() {
        assert_eq!(
            labels(r#"{"decoration_style":3,"customer_status":"0","channel":0}"#),
            ["customer_status=新客资", "decoration_style=北欧"]
        );
    }

    #[test]
    fn the_default_serves_unlisted_codes_and_the_title_is_no_code() {
        assert_eq!(
            labels(r#"{"decoration_style":"9"}"#),
            ["decoration_style=其他（9）"]
        );
        assert!(labels(r#"{"customer_status":"label"}"#).is_empty());
    }

    #[test]
    fn absent_codes_have_no_label() {
        assert!(labels(r#"{"phone":"1","decoration_style":""}"#).is_empty());
    }
}
