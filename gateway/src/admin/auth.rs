//! Who may use the API: whoever has the token. Compared in constant time.
//!
//! Without a token, where the configuration allows that on loopback, a page in a browser on
//! the same machine could still ask. So requests that a browser sends for a page of another
//! origin, or under a name that is not loopback's, are refused there.

use std::net::IpAddr;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{ResponseError, web};
use leadgate_plugin::Secret;
use subtle::ConstantTimeEq;

use super::Admin;
use super::problem::{Kind, Problem};

/// Lets a request through or refuses it.
pub(super) async fn check(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let refused = match request.app_data::<web::Data<Admin>>() {
        Some(admin) => refusal(admin.token.as_ref(), admin.open, request.headers()),
        None => Some(Problem::new(Kind::Internal, "the API is not set up")),
    };
    match refused {
        Some(problem) => Ok(request.into_response(problem.error_response())),
        None => Ok(next.call(request).await?.map_into_boxed_body()),
    }
}

fn refusal(token: Option<&Secret>, open: bool, headers: &HeaderMap) -> Option<Problem> {
    let Some(token) = token else {
        if !open {
            let detail =
                "no admin.token is configured; set one, or admin.allow_without_token on loopback";
            return Some(Problem::new(Kind::Forbidden, detail));
        }
        let detail = "without a token the API is for this machine only, and not for web pages";
        return (headers.contains_key(ORIGIN) || !is_local(headers))
            .then(|| Problem::new(Kind::Forbidden, detail));
    };
    let given = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    // Digests have one length, so that not even the token's length shows in the time taken.
    let digest = |text: &str| *blake3::hash(text.as_bytes()).as_bytes();
    if given.is_some_and(|given| digest(given).ct_eq(&digest(token.expose())).into()) {
        return None;
    }
    Some(Problem::new(
        Kind::Unauthorized,
        "give the admin token as `authorization: Bearer TOKEN`",
    ))
}

/// Whether the request names this machine, as a name that was rebound to it does not.
fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else {
        return true;
    };
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

    #[test]
    fn an_open_api_is_for_this_machine_and_not_for_web_pages() {
        let refused = |host: &'static str, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            refusal(None, true, &headers).is_some()
        };
        for host in [
            "127.0.0.1:8081",
            "localhost:8081",
            "[::1]:8081",
            "localhost",
        ] {
            assert!(!refused(host, None), "{host}");
        }
        assert!(refused("evil.example:8081", None), "a rebound name");
        assert!(refused("10.0.0.1:8081", None));
        assert!(refused("127.0.0.1:8081", Some("https://evil.example")));
        assert!(refusal(None, false, &HeaderMap::new()).is_some());
    }
}
