//! Errors of the API: problem details of RFC 9457.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

/// An error answer.
pub(super) fn problem(status: StatusCode, detail: &str) -> HttpResponse {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("error"),
        "status": status.as_u16(),
        "detail": detail,
    });
    HttpResponse::build(status)
        .content_type("application/problem+json")
        .body(body.to_string())
}
