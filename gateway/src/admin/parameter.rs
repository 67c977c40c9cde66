//! Parameters as they are let in and documented: name, values, meaning, and who may give them.
//! What they mean in a request is read by [`super::params`].

use serde_json::{Value, json};

use super::params::LIMIT;
use crate::outbox::Role;

/// A parameter of a query.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    values: Values,
    /// What it asks for.
    pub(super) about: &'static str,
    /// Who may give it, if not everybody who may ask.
    pub(super) role: Option<Role>,
}

/// What it can be.
enum Values {
    Flag,
    Limit(usize),
    Number,
    OneOf(Vec<&'static str>),
    Text,
}

const fn new(name: &'static str, values: Values, about: &'static str) -> Parameter {
    Parameter {
        name,
        values,
        about,
        role: None,
    }
}

/// `true` or `false`.
pub(super) const fn flag(name: &'static str, about: &'static str) -> Parameter {
    new(name, Values::Flag, about)
}

/// Any text.
pub(super) const fn text(name: &'static str, about: &'static str) -> Parameter {
    new(name, Values::Text, about)
}

/// A whole number from 1.
pub(super) const fn number(name: &'static str, about: &'static str) -> Parameter {
    new(name, Values::Number, about)
}

/// One of these.
pub(super) fn one_of(
    name: &'static str,
    all: impl IntoIterator<Item = &'static str>,
    about: &'static str,
) -> Parameter {
    new(name, Values::OneOf(all.into_iter().collect()), about)
}

/// How many items a page has.
pub(super) const fn limit(most: usize) -> Parameter {
    new("limit", Values::Limit(most), "How many items at most.")
}

/// Where a page begins.
pub(super) const fn cursor() -> Parameter {
    text(
        "cursor",
        "The `next` of the page before, of the same filter.",
    )
}

/// Since when, and before when.
pub(super) const fn times() -> [Parameter; 2] {
    [
        text(
            "since",
            "From this moment on: RFC 3339, `2026-11-26 10:00:00` or `2026-11-26` (GMT+8), or how long ago, such as `2h`.",
        ),
        text("until", "Before this moment, written like `since`."),
    ]
}

/// Whether a person is shown, and why.
pub(super) fn reveal() -> [Parameter; 2] {
    let reveal = Parameter {
        role: Some(Role::Admin),
        ..flag("reveal", "Show who it is, unmasked. It is recorded.")
    };
    let note = text(
        "note",
        "Why it is shown, for the audit log: one line that names nobody.",
    );
    [reveal, note]
}

impl Parameter {
    /// Whether giving it this value asks for more than its absence.
    pub(super) fn asks(&self, value: &str) -> bool {
        !(matches!(self.values, Values::Flag) && value == "false")
    }

    /// As an OpenAPI parameter.
    pub(super) fn described(&self) -> Value {
        let schema = match &self.values {
            Values::Flag => json!({ "type": "boolean", "default": false }),
            Values::Limit(most) => json!({
                "type": "integer",
                "minimum": 1,
                "maximum": most,
                "default": LIMIT.min(*most),
            }),
            Values::Number => json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
            Values::OneOf(all) => json!({ "type": "string", "enum": all }),
            Values::Text => json!({ "type": "string" }),
        };
        let about = match self.role {
            Some(role) => format!("{} Takes the role {role}.", self.about),
            None => self.about.to_owned(),
        };
        json!({
            "name": self.name,
            "in": "query",
            "required": false,
            "description": about,
            "schema": schema,
        })
    }
}
