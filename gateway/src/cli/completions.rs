//! `leadgate completions`: completions for a shell.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> ExitCode {
    // Made whole first: who generates panics when stdout is closed.
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut super::Cli::command(),
        "leadgate",
        &mut script,
    );
    super::out::raw(&script);
    ExitCode::SUCCESS
}
