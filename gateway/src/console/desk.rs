//! The desk: what a page has at hand while it is made, and how it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::LOCATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::frame::{Flash, Frame, Place};
use super::sessions::Visit;
use super::{Console, language};
use crate::admin::{Admin, Inside, Kind, Problem, allows};
use crate::clock::Millis;
use crate::lang::Lang;
use crate::outbox::{Actor, Role};

/// What a handler of the console gives.
pub(super) type Answer = Result<HttpResponse, Problem>;

/// What a page is made with.
pub(super) struct Desk {
    /// The API.
    pub(super) api: Inside,
    /// What pages keep.
    pub(super) console: web::Data<Console>,
    /// Their session.
    pub(super) visit: Visit,
    /// Who asks.
    pub(super) actor: Actor,
    /// In which language.
    pub(super) lang: Lang,
    request: HttpRequest,
}

impl Desk {
    /// What time it is.
    pub(super) fn now(&self) -> Millis {
        self.api.admin().clock.now()
    }

    /// Refuses who has a lesser role: for what a page does or shows before it asks the API.
    pub(super) fn takes(&self, role: Role) -> Result<(), Problem> {
        allows(&self.actor, role)
    }

    /// All sinks that deliveries are of.
    pub(super) fn sinks(&self) -> Vec<String> {
        let totals = self.api.admin().outbox.totals();
        let all = totals.sinks.into_keys().chain(self.configured_sinks());
        let all: BTreeSet<String> = all.collect();
        all.into_iter().collect()
    }

    /// Those that are configured.
    pub(super) fn configured_sinks(&self) -> Vec<String> {
        let configured = self.api.admin().configured.get();
        configured.sinks.keys().cloned().collect()
    }

    /// What the query asks for, without what was left empty.
    pub(super) fn asked(&self) -> BTreeMap<String, String> {
        let query = self.request.query_string();
        let pairs = web::Query::<Vec<(String, String)>>::from_query(query);
        let pairs = pairs.map(web::Query::into_inner).unwrap_or_default();
        let pairs = pairs.into_iter();
        pairs
            .filter(|(_, value)| !value.trim().is_empty())
            .collect()
    }

    /// What stands around a page.
    pub(super) fn frame(&self, place: Place) -> Frame {
        // Who only asks for fresh numbers does not see what is said.
        let is_script = self.request.headers().contains_key("hx-request");
        let said = || self.console.sessions.said(&self.visit);
        let flash = if is_script { None } else { said() };
        Frame::new(self.lang, place, self.now())
            .of(self.api.admin(), self.visit.csrf(), self.actor.clone())
            .saying(flash)
    }

    /// Goes to a page that says what was done.
    pub(super) fn done(&self, to: &str, flash: Flash) -> HttpResponse {
        self.console.sessions.say(&self.visit, flash);
        HttpResponse::SeeOther()
            .insert_header((LOCATION, to))
            .finish()
    }
}

impl FromRequest for Desk {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let who = visitor(request);
        let admin = request.app_data::<web::Data<Admin>>().cloned();
        let console = request.app_data::<web::Data<Console>>().cloned();
        let (Some((visit, actor)), Some(admin), Some(console)) = (who, admin, console) else {
            let detail = ("the console is not set up", "控制台尚未就绪");
            return ready(Err(Problem::new(Kind::Internal, detail)));
        };
        ready(Ok(Self {
            api: Inside::of(admin, request.clone()),
            console,
            visit,
            actor,
            lang: language::of(request.headers()),
            request: request.clone(),
        }))
    }
}

/// What is asked for, as a query.
pub(super) fn query_of(asked: &BTreeMap<String, String>) -> String {
    let coded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let pairs = asked.iter();
    let pairs = pairs.map(|(name, value)| format!("{}={}", coded(name), coded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The page behind one that was asked for.
pub(super) fn next(asked: &BTreeMap<String, String>, cursor: &str) -> String {
    let mut asked = asked.clone();
    asked.insert("cursor".to_owned(), cursor.to_owned());
    format!("?{}", query_of(&asked))
}

/// The session that a request came with, and whose it is.
fn visitor(request: &HttpRequest) -> Option<(Visit, Actor)> {
    let known = request.extensions();
    Some((known.get::<Visit>()?.clone(), known.get::<Actor>()?.clone()))
}

/// A page.
pub(super) fn page(template: &impl Template) -> Answer {
    let html = template.render().map_err(|_| {
        let detail = ("the page cannot be made", "页面无法生成");
        Problem::new(Kind::Internal, detail)
    })?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(html))
}

/// What the API answered, as a page reads it.
pub(super) fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Problem> {
    serde_json::from_value(answer).map_err(|_| {
        let detail = ("the answer is not as it should be", "应答与约定不符");
        Problem::new(Kind::Internal, detail)
    })
}

#[derive(Template)]
#[template(path = "sorry.html")]
struct Sorry {
    frame: Frame,
    lang: Lang,
    status: u16,
    detail: String,
    /// Further lines, such as what `leadgate check` says.
    report: Option<String>,
}

/// A problem as a page.
pub(super) fn sorry(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let lang = language::of(request.headers());
    let mut frame = Frame::new(lang, Place::None, 0);
    let admin = request.app_data::<web::Data<Admin>>();
    if let (Some((visit, actor)), Some(admin)) = (visitor(request), admin) {
        frame = frame.of(admin, visit.csrf(), actor);
    }
    let (en, zh) = problem.both();
    let status = problem.status_code();
    let report = problem.more(lang.pick("report", "report_zh"));
    let page = page(&Sorry {
        frame,
        lang,
        status: status.as_u16(),
        detail: lang.pick(en, zh),
        report: report.and_then(Value::as_str).map(str::to_owned),
    });
    page.map_or_else(
        |problem| problem.error_response(),
        |mut page| {
            *page.status_mut() = status;
            page
        },
    )
}

/// Whatever is no page.
pub(super) async fn no_such_page(_: Desk) -> Answer {
    Err(Problem::new(
        Kind::NotFound,
        ("there is no such page", "没有这个页面"),
    ))
}
