//! The launcher: how a plugin starts a program of another hand in the host's sandbox.

use std::path::PathBuf;

/// A command of the host that enters a sandbox and then becomes the program that it is told of.
///
/// Behind [`Launcher::args`] come `--parent` with this process's id, `--sandbox` with what the
/// program may do as JSON (see [`child::Sandbox`](crate::child::Sandbox) with the feature
/// `child`), `--`, and the program with its arguments. Before it becomes the program it writes
/// one line to stdout: `{"sandbox":…}` with which parts hold. If it cannot become the program it
/// says why on stderr and exits with code 127.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Launcher {
    /// The host's program.
    pub program: PathBuf,
    /// Its first arguments.
    pub args: Vec<String>,
}

impl Launcher {
    /// Made by hand, for a sink's own tests.
    pub fn new(program: impl Into<PathBuf>, args: impl IntoIterator<Item = String>) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().collect(),
        }
    }
}
