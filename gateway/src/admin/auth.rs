//! Who may use the API: whoever has the token. Compared in constant time; who guesses waits
//! ([`super::guesses`]).
//!
//! A listener on loopback is for this machine, yet a page in a browser on it can ask, too: by
//! its own requests, or under a name of its own that was rebound to loopback. So everything
//! on such a listener, health and metrics as well, is refused under a name that is not
//! loopback's and for pages of another origin; without a token for every page.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{ResponseError, web};
use leadgate_plugin::Secret;
use subtle::ConstantTimeEq;
use tracing::Instrument;

use super::Admin;
use super::problem::{Kind, Problem};

/// Refuses what a page in a browser sends to a listener on loopback.
pub(super) async fn here(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let loopback = request.app_config().local_addr().ip().is_loopback();
    if loopback && let Some(problem) = foreign(request.headers()) {
        return Ok(request.into_response(problem.error_response()));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

fn foreign(headers: &HeaderMap) -> Option<Problem> {
    let detail = if !is_local(headers) {
        (
            "this listener is for this machine: ask it as 127.0.0.1, [::1] or localhost",
            "此监听只供本机使用：请以 127.0.0.1、[::1] 或 localhost 访问",
        )
    } else if headers.get_all(ORIGIN).any(|origin| {
        let host = origin.to_str().ok().and_then(|text| text.split_once("://"));
        !host.is_some_and(|(_, host)| names_loopback(host))
    }) {
        (
            "this listener is not for pages of other origins",
            "此监听不接受其他来源网页的请求",
        )
    } else {
        return None;
    };
    Some(Problem::new(Kind::Forbidden, detail))
}

/// Lets a request to the API through or refuses it. What is logged meanwhile says from where
/// it was asked for.
pub(super) async fn check(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let peer = request
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let refused = match request.app_data::<web::Data<Admin>>() {
        Some(admin) => refusal(admin, peer, request.headers()),
        None => Some(Problem::new(
            Kind::Internal,
            ("the API is not set up", "API 尚未就绪"),
        )),
    };
    match refused {
        Some(problem) => Ok(request.into_response(problem.error_response())),
        None => {
            let span = tracing::info_span!("api", peer = %peer);
            let answer = next.call(request).instrument(span).await?;
            Ok(answer.map_into_boxed_body())
        }
    }
}

fn refusal(admin: &Admin, peer: IpAddr, headers: &HeaderMap) -> Option<Problem> {
    let configured = admin.configured.get();
    match &configured.token {
        Some(token) => judge(admin, peer, token, given(headers)).err(),
        None => without_token(configured.open, headers),
    }
}

/// Whether what is given is the token; counts what is not.
fn judge(admin: &Admin, peer: IpAddr, token: &Secret, given: Option<&str>) -> Result<(), Problem> {
    let now = admin.clock.monotonic();
    if let Some(left) = admin.guesses.pause(peer, now) {
        // A second more than is left, so that who comes back then is not refused again.
        return Err(Problem::paused(left + Duration::from_secs(1)));
    }
    match given {
        Some(given) if is_right(given, token) => {
            admin.guesses.right(peer);
            return Ok(());
        }
        Some(_) => admin.guesses.wrong(peer, now),
        // Who gives none does not guess.
        None => {}
    }
    Err(Problem::new(
        Kind::Unauthorized,
        (
            "give the admin token as `authorization: Bearer TOKEN`",
            "请以 `authorization: Bearer 令牌` 给出管理令牌",
        ),
    ))
}

/// What a person came in with, good as long as the configuration has it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Pass {
    /// A token, by its digest.
    Token([u8; 32]),
    /// None was asked for.
    Open,
}

impl Admin {
    /// Lets whoever gives this token in, or says why not.
    pub(crate) fn admit(&self, peer: IpAddr, given: &str) -> Result<Pass, Problem> {
        let configured = self.configured.get();
        match &configured.token {
            Some(token) => {
                judge(self, peer, token, Some(given))?;
                Ok(Pass::Token(digest(given)))
            }
            None if configured.open => Ok(Pass::Open),
            None => Err(no_token()),
        }
    }

    /// Whether it is still good.
    pub(crate) fn admits(&self, pass: &Pass) -> bool {
        let configured = self.configured.get();
        match (&configured.token, pass) {
            (Some(token), Pass::Token(given)) => digest(token.expose()).ct_eq(given).into(),
            (None, Pass::Open) => configured.open,
            _ => false,
        }
    }

    /// Whether a token is asked for.
    pub(crate) fn asks_for_a_token(&self) -> bool {
        !self.configured.get().open || self.configured.get().token.is_some()
    }
}

fn no_token() -> Problem {
    let detail = (
        "no admin.token is configured; set one, or admin.allow_without_token on loopback",
        "未配置 admin.token；请配置，或在回环地址上设置 admin.allow_without_token",
    );
    Problem::new(Kind::Forbidden, detail)
}

fn without_token(open: bool, headers: &HeaderMap) -> Option<Problem> {
    if !open {
        return Some(no_token());
    }
    let detail = (
        "without a token the API is for this machine only, and not for web pages",
        "没有令牌时，API 只供本机使用，且不接受网页的请求",
    );
    (headers.contains_key(ORIGIN) || !is_local(headers))
        .then(|| Problem::new(Kind::Forbidden, detail))
}

fn given(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(AUTHORIZATION)?
        .to_str()
        .unwrap_or_default()
        .split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// By digests, which have one length, so that not even the token's length shows in the time
/// taken.
fn is_right(given: &str, token: &Secret) -> bool {
    digest(given).ct_eq(&digest(token.expose())).into()
}

fn digest(text: &str) -> [u8; 32] {
    *blake3::hash(text.as_bytes()).as_bytes()
}

/// Whether the request names this machine, as a name that was rebound to it does not.
fn is_local(headers: &HeaderMap) -> bool {
    headers
        .get_all(HOST)
        .all(|host| host.to_str().is_ok_and(names_loopback))
}

/// Whether `NAME`, `NAME:PORT` or `[ADDRESS]:PORT` is loopback.
fn names_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn headers(host: &'static str, origin: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        headers
    }

    const LOCAL: [&str; 4] = [
        "127.0.0.1:8081",
        "localhost:8081",
        "[::1]:8081",
        "localhost",
    ];

    #[test]
    fn an_open_api_is_for_this_machine_and_not_for_web_pages() {
        let refused = |host, origin| without_token(true, &headers(host, origin)).is_some();
        for host in LOCAL {
            assert!(!refused(host, None), "{host}");
        }
        assert!(refused("evil.example:8081", None), "a rebound name");
        assert!(refused("10.0.0.1:8081", None));
        assert!(refused("127.0.0.1:8081", Some("https://evil.example")));
        assert!(refused("127.0.0.1:8081", Some("http://127.0.0.1:8081")));
        assert!(without_token(false, &HeaderMap::new()).is_some());
    }

    #[test]
    fn a_listener_on_loopback_takes_no_other_name_and_no_other_origin() {
        let refused = |host, origin| foreign(&headers(host, origin)).is_some();
        for host in LOCAL {
            assert!(!refused(host, None), "{host}");
            assert!(!refused(host, Some("http://127.0.0.1:8081")), "{host}");
            for origin in [
                "https://evil.example",
                "null",
                "http://localhost.evil.example",
            ] {
                assert!(refused(host, Some(origin)), "{host} {origin}");
            }
        }
        for host in [
            "evil.example:8081",
            "10.0.0.1:8081",
            "localhost.evil.example",
            "",
        ] {
            assert!(refused(host, None), "{host}");
        }
        assert!(foreign(&HeaderMap::new()).is_none(), "HTTP/1.0 names none");
    }
}
