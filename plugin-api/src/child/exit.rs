//! Exits: how a child ended, in words.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal with this number: of its own making, or somebody's.
    Signal(i32),
    /// Nobody can tell.
    Unknown,
}

impl Exit {
    /// Whether it ended by itself and with code 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Unknown,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(formatter, "exited with code {code}"),
            Self::Signal(number) => match SIGNALS.iter().find(|(one, ..)| *one == number) {
                Some((_, name, meaning)) => {
                    write!(formatter, "ended by signal {name} ({meaning})")
                }
                None => write!(formatter, "ended by signal {number}"),
            },
            Self::Unknown => write!(formatter, "ended, nobody knows how"),
        }
    }
}

/// The signals that end programs, by the numbers of Linux on x86 and ARM.
const SIGNALS: &[(i32, &str, &str)] = &[
    (1, "SIGHUP", "hangup"),
    (2, "SIGINT", "interrupt"),
    (3, "SIGQUIT", "quit"),
    (4, "SIGILL", "illegal instruction"),
    (5, "SIGTRAP", "trap"),
    (
        6,
        "SIGABRT",
        "abort, an assertion or memory that could not be had",
    ),
    (7, "SIGBUS", "memory behind the end of a file"),
    (8, "SIGFPE", "arithmetic, such as a division by zero"),
    (9, "SIGKILL", "killed"),
    (10, "SIGUSR1", "user signal"),
    (
        11,
        "SIGSEGV",
        "access to memory that is not its own, or stack overflow",
    ),
    (12, "SIGUSR2", "user signal"),
    (13, "SIGPIPE", "write to a closed pipe"),
    (14, "SIGALRM", "alarm"),
    (15, "SIGTERM", "asked to end"),
    (24, "SIGXCPU", "processor time used up"),
    (25, "SIGXFSZ", "file too large"),
    (31, "SIGSYS", "forbidden system call"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_told_in_words() {
        assert_eq!(Exit::Code(3).to_string(), "exited with code 3");
        let crash = Exit::from(ExitStatus::from_raw(11));
        assert!(crash.to_string().starts_with("ended by signal SIGSEGV"));
        assert_eq!(Exit::Signal(64).to_string(), "ended by signal 64");
        assert!(Exit::from(ExitStatus::from_raw(0)).is_success());
        assert_eq!(Exit::from(ExitStatus::from_raw(2 << 8)), Exit::Code(2));
    }
}
