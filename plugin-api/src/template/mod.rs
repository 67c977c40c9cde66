//! Templates and conditions over a lead: one language, minijinja, strict.
//!
//! Names are the lead's fields, flat (`name`, `store_id`, `phone_e164`, `other` …), and
//! [`EVENT_NAMES`]. An unknown name is an error when the template is compiled, with a guess;
//! in a condition as well, where minijinja alone would silently say no. A field that the push
//! did not say is `none`: it equals nothing but `none` and, in `<` and `>`, comes before
//! every number and text, so `store_id > 5` does not hold for it and `store_id < 5` does; say
//! `store_id is not none and …` where that matters. Evaluation is bounded by fuel.

mod condition;
mod filters;
mod tree;

use std::sync::Arc;

use minijinja::{Environment, ErrorKind, UndefinedBehavior};

pub use condition::Condition;
pub use tree::Tree;

use crate::Tables;

/// Instructions that one evaluation may use.
const FUEL: u64 = 50_000;

/// Names besides the lead's fields. `delivery_id` exists for sinks only, not in conditions.
pub const EVENT_NAMES: [&str; 9] = [
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
const CONDITION_NAMES: [&str; 1] = ["source"];

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
    /// Where, in bytes of the template's text, if known.
    pub range: Option<std::ops::Range<usize>>,
}

/// Compiles templates and conditions.
#[derive(Clone)]
pub struct Engine {
    environment: Arc<Environment<'static>>,
}

impl Engine {
    /// An engine with the merchant's lookup tables.
    pub fn new(tables: Tables) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_debug(true);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        filters::add(&mut environment, tables);
        Self {
            environment: Arc::new(environment),
        }
    }

    /// Compiles a condition such as `store_id == 437763404 and purchase_intention >= 1`.
    pub fn condition(&self, text: &str) -> Result<Condition, TemplateError> {
        Condition::new(self, text)
    }

    /// Compiles every text in `value` as a template. Problems come with the JSON pointer of
    /// the text they are in.
    pub fn tree(&self, value: &serde_json::Value) -> Result<Tree, Vec<(String, TemplateError)>> {
        Tree::new(self, value)
    }
}

/// Refuses names that do not exist.
fn check_names(
    used: impl IntoIterator<Item = String>,
    event_names: &[&str],
) -> Result<(), TemplateError> {
    let known = || crate::event::LEAD_NAMES.iter().chain(event_names);
    let is_unknown = |name: &String| !known().any(|known| known == name);
    // The engine gives them in no order; the first by name is as good as any, and stable.
    let Some(name) = used.into_iter().filter(is_unknown).min() else {
        return Ok(());
    };
    let guess = known()
        .map(|candidate| (strsim::damerau_levenshtein(candidate, &name), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4);
    Err(TemplateError {
        message: format!("unknown field `{name}`"),
        help: guess.map_or_else(
            || {
                "fields are named as in the platform's document, such as `phone` or `city_name`"
                    .to_owned()
            },
            |(_, guess)| format!("did you mean `{guess}`?"),
        ),
        range: None,
    })
}

/// Whether an error would come for every lead: a mistake in the template itself.
fn is_static(error: &minijinja::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownMethod
            | ErrorKind::TooManyArguments
            | ErrorKind::MissingArgument
    )
}

/// An error without the values it happened on: those are personal data.
fn convert(error: &minijinja::Error) -> TemplateError {
    let message = match error.kind() {
        // Its detail quotes syntax, never values.
        ErrorKind::SyntaxError
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownFunction
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownMethod => match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        },
        kind => kind.to_string(),
    };
    TemplateError {
        message,
        help: String::new(),
        range: error.range(),
    }
}
