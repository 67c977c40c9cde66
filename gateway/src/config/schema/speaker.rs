//! The speaker: what the schema refuses, in the words of whoever wrote the file.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use super::super::diagnostic::{Diagnostic, Text};
use super::super::document::{Document, pointer};
use super::super::literal_secret;
use super::super::quantity::Quantity;
use super::{NOT_BUILT, Renamed, dotted, guess, nearest};

pub(super) struct Speaker<'a> {
    pub(super) schema: &'a Value,
    pub(super) document: &'a Document,
    pub(super) above: &'a str,
}

impl Speaker<'_> {
    /// Says that a key is unknown. Gives the key that was which has its value now.
    pub(super) fn key(
        &self,
        table: &str,
        key: &str,
        allowed: &[String],
        renamed: &mut Renamed,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<String> {
        let at = format!("{}{}", self.above, pointer(table, key));
        let place = self.document.key_place(&at);
        let Some(Value::Object(entries)) = renamed.value.pointer_mut(table) else {
            return None;
        };
        let value = entries.remove(key);
        let push = |code, message, help| {
            problems.push(Diagnostic::error(code, message).help(help).at(place));
        };
        if is_not_built(&at) {
            push(
                "config::not_built",
                Text::new(
                    format!("`{}` is not built yet in this version", dotted(&at)),
                    format!("本版本尚未实现 `{}`", dotted(&at)),
                ),
                Text::new("remove it", "请删除它"),
            );
            renamed.left_out.push(at);
            return None;
        }
        push(
            "config::unknown_key",
            Text::new(
                format!("unknown key `{}`", dotted(&at)),
                format!("未知的键 `{}`", dotted(&at)),
            ),
            guess(key, allowed),
        );
        let meant = nearest(key, allowed).filter(|meant| !entries.contains_key(*meant));
        match (meant, value) {
            (Some(meant), Some(value)) => {
                entries.insert(meant.clone(), value);
                Some(meant.clone())
            }
            _ => {
                renamed.left_out.push(at);
                None
            }
        }
    }

    pub(super) fn say(&self, error: &ValidationError<'_>, problems: &mut Vec<Diagnostic>) {
        let at = format!("{}{}", self.above, error.instance_path().as_str());
        if !self.document.is_good(&at) {
            return;
        }
        let name = dotted(&at);
        let value = self.document.value_place(&at);
        let mut push = |code, message: Text, help: Text, place| {
            problems.push(Diagnostic::error(code, message).help(help).at(place));
        };
        let given = match error.instance().as_ref() {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if let Some(quantity) = self.quantity(error) {
            let (message, help) = quantity.explain(&given);
            let (en, zh) = message.both();
            let message = Text::new(format!("`{name}`: {en}"), format!("`{name}`：{zh}"));
            push("config::invalid_value", message, help, value);
            return;
        }
        match error.kind() {
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
                    TypeKind::Single(kind) => kind.to_string(),
                    TypeKind::Multiple(kinds) => {
                        let names: Vec<_> = kinds.iter().map(|kind| kind.to_string()).collect();
                        names
                            .into_iter()
                            .find(|name| *name != "null")
                            .unwrap_or_default()
                    }
                };
                let (en, zh) = type_name(&wanted);
                let help = self.describe(error);
                push(
                    "config::wrong_type",
                    Text::new(
                        format!("`{name}` must be {en}"),
                        format!("`{name}` 必须是{zh}"),
                    ),
                    retyped(
                        &wanted,
                        error.instance().as_ref(),
                        literal_secret::is_named(&at),
                    )
                    .unwrap_or(help),
                    value,
                );
            }
            _ => {
                let options = options(error, self.schema);
                let message = Text::new(
                    format!("`{name}` is not valid"),
                    format!("`{name}` 的值无效"),
                );
                let quoted = error
                    .instance()
                    .as_str()
                    .map(|given| format!("\"{given}\""));
                let help = if options.is_empty() {
                    path_of_a_url(&at, &given).unwrap_or_else(|| self.describe(error))
                } else if let Some(best) = quoted.and_then(|given| nearest(&given, &options)) {
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

    /// The kind of quantity that was wanted.
    fn quantity(&self, error: &ValidationError<'_>) -> Option<Quantity> {
        self.node(error)?["x-quantity"]
            .as_str()
            .and_then(Quantity::named)
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
        match error.kind() {
            ValidationErrorKind::Minimum { limit } => {
                Text::new(format!("at least {limit}"), format!("至少为 {limit}"))
            }
            ValidationErrorKind::Maximum { limit } => {
                Text::new(format!("at most {limit}"), format!("最多为 {limit}"))
            }
            _ => Text::plain(described.unwrap_or_default()),
        }
    }

    fn describe_property(&self, error: &ValidationError<'_>, property: &str) -> Text {
        let node = self.node(error).map(|node| &node["properties"][property]);
        Text::plain(
            node.and_then(|node| node["description"].as_str())
                .unwrap_or_default(),
        )
    }
}

fn is_not_built(pointer: &str) -> bool {
    let steps: Vec<_> = pointer.split('/').skip(1).collect();
    NOT_BUILT
        .iter()
        .any(|(section, key)| steps.first() == Some(section) && steps.last() == Some(key))
}

fn type_name(json: &str) -> (&'static str, &'static str) {
    match json {
        "object" => ("a table", "表（[小节] 或 { … }）"),
        "array" => ("a list", "列表（[ … ]）"),
        "string" => ("a text", "文本（加引号）"),
        "integer" => ("a whole number", "整数（不加引号）"),
        "number" => ("a number", "数字（不加引号）"),
        "boolean" => ("true or false", "true 或 false（不加引号）"),
        _ => ("nothing", "空"),
    }
}

/// The same value as the type that was wanted, if that is plain. A secret is not repeated.
fn retyped(wanted: &str, given: &Value, secret: bool) -> Option<Text> {
    let write = |text: String| Text::new(format!("write {text}"), format!("请写 {text}"));
    match (wanted, given) {
        ("integer" | "number", Value::String(text)) => {
            let digits = text
                .trim()
                .trim_end_matches(|letter: char| !letter.is_ascii_digit());
            digits.parse::<i64>().ok().map(|number| {
                Text::new(
                    format!("write {number}, without quotes"),
                    format!("请写 {number}，不加引号"),
                )
            })
        }
        ("boolean", Value::String(text)) => {
            let flag = match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" | "是" => "true",
                "false" | "no" | "off" | "0" | "否" => "false",
                _ => return None,
            };
            Some(Text::new(
                format!("write {flag}, without quotes"),
                format!("请写 {flag}，不加引号"),
            ))
        }
        ("string", Value::Number(_) | Value::Bool(_)) if secret => {
            Some(Text::new("put it in quotes", "请加上引号"))
        }
        ("string", Value::Number(_) | Value::Bool(_)) => Some(write(format!("\"{given}\""))),
        ("string", Value::Array(_)) => Some(Text::new(
            "one text in quotes, not a list",
            "这里只能写一个带引号的文本，不能是列表",
        )),
        ("array", Value::String(_)) => Some(Text::new(
            "put it between brackets: [\"…\"]",
            "请用方括号括起来：[\"…\"]",
        )),
        _ => None,
    }
}

/// What to write where only the path of a URL is wanted.
fn path_of_a_url(at: &str, given: &str) -> Option<Text> {
    if !(at.starts_with("/sources/") && at.ends_with("/path")) {
        return None;
    }
    let rest = given.split_once("://").map_or(given, |(_, rest)| {
        rest.find('/')
            .map_or("/tmall/leads", |slash| &rest[slash..])
    });
    let path = rest.split(['?', '#']).next().unwrap_or_default().trim();
    let path = path.trim_start_matches('/');
    Some(Text::new(
        format!("the path alone, beginning with `/`: \"/{path}\""),
        format!("只写路径，以 `/` 开头：\"/{path}\""),
    ))
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

pub(super) fn properties_beside(error: &ValidationError<'_>, schema: &Value) -> Vec<String> {
    let node = error
        .schema_path()
        .as_str()
        .rsplit_once('/')
        .and_then(|(node, _)| schema.pointer(node));
    let properties = node.and_then(|node| node["properties"].as_object());
    properties
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}
