//! `leadgate check`: everything that is wrong with the configuration, at once.

use std::path::Path;
use std::process::ExitCode;

use super::{BAD_CONFIG, FAILED, Global, fail};
use crate::config::{self, Config, Environment, Report};
use crate::plugin::Plugins;
use crate::terminal;

pub(super) fn run(global: &Global) -> ExitCode {
    let mut plugins = match Plugins::builtin() {
        Ok(plugins) => plugins,
        Err(error) => return fail(error, FAILED),
    };
    let file = config::locate(global.config.as_deref());
    let (config, report) = config::load(&file, &Environment::process(), &mut plugins);
    if global.json {
        println!("{:#}", report.json(global.lang()));
    } else {
        print_report(global, &report);
    }
    let Some(config) = config else {
        return ExitCode::from(BAD_CONFIG);
    };
    if !global.json {
        let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
        println!(
            "{}: {} · {}: {} · {}: {}",
            global.lang().pick("the configuration is good", "配置正确"),
            file.display(),
            global.lang().pick("sources", "来源"),
            names(config.sources.keys().collect()),
            global.lang().pick("sinks", "目的地"),
            names(config.sinks.keys().collect()),
        );
    }
    ExitCode::SUCCESS
}

/// Loads the configuration for a command that needs it. What is wrong goes to stderr.
pub(super) fn load(global: &Global, plugins: &mut Plugins) -> Result<Config, ExitCode> {
    let file = config::locate(global.config.as_deref());
    let (config, report) = config::load(&file, &Environment::process(), plugins);
    print_report(global, &report);
    config.ok_or(ExitCode::from(BAD_CONFIG))
}

/// Loads the configuration for a command that asks something else: mere warnings are not its
/// business.
pub(super) fn load_quietly(global: &Global, plugins: &mut Plugins) -> Result<Config, ExitCode> {
    let file = config::locate(global.config.as_deref());
    let (config, report) = config::load(&file, &Environment::process(), plugins);
    config.ok_or_else(|| {
        print_report(global, &report);
        ExitCode::from(BAD_CONFIG)
    })
}

/// Loads a configuration that leadgate wrote itself.
pub(super) fn load_file(file: &Path, plugins: &mut Plugins) -> Result<Config, String> {
    let (config, report) = config::load(file, &Environment::process(), plugins);
    config.ok_or_else(|| report.render(crate::lang::Lang::En, false))
}

/// Whether there is a configuration to load.
pub(super) fn configured(global: &Global) -> bool {
    global.config.is_some() || config::locate(None).exists()
}

fn print_report(global: &Global, report: &Report) {
    if !report.diagnostics().is_empty() {
        super::out::message(&report.render(global.lang(), terminal::colours_on_stderr()));
    }
}
