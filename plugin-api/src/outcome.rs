//! Outcomes: how an attempt ended.
//!
//! [`OutcomeKind`] is the one list of the ways. Its numbers are those of the [`abi`], its words
//! those of metrics, records and the API. It is exhaustive on purpose: a new way means something
//! new for retries, breakers and people, so everybody who decides by it has to be asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::abi;

/// How an attempt ended, and how that was known.
///
/// ```
/// use leadgate_plugin::Outcome;
/// let outcome = Outcome::rejected("the CRM has no field `city`").rule("status-400");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Which way it ended.
    pub kind: OutcomeKind,
    /// The wait that the destination asked for.
    pub retry_after: Option<Duration>,
    /// What the destination answered that is worth keeping, e.g. its record id. At most 4 KiB is
    /// kept.
    pub receipt: String,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum OutcomeKind {
    /// The destination has it.
    Delivered,
    /// The destination had it already.
    Duplicate,
    /// Not taken; to be tried again.
    Retry,
    /// Not taken because of a rate limit: the whole sink slows down.
    Throttled,
    /// Credentials were refused or ran out.
    Reauth,
    /// Never will be taken as it is: a dead letter for a person.
    Rejected,
    /// Sent, but no answer came: it may have been taken.
    Ambiguous,
}

impl OutcomeKind {
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

    /// Its stable name in metrics, records and JSON.
    #[must_use]
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

    /// Its number in the ABI.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Delivered => abi::OUTCOME_DELIVERED,
            Self::Duplicate => abi::OUTCOME_DUPLICATE,
            Self::Retry => abi::OUTCOME_RETRY,
            Self::Throttled => abi::OUTCOME_THROTTLED,
            Self::Reauth => abi::OUTCOME_REAUTH,
            Self::Rejected => abi::OUTCOME_REJECTED,
            Self::Ambiguous => abi::OUTCOME_AMBIGUOUS,
        }
    }

    /// The one with this number in the ABI; an unknown number says no more than that there was
    /// an end, which is [`OutcomeKind::Ambiguous`].
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        let known = Self::ALL.into_iter().find(|kind| kind.number() == number);
        known.unwrap_or(Self::Ambiguous)
    }
}

impl From<OutcomeKind> for &'static str {
    fn from(kind: OutcomeKind) -> Self {
        kind.as_str()
    }
}

impl TryFrom<String> for OutcomeKind {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == name);
        known.ok_or_else(|| format!("there is no outcome `{name}`"))
    }
}

impl Outcome {
    /// An outcome of this kind.
    pub fn new(kind: OutcomeKind, reason: impl Into<String>) -> Self {
        Self {
            kind,
            retry_after: None,
            receipt: String::new(),
            reason: reason.into(),
            rule: String::new(),
            request: String::new(),
            response: String::new(),
        }
    }

    /// The destination has it.
    pub fn delivered(receipt: impl Into<String>) -> Self {
        Self {
            receipt: receipt.into(),
            ..Self::new(OutcomeKind::Delivered, "")
        }
    }

    /// The destination had it already.
    pub fn duplicate() -> Self {
        Self::new(OutcomeKind::Duplicate, "")
    }

    /// Not taken; try again, not before `after` if the destination said so.
    pub fn retry(after: Option<Duration>, reason: impl Into<String>) -> Self {
        Self {
            retry_after: after,
            ..Self::new(OutcomeKind::Retry, reason)
        }
    }

    /// Rate limited.
    pub fn throttled(after: Option<Duration>, reason: impl Into<String>) -> Self {
        Self {
            retry_after: after,
            ..Self::new(OutcomeKind::Throttled, reason)
        }
    }

    /// Credentials were refused.
    pub fn reauth(reason: impl Into<String>) -> Self {
        Self::new(OutcomeKind::Reauth, reason)
    }

    /// Never will be taken as it is.
    pub fn rejected(reason: impl Into<String>) -> Self {
        Self::new(OutcomeKind::Rejected, reason)
    }

    /// Sent, but no answer came.
    pub fn ambiguous(reason: impl Into<String>) -> Self {
        Self::new(OutcomeKind::Ambiguous, reason)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_number_and_word_and_is_found_by_both() {
        for (at, kind) in OutcomeKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.number(), u32::try_from(at).expect("small") + 1);
            assert_eq!(OutcomeKind::from_number(kind.number()), kind);
            let word = serde_json::to_value(kind).expect("a word");
            assert_eq!(word, kind.as_str());
            let read: OutcomeKind = serde_json::from_value(word).expect("the same word");
            assert_eq!(read, kind);
        }
        for unknown in [0, 8, u32::MAX] {
            let kind = OutcomeKind::from_number(unknown);
            assert_eq!(kind, OutcomeKind::Ambiguous);
        }
        assert!(serde_json::from_str::<OutcomeKind>("\"lost\"").is_err());
    }
}
