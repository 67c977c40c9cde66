//! `leadgate plugin`: the plugins that sinks can use.

use std::process::ExitCode;

use clap::Subcommand;

use super::{FAILED, Global, fail};
use crate::plugin::Plugins;

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the plugins with version and ABI
    List,
}

pub(super) fn run(global: &Global, command: &Command) -> ExitCode {
    let Command::List = command;
    let mut plugins = match Plugins::builtin() {
        Ok(plugins) => plugins,
        Err(error) => return fail(error, FAILED),
    };
    let builtin: Vec<String> = plugins.iter().map(|(name, _)| name.to_owned()).collect();
    // Without a configuration only the built-in ones are there to list.
    if super::check::configured(global)
        && let Err(code) = super::check::load(global, &mut plugins)
    {
        return code;
    }
    if global.json {
        let list: Vec<_> = plugins
            .iter()
            .map(|(name, plugin)| {
                serde_json::json!({
                    "name": name,
                    "version": plugin.version(),
                    "abi": plugin.abi(),
                    "builtin": builtin.iter().any(|known| known == name),
                })
            })
            .collect();
        println!("{:#}", serde_json::Value::from(list));
    } else {
        for (name, plugin) in plugins.iter() {
            let origin = if builtin.iter().any(|known| known == name) {
                global.lang().pick("built in", "内置")
            } else {
                global.lang().pick("library", "动态库")
            };
            println!(
                "{name:<16} {:<10} ABI {:<6} {origin}",
                plugin.version(),
                plugin.abi()
            );
        }
    }
    ExitCode::SUCCESS
}
