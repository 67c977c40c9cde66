//! Templates and conditions over a lead: one language, minijinja, strict.
//!
//! Names are the lead's fields, flat (`name`, `store_id`, `phone_e164`, `other` …) or below
//! `lead`, and the event around it; TEMPLATES.md is the reference. An unknown name, filter or
//! table is an error when the text is compiled, with its place and a guess; in a condition as
//! well, where minijinja alone would silently say no. A field that the push did not say is
//! `none`: it equals nothing but `none` and, in `<` and `>`, comes before every number and
//! text, so `store_id > 5` does not hold for it and `store_id < 5` does; say
//! `store_id is not none and …` where that matters. Evaluation is bounded by fuel, and errors
//! never show values.

mod condition;
mod expression;
mod filters;
mod guard;
mod kind;
mod labels;
mod leaf;
mod message;
mod methods;
mod mistake;
mod scan;
mod scope;
mod slips;
mod time;
mod tokens;
mod tree;
mod trial;
mod types;
mod watched;

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Serde, merge_maps};
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;
use serde_json::Value as Json;

pub use condition::Condition;
pub use leaf::Template;
pub use message::{Form, Message};
pub use mistake::{TemplateError, problems};
pub use scope::Scope;
pub use tree::Tree;
pub use watched::Asked;

use crate::Tables;

/// Instructions that one evaluation may use.
const FUEL: u64 = 50_000;

/// Compiles templates and conditions.
#[derive(Clone)]
pub struct Engine {
    environment: Environment<'static>,
    tables: Arc<Tables>,
    /// Whether templates make HTML.
    html: bool,
}

/// What the names in a text mean in one evaluation.
#[derive(Clone)]
pub struct Context(Value);

impl Context {
    /// The entries of `names`, which serializes as a map.
    pub fn of(names: &impl Serialize) -> Self {
        Self(Value::from(Serde(names)))
    }

    /// The same with one name more; see [`Scope::with`].
    #[must_use]
    pub fn with(self, name: &str, value: &impl Serialize) -> Self {
        let more = BTreeMap::from([(name.to_owned(), Value::from(Serde(value)))]);
        Self(merge_maps([self.0, Value::from(more)]))
    }
}

impl Engine {
    /// An engine with the merchant's lookup tables.
    pub fn new(tables: Tables) -> Self {
        let tables = Arc::new(tables);
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_debug(true);
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        // It would show everything that the template knows.
        environment.remove_global("debug");
        filters::add(&mut environment, &tables);
        guard::add(&mut environment);
        Self {
            environment,
            tables,
            html: false,
        }
    }

    /// The same for templates that make HTML: what an expression gives is escaped unless the
    /// template says `| safe`, and the result is always text.
    #[must_use]
    pub fn html(mut self) -> Self {
        self.environment
            .set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
        self.html = true;
        self
    }

    /// Compiles a condition over a lead such as `store_id == 437763404 and city_name != none`.
    /// What is wrong with it comes all at once, in the order of the text.
    pub fn condition(&self, text: &str) -> Result<Condition, Vec<TemplateError>> {
        Condition::new(self, text, &Scope::CONDITION)
    }

    /// Compiles a condition over other names.
    pub fn condition_in(&self, text: &str, scope: &Scope) -> Result<Condition, Vec<TemplateError>> {
        Condition::new(self, text, scope)
    }

    /// Compiles one text as a template. What is wrong with it comes all at once, in the order of
    /// the text.
    pub fn template(&self, text: &str, scope: &Scope) -> Result<Template, Vec<TemplateError>> {
        Template::new(self, text, scope)
    }

    /// What in a text that is no template was meant as one, such as `{name}`.
    pub fn plain(&self, text: &str, scope: &Scope) -> Vec<TemplateError> {
        slips::around(text, scope)
    }

    /// Compiles every text in `value` as a template over an event. Each error says by its
    /// `path` which text it is in.
    pub fn tree(&self, value: &Json) -> Result<Tree, Vec<TemplateError>> {
        Tree::new(self, value, &Scope::EVENT)
    }

    /// Compiles every text in `value` as a template over other names.
    pub fn tree_in(&self, value: &Json, scope: &Scope) -> Result<Tree, Vec<TemplateError>> {
        Tree::new(self, value, scope)
    }

    /// The names of `event` (an event as JSON), for [`Scope::EVENT`].
    pub fn event(&self, event: &Json, delivery_id: &str) -> Context {
        // A code that the push did not say has no label, which is none like the code.
        let mut labels: serde_json::Map<_, _> = scope::label_names(&self.tables)
            .map(|name| (name.to_owned(), Json::Null))
            .collect();
        if let Json::Object(known) = &event["labels"] {
            labels.extend(known.clone());
        }
        let own = minijinja::context! {
            delivery_id => delivery_id,
            labels => Value::from(Serde(&labels)),
        };
        let fields = Value::from(Serde(&event["lead"]));
        // The later one wins.
        Context(merge_maps([fields, Value::from(Serde(event)), own]))
    }
}
