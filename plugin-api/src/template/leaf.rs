//! One text as a template.
//!
//! A text that is exactly one `{{ expression }}` keeps the expression's JSON type; any other
//! text gives text. Both are compiled once, into an environment of their own.

use std::collections::HashSet;
use std::sync::Arc;

use minijinja::{Environment, Value};
use serde_json::Value as Json;

use super::mistake::{convert, is_static};
use super::scan::{self, Word};
use super::{Context, Engine, Scope, TemplateError};
use crate::event::samples;

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
    /// One expression: keeps its type. `moved` is how far the compiled text is ahead of the
    /// written one.
    Expression(Arc<Environment<'static>>, isize),
    /// Text with expressions in it.
    Text(Arc<Environment<'static>>),
}

impl Template {
    pub(super) fn new(engine: &Engine, text: &str, scope: &Scope) -> Result<Self, TemplateError> {
        let written: Arc<str> = text.into();
        if !is_template(text) {
            return Ok(Self {
                written,
                shape: Shape::Plain,
            });
        }
        // A value that keeps its type is not written, so it would not be escaped either.
        let expression = (!engine.html)
            .then(|| one_expression(engine, text))
            .flatten();
        let shape = match expression {
            Some((expression, at, used)) => {
                scope.check(&scan::template(text), &used, &engine.tables)?;
                let (environment, moved) = compile_expression(engine, text, expression, at)?;
                Shape::Expression(environment, moved)
            }
            None => Shape::Text(compile_text(engine, text, scope)?),
        };
        let template = Self { written, shape };
        template.try_out(scope)?;
        Ok(template)
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
            Shape::Text(environment) => self.text_of(environment, context).map(Json::String),
            Shape::Expression(environment, moved) => {
                let value = self.evaluate(environment, *moved, context)?;
                if value.is_undefined() {
                    return Err(TemplateError {
                        message: "there is no such value for this lead".to_owned(),
                        help: "use `| default(…)` if that may be".to_owned(),
                        ..TemplateError::default()
                    });
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

    fn evaluate(
        &self,
        environment: &Environment<'static>,
        moved: isize,
        context: &Context,
    ) -> Result<Value, TemplateError> {
        environment
            .get_template(NAME)
            .and_then(|template| template.render_captured(context.0.clone()))
            .map(|captured| captured.state().lookup(VALUE).unwrap_or(Value::UNDEFINED))
            .map_err(|error| convert(&error, moved, &self.written))
    }

    fn text_of(
        &self,
        environment: &Environment<'static>,
        context: &Context,
    ) -> Result<String, TemplateError> {
        environment
            .get_template(NAME)
            .and_then(|template| template.render(context.0.clone()))
            .map_err(|error| convert(&error, 0, &self.written))
    }

    /// Finds mistakes that show only in an evaluation and would come for every lead, such as
    /// an argument that is missing.
    fn try_out(&self, scope: &Scope) -> Result<(), TemplateError> {
        let (environment, moved) = match &self.shape {
            Shape::Plain => return Ok(()),
            Shape::Text(environment) => (environment, 0),
            Shape::Expression(environment, moved) => (environment, *moved),
        };
        let template = environment
            .get_template(NAME)
            .map_err(|error| convert(&error, moved, &self.written))?;
        for sample in samples(&scope.names()) {
            match template.render(sample) {
                Err(error) if is_static(&error) => {
                    return Err(convert(&error, moved, &self.written));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"]
        .iter()
        .any(|opening| text.contains(opening))
}

/// The expression in `{{ expression }}`, where it begins, and the names that it uses.
fn one_expression<'a>(engine: &Engine, text: &'a str) -> Option<(&'a str, usize, HashSet<String>)> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    let compiled = engine.environment.compile_expression(inner).ok()?;
    let at = inner.as_ptr() as usize - text.as_ptr() as usize;
    Some((inner, at, compiled.undeclared_variables(true)))
}

fn compile_expression(
    engine: &Engine,
    text: &str,
    expression: &str,
    at: usize,
) -> Result<(Arc<Environment<'static>>, isize), TemplateError> {
    let opening = format!("{{% set {VALUE} = (");
    let moved = opening.len().cast_signed() - at.cast_signed();
    let mut environment = engine.environment.clone();
    // The expression was compiled as a whole, so it cannot end the `set` early.
    environment
        .add_template_owned(NAME, format!("{opening}{expression}\n) %}}"))
        .map_err(|error| convert(&error, moved, text))?;
    Ok((Arc::new(environment), moved))
}

fn compile_text(
    engine: &Engine,
    text: &str,
    scope: &Scope,
) -> Result<Arc<Environment<'static>>, TemplateError> {
    let mut environment = engine.environment.clone();
    environment
        .add_template_owned(NAME, text.to_owned())
        .map_err(|error| convert(&error, 0, text))?;
    let used = environment
        .get_template(NAME)
        .map_err(|error| convert(&error, 0, text))?
        .undeclared_variables(true);
    let words: Vec<Word<'_>> = scan::template(text);
    scope.check(&words, &used, &engine.tables)?;
    Ok(Arc::new(environment))
}
