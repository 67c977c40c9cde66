//! Outcomes: how an attempt ended.

use std::time::Duration;

/// How an attempt ended, and how that was known.
///
/// ```
/// use leadgate_plugin::Outcome;
/// let outcome = Outcome::rejected("the CRM has no field `city`").rule("status-400");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Which way it ended.
    pub ending: Ending,
    /// Why, in short, for a person. Never personal data. At most 1 KiB is kept.
    pub reason: String,
    /// Name of the rule that decided, e.g. `status-5xx`. At most 128 bytes are kept. A retry by
    /// `not-processed` (the destination provably did nothing with it) or `taken-in-part` (it took
    /// what it could) is no failure of the destination: its breaker stays closed.
    pub rule: String,
    /// What was sent, in short and redacted. At most 4 KiB is kept.
    pub request: String,
    /// What was answered, in short and redacted. At most 4 KiB is kept.
    pub response: String,
}

/// The ways an attempt can end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The destination has it.
    Delivered {
        /// What it answered that is worth keeping, e.g. its record id. At most 4 KiB is kept.
        receipt: String,
    },
    /// The destination had it already.
    Duplicate,
    /// Not taken; try again.
    Retry {
        /// The wait that the destination asked for.
        after: Option<Duration>,
    },
    /// Not taken because of a rate limit: the whole sink slows down.
    Throttled {
        /// The wait that the destination asked for.
        after: Option<Duration>,
    },
    /// Credentials were refused or ran out.
    Reauth,
    /// Never will be taken as it is: a dead letter for a person.
    Rejected,
    /// Sent, but no answer came: it may have been taken.
    Ambiguous,
}

impl Outcome {
    fn new(ending: Ending, reason: impl Into<String>) -> Self {
        Self {
            ending,
            reason: reason.into(),
            rule: String::new(),
            request: String::new(),
            response: String::new(),
        }
    }

    /// The destination has it.
    pub fn delivered(receipt: impl Into<String>) -> Self {
        Self::new(
            Ending::Delivered {
                receipt: receipt.into(),
            },
            "",
        )
    }

    /// The destination had it already.
    pub fn duplicate() -> Self {
        Self::new(Ending::Duplicate, "")
    }

    /// Not taken; try again, not before `after` if the destination said so.
    pub fn retry(after: Option<Duration>, reason: impl Into<String>) -> Self {
        Self::new(Ending::Retry { after }, reason)
    }

    /// Rate limited.
    pub fn throttled(after: Option<Duration>, reason: impl Into<String>) -> Self {
        Self::new(Ending::Throttled { after }, reason)
    }

    /// Credentials were refused.
    pub fn reauth(reason: impl Into<String>) -> Self {
        Self::new(Ending::Reauth, reason)
    }

    /// Never will be taken as it is.
    pub fn rejected(reason: impl Into<String>) -> Self {
        Self::new(Ending::Rejected, reason)
    }

    /// Sent, but no answer came.
    pub fn ambiguous(reason: impl Into<String>) -> Self {
        Self::new(Ending::Ambiguous, reason)
    }

    /// Names the rule that decided.
    #[must_use]
    pub fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = rule.into();
        self
    }

    /// Says what was sent.
    #[must_use]
    pub fn request(mut self, request: impl Into<String>) -> Self {
        self.request = request.into();
        self
    }

    /// Says what was answered.
    #[must_use]
    pub fn response(mut self, response: impl Into<String>) -> Self {
        self.response = response.into();
        self
    }
}
