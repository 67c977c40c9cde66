//! `leadgate check`: everything that is wrong with the configuration, at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{BAD_CONFIG, FAILED, Global, fail, out};
use crate::config::{self, Catalogue, Config, Environment, Purpose, Report};
use crate::outbox::sled;
use crate::plugin::{Plugins, SinkConfig};
use crate::terminal;

#[derive(clap::Args)]
pub(super) struct Check {
    /// Also connect to each sink's destination, without a lead: name, connection, TLS, login
    #[arg(long)]
    connect: bool,
}

pub(super) fn run(global: &Global, check: &Check) -> ExitCode {
    let mut plugins = match Plugins::builtin() {
        Ok(plugins) => plugins,
        Err(error) => return fail(error, FAILED),
    };
    let file = match located(global) {
        Ok(file) => file,
        Err(code) => return code,
    };
    let (config, mut report) = config::load(&file, &Environment::process(), &mut plugins);
    if let Some(config) = &config {
        try_libraries(config, &plugins, &mut report);
        report.look_around(config);
        // The store says which key it needs, also while a daemon has it.
        if let Some(id) = sled::missing_key(&config.outbox.path, &config.outbox.keys) {
            report.missing_key(&id);
        }
    }
    let good = config.filter(|_| !report.has_errors());
    if global.json && (!check.connect || good.is_none()) {
        out::json(&report.json(global.lang()));
    } else {
        print_report(global, &report);
    }
    let Some(config) = good else {
        return ExitCode::from(BAD_CONFIG);
    };
    if !global.json {
        let names = |names: Vec<&String>| names.into_iter().cloned().collect::<Vec<_>>().join(", ");
        outln!(
            "{}: {} · {}: {} · {}: {}",
            global.lang().pick("the configuration is good", "配置正确"),
            absolute(&file).display(),
            global.lang().pick("sources", "来源"),
            names(config.sources.keys().collect()),
            global.lang().pick("sinks", "目的地"),
            names(config.sinks.keys().collect()),
        );
        for note in report.notes(global.lang()) {
            outln!("{note}");
        }
    }
    if check.connect
        && let Err(code) = super::check_connect::run(global, &config, &plugins)
    {
        return code;
    }
    ExitCode::SUCCESS
}

/// Makes each sink whose plugin is a library, and lets it go: what a plugin of another hand
/// refuses when it makes a sink is found here, not at the start. First-party plugins refuse
/// nothing there that their check did not.
fn try_libraries(config: &Config, plugins: &Plugins, report: &mut Report) {
    for (name, sink) in &config.sinks {
        if !config.plugins.contains_key(&sink.plugin) {
            continue;
        }
        let wanted = SinkConfig {
            name,
            settings: &sink.settings,
            tables: &config.tables,
        };
        let made = plugins
            .get(&sink.plugin)
            .map(|plugin| plugin.create(&wanted));
        if let Some(Err(problems)) = made {
            report.refused(name, problems);
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Loads what a command needs of the configuration; what is wrong elsewhere, and mere
/// warnings, are not its business.
pub(super) fn load_for(
    purpose: Purpose<'_>,
    global: &Global,
    plugins: &mut dyn Catalogue,
) -> Result<Config, ExitCode> {
    let file = located(global)?;
    let (config, report) = config::load_for(purpose, &file, &Environment::process(), plugins);
    config.ok_or_else(|| {
        print_report(global, &report);
        ExitCode::from(BAD_CONFIG)
    })
}

/// The same where a configuration is a help and not a need: nothing is said.
pub(super) fn quietly(
    purpose: Purpose<'_>,
    global: &Global,
    plugins: &mut Plugins,
) -> Option<Config> {
    let file = config::locate(global.config.as_deref()).ok()?;
    config::load_for(purpose, &file, &Environment::process(), plugins).0
}

/// The configuration's file, unless somebody else can have written it.
pub(super) fn located(global: &Global) -> Result<PathBuf, ExitCode> {
    config::locate(global.config.as_deref())
        .map_err(|untrusted| fail(untrusted.message(global.lang()), BAD_CONFIG))
}

/// Loads a configuration that leadgate wrote itself.
pub(super) fn load_file(file: &Path, plugins: &mut Plugins) -> Result<Config, String> {
    let (config, report) = config::load(file, &Environment::process(), plugins);
    config.ok_or_else(|| report.render(crate::lang::Lang::En, false))
}

pub(super) fn print_report(global: &Global, report: &Report) {
    if !report.diagnostics().is_empty() {
        super::out::message(&report.render(global.lang(), terminal::colours_on_stderr()));
        super::out::message(&format!("{}\n", report.summary(global.lang())));
    }
}
