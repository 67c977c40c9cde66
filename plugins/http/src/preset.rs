//! Presets: settings for a known kind of destination, one TOML file each in `presets/`.
//!
//! A preset holds only what a merchant could have written, and names what only the merchant
//! can know. What the merchant writes is laid over it:
//!
//! | setting | what comes of both |
//! |---|---|
//! | a table | merged, at any depth |
//! | `auth`, `sign` with another `kind` | the merchant's alone: the other kind's keys would be wrong |
//! | `body` without `digest.body` | the preset's digest has no body: it would say what the merchant's does not |
//! | `classify` | the merchant's rules first, then the preset's |
//! | `steps` | the merchant's over the preset's of the same name, others behind them |
//! | anything else, lists too | the merchant's |

use std::borrow::Cow;

use leadgate_plugin::Problem;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::settings::{Preset, Settings};

// No `Debug`: URL and bodies may hold secrets.
/// Settings as a merchant wrote them, before their preset is laid under them.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Written(Value);

/// Settings over their preset.
pub(crate) struct Settled {
    pub(crate) settings: Settings,
    /// What the preset needs and was not given.
    pub(crate) missing: Vec<Missing>,
}

/// A setting that only the merchant can know.
pub(crate) struct Missing {
    /// JSON pointer.
    pub(crate) at: String,
    pub(crate) problem: Problem,
}

/// A preset's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What it is in a few words, in both languages, for `leadgate init`.
    #[serde(rename = "about")]
    _about: IgnoredAny,
    needs: Vec<Need>,
    settings: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Need {
    /// Its keys, with dots; a step by its name.
    key: String,
    help: String,
    /// The same in Chinese, for `leadgate init`.
    #[serde(rename = "help_zh")]
    _help_zh: IgnoredAny,
}

impl JsonSchema for Written {
    fn schema_name() -> Cow<'static, str> {
        Settings::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }
}

impl Written {
    /// Lays what was written over its preset.
    pub(crate) fn settle(&self) -> Result<Settled, Problem> {
        let whole = |error: serde_json::Error| Problem::at("", error.to_string());
        let mut settled = self.0.clone();
        let mut missing = Vec::new();
        if let Some(name) = self.0.get("preset").filter(|name| !name.is_null()) {
            let preset = Preset::deserialize(name)
                .map_err(|error| Problem::at("/preset", error.to_string()))?;
            let File {
                needs, settings, ..
            } = preset.file();
            let auth = kind_of(settings.get("auth")).cloned();
            settled = over(settings, &self.0);
            // Another kind of auth has needs of its own.
            let same_auth = kind_of(settled.get("auth")) == auth.as_ref();
            let needs = needs.into_iter();
            let needs = needs.filter(|need| same_auth || !need.key.starts_with("auth."));
            missing.extend(needs.filter_map(|need| need.missing(&settled, name)));
        }
        let settings = Settings::deserialize(settled).map_err(whole)?;
        Ok(Settled { settings, missing })
    }
}

impl Preset {
    fn text(self) -> &'static str {
        match self {
            Self::StandardWebhooks => include_str!("../presets/standard-webhooks.toml"),
            Self::FeishuBot => include_str!("../presets/feishu-bot.toml"),
            Self::DingtalkRobot => include_str!("../presets/dingtalk-robot.toml"),
            Self::WecomRobot => include_str!("../presets/wecom-robot.toml"),
            Self::Slack => include_str!("../presets/slack.toml"),
            Self::Hubspot => include_str!("../presets/hubspot.toml"),
            Self::Salesforce => include_str!("../presets/salesforce.toml"),
            Self::Frappe => include_str!("../presets/frappe.toml"),
            Self::Espocrm => include_str!("../presets/espocrm.toml"),
            Self::Zoho => include_str!("../presets/zoho.toml"),
            Self::Odoo => include_str!("../presets/odoo.toml"),
            Self::Fxiaoke => include_str!("../presets/fxiaoke.toml"),
            Self::Xiaoshouyi => include_str!("../presets/xiaoshouyi.toml"),
            Self::FeishuBitable => include_str!("../presets/feishu-bitable.toml"),
            Self::Tryton => include_str!("../presets/tryton.toml"),
        }
    }

    fn file(self) -> File {
        toml::from_str(self.text()).expect("every preset is read by a test")
    }
}

impl Need {
    fn missing(self, settled: &Value, preset: &Value) -> Option<Missing> {
        let at = self.place(settled);
        let is_given = |at: &str| settled.pointer(at).is_some();
        // `secret` is short for `sign.secret`.
        if is_given(&at) || (at == "/secret" && is_given("/sign/secret")) {
            return None;
        }
        let name = preset.as_str().unwrap_or_default();
        let message = format!("the preset `{name}` needs `{}`", self.key);
        let problem = Problem::at("", message).help(self.help);
        Some(Missing { at, problem })
    }

    /// Where its key is in `settled`, as a JSON pointer.
    fn place(&self, settled: &Value) -> String {
        let mut here = Some(settled);
        let keys = self.key.split('.').map(|key| {
            let steps = here.and_then(Value::as_array);
            let step = steps.and_then(|steps| steps.iter().position(|step| step["name"] == key));
            let key = step.map_or_else(|| key.to_owned(), |number| number.to_string());
            here = here.and_then(|here| here.pointer(&format!("/{key}")));
            format!("/{key}")
        });
        keys.collect()
    }
}

fn kind_of(table: Option<&Value>) -> Option<&Value> {
    table?.get("kind")
}

/// `written` over the settings of a preset.
fn over(mut preset: Map<String, Value>, written: &Value) -> Value {
    let given = |key: &str| written.get(key).filter(|value| !value.is_null());
    // How to sign is only worth knowing with a secret to sign with.
    if given("secret").is_none() && given("sign").is_none() {
        preset.remove("sign");
    }
    for key in ["auth", "sign"] {
        let kind = kind_of(given(key));
        if kind.is_some() && kind != kind_of(preset.get(key)) {
            preset.remove(key);
        }
    }
    let own_digest = given("digest").is_some_and(|digest| !digest["body"].is_null());
    if given("body").is_some()
        && !own_digest
        && let Some(Value::Object(digest)) = preset.get_mut("digest")
    {
        digest.remove("body");
    }
    let rules = preset.remove("classify");
    let steps = preset.remove("steps");
    let mut settled = Value::Object(preset);
    lay(&mut settled, written);
    join(&mut settled, rules.unwrap_or_default());
    if let Some(Value::Array(steps)) = steps {
        let given = settled["steps"].take();
        settled["steps"] = Value::Array(over_steps(steps, given));
    }
    settled
}

/// The merchant's steps over those of a preset.
fn over_steps(mut steps: Vec<Value>, given: Value) -> Vec<Value> {
    let Value::Array(given) = given else {
        return steps;
    };
    for one in given {
        let same = |step: &&mut Value| step["name"].is_string() && step["name"] == one["name"];
        match steps.iter_mut().find(same) {
            Some(step) => {
                let rules = step
                    .as_object_mut()
                    .and_then(|step| step.remove("classify"));
                lay(step, &one);
                join(step, rules.unwrap_or_default());
            }
            None => steps.push(one),
        }
    }
    steps
}

/// Puts a preset's rules behind the merchant's.
fn join(settled: &mut Value, rules: Value) {
    let Value::Array(rules) = rules else {
        return;
    };
    match &mut settled["classify"] {
        Value::Array(first) => first.extend(rules),
        none => *none = Value::Array(rules),
    }
}

fn lay(under: &mut Value, over: &Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn laid(preset: Value, written: &Value) -> Value {
        let Value::Object(preset) = preset else {
            panic!("a table")
        };
        over(preset, written)
    }

    #[test]
    fn tables_are_merged_and_anything_else_is_the_merchants() {
        let preset = json!({"method": "POST", "body": {"a": {"b": 1, "c": [1, 2]}, "d": 1}, "headers": {"accept": "x"}});
        let written = json!({"method": "PUT", "body": {"a": {"c": [3], "e": 4}}, "url": "u"});
        assert_eq!(
            laid(preset, &written),
            json!({"method": "PUT", "url": "u", "headers": {"accept": "x"},
                "body": {"a": {"b": 1, "c": [3], "e": 4}, "d": 1}})
        );
        let text = json!({"body": "{{ name }}"});
        assert_eq!(laid(json!({"body": {"a": 1}}), &text), text);
    }

    #[test]
    fn rules_of_the_merchant_come_first() {
        let rule = |when: &str| json!({"when": when, "outcome": "retry"});
        let preset = json!({"classify": [rule("c")]});
        let written = json!({"classify": [rule("a"), rule("b")]});
        assert_eq!(
            laid(preset.clone(), &written)["classify"],
            json!([rule("a"), rule("b"), rule("c")])
        );
        assert_eq!(laid(preset, &json!({}))["classify"], json!([rule("c")]));
    }

    #[test]
    fn steps_are_laid_over_those_of_the_same_name() {
        let rule = |when: &str| json!({"when": when, "outcome": "retry"});
        let preset = json!({"steps": [
            {"name": "look", "url": "/look"},
            {"name": "make", "body": {"a": 1, "b": 2}, "classify": [rule("x")]},
        ]});
        let written = json!({"steps": [
            {"name": "look", "url": "/search"},
            {"name": "make", "body": {"b": 3}, "classify": [rule("y")]},
            {"name": "note", "url": "/note"},
        ]});
        assert_eq!(
            laid(preset.clone(), &written)["steps"],
            json!([
                {"name": "look", "url": "/search"},
                {"name": "make", "body": {"a": 1, "b": 3}, "classify": [rule("y"), rule("x")]},
                {"name": "note", "url": "/note"},
            ])
        );
        let steps = preset["steps"].clone();
        assert_eq!(laid(preset, &json!({}))["steps"], steps);
    }

    #[test]
    fn another_kind_of_auth_takes_nothing_over() {
        let preset = || json!({"auth": {"kind": "header", "name": "authorization"}});
        let basic = json!({"auth": {"kind": "basic", "username": "u", "password": "p"}});
        assert_eq!(laid(preset(), &basic), basic);
        assert_eq!(
            laid(preset(), &json!({"auth": {"value": "v"}})),
            json!({"auth": {"kind": "header", "name": "authorization", "value": "v"}})
        );
    }

    #[test]
    fn without_a_secret_nothing_is_signed() {
        let preset = || json!({"sign": {"kind": "dingtalk"}});
        assert_eq!(laid(preset(), &json!({})), json!({}));
        for given in [json!({"secret": "s"}), json!({"sign": {"secret": "s"}})] {
            assert_eq!(laid(preset(), &given)["sign"]["kind"], "dingtalk");
        }
    }
}
