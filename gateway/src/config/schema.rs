//! The schema: what a configuration may say, and what it means not to.
//!
//! Made from the types in [`super::raw`]; plugins bring the schema of their own settings.
//! Messages are written here and never quote a value: it may be a secret.

use std::collections::BTreeSet;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::{Value, json};

use super::diagnostic::{Diagnostic, Text};
use super::document::{Document, pointer};
use super::{Catalogue, raw};

/// Keys of the design that this version does not know yet, so that nobody believes them
/// silently obeyed: (section, key).
const NOT_BUILT: [(&str, &str); 3] = [
    ("server", "tls"),
    ("outbox", "url"),
    ("plugins", "isolation"),
];

/// The whole schema, for editors: with the settings of every plugin in `catalogue`.
pub fn schema(catalogue: &dyn Catalogue) -> Value {
    let mut schema = base();
    let cases: Vec<Value> = catalogue
        .names()
        .into_iter()
        .filter_map(|name| {
            let settings = catalogue.schema(&name)?;
            Some(json!({
                "if": { "properties": { "plugin": { "const": name } } },
                "then": { "properties": { "settings": settings } },
            }))
        })
        .collect();
    schema["$defs"]["Sink"]["allOf"] = Value::Array(cases);
    schema
}

fn base() -> Value {
    schemars::schema_for!(raw::Root).to_value()
}

/// Checks the document against the base schema.
pub(super) fn check(document: &Document, skip: &BTreeSet<String>, problems: &mut Vec<Diagnostic>) {
    validate(&base(), &document.root, "", document, skip, problems);
}

/// Checks a value that is at `at` in the document against `schema`.
pub(super) fn validate(
    schema: &Value,
    value: &Value,
    at: &str,
    document: &Document,
    skip: &BTreeSet<String>,
    problems: &mut Vec<Diagnostic>,
) {
    let validator: Validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => {
            let message = Text::plain(format!("the schema of these settings is broken: {error}"));
            problems.push(Diagnostic::error("config::schema", message).at(document.key_place(at)));
            return;
        }
    };
    let speaker = Speaker {
        schema,
        document,
        skip,
    };
    for error in validator.iter_errors(value) {
        speaker.say(&error, at, problems);
    }
}

struct Speaker<'a> {
    schema: &'a Value,
    document: &'a Document,
    skip: &'a BTreeSet<String>,
}

impl Speaker<'_> {
    fn say(&self, error: &ValidationError<'_>, above: &str, problems: &mut Vec<Diagnostic>) {
        let at = format!("{above}{}", error.instance_path().as_str());
        if self.skip.contains(&at) {
            return;
        }
        let name = dotted(&at);
        let value = self.document.value_place(&at);
        let mut push = |code, message: Text, help: Text, place| {
            problems.push(Diagnostic::error(code, message).help(help).at(place));
        };
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let allowed = self.properties_beside(error);
                for key in unexpected {
                    let key_at = pointer(&at, key);
                    let place = self.document.key_place(&key_at);
                    if is_not_built(&key_at) {
                        push(
                            "config::not_built",
                            Text::new(
                                format!("`{}` is not built yet in this version", dotted(&key_at)),
                                format!("本版本尚未实现 `{}`", dotted(&key_at)),
                            ),
                            Text::new("remove it", "请删除它"),
                            place,
                        );
                    } else {
                        push(
                            "config::unknown_key",
                            Text::new(
                                format!("unknown key `{}`", dotted(&key_at)),
                                format!("未知的键 `{}`", dotted(&key_at)),
                            ),
                            guess(key, &allowed),
                            place,
                        );
                    }
                }
            }
            ValidationErrorKind::Required { property } => {
                let missing = property.as_str().unwrap_or_default();
                push(
                    "config::missing_key",
                    Text::new(
                        format!("`{name}` needs `{missing}`"),
                        format!("`{name}` 缺少 `{missing}`"),
                    ),
                    self.describe_property(error, missing),
                    self.document.key_place(&at),
                );
            }
            ValidationErrorKind::Type { kind } => {
                let wanted = match kind {
                    TypeKind::Single(kind) => type_name(&kind.to_string()),
                    TypeKind::Multiple(kinds) => {
                        let names: Vec<_> = kinds
                            .iter()
                            .map(|kind| type_name(&kind.to_string()))
                            .collect();
                        names
                            .into_iter()
                            .find(|name| *name != "null")
                            .unwrap_or("value")
                    }
                };
                push(
                    "config::wrong_type",
                    Text::new(
                        format!("`{name}` must be a {wanted}"),
                        format!("`{name}` 的类型必须是 {wanted}"),
                    ),
                    self.describe(error),
                    value,
                );
            }
            _ => {
                let options = options(error, self.schema);
                let message = Text::new(
                    format!("`{name}` is not valid"),
                    format!("`{name}` 的值无效"),
                );
                let given = error
                    .instance()
                    .as_str()
                    .map(|given| format!("\"{given}\""));
                let help = if options.is_empty() {
                    self.describe(error)
                } else if let Some(best) = given.and_then(|given| nearest(&given, &options)) {
                    Text::new(
                        format!("did you mean {best}?"),
                        format!("您是想写 {best} 吗？"),
                    )
                } else {
                    let list = options.join(", ");
                    Text::new(format!("allowed are: {list}"), format!("可用的值：{list}"))
                };
                push("config::invalid_value", message, help, value);
            }
        }
    }

    /// The schema node that holds the failed keyword.
    fn node(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let path = error.schema_path().as_str();
        let (node, _) = path.rsplit_once('/')?;
        self.schema.pointer(node)
    }

    fn describe(&self, error: &ValidationError<'_>) -> Text {
        let described = self
            .node(error)
            .and_then(|node| node["description"].as_str());
        let limits = match error.kind() {
            ValidationErrorKind::Minimum { limit } => Some(format!("at least {limit}")),
            ValidationErrorKind::Maximum { limit } => Some(format!("at most {limit}")),
            _ => None,
        };
        Text::plain(limits.or(described.map(str::to_owned)).unwrap_or_default())
    }

    fn describe_property(&self, error: &ValidationError<'_>, property: &str) -> Text {
        let node = self.node(error).map(|node| &node["properties"][property]);
        Text::plain(
            node.and_then(|node| node["description"].as_str())
                .unwrap_or_default(),
        )
    }

    fn properties_beside(&self, error: &ValidationError<'_>) -> Vec<String> {
        let properties = self
            .node(error)
            .and_then(|node| node["properties"].as_object());
        properties
            .map(|properties| properties.keys().cloned().collect())
            .unwrap_or_default()
    }
}

/// `/sinks/crm/plugin` → `sinks.crm.plugin`; the whole is `leadgate.toml`.
pub(super) fn dotted(pointer: &str) -> String {
    match pointer.strip_prefix('/') {
        None => "leadgate.toml".to_owned(),
        Some(rest) => rest.replace('/', ".").replace("~1", "/").replace("~0", "~"),
    }
}

/// What of `allowed` was meant by `given`, if it is near enough.
fn nearest<'a>(given: &str, allowed: &'a [String]) -> Option<&'a String> {
    allowed
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(given, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .map(|(_, candidate)| candidate)
}

/// A guess and the list of what is allowed.
pub(super) fn guess(key: &str, allowed: &[String]) -> Text {
    let list = allowed.join(", ");
    match nearest(key, allowed) {
        Some(best) => Text::new(
            format!("did you mean `{best}`?"),
            format!("您是想写 `{best}` 吗？"),
        ),
        None if allowed.is_empty() => Text::default(),
        None => Text::new(format!("allowed are: {list}"), format!("可用的有：{list}")),
    }
}

fn is_not_built(pointer: &str) -> bool {
    let steps: Vec<_> = pointer.split('/').skip(1).collect();
    NOT_BUILT
        .iter()
        .any(|(section, key)| steps.first() == Some(section) && steps.last() == Some(key))
}

fn type_name(json: &str) -> &'static str {
    match json {
        "object" => "table",
        "array" => "list",
        "string" => "text",
        "integer" => "whole number",
        "number" => "number",
        "boolean" => "true or false",
        _ => "null",
    }
}

/// The values that would have been allowed, whether an `enum` or alternatives of constants.
fn options(error: &ValidationError<'_>, schema: &Value) -> Vec<String> {
    let mut options = Vec::new();
    if let ValidationErrorKind::Enum { options: listed } = error.kind() {
        options.extend(listed.as_array().into_iter().flatten().cloned());
    }
    let path = error.schema_path().as_str();
    if let Some(Value::Array(cases)) = schema.pointer(path) {
        for case in cases {
            // An alternative may be a reference to the node with the constants.
            let case = case["$ref"]
                .as_str()
                .and_then(|reference| schema.pointer(reference.trim_start_matches('#')))
                .unwrap_or(case);
            for inner in std::iter::once(case).chain(case["oneOf"].as_array().into_iter().flatten())
            {
                options.extend(inner.get("const").cloned());
                options.extend(inner["enum"].as_array().into_iter().flatten().cloned());
            }
        }
    }
    let mut texts: Vec<_> = options
        .iter()
        .filter(|option| !option.is_null())
        .map(Value::to_string)
        .collect();
    texts.dedup();
    texts
}
