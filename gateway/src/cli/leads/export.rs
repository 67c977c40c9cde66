//! `leadgate leads export`: all that is stored of a person, for that person, as one JSON text.

use std::process::ExitCode;

use super::super::client::Target;
use super::super::upkeep::export::fetch;
use super::super::upkeep::target::Daemon;
use super::super::{FAILED, Global, fail, runtime};
use super::whom::Whom;

#[derive(clap::Args)]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(global: &Global, args: &Export) -> Result<(), ExitCode> {
    let whom = args.whom.named(global)?;
    let daemon = Daemon::at(global, &args.target)?;
    let runtime = runtime().map_err(|error| fail(error, FAILED))?;
    runtime.block_on(fetch(global, &daemon, "/leads/export", &whom))
}
