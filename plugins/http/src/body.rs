//! The body: what a template makes, written as JSON, a form, text or parts.

use std::fmt::Write;

use leadgate_plugin::template::{Context, Engine, Scope, TemplateError, Tree};
use leadgate_plugin::{Problem, Secret, hex};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::settings::BodyAs;

/// The one name of a body that is given as a value.
pub(crate) const VALUE: &str = "value";
const VALUES: Scope = Scope::of(&[VALUE]);

/// A body before a lead fills it.
#[derive(Clone)]
pub(crate) struct Body {
    tree: Option<Tree>,
    way: BodyAs,
}

/// A body as it is sent.
pub(crate) struct Filled {
    pub(crate) bytes: Vec<u8>,
    pub(crate) content_type: String,
}

impl Body {
    pub(crate) fn new(
        given: Option<&Value>,
        way: BodyAs,
        engine: &Engine,
        scope: &Scope,
    ) -> Result<Self, Vec<Problem>> {
        let problem =
            |message: &str, help: &str| Err(vec![Problem::at("/body", message).help(help)]);
        match (given, way) {
            (_, BodyAs::Json)
            | (Some(Value::Object(_)), BodyAs::Form | BodyAs::Multipart)
            | (Some(Value::String(_)), BodyAs::Text) => {}
            (None, _) => {
                return Err(vec![
                    Problem::at("/body_as", "this needs a `body`")
                        .help("the whole event is sent as JSON only"),
                ]);
            }
            (Some(_), BodyAs::Text) => {
                return problem(
                    "the body must be one text",
                    "body = \"{{ name }} {{ phone }}\"",
                );
            }
            (Some(_), _) => {
                return problem(
                    "the body must be a table",
                    "body = { name = \"{{ name }}\" }",
                );
            }
        }
        let tree = given
            .map(|given| engine.tree_in(given, scope))
            .transpose()
            .map_err(|errors| {
                let problems = errors.into_iter().map(|error| error.into_problem("/body"));
                problems.collect::<Vec<_>>()
            })?;
        Ok(Self { tree, way })
    }

    /// A body that is what [`VALUE`] means.
    pub(crate) fn of_value(way: BodyAs, engine: &Engine) -> Result<Self, Vec<Problem>> {
        let whole = Value::String(format!("{{{{ {VALUE} }}}}"));
        let tree = engine.tree_in(&whole, &VALUES);
        let problems = |errors: Vec<TemplateError>| {
            let problems = errors.into_iter().map(|error| error.into_problem("/body"));
            problems.collect::<Vec<_>>()
        };
        let tree = Some(tree.map_err(problems)?);
        Ok(Self { tree, way })
    }

    /// What its templates make for one lead, before it is written; none if it is the whole event.
    pub(crate) fn value(&self, context: &Context) -> Result<Option<Value>, Problem> {
        let filled = self.tree.as_ref().map(|tree| tree.fill(context));
        filled
            .transpose()
            .map_err(|error| error.into_problem("/body"))
    }

    /// Whether there is a template, and not the whole event.
    pub(crate) fn is_given(&self) -> bool {
        self.tree.is_some()
    }

    pub(crate) fn is_json(&self) -> bool {
        self.way == BodyAs::Json
    }

    pub(crate) fn fill(&self, context: &Context, event: &[u8]) -> Result<Filled, Problem> {
        let Some(filled) = self.value(context)? else {
            return Ok(json(event.to_vec()));
        };
        match (self.way, filled) {
            (BodyAs::Json, filled) => Ok(json(filled.to_string().into_bytes())),
            (BodyAs::Text, Value::String(text)) => Ok(text_body(text)),
            (BodyAs::Text, Value::Null) => Ok(text_body(String::new())),
            (BodyAs::Text, other) => Ok(text_body(other.to_string())),
            (BodyAs::Form, Value::Object(fields)) => Ok(Filled {
                bytes: form(&fields)?.into_bytes(),
                content_type: "application/x-www-form-urlencoded".to_owned(),
            }),
            (BodyAs::Multipart, Value::Object(fields)) => multipart(&fields),
            _ => Err(Problem::at("/body", "the body must be a table")),
        }
    }
}

impl Filled {
    /// Puts a token into a JSON body.
    pub(crate) fn add(&mut self, field: &str, token: &Secret) -> Result<(), Problem> {
        let Ok(Value::Object(mut body)) = serde_json::from_slice(&self.bytes) else {
            return Err(Problem::at(
                "/body",
                "a token can only go into a JSON table",
            ));
        };
        body.insert(field.to_owned(), Value::String(token.expose().to_owned()));
        self.bytes = Value::Object(body).to_string().into_bytes();
        Ok(())
    }
}

fn json(bytes: Vec<u8>) -> Filled {
    Filled {
        bytes,
        content_type: "application/json".to_owned(),
    }
}

fn text_body(text: String) -> Filled {
    Filled {
        bytes: text.into_bytes(),
        content_type: "text/plain; charset=utf-8".to_owned(),
    }
}

/// The bytes that the form encoding leaves as they are (WHATWG URL, 5.2), but for the space.
const FORM: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'*')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b' ');

fn form(fields: &Map<String, Value>) -> Result<String, Problem> {
    let mut pairs = Vec::new();
    for (name, value) in fields {
        // A list says a name several times.
        let values = value
            .as_array()
            .map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            if let Some(text) = scalar(name, value)? {
                pairs.push((name.clone(), text));
            }
        }
    }
    Ok(form_of(
        pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    ))
}

/// `a=1&b=2`
pub(crate) fn form_of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let encode = |text: &str| {
        utf8_percent_encode(text, FORM)
            .to_string()
            .replace(' ', "+")
    };
    let pairs: Vec<_> = pairs
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.join("&")
}

/// A value of a form; none is left out.
fn scalar(name: &str, value: &Value) -> Result<Option<String>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => {
            let at = format!("/body{}", leadgate_plugin::pointer_segment(name));
            Err(Problem::at(at, "a form has no tables in it").help("`| tojson` writes one as text"))
        }
    }
}

/// Parts (RFC 7578), names escaped as browsers do.
fn multipart(fields: &Map<String, Value>) -> Result<Filled, Problem> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for (name, value) in fields {
        let mut head = format!("content-disposition: form-data; name=\"{}\"", quoted(name));
        let content = match value {
            Value::Object(file) => {
                let text = |key: &str| match file.get(key) {
                    Some(value) => scalar(name, value),
                    None => Ok(None),
                };
                if let Some(filename) = text("filename")? {
                    let _ = write!(head, "; filename=\"{}\"", quoted(&filename));
                }
                if let Some(kind) = text("content_type")? {
                    let safe: String = kind.chars().filter(|letter| !letter.is_control()).collect();
                    let _ = write!(head, "\r\ncontent-type: {safe}");
                }
                text("content")?
            }
            other => scalar(name, other)?,
        };
        if let Some(content) = content {
            parts.push((head, content));
        }
    }
    let boundary = boundary(&parts);
    let mut body = String::new();
    for (head, content) in &parts {
        let _ = write!(body, "--{boundary}\r\n{head}\r\n\r\n{content}\r\n");
    }
    let _ = write!(body, "--{boundary}--\r\n");
    Ok(Filled {
        bytes: body.into_bytes(),
        content_type: format!("multipart/form-data; boundary={boundary}"),
    })
}

fn quoted(text: &str) -> String {
    text.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// From the content itself, so that an attempt looks like the one before, and no part can
/// hold it but by breaking the hash; even then another is taken.
fn boundary(parts: &[(String, String)]) -> String {
    let mut hash = Sha256::new();
    loop {
        for (head, content) in parts {
            hash.update(head);
            hash.update(content);
        }
        let digest = hash.clone().finalize();
        let boundary = format!("leadgate-{}", hex(&digest[..16]));
        if !parts.iter().any(|(_, content)| content.contains(&boundary)) {
            return boundary;
        }
    }
}

#[cfg(test)]
mod tests {
    use leadgate_plugin::Tables;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn fill(body: &Value, way: BodyAs, name: &str) -> Result<Filled, String> {
        let engine = Engine::new(Tables::new());
        let context = engine.event(
            &json!({"lead": {"name": name, "phone": null, "store_id": 7, "other": {}}}),
            "D",
        );
        let body = Body::new(Some(body), way, &engine, &Scope::EVENT)
            .map_err(|problems| problems[0].to_string())?;
        body.fill(&context, b"{}")
            .map_err(|problem| problem.to_string())
    }

    fn text(filled: &Filled) -> &str {
        std::str::from_utf8(&filled.bytes).expect("text")
    }

    #[test]
    fn a_form_is_what_browsers_send() {
        let body = json!({"a b": "{{ name }}", "n": "{{ store_id }}", "none": "{{ phone }}", "list": ["x", 2, true]});
        let filled = fill(&body, BodyAs::Form, "张 &=+*~").expect("filled");
        assert_eq!(
            text(&filled),
            "a+b=%E5%BC%A0+%26%3D%2B*%7E&list=x&list=2&list=true&n=7"
        );
        assert!(fill(&json!({"a": {"b": 1}}), BodyAs::Form, "x").is_err());
    }

    #[test]
    fn text_is_sent_as_it_is() {
        let filled = fill(&json!("客户 {{ name }}"), BodyAs::Text, "张\"三").expect("filled");
        assert_eq!(text(&filled), "客户 张\"三");
        assert!(fill(&json!({"a": 1}), BodyAs::Text, "x").is_err());
        assert!(fill(&json!("x"), BodyAs::Form, "x").is_err());
    }

    #[test]
    fn parts_have_names_and_files() {
        let body = json!({"note": "{{ name }}", "none": "{{ phone }}", "file": {"filename": "{{ name }}.json", "content_type": "application/json", "content": "{{ {'a': 1} | tojson }}"}});
        let filled = fill(&body, BodyAs::Multipart, "a\"\r\nb").expect("filled");
        let boundary = filled
            .content_type
            .split_once("boundary=")
            .expect("a boundary")
            .1;
        let wanted = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a%22%0D%0Ab.json\"\r\ncontent-type: application/json\r\n\r\n{{\"a\": 1}}\r\n\
             --{boundary}\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\na\"\r\nb\r\n--{boundary}--\r\n"
        );
        assert_eq!(text(&filled), wanted);
    }

    proptest! {
        #[test]
        fn a_form_is_read_back_as_it_was(name in "\\PC{0,20}") {
            let filled = fill(&json!({"x": "{{ name }}", "y": "1"}), BodyAs::Form, &name).expect("filled");
            let url = reqwest::Url::parse(&format!("http://h/?{}", text(&filled))).expect("a URL");
            let pairs: Vec<_> = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
            prop_assert_eq!(pairs, vec![("x".to_owned(), name), ("y".to_owned(), "1".to_owned())]);
        }

        #[test]
        fn parts_never_hold_their_boundary(name in "[-\r\n a-z]{0,60}") {
            let filled = fill(&json!({"x": "{{ name }}", "y": "1"}), BodyAs::Multipart, &name).expect("filled");
            let boundary = filled.content_type.split_once("boundary=").expect("a boundary").1;
            prop_assert_eq!(text(&filled).matches(boundary).count(), 3);
        }
    }
}
