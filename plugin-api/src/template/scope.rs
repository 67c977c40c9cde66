//! Scopes: which names a text may use, so that an unknown one is an error before any lead
//! comes, with its place and a guess.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use serde_json::Value as Json;

use super::filters;
use super::kind::{Kind, Type};
use super::mistake::{TemplateError, guess};
use super::scan::{Role, Word};
use super::{labels, methods};
use crate::Tables;
use crate::event::{FIELDS, Holds, LEAD_NAMES};

/// Names of an event besides the lead's fields. `delivery_id` exists for sinks only.
const EVENT_NAMES: [&str; 9] = [
    "event",
    "id",
    "revision",
    "source",
    "received_at",
    "labels",
    "raw",
    "lead",
    "delivery_id",
];
/// Names that a condition knows besides the lead's fields.
const CONDITION_NAMES: [&str; 2] = ["source", "lead"];

/// Filters that minijinja brings; a test compares.
const FILTERS: [&str; 47] = [
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "zip",
];
/// Tests that minijinja brings; a test compares.
const TESTS: [&str; 36] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "safe",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];
/// Functions.
const FUNCTIONS: [&str; 3] = ["dict", "namespace", "range"];

/// Which names a text may use.
#[derive(Clone, Debug)]
pub struct Scope {
    names: Names,
    /// Further names, each with what is below it.
    more: Vec<(&'static str, Json)>,
    /// Names that always hold a number, and such that always hold a text.
    numbers: &'static [&'static str],
    texts: &'static [&'static str],
}

#[derive(Clone, Debug)]
enum Names {
    /// An event, as sinks get it.
    Event,
    /// A lead, before it is stored.
    Condition,
    /// These, with anything below them.
    Free(&'static [&'static str]),
}

impl Scope {
    /// The lead's fields and the event around it: what sinks render.
    pub const EVENT: Self = Self::new(Names::Event);
    /// The lead's fields and `source`: what `when` decides by.
    pub const CONDITION: Self = Self::new(Names::Condition);

    /// Names of the plugin's own, each with anything below it.
    pub const fn of(names: &'static [&'static str]) -> Self {
        Self::new(Names::Free(names))
    }

    const fn new(names: Names) -> Self {
        Self {
            names,
            more: Vec::new(),
            numbers: &[],
            texts: &[],
        }
    }

    /// The same, where `numbers` always hold a number and `texts` a text.
    #[must_use]
    pub const fn holding(
        mut self,
        numbers: &'static [&'static str],
        texts: &'static [&'static str],
    ) -> Self {
        self.numbers = numbers;
        self.texts = texts;
        self
    }

    /// Whether its names are those of a lead and nothing of a plugin's own is among them.
    pub(super) fn is_of_a_lead(&self) -> bool {
        !matches!(self.names, Names::Free(_)) && self.more.is_empty()
    }

    /// Whether it has the names of a lead.
    pub(super) fn has_a_lead(&self) -> bool {
        !matches!(self.names, Names::Free(_))
    }

    /// What a path holds; `lead.` is left out of it.
    pub(super) fn type_of(&self, path: &str) -> Type {
        if self.more.iter().any(|(more, _)| *more == root(path)) {
            return Kind::Any.or_none();
        }
        match (&self.names, path) {
            (Names::Free(_), _) if self.numbers.contains(&path) => Kind::Number.there(),
            (Names::Free(_), _) if self.texts.contains(&path) => Kind::Text.there(),
            (Names::Free(_), _) => Kind::Any.or_none(),
            (_, "lead" | "other" | "labels") => Kind::Table.there(),
            (_, "source") => Kind::Text.there(),
            (Names::Event, "revision") => Kind::Number.there(),
            (Names::Event, "event" | "id" | "received_at" | "raw" | "delivery_id") => {
                Kind::Text.there()
            }
            _ if root(path) == "labels" => Kind::Text.or_none(),
            _ => FIELDS.iter().find(|field| field.name == path).map_or(
                Kind::Any.or_none(),
                |field| match field.holds {
                    Holds::Number => Kind::Number.or_none(),
                    Holds::Text => Kind::Text.or_none(),
                },
            ),
        }
    }

    /// Whether a path is one of the lead's fields, and none that holds a time; a remark may hold
    /// anything.
    pub(super) fn is_no_time(&self, path: &str) -> bool {
        let known = FIELDS.iter().find(|field| field.name == path);
        !matches!(self.names, Names::Free(_))
            && known.is_some_and(|field| field.name != "remark" && !is_time(field.name))
    }

    /// One name more. `below` says which names there are below it: the keys of its objects, at
    /// any depth; anything below what is no object.
    #[must_use]
    pub fn with(mut self, name: &'static str, below: Json) -> Self {
        self.more.push((name, below));
        self
    }

    /// The names, and that a trial knows.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = match self.names {
            Names::Event => LEAD_NAMES.into_iter().chain(EVENT_NAMES).collect(),
            Names::Condition => LEAD_NAMES.into_iter().chain(CONDITION_NAMES).collect(),
            Names::Free(names) => names.to_vec(),
        };
        names.extend(self.more.iter().map(|(name, _)| *name));
        names
    }

    /// What does not exist. `used` are the undeclared names as the engine's parser
    /// sees them, dotted; `words` say where they are.
    pub(super) fn check(
        &self,
        words: &[Word<'_>],
        used: &HashSet<String>,
        tables: &Tables,
    ) -> Vec<TemplateError> {
        let mut found = Vec::new();
        let roots: HashSet<&str> = used.iter().map(|path| root(path)).collect();
        for word in words {
            let checked = match word.role {
                Role::Filter => check_filter(word, tables),
                Role::Test => refuse_unknown("test", word, TESTS.into_iter()),
                Role::Function if roots.contains(word.text) => {
                    refuse_unknown("function", word, FUNCTIONS.into_iter())
                }
                Role::Name if roots.contains(word.text) => {
                    self.check_path(word.path, Some(word.range.start), tables)
                }
                Role::Function | Role::Name => Ok(()),
            };
            found.extend(checked.err());
        }
        // Whatever the words did not show; in a stable order.
        let used: BTreeSet<&String> = used.iter().collect();
        for path in used {
            if !FUNCTIONS.contains(&root(path)) {
                let word = words
                    .iter()
                    .find(|word| word.path.starts_with(path.as_str()));
                let at = word.map(|word| word.range.start);
                found.extend(self.check_path(path, at, tables).err());
            }
        }
        found
    }

    fn unknown_field(
        &self,
        name: &str,
        range: Option<&Range<usize>>,
        known: impl Iterator<Item = &'static str>,
    ) -> TemplateError {
        let error = unknown("field", name, range, known, NAMES);
        if matches!(self.names, Names::Condition) && EVENT_NAMES.contains(&name) {
            return error.help(
                "only a sink's settings know it; of a code ask `channel == 2`, or `channel | lookup('channel') == '…'`",
                "只有 sink 的设置中才有它；条件里请写 `channel == 2` 或 `channel | lookup('channel') == '…'`",
            );
        }
        // A name of what a field is called elsewhere is nearer than one that looks like it.
        let write = if self.has_a_lead() {
            labels::field(name)
        } else {
            None
        };
        let write = write.map(str::to_owned).or_else(|| labels::keyword(name));
        match write {
            Some(write) => error.help(
                format!("did you mean `{write}`?"),
                format!("是不是 `{write}`？"),
            ),
            None if error.help == NAMES => error.help(NAMES, NAMES_ZH),
            None => error,
        }
    }

    fn check_path(
        &self,
        path: &str,
        at: Option<usize>,
        tables: &Tables,
    ) -> Result<(), TemplateError> {
        let range = &at.map(|at| at..at + path.len());
        let range = range.as_ref();
        let mut steps = path.split('.');
        let name = steps.next().unwrap_or_default();
        let known = self.names();
        if !known.contains(&name) {
            let range = at.map(|at| at..at + name.len());
            return Err(self.unknown_field(name, range.as_ref(), known.into_iter()));
        }
        if let Some((_, below)) = self.more.iter().find(|(more, _)| *more == name) {
            return check_below(name, below, steps, range);
        }
        if matches!(self.names, Names::Free(_)) {
            return Ok(());
        }
        // Only these have parts; `other` may hold anything.
        match (name, steps.next()) {
            (_, None) | ("other", _) => Ok(()),
            ("lead", Some(field)) => match (LEAD_NAMES.contains(&field), steps.next()) {
                (false, _) => Err(self.unknown_field(field, range, LEAD_NAMES.into_iter())),
                (true, Some(part)) if field != "other" => Err(no_part(field, part, range)),
                _ => Ok(()),
            },
            ("labels", Some(table)) if label_names(tables).any(|known| known == table) => Ok(()),
            ("labels", Some(table)) => {
                let help = "labels come from tables that are named like a field of the lead";
                Err(unknown("label", table, range, label_names(tables), help))
            }
            (name, Some(part)) => Err(no_part(name, part, range)),
        }
    }
}

const NAMES: &str =
    "fields are named as in the platform's document, such as `phone` or `city_name`";
const NAMES_ZH: &str = "字段名与平台文档一致，例如 `phone`、`city_name`";

/// Whether a field holds a time.
pub(super) fn is_time(field: &str) -> bool {
    FIELDS.iter().any(|known| {
        known.name == field && (known.about.contains("时间") || known.name.ends_with("_at"))
    })
}

/// Tables that give labels: named like a field.
pub(super) fn label_names(tables: &Tables) -> impl Iterator<Item = &str> {
    let is_field = |name: &&str| LEAD_NAMES.contains(name);
    tables.keys().map(String::as_str).filter(is_field)
}

fn check_below<'a>(
    name: &str,
    below: &Json,
    steps: impl Iterator<Item = &'a str>,
    range: Option<&Range<usize>>,
) -> Result<(), TemplateError> {
    let mut here = (name.to_owned(), below);
    for step in steps {
        let (name, Json::Object(known)) = here else {
            return Ok(());
        };
        let Some(below) = known.get(step) else {
            let names = known.keys().map(String::as_str);
            let kind = format!("name below `{name}`:");
            let help = if known.is_empty() {
                format!("`{name}` has nothing here")
            } else {
                let list = known.keys().map(String::as_str).collect::<Vec<_>>();
                format!("there are: {}", list.join(", "))
            };
            return Err(unknown(&kind, step, range, names, &help));
        };
        here = (format!("{name}.{step}"), below);
    }
    Ok(())
}

fn root(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}

fn check_filter(word: &Word<'_>, tables: &Tables) -> Result<(), TemplateError> {
    refuse_unknown("filter", word, FILTERS.into_iter().chain(filters::names()))?;
    match &word.argument {
        Some((argument, range)) => filters::check_argument(tables, word.text, argument)
            .map_err(|mistake| mistake.at(range.clone())),
        None => Ok(()),
    }
}

fn refuse_unknown(
    kind: &str,
    word: &Word<'_>,
    known: impl Iterator<Item = &'static str> + Clone,
) -> Result<(), TemplateError> {
    if known.clone().any(|known| known == word.text) {
        return Ok(());
    }
    let error = unknown(kind, word.text, Some(&word.range), known, "");
    Err(match labels::elsewhere(kind, word.text) {
        Some(write) => error.help(format!("write `{write}`"), format!("请写 `{write}`")),
        None => error,
    })
}

fn unknown<'a>(
    kind: &str,
    name: &str,
    range: Option<&Range<usize>>,
    known: impl Iterator<Item = &'a str>,
    otherwise: &str,
) -> TemplateError {
    let (help, help_zh) = guess(name, known).map_or_else(
        || (otherwise.to_owned(), otherwise.to_owned()),
        |guess| {
            (
                format!("did you mean `{guess}`?"),
                format!("是不是 `{guess}`？"),
            )
        },
    );
    let kind_zh = match kind {
        "field" => "字段",
        "filter" => "过滤器",
        "test" => "判断",
        "function" => "函数",
        "label" => "标签",
        _ => "名称",
    };
    let error = TemplateError {
        message: format!("unknown {kind} `{name}`"),
        range: range.cloned(),
        ..TemplateError::default()
    };
    let mut error = error.help(help, help_zh);
    error.chinese.message = format!("没有{kind_zh} `{name}`");
    error
}

fn no_part(name: &str, part: &str, range: Option<&Range<usize>>) -> TemplateError {
    let error = TemplateError {
        message: format!("`{name}` is one value and has no `{part}`"),
        range: range.cloned(),
        ..TemplateError::default()
    };
    let mut error = match methods::write(name, part, &[]) {
        Some(write) => error.help(format!("write `{write}`"), format!("请写 `{write}`")),
        None => error.help(
            "what changes a value is a filter, such as `| upper`; JSON in a text is read by `| fromjson`",
            "改变值用过滤器，例如 `| upper`；文本中的 JSON 用 `| fromjson` 读取",
        ),
    };
    error.chinese.message = format!("`{name}` 是单个值，没有 `{part}`");
    error
}

#[cfg(test)]
mod tests {
    use minijinja::{Environment, ErrorKind};
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_a_plugin_are_known_as_deep_as_it_says() {
        let engine = super::super::Engine::new(Tables::new());
        let scope = Scope::EVENT
            .with("steps", json!({"party": {"id": null}, "look": {}}))
            .with("token", Json::Null);
        for good in ["{{ steps.party.id }}-{{ name }}", "{{ token }}"] {
            assert!(engine.template(good, &scope).is_ok(), "{good}");
        }
        assert!(
            engine
                .condition_in("steps.party.id.deep is none", &scope)
                .is_ok()
        );
        for (bad, message, help) in [
            (
                "{{ steps.prty.id }}",
                "unknown name below `steps`: `prty`",
                "did you mean `party`?",
            ),
            (
                "{{ steps.party.number }}",
                "unknown name below `steps.party`: `number`",
                "there are: id",
            ),
            (
                "{{ steps.look.id }}",
                "unknown name below `steps.look`: `id`",
                "`steps.look` has nothing here",
            ),
            (
                "{{ step.party.id }}",
                "unknown field `step`",
                "did you mean `steps`?",
            ),
        ] {
            let found = engine.template(bad, &scope).err().expect(bad);
            let [error] = found.try_into().expect(bad);
            assert_eq!(
                (error.message.as_str(), error.help.as_str()),
                (message, help)
            );
        }
        let template = engine
            .template("{{ steps.party.id }}", &scope)
            .expect("valid");
        let context = super::super::Context::of(&json!({"name": "x"}))
            .with("steps", &json!({"party": {"id": 7}}));
        assert_eq!(template.value(&context).expect("is there"), json!(7));
    }

    #[test]
    fn the_engine_has_what_the_lists_name() {
        let environment = Environment::new();
        let exists = |text: String| {
            let compiled = environment
                .compile_expression_owned(text)
                .expect("compiles");
            let unknown = [ErrorKind::UnknownFilter, ErrorKind::UnknownTest];
            !compiled
                .eval(())
                .is_err_and(|error| unknown.contains(&error.kind()))
        };
        for filter in FILTERS {
            assert!(exists(format!("1|{filter}")), "{filter}");
        }
        for test in TESTS {
            assert!(exists(format!("1 is {test}")), "{test}");
        }
    }
}
