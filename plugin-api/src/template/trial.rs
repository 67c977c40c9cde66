//! Trials: each text is filled in before any lead comes, so that what would fail for every lead,
//! for one that says little, or for one that says something strange is an error of `check`.

use std::collections::{BTreeMap, HashSet};

use minijinja::value::Serde;
use minijinja::{Error, Template, Value};
use serde_json::{Map, Value as Json, json};

use super::guard::Guarded;
use super::mistake::{TemplateError, convert, is_of_the_template, is_static};
use super::scope::{self, Scope};
use crate::Tables;
use crate::event::{FIELDS, Holds};

/// What somebody may write into a form: markup, quotes, braces, signs that turn the line round
/// or end it, and numbers that are none.
const STRANGE: &str = "\u{202e}<b>\"'`{{ 7 }}{% x %}\\ 📞\u{0}\u{7}\r\n\t１３800，-1e99";

/// Fills `template` in for such leads. `used` are the names in it, dotted.
pub(super) fn run(
    template: &Template<'_, '_>,
    text: &Guarded,
    scope: &Scope,
    used: &HashSet<String>,
    tables: &Tables,
) -> Result<(), TemplateError> {
    if !scope.is_of_a_lead() {
        return free(template, text, scope);
    }
    let leads = Leads { tables };
    let fails = |lead: Lead| match template.render(leads.context(&lead)) {
        Err(error) if is_static(&error) || is_of_the_template(&error) => Some(error),
        _ => None,
    };
    if let Some(error) = fails(Lead::usual()) {
        return Err(of_every_lead(&error, text));
    }
    let fields: Vec<&str> = FIELDS
        .iter()
        .map(|field| field.name)
        .filter(|name| used.contains(*name) || used.contains(&format!("lead.{name}")))
        .collect();
    if let Some(error) = fails(Lead::empty()) {
        let alone = fields.iter().find(|field| {
            let mut lead = Lead::usual();
            lead.0.insert(**field, Json::Null);
            fails(lead).is_some()
        });
        return Err(of_an_absent(
            &error,
            text,
            alone.or(fields.first()).copied(),
        ));
    }
    let long: String = std::iter::once(STRANGE)
        .chain(std::iter::repeat_n("很长的备注", 680))
        .collect();
    for strange in [STRANGE, "", "0", &long] {
        if let Some(error) = fails(Lead::strange(strange)) {
            return Err(of_a_strange(&error, text, fields.first().copied()));
        }
    }
    Ok(())
}

/// With names of which nothing is known, only what would fail for any value is a mistake.
fn free(template: &Template<'_, '_>, text: &Guarded, scope: &Scope) -> Result<(), TemplateError> {
    let tables = ["labels", "lead", "other", "headers", "body"];
    for leaf in [Json::Null, Json::from("1")] {
        let sample: Map<String, Json> = scope
            .names()
            .iter()
            .map(|name| {
                let value = if tables.contains(name) {
                    Json::Object(Map::new())
                } else {
                    leaf.clone()
                };
                ((*name).to_owned(), value)
            })
            .collect();
        match template.render(Value::from(Serde(sample))) {
            Err(error) if is_static(&error) => return Err(convert(&error, text)),
            _ => {}
        }
    }
    Ok(())
}

/// The fields of a lead that never came.
struct Lead(BTreeMap<&'static str, Json>);

impl Lead {
    fn of(value: impl Fn(&str, Holds) -> Json) -> Self {
        let fields = FIELDS.iter();
        Self(
            fields
                .map(|field| (field.name, value(field.name, field.holds)))
                .collect(),
        )
    }

    /// One that says everything.
    fn usual() -> Self {
        Self::of(|name, holds| match (name, holds) {
            ("phone", _) => "13800138000".into(),
            ("phone_e164", _) => "+8613800138000".into(),
            ("extra" | "base_extra", _) => "{\"channelName\":\"测试\"}".into(),
            (name, _) if name.ends_with("_at") => "2021-07-17T23:13:19+08:00".into(),
            (name, _) if scope::is_time(name) => "2021-07-17 23:13:19".into(),
            (_, Holds::Number) => 437_763_404.into(),
            (_, Holds::Text) => "测试".into(),
        })
    }

    /// One that says nothing that may be left out, which is all.
    fn empty() -> Self {
        Self::of(|_, _| Json::Null)
    }

    /// One with `text` in every text that is no time.
    fn strange(text: &str) -> Self {
        let mut lead = Self::usual();
        for (name, value) in &mut lead.0 {
            if value.is_number() {
                *value = 0.into();
            } else if !scope::is_time(name) {
                *value = text.into();
            }
        }
        lead
    }
}

struct Leads<'a> {
    tables: &'a Tables,
}

impl Leads<'_> {
    fn context(&self, lead: &Lead) -> Value {
        let mut fields: Map<String, Json> = lead
            .0
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        fields.insert("other".to_owned(), json!({}));
        let labels: Map<String, Json> = scope::label_names(self.tables)
            .map(|name| {
                (
                    name.to_owned(),
                    fields.get(name).cloned().unwrap_or_default(),
                )
            })
            .collect();
        let mut names = fields.clone();
        let around = json!({
            "event": "lead.created", "id": "0197a3c0-0000-7000-8000-000000000000", "revision": 1,
            "source": "shop", "received_at": "2026-01-01T00:00:00Z", "raw": "{}",
            "delivery_id": "0197a3c0-0000-7000-8000-000000000001", "labels": labels,
            "lead": fields,
        });
        if let Json::Object(around) = around {
            names.extend(around);
        }
        Value::from(Serde(names))
    }
}

fn of_every_lead(error: &Error, text: &Guarded) -> TemplateError {
    convert(error, text)
}

fn of_an_absent(error: &Error, text: &Guarded, field: Option<&str>) -> TemplateError {
    let mut converted = convert(error, text);
    if let (Some(field), false) = (field, is_static(error)) {
        converted.message = format!("this fails for a lead that does not say `{field}`");
        converted.chinese.message = format!("没有 `{field}` 的客资会在这里出错");
        converted = converted.help(
            format!("write `({field} | default(…))`, or ask `{field} is not none` before"),
            format!("请写 `({field} | default(…))`，或先判断 `{field} is not none`"),
        );
    }
    converted
}

fn of_a_strange(error: &Error, text: &Guarded, field: Option<&str>) -> TemplateError {
    let mut converted = convert(error, text);
    if let (Some(field), false) = (field, is_static(error)) {
        converted.message =
            format!("this fails for a lead whose `{field}` is 0, empty or odd text");
        converted.chinese.message = format!("`{field}` 为 0、空或特殊文本的客资会在这里出错");
        converted = converted.help(
            "`| int(0)` takes what is no number as 0; never divide by what may be 0: `(x or 1)`",
            "`| int(0)` 把不是数字的文本当作 0；除数可能为 0 时请写 `(x or 1)`",
        );
    }
    converted
}
