//! One text as a template.
//!
//! A text that is exactly one `{{ expression }}` keeps the expression's JSON type; any other
//! text gives text. Both are compiled once, into an environment of their own.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use minijinja::{Environment, Value};
use serde_json::Value as Json;

use super::guard::Guarded;
use super::mistake::{absent, convert, each_once};
use super::scan;
use super::{Context, Engine, Scope, TemplateError, expression, slips, trial, types};

/// Name of the template in its environment.
const NAME: &str = "text";
/// What holds an expression's value after the evaluation.
const VALUE: &str = "__value";

/// A compiled text.
#[derive(Clone)]
pub struct Template {
    written: Arc<str>,
    shape: Shape,
}

#[derive(Clone)]
enum Shape {
    /// No template at all.
    Plain,
    /// One expression: keeps its type.
    Expression(Arc<Compiled>),
    /// Text with expressions in it.
    Text(Arc<Compiled>),
}

struct Compiled {
    /// Holds the text as its one template.
    environment: Environment<'static>,
    text: Guarded,
}

impl Template {
    pub(super) fn new(
        engine: &Engine,
        text: &str,
        scope: &Scope,
    ) -> Result<Self, Vec<TemplateError>> {
        let written: Arc<str> = text.into();
        if !is_template(text) {
            let slips = slips::around(text, scope);
            let shape = Shape::Plain;
            return if slips.is_empty() {
                Ok(Self { written, shape })
            } else {
                Err(slips)
            };
        }
        // A value that keeps its type is not written, so it would not be escaped either.
        let inner = (!engine.html)
            .then(|| one_expression(engine, text))
            .flatten();
        let used =
            undeclared(engine, text).map_err(|error| slips::of_template(text, scope, error))?;
        let steps = expression::of_template(text);
        let mut found = match &steps {
            Some(steps) => types::check_template(text, steps, scope),
            None => Vec::new(),
        };
        found.extend(scope.check(&scan::template(text), &used, &engine.tables));
        found.extend(slips::around(text, scope));
        if !found.is_empty() {
            return Err(each_once(found));
        }
        let mut guarded = Guarded::template(text, steps.as_ref());
        let is_expression = inner.is_some();
        if let Some(range) = inner {
            // The expression was compiled as a whole, so it cannot end the `set` early.
            guarded = guarded.within(&range, &format!("{{% set {VALUE} = ("), "\n) %}");
        }
        let compiled = Arc::new(Compiled::new(engine, guarded).map_err(|error| vec![error])?);
        let template = compiled
            .environment
            .get_template(NAME)
            .map_err(|error| vec![convert(&error, &compiled.text)])?;
        trial::run(&template, &compiled.text, scope, &used, &engine.tables)
            .map_err(|error| vec![error])?;
        let shape = if is_expression {
            Shape::Expression(compiled)
        } else {
            Shape::Text(compiled)
        };
        Ok(Self { written, shape })
    }

    /// The text as it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether it is the same for every lead.
    pub fn is_plain(&self) -> bool {
        matches!(self.shape, Shape::Plain)
    }

    /// The value, with its JSON type.
    pub fn value(&self, context: &Context) -> Result<Json, TemplateError> {
        match &self.shape {
            Shape::Plain => Ok(Json::String(self.written.to_string())),
            Shape::Text(compiled) => compiled.fill(context).map(Json::String),
            Shape::Expression(compiled) => {
                let value = compiled.evaluate(context)?;
                if value.is_undefined() {
                    let range = compiled.text.expression();
                    return Err(absent(&compiled.text, range).in_one_line());
                }
                serde_json::to_value(&value).map_err(|_| TemplateError {
                    message: "the value cannot be written as JSON".to_owned(),
                    ..TemplateError::default()
                })
            }
        }
    }

    /// The value as text: a text without quotes, none as `None`, anything else as its JSON.
    pub fn text(&self, context: &Context) -> Result<Option<String>, TemplateError> {
        Ok(match self.value(context)? {
            Json::Null => None,
            Json::String(text) => Some(text),
            other => Some(other.to_string()),
        })
    }
}

impl Compiled {
    fn new(engine: &Engine, text: Guarded) -> Result<Self, TemplateError> {
        let mut environment = engine.environment.clone();
        environment
            .add_template_owned(NAME, text.text().to_owned())
            .map_err(|error| convert(&error, &text))?;
        Ok(Self { environment, text })
    }

    fn evaluate(&self, context: &Context) -> Result<Value, TemplateError> {
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render_captured(context.0.clone()))
            .map(|captured| captured.state().lookup(VALUE).unwrap_or(Value::UNDEFINED))
            .map_err(|error| convert(&error, &self.text).in_one_line())
    }

    fn fill(&self, context: &Context) -> Result<String, TemplateError> {
        self.environment
            .get_template(NAME)
            .and_then(|template| template.render(context.0.clone()))
            .map_err(|error| convert(&error, &self.text).in_one_line())
    }
}

fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"]
        .iter()
        .any(|opening| text.contains(opening))
}

/// Where the expression is, if the text is exactly one `{{ expression }}`.
fn one_expression(engine: &Engine, text: &str) -> Option<Range<usize>> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    engine.environment.compile_expression(inner).ok()?;
    let at = inner.as_ptr() as usize - text.as_ptr() as usize;
    Some(at..at + inner.len())
}

/// The names that a text uses and does not make itself, dotted.
fn undeclared(engine: &Engine, text: &str) -> Result<HashSet<String>, TemplateError> {
    engine
        .environment
        .template_from_str(text)
        .map(|template| template.undeclared_variables(true))
        .map_err(|error| convert(&error, &Guarded::plain(text)))
}
