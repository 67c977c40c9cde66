//! Outcomes: how an attempt ended, as the gateway sees it.

use std::time::Duration;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which way.
    pub kind: Kind,
    /// The wait that the destination asked for.
    pub retry_after: Option<Duration>,
    /// What the destination answered that is worth keeping.
    pub receipt: String,
    /// Why, in short.
    pub reason: String,
    /// Rule that decided.
    pub rule: String,
    /// What was sent, in short and redacted.
    pub request: String,
    /// What was answered, in short and redacted.
    pub response: String,
}

impl Outcome {
    /// An outcome that the host itself decides.
    pub fn of(kind: Kind, rule: &str, reason: impl Into<String>) -> Self {
        Self {
            kind,
            retry_after: None,
            receipt: String::new(),
            reason: reason.into(),
            rule: rule.to_owned(),
            request: String::new(),
            response: String::new(),
        }
    }
}

/// The ways an attempt can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The destination has it.
    Delivered,
    /// The destination had it already.
    Duplicate,
    /// Not taken; to be tried again.
    Retry,
    /// Not taken because of a rate limit.
    Throttled,
    /// Credentials were refused.
    Reauth,
    /// Never will be taken as it is.
    Rejected,
    /// Sent, but no answer came.
    Ambiguous,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Delivered,
        Self::Duplicate,
        Self::Retry,
        Self::Throttled,
        Self::Reauth,
        Self::Rejected,
        Self::Ambiguous,
    ];

    /// Its stable name in metrics and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Duplicate => "duplicate",
            Self::Retry => "retry",
            Self::Throttled => "throttled",
            Self::Reauth => "reauth",
            Self::Rejected => "rejected",
            Self::Ambiguous => "ambiguous",
        }
    }
}
