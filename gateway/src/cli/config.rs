//! `leadgate config`: the configuration's schema.

use std::process::ExitCode;

use clap::Subcommand;

use super::{FAILED, fail};
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
            println!("{:#}", schema(&plugins));
            ExitCode::SUCCESS
        }
        Err(error) => fail(error, FAILED),
    }
}
