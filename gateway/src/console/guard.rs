//! The guard: who may see pages, and the headers that every page carries.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, ORIGIN, SET_COOKIE,
};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpResponse, web};

use super::sessions::Visit;
use super::{Console, desk, language};
use crate::admin::{Admin, Kind, Problem};
use crate::lang::Lang;
use crate::outbox::{Actor, Via};

/// The cookie of a session.
pub(super) const SESSION: &str = "leadgate_session";

/// What every answer of the console carries. The referrer stays within the console: without any,
/// browsers would not say of a form from where it was sent.
const HEADERS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Puts the headers on what is answered; changes the language where a link says so; shows
/// problems as pages.
pub(super) async fn dress(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let mut response = if let Some(chosen) = choice(&request) {
        request.into_response(chosen)
    } else {
        let answer = next.call(request).await?.map_into_boxed_body();
        let shown = problem(&answer).map(|problem| desk::sorry(answer.request(), &problem));
        match shown {
            Some(page) => answer.into_response(page),
            None => answer,
        }
    };
    for (name, value) in HEADERS {
        let headers = response.headers_mut();
        let name = HeaderName::from_static(name);
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    Ok(response)
}

fn problem(answer: &ServiceResponse<BoxBody>) -> Option<Problem> {
    let error = answer.response().error()?;
    error.as_error::<Problem>().cloned()
}

/// `?lang=` is remembered, and the page asked for again without it.
fn choice(request: &ServiceRequest) -> Option<HttpResponse> {
    if request.method() != Method::GET {
        return None;
    }
    let mut chosen = None;
    let others = request.query_string().split('&').filter(|pair| {
        let value = pair.strip_prefix("lang=");
        chosen = chosen.or(value.and_then(Lang::parse));
        value.is_none() && !pair.is_empty()
    });
    let others: Vec<&str> = others.collect();
    let lang = language::tag(chosen?);
    let query = if others.is_empty() { "" } else { "?" };
    let to = format!("{}{query}{}", one_slash(request.path()), others.join("&"));
    let cookie = format!(
        "{}={lang}; Path=/; Max-Age=31536000; SameSite=Strict; HttpOnly{}",
        language::CHOSEN,
        secure(request.headers()),
    );
    Some(
        HttpResponse::SeeOther()
            .insert_header((LOCATION, to))
            .insert_header((SET_COOKIE, cookie))
            .finish(),
    )
}

/// As a path of this host: what begins with two slashes names another one.
pub(super) fn one_slash(path: &str) -> String {
    format!("/{}", path.trim_start_matches(['/', '\\']))
}

/// What a cookie says where the browser came by TLS: the listener has none itself, what stands
/// before it says so.
pub(super) fn secure(headers: &HeaderMap) -> &'static str {
    let proto = headers.get("x-forwarded-proto");
    if proto.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https")) {
        "; Secure"
    } else {
        ""
    }
}

/// Lets in who has a session, and sends others to the login. A form of another origin is refused
/// whatever it carries.
pub(super) async fn visit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let Some((visit, actor)) = known(&request) else {
        let answer = match *request.method() {
            // A script that asks for fresh numbers leaves the page as it is.
            _ if request.headers().contains_key("hx-request") => {
                HttpResponse::Unauthorized().finish()
            }
            Method::GET => to_login(&request),
            _ => HttpResponse::SeeOther()
                .insert_header((LOCATION, "/login"))
                .finish(),
        };
        return Ok(request.into_response(answer));
    };
    let peer = actor.peer.map(tracing::field::display);
    let (who, session) = (&actor.name, &visit.name);
    let span = tracing::info_span!("console", who, via = actor.via.as_str(), peer, session);
    request.extensions_mut().insert(visit);
    request.extensions_mut().insert(actor);
    let answer = tracing::Instrument::instrument(next.call(request), span).await?;
    Ok(answer.map_into_boxed_body())
}

/// The login, which knows where to go on.
fn to_login(request: &ServiceRequest) -> HttpResponse {
    let mut to = "/login".to_owned();
    if request.path() != "/" {
        let asked = request.uri().path_and_query();
        let asked = asked.map_or("/", actix_web::http::uri::PathAndQuery::as_str);
        let set = percent_encoding::NON_ALPHANUMERIC;
        to = format!(
            "/login?next={}",
            percent_encoding::utf8_percent_encode(asked, set)
        );
    }
    HttpResponse::SeeOther()
        .insert_header((LOCATION, to))
        .finish()
}

/// The session of a request with whose it is, if its token is still good: it ends with that.
fn known(request: &ServiceRequest) -> Option<(Visit, Actor)> {
    let console = request.app_data::<web::Data<Console>>()?;
    let admin = request.app_data::<web::Data<Admin>>()?;
    let secret = language::cookie(request.headers(), SESSION)?;
    let visit = console.sessions.of(secret, admin.clock.monotonic())?;
    let peer = request.peer_addr().map(|peer| peer.ip());
    let Some(actor) = admin.whose(&visit.pass, Via::Console, peer) else {
        console.sessions.end(&visit);
        return None;
    };
    Some((visit, actor))
}

/// Refuses a form that a page of another origin sent, as far as the browser says.
pub(super) fn same_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let origin = headers.get(ORIGIN).map(text);
    let site = headers.get("sec-fetch-site").map(text);
    let host = headers.get(HOST).map(text);
    let is_ours = match (origin, site) {
        (Some(origin), _) => {
            let from = origin.split_once("://").map(|(_, host)| host);
            from.is_some() && from == host.as_deref()
        }
        (None, Some(site)) => site == "same-origin" || site == "none",
        // No browser of these years; its form must carry the secret all the same.
        (None, None) => true,
    };
    if is_ours {
        return Ok(());
    }
    Err(Problem::new(
        Kind::Forbidden,
        (
            "this form was sent by a page of another origin; a proxy in front of leadgate must pass the host name on",
            "此表单来自其他来源的网页；若前面有反向代理，请让它原样传递 Host",
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(origin: Option<&'static str>, site: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("gate.example:8081"));
        for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
            if let Some(value) = value {
                headers.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
        }
        same_origin(&headers).is_ok()
    }

    #[test]
    fn forms_of_other_origins_are_refused() {
        assert!(taken(Some("http://gate.example:8081"), Some("same-origin")));
        assert!(taken(Some("https://gate.example:8081"), None));
        assert!(taken(None, Some("same-origin")));
        assert!(taken(None, None));
        for origin in [
            "null",
            "http://evil.example",
            "http://gate.example:8082",
            "",
        ] {
            assert!(!taken(Some(origin), Some("same-origin")), "{origin}");
        }
        for site in ["cross-site", "same-site", ""] {
            assert!(!taken(None, Some(site)), "{site}");
        }
    }

    #[test]
    fn a_path_never_names_another_host() {
        for (path, kept) in [
            ("/leads", "/leads"),
            ("//evil.example", "/evil.example"),
            ("/\\evil.example", "/evil.example"),
            ("", "/"),
        ] {
            assert_eq!(one_slash(path), kept);
        }
    }
}
