//! `leadgate leads export`: all that is stored of a person, for that person, as one JSON text.

use std::process::ExitCode;

use super::super::client::Target;
use super::super::upkeep::export::fetch;
use super::super::upkeep::target::Daemon;
use super::super::{FAILED, Global, fail, runtime};
use super::whom::Whom;

#[derive(clap::Args)]
#[group(id = "somebody", required = true, multiple = true, args = ["id", "phone", "record_id", "order_num", "nick", "openid"])]
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
    let end = runtime.block_on(fetch(global, &daemon, "/leads/export", &whom))?;
    if !is_incomplete(&end) {
        return Ok(());
    }
    let why = global.lang().pick(
        "this may not be all of it: see `unread` and `more` at its end",
        "可能并非全部：请查看末尾的 `unread` 与 `more`",
    );
    Err(fail(why, FAILED))
}

/// Whether the daemon says at the end that something is missing.
fn is_incomplete(end: &[u8]) -> bool {
    let said = br#""complete":false}"#;
    end.trim_ascii_end().ends_with(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_says_that_it_is_not_all() {
        assert!(is_incomplete(b"],\n\"more\":true,\"complete\":false}\n"));
        assert!(!is_incomplete(b"],\n\"more\":false,\"complete\":true}\n"));
        assert!(!is_incomplete(b"\"complete\":false}, but a lead said it"));
        assert!(!is_incomplete(b""));
    }
}
