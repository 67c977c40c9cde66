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

    /// What leadgate itself says of an attempt.
    pub fn own(own: Own) -> Self {
        Self::of(own.kind(), own.rule(), own.reason())
    }
}

/// Why leadgate itself, and not the plugin, says how an attempt ended. Each is a rule of its
/// own, whose reason is always the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// The process stopped meanwhile.
    Shutdown,
    /// Earlier attempts hang in the plugin.
    Stuck,
    /// The plugin let go of the attempt.
    Lost,
    /// The sink's `timeout` is over; the reason goes on with how long that was.
    Late,
    /// The plugin broke the ABI's contract.
    Unreadable,
    /// The plugin panicked: what the SDK says then.
    Panicked,
}

impl Own {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Shutdown,
        Self::Stuck,
        Self::Lost,
        Self::Late,
        Self::Unreadable,
        Self::Panicked,
    ];

    /// The rule.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Stuck => "plugin-stuck",
            Self::Lost => "plugin-lost",
            Self::Late => "timeout",
            Self::Unreadable => "plugin-contract",
            Self::Panicked => "panic",
        }
    }

    /// The reason, in records and in English.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Shutdown => "leadgate stopped before an answer came",
            Self::Stuck => "the plugin does not complete its attempts",
            Self::Lost => "the plugin dropped the attempt",
            Self::Late => "no outcome within",
            Self::Unreadable => "the plugin gave an outcome that cannot be read",
            Self::Panicked => "the plugin panicked",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Stuck => Kind::Retry,
            Self::Shutdown | Self::Lost | Self::Late | Self::Unreadable | Self::Panicked => {
                Kind::Ambiguous
            }
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
