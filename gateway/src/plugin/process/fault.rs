//! Faults: how a plugin's process failed, as a word to count by and as words for people.

use std::fmt;
use std::time::Duration;

use leadgate_plugin::child::Exit;

use super::frame::Broken;

/// How a plugin's process failed.
#[derive(Clone, Debug)]
pub(in crate::plugin) enum Fault {
    /// It could not be started.
    Start(String),
    /// It ended.
    Ended(Exit),
    /// It did not do this in time.
    Hung(&'static str, Duration),
    /// What it sent breaks the protocol.
    Contract(Broken),
    /// It closed its connection and went on.
    Closed,
    /// It says that the plugin cannot be used.
    Unusable(String),
    /// The plugin refused to make the sink.
    Refused(String),
}

impl Fault {
    /// The word to count by.
    pub(super) const fn fate(&self) -> &'static str {
        match self {
            Self::Start(_) | Self::Unusable(_) | Self::Refused(_) => "not_started",
            Self::Ended(Exit::Code(_)) => "exited",
            Self::Ended(_) => "crashed",
            Self::Hung(..) => "hung",
            Self::Contract(_) | Self::Closed => "contract",
        }
    }

    /// Whether the plugin, or the world, says no in words of its own: then it is no crash.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Unusable(_) | Self::Refused(_))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(why) => write!(formatter, "could not be started: {why}"),
            // As people search for it: the code without «code».
            Self::Ended(Exit::Code(code)) => write!(formatter, "exited with {code}"),
            Self::Ended(exit) => write!(formatter, "{exit}"),
            Self::Hung(what, most) => write!(formatter, "did not {what} within {most:?}"),
            Self::Contract(broken) => write!(formatter, "sent {broken}"),
            Self::Closed => formatter.write_str("closed its connection to leadgate"),
            Self::Unusable(why) => formatter.write_str(why),
            Self::Refused(why) => write!(formatter, "could not make the sink: {why}"),
        }
    }
}
