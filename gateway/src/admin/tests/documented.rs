//! What the API says of itself: whole, true of every answer that any test here gets, and as the
//! README has it.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use actix_web::http::Method;
use jsonschema::Validator;
use serde_json::{Value, json};

use super::{ID, desk};
use crate::admin::resources::{About, Answer};
use crate::admin::{api, openapi};

/// Fails on an answer that is not documented so.
pub(super) fn check(method: &Method, path: &str, status: u16, answer: &Value) {
    let path = path.split('?').next().unwrap_or_default();
    let Some(about) = asked(method, path) else {
        assert!(
            [401, 404, 405].contains(&status),
            "{method} {path}: {status}"
        );
        return;
    };
    if status == 200 {
        // Of a stream it is said in words what it is.
        if matches!(about.answer, Answer::Json(_)) {
            conforms(&about, answer);
        }
        return;
    }
    let documented = about.problems().into_iter().any(|kind| {
        let name = format!("urn:leadgate:problem:{}", kind.name());
        answer["type"] == name && kind.status().as_u16() == status
    });
    assert!(documented, "{method} {path} is not said to answer {answer}");
}

fn asked(method: &Method, path: &str) -> Option<std::rc::Rc<About>> {
    let fits = |template: &str| {
        let (mut known, mut asked) = (template.split('/'), path.split('/'));
        loop {
            match (known.next(), asked.next()) {
                (None, None) => return true,
                (Some(known), Some(asked)) if known == asked || known.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    let mut all = api::abouts();
    all.find(|about| about.method == method.as_str() && fits(about.path))
}

fn conforms(about: &About, answer: &Value) {
    static KNOWN: LazyLock<Mutex<HashMap<String, Validator>>> = LazyLock::new(Mutex::default);
    let at = format!("{} {}", about.method, about.path);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let validator = known.entry(at).or_insert_with(|| {
        let document = openapi::document();
        let operation = &document["paths"][about.path][about.method.to_lowercase()];
        let content = &operation["responses"]["200"]["content"];
        let schema = json!({
            "allOf": [content["application/json"]["schema"]],
            "components": document["components"],
        });
        jsonschema::validator_for(&schema).expect("a schema")
    });
    let errors: Vec<_> = validator
        .iter_errors(answer)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    drop(known);
    let path = about.path;
    assert!(errors.is_empty(), "{path}: {errors:#?} in {answer:#}");
}

#[test]
fn every_path_is_said_once_with_all_that_is_to_be_known_of_it() {
    let mut seen = BTreeSet::new();
    for about in api::abouts() {
        let (en, zh) = about.summary;
        let at = format!("{} {}", about.method, about.path);
        assert!(!en.is_empty() && !about.command.is_empty(), "{at}");
        assert!(!zh.is_ascii(), "{at}");
        for parameter in &about.parameters {
            assert!(parameter.about.ends_with('.'), "{at} {}", parameter.name);
        }
        assert!(seen.insert(at.clone()), "{at} is there twice");
    }
    assert!(seen.len() >= 33);
}

#[test]
fn the_document_has_every_path_and_names_each_type_once() {
    let document = openapi::document();
    let mut operations = Vec::new();
    for about in api::abouts() {
        let operation = &document["paths"][about.path][about.method.to_lowercase()];
        assert_eq!(operation["x-role"], about.role.as_str());
        assert_eq!(operation["requestBody"].is_object(), about.body.is_some());
        operations.push(operation["operationId"].to_string());
    }
    let count = operations.len();
    operations.sort();
    operations.dedup();
    assert_eq!(operations.len(), count, "each has a name of its own");
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    for (name, schema) in schemas {
        let last = name.chars().last().expect("a name");
        assert!(!last.is_ascii_digit(), "two types are called {name}");
        jsonschema::meta::validate(schema).expect("a schema");
    }
    // All that is referred to is there.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().expect("an end");
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

#[actix_web::test]
async fn the_document_is_answered_as_it_is() {
    let desk = desk();
    assert_eq!(desk.get("/openapi.json").await, *openapi::document());
}

/// Each path refuses what it does not know, and nothing that it says it takes.
#[actix_web::test]
async fn parameters_are_those_that_are_documented() {
    let desk = desk();
    for about in api::abouts() {
        let path = about.path.replace("{id}", ID).replace("{name}", "crm");
        let method = Method::from_bytes(about.method.as_bytes()).expect("a method");
        let (status, answer) = desk
            .ask(method.clone(), &format!("{path}?nobody=1"), "")
            .await;
        let detail = answer["detail"].as_str().unwrap_or_default().to_owned();
        assert_eq!(status, 400, "{method} {path}: {answer}");
        assert!(detail.starts_with("unknown parameter `nobody`"), "{detail}");
        for parameter in &about.parameters {
            assert!(detail.contains(parameter.name), "{path}: {detail}");
        }
    }
}

/// To write the table: `LEADGATE_WRITE_DOCS=1 cargo test -p leadgate --lib the_readme`.
#[test]
fn the_readme_has_the_table_of_all_paths() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/README.md");
    let known = std::fs::read_to_string(&file).expect("there is one");
    let (begin, end) = ("<!-- paths -->\n", "<!-- /paths -->");
    let (before, rest) = known.split_once(begin).expect("where the table begins");
    let (_, behind) = rest.split_once(end).expect("where it ends");
    let now = format!("{before}{begin}{}{end}{behind}", table());
    if std::env::var_os("LEADGATE_WRITE_DOCS").is_some() {
        std::fs::write(&file, now).expect("writes");
        return;
    }
    assert!(
        known == now,
        "the table is an old one; write it: {}",
        table()
    );
}

fn table() -> String {
    let mut table =
        String::from("| path | role | what it does · 作用 | command |\n|---|---|---|---|\n");
    for about in api::abouts() {
        let (en, zh) = about.summary;
        let more = about
            .parameters
            .iter()
            .filter_map(|one| Some((one.name, one.role?)));
        let more = more.fold(String::new(), |text, (name, role)| {
            text + ", `" + name + "`: " + role.as_str()
        });
        let line = format!(
            "| `{} {}` | {}{more} | {en} · {zh} | `{}` |\n",
            about.method, about.path, about.role, about.command
        );
        table.push_str(&line);
    }
    table
}
