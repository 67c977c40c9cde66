//! Errors of the API: problem details of RFC 9457. Each kind has a stable `type`; the
//! `detail` says what happened, to what, and what to do, and carries nothing personal. Beside
//! it `detail_zh` says the same in Chinese: whoever shows it picks, and the texts stand once.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};

use crate::lang::Text;
use crate::outbox::{AuditResult, Refusal, Unavailable, UpkeepError};

/// What kind of error; its name is the end of the `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BadParameter,
    BadBody,
    BadId,
    Unauthorized,
    TooManyGuesses,
    Forbidden,
    RoleTooLow,
    NotFound,
    MethodNotAllowed,
    InFlight,
    Over,
    Newer,
    Taken,
    TooMany,
    NoSink,
    NoSource,
    BadConfiguration,
    NotReloaded,
    Unreachable,
    Busy,
    TooLarge,
    Overloaded,
    Unavailable,
    AuditUnavailable,
    Internal,
}

impl Kind {
    /// The status of its answers.
    pub(super) const fn status(self) -> StatusCode {
        self.parts().0
    }

    /// Its stable name.
    pub(super) const fn name(self) -> &'static str {
        self.parts().1
    }

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
            Self::RoleTooLow => (
                StatusCode::FORBIDDEN,
                "role-too-low",
                "the role does not allow it",
            ),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "not found"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "method not allowed",
            ),
            Self::InFlight => (StatusCode::CONFLICT, "in-flight", "an attempt is under way"),
            Self::Over => (StatusCode::CONFLICT, "over", "over already"),
            Self::Newer => (StatusCode::CONFLICT, "newer", "a newer revision is there"),
            Self::Taken => (StatusCode::CONFLICT, "taken", "the name is taken"),
            Self::TooMany => (StatusCode::CONFLICT, "too-many", "as many as may be"),
            Self::NoSink => (StatusCode::CONFLICT, "no-sink", "sink not configured"),
            Self::NoSource => (StatusCode::CONFLICT, "no-source", "source not configured"),
            Self::BadConfiguration => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad-configuration",
                "the configuration has errors",
            ),
            Self::NotReloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not-reloaded",
                "the configuration was not reloaded",
            ),
            Self::Unreachable => (
                StatusCode::CONFLICT,
                "unreachable",
                "nobody could be reached by it",
            ),
            Self::Busy => (StatusCode::CONFLICT, "busy", "one is under way already"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "body too large"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "overloaded"),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "outbox unavailable",
            ),
            Self::AuditUnavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "audit-unavailable",
                "the audit log cannot be written",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "internal error",
            ),
        }
    }
}

/// How an error is told; some kinds have further members.
#[derive(serde::Serialize, schemars::JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Told {
    /// `urn:leadgate:problem:` and the stable name of the kind.
    r#type: String,
    title: &'static str,
    status: u16,
    /// What happened, to what, and what to do.
    detail: String,
    /// The same in Chinese.
    detail_zh: String,
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

/// What there is something of, in English and Chinese.
pub(super) type Noun = (&'static str, &'static str);

/// A delivery.
pub(super) const DELIVERY: Noun = ("delivery", "投递");
/// A lead.
pub(super) const LEAD: Noun = ("lead", "客资");
/// A push in quarantine.
pub(super) const QUARANTINED: Noun = ("push in quarantine", "隔离推送");

/// An error answer.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Text,
    allow: Option<String>,
    retry_after: Option<Duration>,
    /// Members beside those of every problem.
    more: serde_json::Map<String, serde_json::Value>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Text>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            allow: None,
            retry_after: None,
            more: serde_json::Map::new(),
        }
    }

    /// With further members.
    pub(super) fn with(mut self, more: serde_json::Value) -> Self {
        if let serde_json::Value::Object(more) = more {
            self.more = more;
        }
        self
    }

    /// The same of a parameter rather than of a body.
    pub(super) fn in_query(self) -> Self {
        Self {
            kind: Kind::BadParameter,
            ..self
        }
    }

    /// A method that the path does not take; `allow` lists those it does.
    pub(crate) fn method(allow: String) -> Self {
        Self {
            detail: Text::new(
                format!("this path takes {allow}"),
                format!("此路径只接受 {allow}"),
            ),
            allow: Some(allow),
            ..Self::new(Kind::MethodNotAllowed, Text::default())
        }
    }

    /// An address from which too many wrong tokens came.
    pub(super) fn paused(left: Duration) -> Self {
        let seconds = left.as_secs().max(1);
        Self {
            retry_after: Some(Duration::from_secs(seconds)),
            ..Self::new(
                Kind::TooManyGuesses,
                (
                    format!("too many wrong tokens came from this address; wait {seconds} s"),
                    format!("此地址发来的错误令牌过多；请等待 {seconds} 秒"),
                ),
            )
        }
    }

    /// Something with an id that is not there.
    pub(super) fn no_such((en, zh): Noun, id: impl fmt::Display) -> Self {
        let detail = (
            format!("there is no {en} {id}"),
            format!("没有这个{zh}：{id}"),
        );
        Self::new(Kind::NotFound, detail)
    }

    /// What the audit log says of it.
    pub(super) fn result(&self) -> AuditResult {
        let (status, name, _) = self.kind.parts();
        if status.is_client_error() {
            AuditResult::Refused(name.to_owned())
        } else {
            AuditResult::Failed(name.to_owned())
        }
    }

    /// What happened and what to do, in English and Chinese.
    pub(crate) fn both(&self) -> (String, String) {
        self.detail.both()
    }

    /// A member beside those of every problem.
    pub(crate) fn more(&self, name: &str) -> Option<&serde_json::Value> {
        self.more.get(name)
    }

    /// What kind it is of.
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    #[cfg(test)]
    pub(super) fn detail(&self) -> &str {
        self.detail.pick(crate::lang::Lang::En)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.detail.fmt(formatter)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status()
    }

    fn error_response(&self) -> HttpResponse {
        let (status, name, title) = self.kind.parts();
        let (detail, detail_zh) = self.detail.both();
        let body = Told {
            r#type: format!("urn:leadgate:problem:{name}"),
            title,
            status: status.as_u16(),
            detail,
            detail_zh,
            more: self.more.clone(),
        };
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
            .body(serde_json::json!(body).to_string())
    }
}

impl From<Unavailable> for Problem {
    fn from(error: Unavailable) -> Self {
        Self::new(Kind::Unavailable, unavailable(&error))
    }
}

/// The engine's own reason stays as it is.
fn unavailable(error: &Unavailable) -> Text {
    Text::new(error.to_string(), format!("发件箱不可用：{}", error.0))
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match &refusal {
            Refusal::Full => Self::new(Kind::Overloaded, (refusal.to_string(), "发件箱的队列已满")),
            Refusal::NoSpace => Self::new(Kind::Overloaded, (refusal.to_string(), "磁盘空间将满")),
            Refusal::Unavailable(error) => Self::new(Kind::Unavailable, unavailable(error)),
        }
    }
}

impl From<UpkeepError> for Problem {
    fn from(error: UpkeepError) -> Self {
        match &error {
            UpkeepError::Busy => Self::new(Kind::Busy, (error.to_string(), "已有备份正在进行")),
            UpkeepError::Store(why) => Self::new(Kind::Unavailable, unavailable(why)),
            UpkeepError::File(_) | UpkeepError::Invalid(_) => {
                Self::new(Kind::Unavailable, Text::plain(error.to_string()))
            }
        }
    }
}
