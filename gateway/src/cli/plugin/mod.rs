//! `leadgate plugin`: for who writes plugins, and for who runs them.

mod check;
mod list;
mod new;
mod part;
mod run;
mod subject;

use std::process::ExitCode;

use clap::Subcommand;

use super::Global;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the plugins: version, ABI, where each is from, and which sinks use it
    List,
    /// Write a new plugin's project, which builds, has a passing test and delivers
    New(new::Args),
    /// Check a built plugin against the contract, each test in a process of its own
    Check(check::Args),
    /// Deliver one lead with a built plugin, without a daemon
    Run(run::Args),
}

pub(super) fn run(global: &Global, command: &Command) -> ExitCode {
    match command {
        Command::List => list::run(global),
        Command::New(args) => new::run(args),
        Command::Check(args) => check::run(global, args),
        Command::Run(args) => run::run(global, args),
    }
}

/// What `check` and `run` start for themselves, in a child.
pub(super) fn part() -> ExitCode {
    part::run()
}
