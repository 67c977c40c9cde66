//! Errors of the API: problem details of RFC 9457. Each kind has a stable `type`; the
//! `detail` says what happened, to what, and what to do, and carries nothing personal.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};

use crate::outbox::{Refusal, Unavailable};

/// What kind of error; its name is the end of the `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    BadParameter,
    BadBody,
    BadId,
    Unauthorized,
    TooManyGuesses,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    InFlight,
    Over,
    Newer,
    NoSink,
    NoSource,
    Unreachable,
    CountChanged,
    Busy,
    TooLarge,
    Overloaded,
    Unavailable,
    Internal,
}

impl Kind {
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadParameter => (StatusCode::BAD_REQUEST, "bad-parameter", "bad parameter"),
            Self::BadBody => (StatusCode::BAD_REQUEST, "bad-body", "bad body"),
            Self::BadId => (StatusCode::BAD_REQUEST, "bad-id", "bad id"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "no valid token"),
            Self::TooManyGuesses => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-guesses",
                "too many wrong tokens",
            ),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "not allowed"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "not found"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "method not allowed",
            ),
            Self::InFlight => (StatusCode::CONFLICT, "in-flight", "an attempt is under way"),
            Self::Over => (StatusCode::CONFLICT, "over", "over already"),
            Self::Newer => (StatusCode::CONFLICT, "newer", "a newer revision is there"),
            Self::NoSink => (StatusCode::CONFLICT, "no-sink", "sink not configured"),
            Self::NoSource => (StatusCode::CONFLICT, "no-source", "source not configured"),
            Self::Unreachable => (
                StatusCode::CONFLICT,
                "unreachable",
                "nobody could be reached by it",
            ),
            Self::CountChanged => (
                StatusCode::CONFLICT,
                "count-changed",
                "the count has changed",
            ),
            Self::Busy => (StatusCode::CONFLICT, "busy", "one is under way already"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "body too large"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "overloaded"),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "outbox unavailable",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "internal error",
            ),
        }
    }
}

/// An error answer.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    allow: Option<String>,
    retry_after: Option<Duration>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            allow: None,
            retry_after: None,
        }
    }

    /// A method that the path does not take; `allow` lists those it does.
    pub(super) fn method(allow: String) -> Self {
        Self {
            detail: format!("this path takes {allow}"),
            allow: Some(allow),
            ..Self::new(Kind::MethodNotAllowed, "")
        }
    }

    /// An address from which too many wrong tokens came.
    pub(super) fn paused(left: Duration) -> Self {
        let seconds = left.as_secs().max(1);
        Self {
            retry_after: Some(Duration::from_secs(seconds)),
            ..Self::new(
                Kind::TooManyGuesses,
                format!("too many wrong tokens came from this address; wait {seconds} s"),
            )
        }
    }

    /// Something with an id that is not there.
    pub(super) fn no_such(what: &str, id: impl fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what} {id}"))
    }

    #[cfg(test)]
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.parts().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, name, title) = self.kind.parts();
        let body = serde_json::json!({
            "type": format!("urn:leadgate:problem:{name}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail,
        });
        let mut response = HttpResponse::build(status);
        if let Some(allow) = &self.allow {
            response.insert_header((ALLOW, allow.as_str()));
        }
        if let Some(wait) = self.retry_after {
            response.insert_header((RETRY_AFTER, wait.as_secs().to_string()));
        }
        if self.kind == Kind::Unauthorized {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        response
            .content_type("application/problem+json")
            .body(body.to_string())
    }
}

impl From<Unavailable> for Problem {
    fn from(error: Unavailable) -> Self {
        Self::new(Kind::Unavailable, error.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::Full | Refusal::NoSpace => Kind::Overloaded,
            Refusal::Unavailable(_) => Kind::Unavailable,
        };
        Self::new(kind, refusal.to_string())
    }
}
