//! Trees: JSON whose texts are templates.
//!
//! A text that is exactly one `{{ expression }}` keeps the expression's JSON type; any other
//! text gives text. Keys, numbers and booleans stay as they are.

use minijinja::Value;
use minijinja::value::{Serde, merge_maps};
use serde_json::{Map, Value as Json};

use super::{EVENT_NAMES, Engine, TemplateError, check_names, convert, is_static};
use crate::event::sample_names;

/// A compiled tree.
#[derive(Clone)]
pub struct Tree {
    engine: Engine,
    root: Node,
}

#[derive(Clone)]
enum Node {
    Plain(Json),
    /// One expression: keeps its type.
    Expression(String),
    /// Text with expressions in it.
    Text(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

impl Tree {
    pub(super) fn new(engine: &Engine, value: &Json) -> Result<Self, Vec<(String, TemplateError)>> {
        let mut problems = Vec::new();
        let root = compile(engine, value, &mut String::new(), &mut problems);
        if problems.is_empty() {
            Ok(Self {
                engine: engine.clone(),
                root,
            })
        } else {
            Err(problems)
        }
    }

    /// Fills the tree in for `event` (an event as JSON) and `delivery_id`.
    pub fn render(&self, event: &Json, delivery_id: &str) -> Result<Json, TemplateError> {
        let fields = Value::from(Serde(&event["lead"]));
        let event = Value::from(Serde(event));
        let context = merge_maps([
            minijinja::context! { delivery_id => delivery_id },
            fields,
            event,
        ]);
        self.fill(&self.root, &context)
    }

    fn fill(&self, node: &Node, context: &Value) -> Result<Json, TemplateError> {
        let environment = &self.engine.environment;
        Ok(match node {
            Node::Plain(value) => value.clone(),
            Node::Expression(text) => {
                let value = environment
                    .compile_expression(text)
                    .and_then(|expression| expression.eval(context.clone()))
                    .map_err(|error| convert(&error))?;
                if value.is_undefined() {
                    return Err(TemplateError {
                        message: "the expression has no value for this lead".to_owned(),
                        help: "use `| default(…)` if that may be".to_owned(),
                        range: None,
                    });
                }
                serde_json::to_value(&value).map_err(|_| TemplateError {
                    message: "the expression's value cannot be written as JSON".to_owned(),
                    help: String::new(),
                    range: None,
                })?
            }
            Node::Text(text) => {
                let text = environment
                    .render_str(text, context.clone())
                    .map_err(|error| convert(&error))?;
                Json::String(text)
            }
            Node::List(items) => Json::Array(
                items
                    .iter()
                    .map(|item| self.fill(item, context))
                    .collect::<Result<_, _>>()?,
            ),
            Node::Table(entries) => {
                let filled = entries
                    .iter()
                    .map(|(key, node)| Ok((key.clone(), self.fill(node, context)?)));
                Json::Object(filled.collect::<Result<Map<_, _>, TemplateError>>()?)
            }
        })
    }
}

fn compile(
    engine: &Engine,
    value: &Json,
    path: &mut String,
    problems: &mut Vec<(String, TemplateError)>,
) -> Node {
    match value {
        Json::String(text) => leaf(engine, text).unwrap_or_else(|problem| {
            problems.push((path.clone(), problem));
            Node::Plain(Json::Null)
        }),
        Json::Array(items) => {
            let compiled = items.iter().enumerate();
            Node::List(
                compiled
                    .map(|(at, item)| below(engine, item, &at.to_string(), path, problems))
                    .collect(),
            )
        }
        Json::Object(entries) => {
            let compiled = entries.iter();
            Node::Table(
                compiled
                    .map(|(key, item)| (key.clone(), below(engine, item, key, path, problems)))
                    .collect(),
            )
        }
        plain => Node::Plain(plain.clone()),
    }
}

fn below(
    engine: &Engine,
    value: &Json,
    key: &str,
    path: &mut String,
    problems: &mut Vec<(String, TemplateError)>,
) -> Node {
    let length = path.len();
    path.push('/');
    path.push_str(&key.replace('~', "~0").replace('/', "~1"));
    let node = compile(engine, value, path, problems);
    path.truncate(length);
    node
}

fn leaf(engine: &Engine, text: &str) -> Result<Node, TemplateError> {
    if !text.contains("{{") && !text.contains("{%") && !text.contains("{#") {
        return Ok(Node::Plain(Json::String(text.to_owned())));
    }
    if let Some(inner) = text
        .trim()
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"))
        && let Ok(expression) = engine.environment.compile_expression(inner)
    {
        check_names(expression.undeclared_variables(false), &EVENT_NAMES)?;
        trial(expression.eval(sample_names()).map(drop))?;
        return Ok(Node::Expression(inner.trim().to_owned()));
    }
    let template = engine
        .environment
        .template_from_str(text)
        .map_err(|error| convert(&error))?;
    check_names(template.undeclared_variables(false), &EVENT_NAMES)?;
    trial(template.render(sample_names()).map(drop))?;
    Ok(Node::Text(text.to_owned()))
}

fn trial(result: Result<(), minijinja::Error>) -> Result<(), TemplateError> {
    match result {
        Err(error) if is_static(&error) => Err(convert(&error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Tables;

    fn render(template: &Json) -> Result<Json, TemplateError> {
        let event = json!({
            "event": "lead.created", "id": "L", "revision": 1, "source": "shop", "received_at": "T",
            "labels": {"channel": "天猫"}, "raw": "{}",
            "lead": {"name": "张\"三", "phone": "13567658911", "store_id": 437_763_404_i64, "city_name": null, "other": {}},
        });
        Engine::new(Tables::new())
            .tree(template)
            .expect("compiles")
            .render(&event, "D1")
    }

    #[test]
    fn one_expression_keeps_its_type_and_text_stays_valid_json() {
        let rendered = render(&json!({
            "store": "{{ store_id }}", "who": "{{ name }} ({{ phone | mask }})", "city": "{{ city_name }}",
            "fixed": 7, "list": ["{{ labels.channel }}", true], "key": "{{ delivery_id }}",
        }));
        assert_eq!(
            rendered.expect("renders"),
            json!({
                "store": 437_763_404_i64, "who": "张\"三 (135****8911)", "city": null,
                "fixed": 7, "list": ["天猫", true], "key": "D1",
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
        let places: Vec<_> = problems.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(places, ["/a/b~1c", "/d/1", "/e"]);
        assert_eq!(problems[0].1.help, "did you mean `phone`?");
    }

    #[test]
    fn a_value_that_is_not_there_is_an_error_that_shows_no_data() {
        let error = render(&json!("{{ other.nothing }}")).expect_err("strict");
        assert!(!error.message.contains("13567658911"));
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
