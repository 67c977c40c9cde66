//! What leadgate itself says of an attempt whose plugin gave no outcome, or none in time: the
//! rules and reasons that stand in records and on the command line.

use leadgate_plugin::{Outcome, OutcomeKind};

/// Why leadgate itself, and not the plugin, says how an attempt ended. Each is a rule of its
/// own, whose reason is always the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// The process stopped meanwhile.
    Shutdown,
    /// Earlier attempts hang in the plugin.
    Stuck,
    /// The plugin was busy with others until the sink's `timeout` was over. The rule is the one
    /// that says nothing about a destination.
    Unstarted,
    /// The plugin let go of the attempt.
    Lost,
    /// The sink's `timeout` is over; the reason goes on with how long that was.
    Late,
    /// The plugin broke the ABI's contract.
    Unreadable,
    /// The plugin panicked: what the SDK says then.
    Panicked,
    /// The plugin's process ended after it got the attempt; the reason goes on with how.
    Crashed,
    /// The plugin's process did not get the attempt; the reason goes on with why.
    NotStarted,
}

impl Own {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Shutdown,
        Self::Stuck,
        Self::Unstarted,
        Self::Lost,
        Self::Late,
        Self::Unreadable,
        Self::Panicked,
        Self::Crashed,
        Self::NotStarted,
    ];

    /// The rule.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Stuck => "plugin-stuck",
            Self::Unstarted => "not-processed",
            Self::Lost => "plugin-lost",
            Self::Late => "timeout",
            Self::Unreadable => "plugin-contract",
            Self::Panicked => "panic",
            Self::Crashed => "plugin-crashed",
            Self::NotStarted => "plugin-not-started",
        }
    }

    /// The reason, in records and in English.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Shutdown => "leadgate stopped before an answer came",
            Self::Stuck => "the plugin does not complete its attempts",
            Self::Unstarted => "the plugin was busy with other leads, this one was not sent",
            Self::Lost => "the plugin dropped the attempt",
            Self::Late => "no outcome within",
            Self::Unreadable => "the plugin gave an outcome that cannot be read",
            Self::Panicked => "the plugin panicked",
            Self::Crashed => "the plugin's process ended before an answer came:",
            Self::NotStarted => "the plugin's process does not run:",
        }
    }

    const fn kind(self) -> OutcomeKind {
        match self {
            Self::Stuck | Self::Unstarted | Self::NotStarted => OutcomeKind::Retry,
            Self::Shutdown
            | Self::Lost
            | Self::Late
            | Self::Unreadable
            | Self::Panicked
            | Self::Crashed => OutcomeKind::Ambiguous,
        }
    }

    /// How the attempt ended.
    pub(crate) fn outcome(self) -> Outcome {
        Outcome::new(self.kind(), self.reason()).rule(self.rule())
    }

    /// The same, with more of why behind the reason.
    pub(crate) fn outcome_with(self, more: &str) -> Outcome {
        Outcome::new(self.kind(), format!("{} {more}", self.reason())).rule(self.rule())
    }
}
