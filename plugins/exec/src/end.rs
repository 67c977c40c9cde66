//! Ends: why a session with a program ends, and what that says of the attempts that it had.

use std::fmt;
use std::io;

use leadgate_plugin::child::Exit;

use crate::lines::Breach;

/// Why a session ends.
#[derive(Debug)]
pub(crate) enum End {
    /// Nobody needs it any more.
    Closed,
    /// The program ended.
    Exited(Exit),
    /// It closed its stdout.
    ClosedOutput,
    /// It wrote what is no answer.
    Breach(Breach),
    /// It answered what it was not asked.
    WrongId,
    /// It wrote without end, and no answer.
    Flood,
    /// It said nothing for a whole attempt.
    Silence,
    /// It read nothing for a whole attempt.
    Deaf,
    /// It had one attempt, whose time is over.
    Overdue,
    /// A pipe failed.
    Pipe(io::Error),
}

impl End {
    /// The rule of the attempts that it costs.
    pub(crate) fn rule(&self) -> &'static str {
        match self {
            Self::Closed | Self::Exited(_) | Self::Pipe(_) => "program-ended",
            Self::ClosedOutput => "closed-stdout",
            Self::Breach(breach) => breach.rule(),
            Self::WrongId => "wrong-id",
            Self::Flood => "too-much-output",
            Self::Silence => "silence",
            Self::Deaf => "not-read",
            Self::Overdue => "timeout",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => formatter.write_str("it was ended"),
            Self::Exited(exit) => write!(formatter, "it {exit}"),
            Self::ClosedOutput => formatter.write_str("it closed its stdout"),
            Self::Breach(breach) => write!(formatter, "{breach}"),
            Self::WrongId => formatter.write_str("it answered with an id that it did not get"),
            Self::Flood => formatter.write_str("it wrote 16 MiB without an answer"),
            Self::Silence => formatter.write_str("it wrote nothing for a whole attempt"),
            Self::Deaf => formatter.write_str("it read nothing for a whole attempt"),
            Self::Overdue => formatter.write_str("it gave no answer in time"),
            Self::Pipe(error) => write!(formatter, "its pipe failed: {error}"),
        }
    }
}
