//! The schema: what a configuration may say, and what it means not to.
//!
//! Made from the types in [`super::raw`]; plugins bring the schema of their own settings.
//! Messages are written here and never quote a value: it may be a secret.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::{Value, json};

use super::diagnostic::{Diagnostic, Text};
use super::document::{Document, pointer};
use super::quantity::Quantity;
use super::{Catalogue, literal_secret, raw};

/// Deepest nesting of unknown keys that is followed.
const DEEPEST: usize = 8;

/// Keys of the design that this version does not know yet, so that nobody believes them
/// silently obeyed: (section, key).
const NOT_BUILT: [(&str, &str); 2] = [("server", "tls"), ("outbox", "url")];

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

/// The schema of everything but plugins' settings.
pub(super) fn base() -> Value {
    schemars::schema_for!(raw::Root).to_value()
}

/// A value whose keys are known: misspelt ones by their right names, unknown ones left out.
pub(super) struct Renamed {
    pub(super) value: Value,
    /// Pointers to what was left out.
    left_out: Vec<String>,
    /// Tables from which a key was left out, each with the number of what was said of it.
    strange: Vec<(String, usize)>,
}

/// A value after its examination.
pub(super) struct Examined {
    /// The value without what is wrong with it.
    pub(super) value: Value,
    /// Pointers to what was left out, and to what is missing.
    pub(super) faults: Vec<String>,
}

/// Says which keys of `value`, which is at `at` in the document, are unknown.
///
/// Comes before anything else: what a misspelt key was meant to be is then not missing, and
/// its value is looked at as what it was meant to be.
pub(super) fn rename(
    schema: &Value,
    value: Value,
    at: &str,
    document: &Document,
    problems: &mut Vec<Diagnostic>,
) -> Renamed {
    let mut renamed = Renamed {
        value,
        left_out: Vec::new(),
        strange: Vec::new(),
    };
    let Ok(validator) = jsonschema::validator_for(schema) else {
        return renamed;
    };
    let speaker = Speaker {
        schema,
        document,
        above: at,
    };
    for _ in 0..DEEPEST {
        let found: Vec<_> = validator
            .iter_errors(&renamed.value)
            .flat_map(|error| keys(&error, schema))
            .collect();
        if found.is_empty() {
            break;
        }
        for (table, key, allowed) in found {
            match speaker.key(&table, &key, &allowed, &mut renamed, problems) {
                Some(meant) => document.rename(
                    &format!("{at}{}", pointer(&table, &key)),
                    &format!("{at}{}", pointer(&table, &meant)),
                ),
                None => renamed.strange.push((table, problems.len() - 1)),
            }
        }
    }
    renamed
}

/// Says what is wrong with the values of `renamed`, which is at `at` in the document.
pub(super) fn examine(
    schema: &Value,
    renamed: Renamed,
    at: &str,
    document: &Document,
    problems: &mut Vec<Diagnostic>,
) -> Examined {
    let Renamed {
        value,
        left_out,
        strange,
    } = renamed;
    let mut examined = Examined {
        value,
        faults: left_out,
    };
    let validator: Validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => {
            let message = Text::new(
                format!("the schema of these settings is broken: {error}"),
                format!("这些设置的 schema 有误：{error}"),
            );
            problems.push(Diagnostic::error("config::schema", message).at(document.key_place(at)));
            return examined;
        }
    };
    let speaker = Speaker {
        schema,
        document,
        above: at,
    };
    let mut faults = Vec::new();
    for error in validator.iter_errors(&examined.value) {
        leaves(&error, schema, &mut |error| {
            let place = error.instance_path().as_str().to_owned();
            let ValidationErrorKind::Required { property } = error.kind() else {
                speaker.say(error, problems);
                faults.push(format!("{at}{place}"));
                return;
            };
            let missing = property.as_str().unwrap_or_default();
            faults.push(format!("{at}{}", pointer(&place, missing)));
            match strange.iter().find(|(table, _)| *table == place) {
                Some((_, told)) => {
                    let more = Text::new(
                        format!("`{missing}` is missing here"),
                        format!("此处缺少 `{missing}`"),
                    );
                    problems[*told].help = problems[*told].help.and(&more);
                }
                None => speaker.say(error, problems),
            }
        });
    }
    examined.faults.extend(faults);
    let mut wrong: Vec<_> = examined
        .faults
        .iter()
        .filter_map(|fault| fault.strip_prefix(at))
        .map(str::to_owned)
        .collect();
    // The last entries of a list first, so that the others keep their numbers.
    wrong.sort_by_key(|fault| {
        let number = fault
            .rsplit('/')
            .next()
            .and_then(|step| step.parse::<usize>().ok());
        std::cmp::Reverse((number, fault.clone()))
    });
    for fault in wrong {
        remove(&mut examined.value, &fault);
    }
    examined
}

/// Takes what is at `fault` out of `value`.
fn remove(value: &mut Value, fault: &str) {
    let Some((above, key)) = fault.rsplit_once('/') else {
        return;
    };
    let key = key.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(above) {
        Some(Value::Object(entries)) => {
            entries.remove(&key);
        }
        Some(Value::Array(items)) => {
            if let Some(number) = key.parse().ok().filter(|number| *number < items.len()) {
                items.remove(number);
            }
        }
        _ => {}
    }
}

/// Calls `each` for the errors behind one: of alternatives those of the only one that could
/// have been meant.
fn leaves(error: &ValidationError<'_>, schema: &Value, each: &mut dyn FnMut(&ValidationError<'_>)) {
    if let ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } =
        error.kind()
        && let Some(meant) = meant(context, schema)
    {
        for inner in meant {
            leaves(inner, schema, each);
        }
    } else {
        each(error);
    }
}

/// Of alternatives the only one that is not "nothing at all".
fn meant<'e, 'a>(
    context: &'e [Vec<ValidationError<'a>>],
    schema: &Value,
) -> Option<&'e Vec<ValidationError<'a>>> {
    let is_null = |errors: &&Vec<ValidationError<'_>>| {
        errors.iter().any(|error| {
            let (node, _) = error
                .schema_path()
                .as_str()
                .rsplit_once('/')
                .unwrap_or_default();
            schema
                .pointer(node)
                .is_some_and(|node| node["type"] == "null")
        })
    };
    let mut others = context.iter().filter(|errors| !is_null(errors));
    let meant = others.next()?;
    (others.next().is_none() && context.len() > 1 && !meant.is_empty()).then_some(meant)
}

/// Unknown keys behind an error: table, key, what is allowed beside it.
fn keys(error: &ValidationError<'_>, schema: &Value) -> Vec<(String, String, Vec<String>)> {
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let allowed = properties_beside(error, schema);
            let table = error.instance_path().as_str();
            unexpected
                .iter()
                .map(|key| (table.to_owned(), key.clone(), allowed.clone()))
                .collect()
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let inner = meant(context, schema).into_iter().flatten();
            inner.flat_map(|error| keys(error, schema)).collect()
        }
        _ => Vec::new(),
    }
}

fn properties_beside(error: &ValidationError<'_>, schema: &Value) -> Vec<String> {
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

struct Speaker<'a> {
    schema: &'a Value,
    document: &'a Document,
    above: &'a str,
}

impl Speaker<'_> {
    /// Says that a key is unknown. Gives the key that was meant, which has its value now.
    fn key(
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

    fn say(&self, error: &ValidationError<'_>, problems: &mut Vec<Diagnostic>) {
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

/// `/sinks/crm/plugin` → `sinks.crm.plugin`; the whole is `leadgate.toml`.
pub(super) fn dotted(pointer: &str) -> String {
    match pointer.strip_prefix('/') {
        None => "leadgate.toml".to_owned(),
        Some(rest) => rest.replace('/', ".").replace("~1", "/").replace("~0", "~"),
    }
}

/// What of `allowed` was meant by `given`, if it is near enough.
pub(super) fn nearest<'a>(given: &str, allowed: &'a [String]) -> Option<&'a String> {
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
