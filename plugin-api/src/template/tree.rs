//! Trees: JSON whose texts are templates. Keys, numbers and booleans stay as they are.

use serde_json::{Map, Value as Json};

use super::{Context, Engine, Scope, Template, TemplateError};

/// A compiled tree.
#[derive(Clone)]
pub struct Tree {
    engine: Engine,
    root: Node,
}

#[derive(Clone)]
enum Node {
    Plain(Json),
    Text(Box<Template>),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

impl Tree {
    pub(super) fn new(
        engine: &Engine,
        value: &Json,
        scope: &Scope,
    ) -> Result<Self, Vec<TemplateError>> {
        let mut compiler = Compiler {
            engine,
            scope,
            path: String::new(),
            problems: Vec::new(),
        };
        let root = compiler.node(value);
        if compiler.problems.is_empty() {
            Ok(Self {
                engine: engine.clone(),
                root,
            })
        } else {
            Err(compiler.problems)
        }
    }

    /// Fills the tree in for `event` (an event as JSON) and `delivery_id`.
    pub fn render(&self, event: &Json, delivery_id: &str) -> Result<Json, TemplateError> {
        self.fill(&self.engine.event(event, delivery_id))
    }

    /// Fills the tree in. The error says by its `path` which text failed.
    pub fn fill(&self, context: &Context) -> Result<Json, TemplateError> {
        fill(&self.root, context)
    }
}

fn fill(node: &Node, context: &Context) -> Result<Json, TemplateError> {
    Ok(match node {
        Node::Plain(value) => value.clone(),
        Node::Text(template) => template.value(context)?,
        Node::List(items) => Json::Array(
            items
                .iter()
                .enumerate()
                .map(|(at, item)| fill(item, context).map_err(|error| error.below(&at.to_string())))
                .collect::<Result<_, _>>()?,
        ),
        Node::Table(entries) => {
            let filled = entries.iter().map(|(key, node)| {
                let value = fill(node, context).map_err(|error| error.below(key))?;
                Ok((key.clone(), value))
            });
            Json::Object(filled.collect::<Result<Map<_, _>, TemplateError>>()?)
        }
    })
}

struct Compiler<'a> {
    engine: &'a Engine,
    scope: &'a Scope,
    path: String,
    problems: Vec<TemplateError>,
}

impl Compiler<'_> {
    fn node(&mut self, value: &Json) -> Node {
        match value {
            Json::String(text) => match self.engine.template(text, self.scope) {
                Ok(template) if template.is_plain() => Node::Plain(value.clone()),
                Ok(template) => Node::Text(Box::new(template)),
                Err(mistakes) => {
                    let path = &self.path;
                    self.problems.extend(mistakes.into_iter().map(|mut one| {
                        one.path.clone_from(path);
                        one
                    }));
                    Node::Plain(Json::Null)
                }
            },
            Json::Array(items) => {
                let compiled = items.iter().enumerate();
                Node::List(
                    compiled
                        .map(|(at, item)| self.below(&at.to_string(), item))
                        .collect(),
                )
            }
            Json::Object(entries) => {
                let compiled = entries.iter();
                Node::Table(
                    compiled
                        .map(|(key, item)| (key.clone(), self.below(key, item)))
                        .collect(),
                )
            }
            plain => Node::Plain(plain.clone()),
        }
    }

    fn below(&mut self, key: &str, value: &Json) -> Node {
        let length = self.path.len();
        self.path.push_str(&crate::problem::pointer_segment(key));
        let node = self.node(value);
        self.path.truncate(length);
        node
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::Tables;

    fn render(template: &Json) -> Result<Json, TemplateError> {
        let event = json!({
            "event": "lead.created", "id": "L", "revision": 1, "source": "shop", "received_at": "T",
            "labels": {"channel": "天猫"}, "raw": "{}",
            "lead": {"name": "张\"三", "phone": "13567658911", "store_id": 437_763_404_i64, "city_name": null, "other": {}},
        });
        let tables = ["channel", "decoration_style"].map(|name| (name.to_owned(), BTreeMap::new()));
        Engine::new(Tables::from(tables))
            .tree(template)
            .expect("compiles")
            .render(&event, "D1")
    }

    #[test]
    fn one_expression_keeps_its_type_and_text_stays_valid_json() {
        let rendered = render(&json!({
            "store": "{{ store_id }}", "who": "{{ name }} ({{ phone | mask }})", "city": "{{ city_name }}",
            "fixed": 7, "list": ["{{ labels.channel }}", true, "{{ labels.decoration_style }}"], "key": "{{ delivery_id }}",
        }));
        assert_eq!(
            rendered.expect("renders"),
            json!({
                "store": 437_763_404_i64, "who": "张\"三 (135****8911)", "city": null,
                "fixed": 7, "list": ["天猫", true, null], "key": "D1",
            })
        );
    }

    #[test]
    fn every_problem_comes_with_its_place() {
        let template =
            json!({"a": {"b/c": "{{ phon }}"}, "d": ["ok", "{{ name | nope }}"], "e": "{{ name"});
        let problems = Engine::new(Tables::new())
            .tree(&template)
            .err()
            .expect("three problems");
        let places: Vec<_> = problems
            .iter()
            .map(|problem| problem.path.as_str())
            .collect();
        assert_eq!(places, ["/a/b~1c", "/d/1", "/e"]);
        assert_eq!(problems[0].help, "did you mean `phone`?");
        assert_eq!(problems[0].range, Some(3..7));
        assert_eq!(problems[1].message, "unknown filter `nope`");
        assert_eq!(problems[1].range, Some(10..14));
        assert!(problems[2].range.is_some(), "{:?}", problems[2]);
    }

    #[test]
    fn a_value_that_is_not_there_is_an_error_that_shows_no_data() {
        let text = "x {{ other.nothing ~ phone }}";
        let error = render(&json!({"a": [text]})).expect_err("strict");
        assert_eq!(
            (error.path.as_str(), error.message.as_str()),
            (
                "/a/0",
                "there is no such value for this lead; use `| default(…)` if that may be: `other.nothing ~ phone`"
            )
        );
        assert_eq!(
            text.get(error.range.expect("a place")),
            Some("other.nothing ~ phone")
        );
        let error = render(&json!("{{ name | fromjson }}")).expect_err("no JSON");
        assert!(
            error.message.starts_with("the text is not JSON; "),
            "{error}"
        );
        assert!(!format!("{error:?}").contains('三'), "{error:?}");
    }

    #[test]
    fn values_are_never_evaluated_as_templates() {
        let event = json!({"lead": {"name": "{{ 7 * 7 }}"}});
        let tree = Engine::new(Tables::new())
            .tree(&json!("{{ name }}!"))
            .expect("compiles");
        assert_eq!(
            tree.render(&event, "D").expect("renders"),
            json!("{{ 7 * 7 }}!")
        );
    }

    #[test]
    fn endless_work_runs_out_of_fuel() {
        let open = "{% for a in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] %}".repeat(6);
        let close = "{% endfor %}".repeat(6);
        let error = render(&json!(format!("{open}x{close}"))).expect_err("a million rounds");
        assert!(error.message.contains("fuel"), "{error}");
    }
}
