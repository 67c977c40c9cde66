//! Made-up settings: good by the schema, from its examples, defaults and limits.
//!
//! Nothing listens where made-up addresses lead, so whatever a plugin makes of them is an
//! attempt that fails soon.

use std::path::Path;

use serde_json::{Map, Value, json};

/// Stands where a secret belongs, so that it is known wherever it turns up.
pub(super) const CANARY: &str = "canary-secret-5f0c7b1e";
/// Levels of a schema that are followed.
const DEEPEST: u32 = 16;

/// Settings that the schema takes; `None` if none could be made.
pub(super) fn of(schema: &Value, folder: &Path) -> Option<Value> {
    let validator = jsonschema::draft202012::new(schema).ok()?;
    let maker = Maker { schema, folder };
    let examples = schema["examples"].as_array().into_iter().flatten();
    let made = [false, true]
        .into_iter()
        .filter_map(|all| maker.object(schema, all, DEEPEST));
    examples
        .cloned()
        .chain(made)
        .find(|settings| settings.is_object() && validator.is_valid(settings))
}

struct Maker<'a> {
    schema: &'a Value,
    folder: &'a Path,
}

impl Maker<'_> {
    /// An object of the required properties, or of `all` for which there is a value.
    fn object(&self, node: &Value, all: bool, left: u32) -> Option<Value> {
        let left = left.checked_sub(1)?;
        let node = self.referred(node);
        if let Some(case) = first_case(node) {
            let mut made = self.object(case, all, left)?;
            if let (Value::Object(made), Some(Value::Object(more))) = (
                &mut made,
                node.get("properties")
                    .map(|_| self.properties(node, all, left)),
            ) {
                for (key, value) in more {
                    made.entry(key).or_insert(value);
                }
            }
            return Some(made);
        }
        Some(self.properties(node, all, left))
    }

    fn properties(&self, node: &Value, all: bool, left: u32) -> Value {
        let required: Vec<&str> = node["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut made = Map::new();
        for (key, property) in node["properties"].as_object().into_iter().flatten() {
            let is_said = property.get("examples").is_some() || property.get("default").is_some();
            let wanted = required.contains(&key.as_str()) || (all && is_said);
            if wanted && let Some(value) = self.value(key, property, all, left) {
                made.insert(key.clone(), value);
            }
        }
        Value::Object(made)
    }

    fn value(&self, key: &str, node: &Value, all: bool, left: u32) -> Option<Value> {
        let left = left.checked_sub(1)?;
        let node = self.referred(node);
        if let Some(example) = node["examples"].get(0) {
            return Some(example.clone());
        }
        for said in ["default", "const"] {
            if let Some(value) = node.get(said).filter(|value| !value.is_null()) {
                return Some(value.clone());
            }
        }
        if let Some(one) = node["enum"].get(0) {
            return Some(one.clone());
        }
        let kind = match &node["type"] {
            Value::String(kind) => Some(kind.as_str()),
            Value::Array(kinds) => kinds
                .iter()
                .filter_map(Value::as_str)
                .find(|kind| *kind != "null"),
            _ => None,
        };
        match kind {
            Some("string") => Some(self.text(key, node)),
            Some("integer" | "number") => Some(number(node)),
            Some("boolean") => Some(json!(false)),
            Some("array") => {
                let count = node["minItems"].as_u64().unwrap_or(0).min(8);
                let items = (0..count).map(|_| self.value(key, &node["items"], all, left));
                Some(Value::Array(items.collect::<Option<_>>()?))
            }
            Some("object") => self.object(node, all, left),
            _ => match first_case(node) {
                Some(case) => self.value(key, case, all, left),
                None if node.get("properties").is_some() => self.object(node, all, left),
                None => Some(json!("leadgate")),
            },
        }
    }

    fn text(&self, key: &str, node: &Value) -> Value {
        if node["writeOnly"] == true {
            return json!(CANARY);
        }
        let key = key.to_ascii_lowercase();
        let is_address = ["url", "uri", "endpoint"]
            .iter()
            .any(|name| key.contains(name));
        let text = match node["format"].as_str() {
            Some("path") => self.folder.join("made-up").display().to_string(),
            Some("uri" | "url") => "http://127.0.0.1:9/".to_owned(),
            Some("email") => "nobody@localhost".to_owned(),
            Some("hostname") => "localhost".to_owned(),
            Some("ipv4") => "127.0.0.1".to_owned(),
            Some("date") => "2026-01-01".to_owned(),
            Some("date-time") => "2026-01-01T00:00:00Z".to_owned(),
            _ if is_address => "http://127.0.0.1:9/".to_owned(),
            _ if matches!(key.as_str(), "path" | "file") => {
                self.folder.join("made-up").display().to_string()
            }
            _ if key == "host" => "127.0.0.1".to_owned(),
            _ => "leadgate".to_owned(),
        };
        json!(text)
    }

    /// What a reference leads to.
    fn referred<'b>(&'b self, node: &'b Value) -> &'b Value {
        let mut node = node;
        for _ in 0..DEEPEST {
            let Some(reference) = node["$ref"].as_str() else {
                break;
            };
            let found = reference
                .strip_prefix('#')
                .and_then(|pointer| self.schema.pointer(pointer));
            let Some(found) = found else { break };
            node = found;
        }
        node
    }
}

/// The first of several kinds that a value may have, but not that of nothing.
fn first_case(node: &Value) -> Option<&Value> {
    ["oneOf", "anyOf", "allOf"].iter().find_map(|cases| {
        let cases = node[*cases].as_array()?;
        cases.iter().find(|case| case["type"] != "null")
    })
}

fn number(node: &Value) -> Value {
    let least = |key: &str| node[key].as_f64();
    if let Some(least) = node.get("minimum").filter(|least| !least.is_null()) {
        return least.clone();
    }
    if let Some(least) = least("exclusiveMinimum") {
        return json!(least + 1.0);
    }
    if let Some(most) = least("maximum").filter(|most| *most < 1.0) {
        return json!(most);
    }
    json!(1)
}

#[cfg(test)]
mod tests {
    use leadgate_plugin::Secret;

    use super::*;

    #[derive(schemars::JsonSchema)]
    #[schemars(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct Settings {
        /// Where.
        url: String,
        /// Who.
        token: Secret,
        #[schemars(range(min = 3))]
        size: u32,
        mode: Mode,
        within: Option<Inner>,
        inner: Inner,
    }

    #[derive(schemars::JsonSchema)]
    #[schemars(rename_all = "lowercase")]
    #[allow(dead_code, reason = "only its schema is used")]
    enum Mode {
        Fast,
        Slow,
    }

    #[derive(schemars::JsonSchema)]
    #[schemars(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct Inner {
        #[schemars(length(min = 1))]
        names: Vec<String>,
    }

    #[test]
    fn what_is_required_is_made_and_is_good_by_the_schema() {
        let schema = serde_json::to_value(schemars::schema_for!(Settings)).expect("JSON");
        let made = of(&schema, Path::new("/tmp")).expect("can be made");
        assert_eq!(
            made,
            json!({
                "url": "http://127.0.0.1:9/",
                "token": CANARY,
                "size": 3,
                "mode": "fast",
                "inner": {"names": ["leadgate"]},
            })
        );
    }

    #[test]
    fn examples_come_before_inventions_and_what_cannot_be_made_is_not() {
        let mut schema = json!({
            "type": "object",
            "required": ["code"],
            "properties": {"code": {"type": "string", "pattern": "^[0-9]{6}$"}},
        });
        assert_eq!(of(&schema, Path::new("/tmp")), None);
        schema["properties"]["code"]["examples"] = json!(["123456"]);
        let made = of(&schema, Path::new("/tmp"));
        assert_eq!(made, Some(json!({"code": "123456"})));
        schema["examples"] = json!([{"code": "bad"}, {"code": "654321"}]);
        let made = of(&schema, Path::new("/tmp"));
        assert_eq!(made, Some(json!({"code": "654321"})));
    }
}
