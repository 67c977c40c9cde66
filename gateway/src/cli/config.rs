//! `leadgate config`: the configuration's schema.

use std::process::ExitCode;

use clap::Subcommand;

use super::{FAILED, fail, out};
use crate::config::schema;
use crate::plugin::Plugins;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the JSON Schema of the configuration, for editors
    Schema,
}

pub(super) fn run(command: &Command) -> ExitCode {
    let Command::Schema = command;
    match Plugins::builtin() {
        Ok(plugins) => {
            out::json(&schema(&plugins));
            ExitCode::SUCCESS
        }
        Err(error) => fail(error, FAILED),
    }
}
