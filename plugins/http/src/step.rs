//! A step: one request of a delivery, and what its answer gives to later ones.
//!
//! A sink without `steps` has one without a name.

use std::collections::BTreeMap;

use leadgate_plugin::abi::JOURNAL_MAX;
use leadgate_plugin::template::{self, Condition, Context, Engine, Scope, Template};
use leadgate_plugin::{Problem, pointer_segment};
use reqwest::Method;
use serde_json::{Map, Value};

use crate::answer::{self, Answer};
use crate::classify::Rules;
use crate::draft::{Draft, Written};
use crate::settings;

/// Longest value that a step gives, as JSON, in bytes.
const VALUE: usize = 256;
/// What the step record holds of a step besides its values, in bytes: names and the receipt.
const AROUND: usize = 320;

/// One request of a delivery.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) when: Option<When>,
    pub(crate) draft: Draft,
    /// Its own, before those of the sink.
    pub(crate) rules: Rules,
    pub(crate) extract: Vec<(String, Template)>,
    /// Whether a later attempt takes its values from the step record instead of sending it again.
    pub(crate) kept: bool,
}

/// When a step is sent.
pub(crate) struct When {
    pub(crate) condition: Condition,
    pub(crate) written: String,
}

/// Why an answer does not give what later steps need.
#[derive(Debug)]
pub(crate) enum Lack {
    /// It could not be read: what it says is not known.
    Unread(String),
    /// It was read, and does not say it.
    Missing(String),
}

/// Values of steps, by step and name.
pub(crate) type Values = BTreeMap<String, Map<String, Value>>;

impl Step {
    /// The only request of a sink.
    pub(crate) fn only(draft: Draft) -> Self {
        Self {
            name: String::new(),
            when: None,
            draft,
            rules: Rules::default(),
            extract: Vec::new(),
            kept: false,
        }
    }

    fn new(
        given: &settings::Step,
        base: Option<&str>,
        engine: &Engine,
        scope: &Scope,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let draft = Draft::new(&Written::step(given, base), engine, scope);
        let draft = draft.map_err(|found| problems.extend(found)).ok();
        let rules = Rules::new(&given.classify, engine);
        let rules = rules.map_err(|found| problems.extend(found)).ok();
        let when = given.when.as_ref().map(|written| {
            let condition = engine.condition_in(written, scope);
            let condition = condition
                .map_err(|mistakes| problems.extend(template::problems(mistakes, "/when")));
            condition.map(|condition| When {
                condition,
                written: written.clone(),
            })
        });
        let when = when.transpose().ok();
        let mut extract = Vec::new();
        for (name, text) in &given.extract {
            let at = format!("/extract{}", pointer_segment(name));
            if !is_name(name) {
                problems.push(not_a_name(at));
                continue;
            }
            match engine.template(text, &answer::SCOPE) {
                Ok(template) => extract.push((name.clone(), template)),
                Err(mistakes) => problems.extend(template::problems(mistakes, &at)),
            }
        }
        match (draft, rules, when) {
            (Some(draft), Some(rules), Some(when)) if problems.is_empty() => Ok(Self {
                name: given.name.clone(),
                when,
                kept: given.journal.unwrap_or(draft.method != Method::GET),
                draft,
                rules,
                extract,
            }),
            _ => Err(problems),
        }
    }

    /// What `answer` gives to later steps.
    pub(crate) fn values(&self, answer: &Answer) -> Result<Map<String, Value>, Lack> {
        let view = answer.view();
        let mut values = Map::new();
        for (name, template) in &self.extract {
            let value = view
                .value(template)
                .map_err(|why| Lack::Unread(format!("{why}: nobody knows its `{name}`")))?;
            let value = value.map_err(|error| {
                Lack::Missing(format!("the answer gives no `{name}`: {}", error.message))
            })?;
            if value.to_string().len() > VALUE {
                return Err(Lack::Missing(format!(
                    "what the answer gives as `{name}` is longer than {VALUE} bytes"
                )));
            }
            values.insert(name.clone(), value);
        }
        Ok(values)
    }

    /// What later steps see of it if it is not sent.
    pub(crate) fn nothing(&self) -> Map<String, Value> {
        let names = self.extract.iter();
        names.map(|(name, _)| (name.clone(), Value::Null)).collect()
    }

    /// What stands for its values in a look, where nothing is sent.
    pub(crate) fn stand_ins(&self) -> Map<String, Value> {
        let stand_in = |name: &str| format!("steps.{}.{name}", self.name);
        let names = self.extract.iter();
        names
            .map(|(name, _)| (name.clone(), Value::String(stand_in(name))))
            .collect()
    }
}

/// Understands all steps; each knows the values of those before it.
pub(crate) fn read(
    given: &[settings::Step],
    base: Option<&str>,
    engine: &Engine,
) -> Result<Vec<Step>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut known: Map<String, Value> = Map::new();
    let mut steps = Vec::new();
    for (number, one) in given.iter().enumerate() {
        let at = format!("/steps/{number}");
        if !is_name(&one.name) {
            problems.push(not_a_name(format!("{at}/name")));
        } else if known.contains_key(&one.name) {
            let message = format!("there is a step `{}` before", one.name);
            problems.push(Problem::at(format!("{at}/name"), message).help("give it another name"));
        }
        let scope = Scope::EVENT.with("steps", Value::Object(known.clone()));
        match Step::new(one, base, engine, &scope) {
            Ok(step) => steps.push(step),
            Err(found) => problems.extend(found.into_iter().map(|mut problem| {
                problem.path = format!("{at}{}", problem.path);
                problem
            })),
        }
        let names = one.extract.keys().map(|name| (name.clone(), Value::Null));
        known.insert(one.name.clone(), names.collect());
    }
    let kept = steps.iter().filter(|step| step.kept);
    let most: usize = kept
        .map(|step| AROUND + step.extract.len() * (VALUE + 40))
        .sum();
    if most > JOURNAL_MAX {
        let message = "these steps extract more than can be kept of a delivery";
        let help = format!(
            "at most {JOURNAL_MAX} bytes, counting {AROUND} for each step that is kept and {} for each value",
            VALUE + 40
        );
        problems.push(Problem::at("/steps", message).help(help));
    }
    if problems.is_empty() {
        Ok(steps)
    } else {
        Err(problems)
    }
}

/// The lead's names with the values of the steps so far.
pub(crate) fn context(lead: &Context, values: &Values) -> Context {
    lead.clone().with("steps", values)
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= 32
        && name.bytes().all(plain)
        && name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase())
}

fn not_a_name(at: String) -> Problem {
    Problem::at(at, "not a name for templates")
        .help("at most 32 lower-case letters, digits and `_`, such as `party_id`; a letter first")
}
