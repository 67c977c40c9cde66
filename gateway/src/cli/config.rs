//! `leadgate config`: the schemas of the configuration and of the API.

use std::process::ExitCode;

use clap::Subcommand;

use super::{FAILED, fail, out};
use crate::config::schema;
use crate::plugin::Plugins;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Print the OpenAPI document of the operators' API, for whoever makes a client of it
    Openapi,
}

pub(super) fn run(command: &Command) -> ExitCode {
    if let Command::Openapi = command {
        out::json(crate::admin::openapi());
        return ExitCode::SUCCESS;
    }
    match Plugins::builtin() {
        Ok(plugins) => {
            out::json(&schema(&plugins));
            ExitCode::SUCCESS
        }
        Err(error) => fail(error, FAILED),
    }
}
