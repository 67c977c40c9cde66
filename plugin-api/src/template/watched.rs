//! Watched contexts: which names an evaluation asked for.
//!
//! A name in a text is no proof that its value mattered: `status == 409 and body.code == 7`
//! asks for no `body` where the status is another. Only the evaluation itself knows.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Value;
use minijinja::value::{Enumerator, Object};

use super::Context;

/// The names that evaluations with a watched context asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked(Arc<Mutex<BTreeSet<String>>>);

impl Asked {
    /// Those since the last call.
    pub fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
struct Watched {
    names: Value,
    asked: Asked,
}

impl Object for Watched {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if let Some(name) = key.as_str() {
            let mut asked = self.asked.0.lock().unwrap_or_else(PoisonError::into_inner);
            asked.insert(name.to_owned());
        }
        let value = self.names.get_item(key).ok()?;
        (!value.is_undefined()).then_some(value)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.names.try_iter().map_or(Enumerator::Empty, |names| {
            Enumerator::Values(names.collect())
        })
    }
}

impl Context {
    /// The same, and what tells which of its names were asked for, also of those it has not.
    ///
    /// An evaluation that fails may name more than it needed: all that stand before the place.
    pub fn watched(self) -> (Self, Asked) {
        let asked = Asked::default();
        let watched = Watched {
            names: self.0,
            asked: asked.clone(),
        };
        (Self(Value::from_object(watched)), asked)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Tables;
    use crate::template::{Context, Engine, Scope};

    #[test]
    fn only_what_an_evaluation_came_to_was_asked_for() {
        let scope = Scope::of(&["status", "body"]);
        let engine = Engine::new(Tables::new());
        let asked_for = |text: &str, names: serde_json::Value| {
            let condition = engine.condition_in(text, &scope).expect(text);
            let (context, asked) = Context::of(&names).watched();
            let holds = condition.meets(&context).ok();
            (holds, asked.take().into_iter().collect::<Vec<_>>())
        };
        let known = |text| asked_for(text, json!({"status": 200, "body": {"code": 7}}));
        let both = vec!["body".to_owned(), "status".to_owned()];
        let status = vec!["status".to_owned()];
        assert_eq!(
            known("status == 200 and body.code == 7"),
            (Some(true), both)
        );
        assert_eq!(
            known("status == 409 and body.code == 7"),
            (Some(false), status.clone())
        );
        assert_eq!(known("status == 200 or body is none"), (Some(true), status));
        for text in [
            "not body",
            "body is none",
            "body is not defined",
            "body == []",
        ] {
            let (_, asked) = asked_for(text, json!({"status": 200}));
            assert_eq!(asked, ["body"], "{text}");
        }
        let template = engine.template("{{ body[0] if body else none }}", &scope);
        let (context, asked) = Context::of(&json!({"status": 200, "body": [5]})).watched();
        let value = template.expect("valid").value(&context).expect("a value");
        assert_eq!((value, asked.take().len()), (json!(5), 1));
        assert!(asked.take().is_empty(), "since the last look");
    }
}
