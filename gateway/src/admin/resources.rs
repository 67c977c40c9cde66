//! Resources: what is known of each method of each path, said once. From it come what is served,
//! who may ask, which parameters are let in, the OpenAPI document and the table of the README.

use std::rc::Rc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{
    FromRequest, Handler, HttpMessage, HttpRequest, Resource, Responder, ResponseError, Route, web,
};
use schemars::JsonSchema;

use super::auth::actor;
use super::parameter::Parameter;
use super::params::pairs;
use super::problem::{Kind, Problem};
use super::shape::Shape;
use crate::lang::Both;
use crate::outbox::{Actor, Role};

/// What is known of a method of a path.
pub(super) struct About {
    pub(super) method: &'static str,
    /// Under `/api/v1`.
    pub(super) path: &'static str,
    /// Who may ask; some values of parameters and bodies take more.
    pub(super) role: Role,
    /// What it does, in English and Chinese.
    pub(super) summary: Both,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Shape>,
    pub(super) answer: Answer,
    /// Problems of its own, beside those that follow from all the rest.
    refuses: Vec<Kind>,
    /// The command that asks it, without `leadgate`.
    pub(super) command: &'static str,
    /// Bytes of a body that are taken, if more than elsewhere.
    room: Option<usize>,
    /// Whether it only looks, although it is no GET.
    looks: bool,
}

/// What comes back if all is well.
pub(super) enum Answer {
    /// JSON.
    Json(Shape),
    /// A stream of bytes: what they are.
    Stream(&'static str),
}

/// Looks, and changes nothing.
pub(super) fn get(path: &'static str, role: Role, summary: Both) -> About {
    about("GET", path, role, summary)
}

/// Does something, or searches for what may stand in no URL.
pub(super) fn post(path: &'static str, role: Role, summary: Both) -> About {
    about("POST", path, role, summary)
}

fn about(method: &'static str, path: &'static str, role: Role, summary: Both) -> About {
    About {
        method,
        path,
        role,
        summary,
        parameters: Vec::new(),
        body: None,
        answer: Answer::Json(Shape::of::<serde_json::Value>()),
        refuses: Vec::new(),
        command: "",
        room: None,
        looks: false,
    }
}

impl About {
    /// Takes these parameters in its query.
    pub(super) fn takes(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// Takes a body like that, which may be left out if nothing in it must be there.
    pub(super) fn reads<T: JsonSchema>(mut self) -> Self {
        self.body = Some(Shape::of::<T>());
        self
    }

    /// Answers with JSON like that.
    pub(super) fn gives<T: JsonSchema>(mut self) -> Self {
        self.answer = Answer::Json(Shape::of::<T>());
        self
    }

    /// Answers with a stream, whose end is missing if it was broken off.
    pub(super) fn streams(mut self, what: &'static str) -> Self {
        self.answer = Answer::Stream(what);
        self
    }

    /// May refuse for these reasons.
    pub(super) fn refuses(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.refuses.extend(kinds);
        self
    }

    /// Is asked by this command.
    pub(super) fn command(mut self, command: &'static str) -> Self {
        self.command = command;
        self
    }

    /// Only looks, at nobody and at nothing that is to be recorded: what it is asked for is too
    /// much for a URL.
    pub(super) fn looks(mut self) -> Self {
        self.looks = true;
        self
    }

    /// Takes bodies of so many bytes, where other paths take fewer.
    pub(super) fn with_room(mut self, bytes: usize) -> Self {
        self.room = Some(bytes);
        self
    }

    /// Is done by this handler.
    pub(super) fn to<F, Args>(self, handler: F) -> Endpoint
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let about = Rc::new(self);
        let route = match about.method {
            "GET" => web::get(),
            _ => web::post(),
        };
        let gate = Rc::clone(&about);
        let gate = from_fn(move |request, next| enter(Rc::clone(&gate), request, next));
        Endpoint {
            route: route.to(handler).wrap(gate),
            about,
        }
    }

    /// What stands in braces in its path.
    pub(super) fn places(&self) -> impl Iterator<Item = &'static str> {
        let parts = self.path.split('/');
        parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Whether some of what it does leaves an entry in the audit log.
    pub(super) fn is_recorded(&self) -> bool {
        let mut parameters = self.parameters.iter();
        (self.method != "GET" && !self.looks)
            || matches!(self.answer, Answer::Stream(_))
            || parameters.any(|one| one.role.is_some())
    }

    /// All problems that it may answer with, each once.
    pub(super) fn problems(&self) -> Vec<Kind> {
        let mut all = vec![
            Kind::BadParameter,
            Kind::Unauthorized,
            Kind::TooManyGuesses,
            Kind::Forbidden,
            Kind::Unavailable,
            Kind::Internal,
        ];
        if self.role > Role::Viewer || self.parameters.iter().any(|one| one.role.is_some()) {
            all.push(Kind::RoleTooLow);
        }
        if self.is_recorded() {
            all.push(Kind::AuditUnavailable);
        }
        if self.body.is_some() {
            all.extend([Kind::BadBody, Kind::TooLarge]);
        }
        for place in self.places() {
            all.push(Kind::NotFound);
            if place == "id" {
                all.push(Kind::BadId);
            }
        }
        all.extend(&self.refuses);
        let mut seen = Vec::new();
        all.retain(|kind| {
            let new = !seen.contains(kind);
            seen.push(*kind);
            new
        });
        all
    }

    /// Refuses who may not ask for this, or not so.
    fn admits(&self, actor: &Actor, query: &str) -> Result<(), Problem> {
        allows(actor, self.role)?;
        let given = pairs(query)?;
        for (name, value) in &given {
            let known = self.parameters.iter().find(|one| one.name == *name);
            if let Some(known) = known
                && let Some(role) = known.role
                && known.asks(value)
            {
                allows(actor, role)?;
            }
        }
        Ok(())
    }
}

/// Refuses an actor whose role is below `needed`.
pub(crate) fn allows(actor: &Actor, needed: Role) -> Result<(), Problem> {
    if actor.role >= needed {
        return Ok(());
    }
    let (name, role) = (&actor.name, actor.role);
    let detail = (
        format!(
            "the token `{name}` has the role {role}, and this takes {needed}: an admin makes one by `leadgate token add NAME --role {needed}`"
        ),
        format!(
            "令牌 `{name}` 的角色是 {role}，此操作需要 {needed}：请管理员用 `leadgate token add 名称 --role {needed}` 另建"
        ),
    );
    let more = serde_json::json!({ "role": role, "needs": needed });
    Err(Problem::new(Kind::RoleTooLow, detail).with(more))
}

async fn enter(
    about: Rc<About>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let query = request.query_string().to_owned();
    if let Err(problem) = let_in(request.request(), about, &query) {
        return Ok(request.into_response(problem.error_response()));
    }
    next.call(request).await
}

/// Lets a request ask for this with that query, if whoever sent it may.
pub(super) fn let_in(request: &HttpRequest, about: Rc<About>, query: &str) -> Result<(), Problem> {
    about.admits(&actor(request), query)?;
    request.extensions_mut().insert(about);
    Ok(())
}

/// What is known of what a request asks for.
pub(super) fn asked(request: &HttpRequest) -> Rc<About> {
    let known = request.extensions().get::<Rc<About>>().cloned();
    // Invariant: every handler of the API is behind `enter`.
    known.expect("a request that was let through is of an endpoint")
}

/// A method of a path that can be served.
pub(super) struct Endpoint {
    pub(super) about: Rc<About>,
    route: Route,
}

/// All paths, ready to be served; any other method is refused with those that are taken.
pub(super) fn served(endpoints: Vec<Endpoint>) -> Vec<Resource> {
    let mut paths: Vec<(&'static str, Vec<Endpoint>)> = Vec::new();
    for endpoint in endpoints {
        let path = endpoint.about.path;
        match paths.iter_mut().find(|(known, _)| *known == path) {
            Some((_, of_path)) => of_path.push(endpoint),
            None => paths.push((path, vec![endpoint])),
        }
    }
    let resource = |(path, endpoints): (&'static str, Vec<Endpoint>)| {
        let mut methods = Vec::new();
        let mut resource = web::resource(path);
        for Endpoint { about, route } in endpoints {
            methods.push(about.method);
            resource = resource.route(route);
            if let Some(bytes) = about.room {
                resource = resource.app_data(web::PayloadConfig::new(bytes));
            }
        }
        only(resource, methods.join(", "))
    };
    paths.into_iter().map(resource).collect()
}

/// The same, where other methods than these are refused.
pub(crate) fn only(resource: Resource, methods: String) -> Resource {
    resource.default_service(web::to(move || {
        let methods = methods.clone();
        async move { Err::<actix_web::HttpResponse, _>(Problem::method(methods)) }
    }))
}
