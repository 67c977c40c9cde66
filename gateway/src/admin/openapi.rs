//! The OpenAPI document: made of what the API's paths say of themselves.

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse};
use schemars::generate::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::api;
use super::parameter::Parameter;
use super::params::Params;
use super::problem::{Kind, Problem, Told};
use super::resources::{About, Answer};
use super::shape::{Shape, of_answers, of_bodies};

/// The document, made once.
static DOCUMENT: LazyLock<Value> = LazyLock::new(make);

/// The document of this version.
pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}

/// `GET /openapi.json`
pub(super) async fn show(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Params::of(&request)?;
    Ok(HttpResponse::Ok().json(document()))
}

/// Schemas by which way they go: what must be there differs.
struct Schemas {
    bodies: SchemaGenerator,
    answers: SchemaGenerator,
}

fn make() -> Value {
    let mut schemas = Schemas {
        bodies: of_bodies(),
        answers: of_answers(),
    };
    let mut paths = Map::new();
    for about in api::abouts() {
        let path = paths.entry(about.path).or_insert_with(|| json!({}));
        let method = about.method.to_ascii_lowercase();
        path[method] = operation(&about, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "leadgate operators' API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Lists and URLs say nothing of who a lead is. Errors are problem details (RFC 9457) with a stable `type`.",
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/api/v1" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of `leadgate token add`, or `admin.token`.",
            } },
            "schemas": schemas.all(),
        },
    })
}

impl Schemas {
    fn of_answer(&mut self, shape: Shape) -> Value {
        shape.schema(&mut self.answers).to_value()
    }

    /// What they refer to. Of a type that goes both ways the answers' schema counts: it says more.
    fn all(mut self) -> Map<String, Value> {
        let mut all = self.bodies.take_definitions(true);
        all.extend(self.answers.take_definitions(true));
        all.sort_keys();
        all
    }
}

fn operation(about: &About, schemas: &mut Schemas) -> Value {
    let (en, zh) = about.summary;
    let mut parameters: Vec<Value> = about.places().map(place).collect();
    parameters.extend(about.parameters.iter().map(Parameter::described));
    let mut operation = json!({
        "operationId": id(about),
        "summary": en,
        "x-summary-zh": zh,
        "x-role": about.role,
        "x-command": format!("leadgate {}", about.command),
        "parameters": parameters,
        "responses": answers(about, schemas),
    });
    if let Some(shape) = about.body {
        let schema = shape.schema(&mut schemas.bodies);
        operation["requestBody"] =
            json!({ "content": { "application/json": { "schema": schema } } });
    }
    operation
}

/// Its name, for whoever makes a client of it: `getDeliveriesIdPreview`.
fn id(about: &About) -> String {
    let words = about
        .path
        .split(|letter: char| !letter.is_ascii_alphanumeric());
    let mut id = about.method.to_ascii_lowercase();
    for word in words {
        let mut letters = word.chars();
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(letters.as_str());
    }
    id
}

fn place(name: &'static str) -> Value {
    let schema = match name {
        "id" => json!({ "type": "string", "format": "uuid" }),
        "number" => json!({ "type": "integer", "minimum": 1 }),
        _ => json!({ "type": "string" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn answers(about: &About, schemas: &mut Schemas) -> Map<String, Value> {
    let good = match &about.answer {
        Answer::Json(shape) => json!({
            "description": "done",
            "content": { "application/json": { "schema": schemas.of_answer(*shape) } },
        }),
        Answer::Stream(what) => json!({
            "description": what,
            "content": { "application/octet-stream": {} },
        }),
    };
    let mut answers = Map::from_iter([("200".to_owned(), good)]);
    let mut problems = about.problems();
    problems.sort_by_key(|kind| kind.status());
    for of_status in problems.chunk_by(|one, other| one.status() == other.status()) {
        let names: Vec<_> = of_status.iter().copied().map(Kind::name).collect();
        let schema = schemas.of_answer(Shape::of::<Told>());
        let problem = json!({
            "description": names.join(", "),
            "content": { "application/problem+json": { "schema": schema } },
        });
        answers.insert(of_status[0].status().as_u16().to_string(), problem);
    }
    answers
}
