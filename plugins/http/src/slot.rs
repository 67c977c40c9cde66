//! Slots: values of headers and query parameters, each a secret or a template over the lead.

use leadgate_plugin::template::{Context, Engine, Scope, Template};
use leadgate_plugin::{Problem, Secret};

use crate::endpoint::has_template;

/// A setting that is a secret, or a template over the lead.
#[derive(Clone)]
pub(crate) enum Slot {
    Fixed(Secret),
    Template(Template),
}

impl Slot {
    pub(crate) fn new(given: &Secret, at: &str, engine: &Engine) -> Result<Self, Problem> {
        if !has_template(given.expose()) {
            return Ok(Self::Fixed(given.clone()));
        }
        engine
            .template(given.expose(), &Scope::EVENT)
            .map(Self::Template)
            .map_err(|error| error.into_problem(at))
    }

    /// The value, and whether it may be shown.
    pub(crate) fn value(
        &self,
        context: &Context,
        at: &str,
    ) -> Result<Option<(String, bool)>, Problem> {
        match self {
            Self::Fixed(secret) => Ok(Some((secret.expose().to_owned(), false))),
            Self::Template(template) => template
                .text(context)
                .map(|text| text.map(|text| (text, true)))
                .map_err(|error| error.into_problem(at)),
        }
    }
}
