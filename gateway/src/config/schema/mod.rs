//! The schema: what a configuration may say, and what it means not to.
//!
//! Made from the types in [`super::raw`]; plugins bring the schema of their own settings.
//! Messages are written here and never quote a value: it may be a secret.

mod speaker;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Value, json};

use self::speaker::{Speaker, properties_beside};
use super::diagnostic::{Diagnostic, Text};
use super::document::{Document, pointer};
use super::{Catalogue, raw};

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
