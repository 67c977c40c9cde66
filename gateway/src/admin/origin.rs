//! Origin: a listener on loopback is for this machine, and not for pages in a browser on it.
//!
//! A page can ask by its own requests, or under a name of its own that was rebound to loopback.
//! So everything on such a listener, health and metrics as well, is refused under a name that is
//! not loopback's and for pages of another origin; without a token for every page.

use std::net::IpAddr;

use actix_web::ResponseError;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use actix_web::middleware::Next;

use super::local::User;
use super::problem::{Kind, Problem};

/// Refuses what a page in a browser sends to a listener on loopback.
pub(super) async fn here(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    // No page reaches a socket.
    let is_local = request.conn_data::<User>().is_none()
        && request.app_config().local_addr().ip().is_loopback();
    if is_local && let Some(problem) = foreign(request.headers()) {
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

/// Whether a page of a browser may have sent it, or it came under a name that was rebound.
pub(super) fn may_be_of_a_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || !is_local(headers)
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
    fn what_needs_no_token_is_for_this_machine_and_not_for_web_pages() {
        let refused = |host, origin| may_be_of_a_page(&headers(host, origin));
        for host in LOCAL {
            assert!(!refused(host, None), "{host}");
        }
        assert!(refused("evil.example:8081", None), "a rebound name");
        assert!(refused("10.0.0.1:8081", None));
        assert!(refused("127.0.0.1:8081", Some("https://evil.example")));
        assert!(refused("127.0.0.1:8081", Some("http://127.0.0.1:8081")));
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
