//! The draft: a request before a lead fills it.
//!
//! Places in its problems are those of the table that it is written in.

use std::collections::BTreeMap;

use leadgate_plugin::template::{Engine, Scope};
use leadgate_plugin::{Problem, Secret, pointer_segment};
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::body::Body;
use crate::endpoint::{self, Endpoint};
use crate::settings::{self, BodyAs, Settings};
use crate::slot::Slot;

/// Headers that this plugin or HTTP itself sets.
const OWN: [&str; 8] = [
    "content-length",
    "host",
    "transfer-encoding",
    "connection",
    "idempotency-key",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// What is wrong with a path of a step if the sink has no `url`.
pub(crate) const NO_BASE: &str = "a path, and there is no `url` to append it to";

/// Headers before a lead fills them.
pub(crate) type Headers = Vec<(HeaderName, Slot)>;
/// Query parameters before a lead fills them.
pub(crate) type Query = Vec<(String, Slot)>;

/// A request before a lead fills it.
pub(crate) struct Draft {
    pub(crate) method: Method,
    pub(crate) endpoint: Endpoint,
    pub(crate) query: Query,
    pub(crate) headers: Headers,
    pub(crate) body: Body,
}

/// A request as it is written, for the whole sink or for a step.
pub(crate) struct Written<'a> {
    /// What a `url` that is a path is appended to.
    pub(crate) base: Option<&'a str>,
    pub(crate) url: Option<&'a str>,
    pub(crate) method: Option<&'a str>,
    pub(crate) query: &'a BTreeMap<String, Secret>,
    pub(crate) headers: &'a BTreeMap<String, Secret>,
    pub(crate) body: Option<&'a Value>,
    pub(crate) body_as: Option<BodyAs>,
}

impl<'a> Written<'a> {
    pub(crate) fn whole(settings: &'a Settings) -> Self {
        Self {
            base: None,
            url: settings.url.as_deref(),
            method: settings.method.as_deref(),
            query: &settings.query,
            headers: &settings.headers,
            body: settings.body.as_ref(),
            body_as: settings.body_as,
        }
    }

    pub(crate) fn step(step: &'a settings::Step, base: Option<&'a str>) -> Self {
        Self {
            base,
            url: step.url.as_deref().or(base),
            method: step.method.as_deref(),
            query: &step.query,
            headers: &step.headers,
            body: step.body.as_ref(),
            body_as: step.body_as,
        }
    }
}

impl Draft {
    /// Understands what is written; all that is wrong with it is found at once.
    pub(crate) fn new(
        written: &Written<'_>,
        engine: &Engine,
        scope: &Scope,
    ) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader {
            engine,
            scope,
            problems: Vec::new(),
        };
        let method = reader.method(written.method);
        let endpoint = reader.endpoint(written);
        let query = reader.query(written.query);
        let headers = reader.headers(written.headers);
        let way = written.body_as.unwrap_or_default();
        let body = Body::new(written.body, way, engine, scope);
        let body = reader.take(body);
        match (method, endpoint, body) {
            (Some(method), Some(endpoint), Some(body)) if reader.problems.is_empty() => Ok(Self {
                method,
                endpoint,
                query,
                headers,
                body,
            }),
            _ => Err(reader.problems),
        }
    }

    /// A GET without a body of its own sends none.
    pub(crate) fn sends_body(&self) -> bool {
        self.method != Method::GET || self.body.is_given()
    }

    /// Whether it is the same for every lead, but for the event as its body.
    pub(crate) fn is_plain(&self) -> bool {
        !self.body.is_given() && self.is_plain_but_for_its_body()
    }

    /// Whether where it goes, and its headers, are the same for every lead.
    pub(crate) fn is_plain_but_for_its_body(&self) -> bool {
        let fixed = |slot: &Slot| matches!(slot, Slot::Fixed(_));
        self.endpoint.is_plain()
            && self.query.iter().all(|(_, slot)| fixed(slot))
            && self.headers.iter().all(|(_, slot)| fixed(slot))
    }
}

/// Headers and query parameters that every step sends.
pub(crate) fn shared(
    settings: &Settings,
    engine: &Engine,
) -> Result<(Headers, Query), Vec<Problem>> {
    let mut reader = Reader {
        engine,
        scope: &Scope::EVENT,
        problems: Vec::new(),
    };
    let headers = reader.headers(&settings.headers);
    let query = reader.query(&settings.query);
    if reader.problems.is_empty() {
        Ok((headers, query))
    } else {
        Err(reader.problems)
    }
}

struct Reader<'a> {
    engine: &'a Engine,
    scope: &'a Scope,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn take<T>(&mut self, read: Result<T, impl IntoIterator<Item = Problem>>) -> Option<T> {
        read.map_err(|problems| self.problems.extend(problems)).ok()
    }

    fn method(&mut self, given: Option<&str>) -> Option<Method> {
        match given.unwrap_or("POST") {
            "POST" => Some(Method::POST),
            "PUT" => Some(Method::PUT),
            "PATCH" => Some(Method::PATCH),
            "GET" => Some(Method::GET),
            _ => {
                let problem = Problem::at("/method", "not a method for leads");
                self.problems
                    .push(problem.help("use POST, PUT, PATCH or GET"));
                None
            }
        }
    }

    fn endpoint(&mut self, written: &Written<'_>) -> Option<Endpoint> {
        let Some(url) = written.url else {
            let problem = Problem::at("", "`url` is missing: where to send");
            self.problems
                .push(problem.help("such as url = \"https://crm.example/leads\""));
            return None;
        };
        if !url.starts_with('/') {
            let read = Endpoint::new(url, self.engine, self.scope);
            return self.take(read);
        }
        let Some(base) = written.base else {
            let problem = Problem::at("/url", NO_BASE);
            let help = "write the URL whole, or give the sink a `url` that all steps begin with";
            self.problems.push(problem.help(help));
            return None;
        };
        let base = base.trim_end_matches('/');
        let read = Endpoint::new(&format!("{base}{url}"), self.engine, self.scope);
        // As far as it is in what the step says.
        let read = read.map_err(|problems| {
            problems.into_iter().map(|mut problem| {
                problem.range = problem.range.and_then(|range| {
                    let start = range.start.checked_sub(base.len())?;
                    Some(start..range.end - base.len())
                });
                problem
            })
        });
        self.take(read)
    }

    fn query(&mut self, given: &BTreeMap<String, Secret>) -> Query {
        let mut query = Vec::new();
        for (name, value) in given {
            let at = format!("/query{}", pointer_segment(name));
            let slot = Slot::new(value, &at, self.engine, self.scope);
            if let Some(slot) = self.take(slot) {
                query.push((name.clone(), slot));
            }
        }
        query
    }

    fn headers(&mut self, given: &BTreeMap<String, Secret>) -> Headers {
        let mut headers = Vec::new();
        for (name, value) in given {
            let at = format!("/headers{}", pointer_segment(name));
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                self.problems.push(Problem::at(at, "not a header name"));
                continue;
            };
            if OWN.contains(&name.as_str()) {
                let problem = Problem::at(at, "this header is set by the plugin itself");
                self.problems.push(problem.help("leave it out"));
                continue;
            }
            let slot = Slot::new(value, &at, self.engine, self.scope);
            let Some(slot) = self.take(slot) else {
                continue;
            };
            if let Slot::Fixed(secret) = &slot
                && HeaderValue::from_bytes(secret.expose().as_bytes()).is_err()
            {
                self.problems.push(Problem::at(
                    at,
                    "the value has characters that a header cannot carry",
                ));
                continue;
            }
            headers.push((name, slot));
        }
        headers
    }
}

/// The `url` that steps append their paths to: whole, and the same for every lead.
pub(crate) fn base(url: &str) -> Result<(), Problem> {
    if endpoint::has_template(url) {
        let problem = Problem::at("/url", "where steps begin cannot be a template");
        return Err(problem.help("put `{{ expressions }}` into the steps' own `url`"));
    }
    let base = endpoint::absolute(url, "/url")?;
    if base.query().is_some() || base.fragment().is_some() {
        let problem = Problem::at(
            "/url",
            "steps append their paths to it, so it ends in a path",
        );
        return Err(problem.help("put parameters into `query`"));
    }
    Ok(())
}
