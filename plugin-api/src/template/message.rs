//! Messages: what a sink for a message broker sends of a lead, as headers and a body.
//!
//! The body is a table of templates written as JSON, or the whole event; a header is one
//! template. Knows no broker: names, limits and what becomes of a message are theirs.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value as Json;

use super::{Context, Engine, Scope, Template, Tree};
use crate::problem::pointer_segment;
use crate::{Delivery, Problem, Problems};

/// A message before a lead fills it: the settings `headers` and `body`.
#[derive(Clone)]
pub struct Form {
    engine: Engine,
    headers: Vec<(String, Template)>,
    body: Option<Tree>,
}

/// A message for one lead.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Names and values, in the order of names. A header whose value is none is left out.
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

impl Form {
    /// Compiles the templates; without `body` it is the whole event.
    pub fn new(
        engine: &Engine,
        headers: &BTreeMap<String, String>,
        body: Option<&Json>,
    ) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut compiled = Vec::new();
        for (name, text) in headers {
            match engine.template(text, &Scope::EVENT) {
                Ok(template) => compiled.push((name.clone(), template)),
                Err(mistakes) => problems.extend(super::problems(mistakes, &place(name))),
            }
        }
        let body = match body.map(|body| engine.tree(body)).transpose() {
            Ok(body) => body,
            Err(errors) => {
                problems.extend(errors.into_iter().map(|error| error.into_problem("/body")));
                None
            }
        };
        problems.into_result(Self {
            engine: engine.clone(),
            headers: compiled,
            body,
        })
    }

    /// What the names in templates mean for `delivery`.
    pub fn context(&self, delivery: &Delivery) -> Result<Context, Problem> {
        Ok(self.engine.event(&delivery.json()?, delivery.id()))
    }

    /// The message for `delivery`, whose [`Self::context`] is `context`.
    pub fn fill(&self, context: &Context, delivery: &Delivery) -> Result<Message, Problem> {
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, template) in &self.headers {
            let value = template.text(context);
            let value = value.map_err(|error| error.into_problem(&place(name)))?;
            let Some(value) = value else { continue };
            // What a lead says must not add a header.
            if value.chars().any(char::is_control) {
                let message = "a header cannot have line breaks or other control characters";
                return Err(Problem::at(place(name), message));
            }
            headers.push((name.clone(), value));
        }
        let body = match &self.body {
            None => delivery.event_bytes().to_vec(),
            Some(tree) => {
                let filled = tree.fill(context);
                let filled = filled.map_err(|error| error.into_problem("/body"))?;
                filled.to_string().into_bytes()
            }
        };
        Ok(Message { headers, body })
    }
}

impl Message {
    /// For a person to read.
    pub fn readable(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.headers {
            let _ = writeln!(text, "{name}: {value}");
        }
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&self.body));
        text
    }
}

fn place(header: &str) -> String {
    format!("/headers{}", pointer_segment(header))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::Tables;

    fn form(headers: &Json, body: Option<&Json>) -> Result<Form, Problems> {
        let headers = serde_json::from_value(headers.clone()).expect("headers");
        Form::new(&Engine::new(Tables::new()), &headers, body)
    }

    fn fill(form: &Form, lead: &Json) -> Result<Message, Problem> {
        let event = json!({"event": "lead.created", "id": "L", "lead": lead}).to_string();
        let delivery = Delivery::new("D1", 1, Duration::from_secs(1), event);
        let context = form.context(&delivery)?;
        form.fill(&context, &delivery)
    }

    #[test]
    fn without_a_body_the_event_goes_out_byte_for_byte() {
        let form = form(&json!({}), None).expect("nothing to compile");
        let delivery = Delivery::new("D1", 1, Duration::from_secs(1), "{ \"n\" : 1 }");
        let context = form.context(&delivery).expect("JSON");
        let message = form.fill(&context, &delivery).expect("fills");
        assert_eq!(message.body, b"{ \"n\" : 1 }");
        assert!(message.headers.is_empty());
    }

    #[test]
    fn templates_fill_headers_and_body_and_none_leaves_a_header_out() {
        let form = form(
            &json!({"x-city": "{{ city_name }}", "x-id": "{{ delivery_id }}", "x-store": "{{ store_id }}"}),
            Some(&json!({"store": "{{ store_id }}", "who": "{{ name }}"})),
        )
        .expect("compiles");
        let message = fill(
            &form,
            &json!({"name": "张三", "store_id": 7, "city_name": null}),
        )
        .expect("fills");
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            message.headers,
            [header("x-id", "D1"), header("x-store", "7")]
        );
        assert_eq!(message.body, r#"{"store":7,"who":"张三"}"#.as_bytes());
        assert_eq!(
            message.readable(),
            "x-id: D1\nx-store: 7\n\n{\"store\":7,\"who\":\"张三\"}"
        );
    }

    #[test]
    fn all_mistakes_are_found_at_once_with_their_places() {
        let problems = form(
            &json!({"a/b": "{{ nmae }}", "ok": "1"}),
            Some(&json!({"c": ["{{ phon }}"]})),
        )
        .err()
        .expect("two problems");
        let places: Vec<_> = problems.into_iter().map(|one| one.path).collect();
        assert_eq!(places, ["/headers/a~1b", "/body/c/0"]);
    }

    #[test]
    fn what_a_lead_says_adds_no_header() {
        let form = form(&json!({"x": "{{ name }}"}), None).expect("compiles");
        let problem = fill(&form, &json!({"name": "a\r\nevil: 1"}))
            .err()
            .expect("a line break");
        assert_eq!(problem.path, "/headers/x");
        assert!(!problem.to_string().contains("evil"), "{problem}");
        let message = fill(&form, &json!({"name": "张三"})).expect("fills");
        assert_eq!(message.headers[0].1, "张三");
    }
}
