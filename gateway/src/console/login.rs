//! The login: a token for a session.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, SET_COOKIE};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, web};
use askama::Template;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::desk::{Answer, Desk, page};
use super::form::{self, Form};
use super::frame::{Frame, Place};
use super::{Console, guard, language};
use crate::admin::{Admin, Problem, note};
use crate::lang::Lang;
use crate::outbox::{AuditAction, Via};

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    frame: Frame,
    lang: Lang,
    /// Where to go on.
    next: String,
    by_token: bool,
    /// Why not.
    refused: Option<String>,
}

/// A form that anybody may send.
pub(super) struct Anybodys(Form);

impl FromRequest for Anybodys {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        async move { Ok(Self(form::anybodys(&request, &mut payload).await?)) }.boxed_local()
    }
}

/// `GET /login`
pub(super) async fn show(admin: web::Data<Admin>, request: HttpRequest) -> Answer {
    let query = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    let pairs = query.map(web::Query::into_inner).unwrap_or_default();
    let next = pairs.into_iter().find(|(name, _)| name == "next");
    let next = next.map(|(_, next)| next).unwrap_or_default();
    ask(&admin, &request, &next, None)
}

fn ask(admin: &Admin, request: &HttpRequest, next: &str, refused: Option<String>) -> Answer {
    let lang = language::of(request.headers());
    page(&Login {
        frame: Frame::new(lang, Place::None, admin.clock.now()),
        lang,
        next: guard::one_slash(next),
        by_token: admin.asks_for_a_token(),
        refused,
    })
}

/// What is said of a token that lets nobody in.
const WRONG: (&str, &str) = (
    "this is not a token, or it was revoked",
    "令牌不正确，或已被撤销",
);

/// `POST /login`
pub(super) async fn come_in(
    admin: web::Data<Admin>,
    console: web::Data<Console>,
    request: HttpRequest,
    Anybodys(form): Anybodys,
) -> Answer {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let next = guard::one_slash(form.or_empty("next"));
    let (pass, actor) = match admin.admit(form.text("token"), Via::Console, peer) {
        Ok(both) => both,
        Err(problem) => {
            let lang = language::of(request.headers());
            let status = problem.status_code();
            let why = if status == StatusCode::UNAUTHORIZED {
                lang.pick(WRONG.0, WRONG.1).to_owned()
            } else {
                let (en, zh) = problem.both();
                lang.pick(en, zh)
            };
            let mut answer = ask(&admin, &request, &next, Some(why))?;
            *answer.status_mut() = status;
            return Ok(answer);
        }
    };
    if let Err(problem) = note(&admin, actor.clone(), AuditAction::SessionBegin, "").await {
        // Whoever is to mend it must get in.
        tracing::error!(who = actor.name, error = %problem, "login was not recorded");
    }
    let (at, now) = (admin.clock.now(), admin.clock.monotonic());
    let secret = console.sessions.begin(pass, &actor, at, now);
    let from = peer.map(tracing::field::display);
    tracing::info!(
        who = actor.name,
        role = actor.role.as_str(),
        peer = from,
        "session began"
    );
    let cookie = format!(
        "{}={secret}; Path=/; HttpOnly; SameSite=Strict{}",
        guard::SESSION,
        guard::secure(request.headers())
    );
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, next))
        .insert_header((SET_COOKIE, cookie))
        .finish())
}

/// `POST /logout`
pub(super) async fn leave(desk: Desk, _: Form) -> Answer {
    desk.console.sessions.end(&desk.visit);
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, "/login"))
        .insert_header((
            SET_COOKIE,
            format!(
                "{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
                guard::SESSION
            ),
        ))
        .finish())
}
