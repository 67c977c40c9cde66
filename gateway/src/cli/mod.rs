//! The command line: one file per subcommand; this one only parses and dispatches.
//!
//! Data goes to stdout, messages to stderr. Exit codes: 0 done, 1 failed, 2 usage, 75 the
//! daemon cannot be reached, 78 bad configuration.

#[macro_use]
mod out;

mod ask;
mod audit;
mod audited;
mod bulk;
mod check;
mod check_connect;
mod client;
mod completions;
mod config;
mod demo;
mod figures;
mod held;
mod help;
mod hidden;
mod init;
mod leads;
mod length;
mod listen;
mod mapping;
mod outbox;
mod plugin;
mod preview;
mod push;
mod pushes;
mod quarantine;
mod reload;
mod render;
mod run;
mod running;
mod sink;
mod span;
mod stand_in;
mod table;
mod token;
mod top;
mod upkeep;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::lang::Lang;

/// The command line is not understood.
pub(crate) const USAGE: u8 = 2;
/// Something failed.
pub(crate) const FAILED: u8 = 1;
/// The daemon cannot be reached.
pub(crate) const UNREACHABLE: u8 = 75;
/// The configuration is bad.
pub(crate) const BAD_CONFIG: u8 = 78;

/// Receives the leads Tmall pushes, keeps each in a durable outbox, and hands it to your sinks.
#[derive(Parser)]
#[command(
    name = "leadgate",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command takes.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Global {
    /// Configuration file [default: $LEADGATE_CONFIG, ./leadgate.toml, /etc/leadgate/leadgate.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Language of messages: en or zh-CN [default: from the environment]
    #[arg(long, global = true, value_name = "LANG", value_parser = ["en", "zh-CN", "zh"])]
    pub(crate) lang: Option<String>,
    /// Print machine-readable JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

impl Global {
    pub(crate) fn lang(&self) -> Lang {
        Lang::from_env(self.lang.as_deref())
    }
}

#[derive(Subcommand)]
enum Command {
    /// Run the daemon
    Run,
    /// Check the configuration and say everything that is wrong with it
    Check(check::Check),
    /// Have the running daemon read its configuration again, and use what changed
    Reload(client::Target),
    /// Write a commented configuration to start from
    Init(init::Args),
    /// Show the main job at once: push, store, deliver, with nothing configured
    Demo(demo::Args),
    /// Send signed pushes, as Alibaba would
    Push(push::Args),
    /// Show which sinks want a lead, and what one would be sent, without sending
    Render(render::Args),
    /// Look into the outbox, repair it, check it, back it up
    #[command(subcommand)]
    Outbox(outbox::Command),
    /// Find leads; export or erase what is stored of a person
    #[command(subcommand)]
    Leads(leads::Command),
    /// Look at jobs over many leads or deliveries; start, follow and stop them
    #[command(subcommand)]
    Bulk(bulk::Command),
    /// See what became of the last pushes and why, and what was signed of one that was refused
    Pushes(pushes::Args),
    /// Look at pushes that were kept aside, release or discard them
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// List, pause, resume and test sinks; stand in for one
    #[command(subcommand)]
    Sink(sink::Command),
    /// Who did what, and who looked at whom: list, check, print
    #[command(subcommand)]
    Audit(audit::Command),
    /// Watch leads come and go, live: sinks, rates, ages, breakers, failures
    Top(top::Args),
    /// Plugins that sinks can use
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Make, list and revoke the tokens by which people and programs use the daemon's API
    #[command(subcommand)]
    Token(token::Command),
    /// The schemas of the configuration and of the API
    #[command(subcommand)]
    Config(config::Command),
    /// Print completions for a shell
    Completions(completions::Args),
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    crate::telemetry::log::watch_panics();
    out::end(run())
}

fn run() -> ExitCode {
    if let Some(code) = hidden::run() {
        return code;
    }
    // Only fails if someone else was first, and then TLS works as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let lang = usage::lang(std::env::args_os());
    let matches = localized(lang).try_get_matches();
    let cli = matches.and_then(|matches| <Cli as clap::FromArgMatches>::from_arg_matches(&matches));
    let cli = match cli {
        Ok(cli) => cli,
        Err(error) => return usage::print(&error, lang),
    };
    let global = &cli.global;
    match cli.command {
        Command::Run => run::run(global),
        Command::Check(check) => check::run(global, &check),
        Command::Reload(target) => reload::run(global, &target),
        Command::Init(args) => init::run(global, &args),
        Command::Demo(args) => demo::run(global, &args),
        Command::Push(args) => push::run(global, args),
        Command::Render(args) => render::run(global, &args),
        Command::Outbox(command) => outbox::run(global, &command),
        Command::Leads(command) => leads::run(global, command),
        Command::Bulk(command) => bulk::run(global, &command),
        Command::Pushes(args) => pushes::run(global, &args),
        Command::Quarantine(command) => quarantine::run(global, &command),
        Command::Sink(command) => sink::run(global, &command),
        Command::Audit(command) => audit::run(global, &command),
        Command::Top(args) => top::run(global, &args),
        Command::Plugin(command) => plugin::run(global, &command),
        Command::Token(command) => token::run(global, &command),
        Command::Config(command) => config::run(&command),
        Command::Completions(args) => completions::run(&args),
    }
}

/// The command tree with its help in the reader's language.
fn localized(lang: Lang) -> clap::Command {
    let command = Cli::command();
    match lang {
        Lang::En => command,
        Lang::ZhCn => help::in_chinese(command),
    }
}

/// A runtime for commands that talk over the network.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

/// The exit code of a command whose message, if it failed, is printed already.
fn finish(result: Result<(), ExitCode>) -> ExitCode {
    result.err().unwrap_or(ExitCode::SUCCESS)
}

/// Says why a command failed, on stderr.
pub(crate) fn fail(message: impl std::fmt::Display, code: u8) -> ExitCode {
    errln!("leadgate: {message}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_api_has_its_command() {
        let tree = Cli::command();
        for (path, command) in crate::admin::commands() {
            let mut at = &tree;
            for word in command.split(' ') {
                let next = at.find_subcommand(word);
                at = next.unwrap_or_else(|| panic!("{path}: there is no `leadgate {command}`"));
            }
            assert!(
                !at.has_subcommands(),
                "{path}: `leadgate {command}` does nothing"
            );
        }
    }

    #[test]
    fn the_command_tree_is_sound_in_both_languages() {
        for lang in [Lang::En, Lang::ZhCn] {
            localized(lang).debug_assert();
        }
    }
}
