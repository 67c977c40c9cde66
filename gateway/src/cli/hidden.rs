//! Commands that no person types: what leadgate starts itself as, in children.
//!
//! They read no configuration and open nothing before they are in their sandbox.

use std::process::ExitCode;

/// What shells answer for a program that could not be started.
const NOT_STARTED: u8 = 127;

/// Runs the hidden command that the command line names, if it names one.
pub(super) fn run() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    match args.next()?.to_str()? {
        "plugin-host" => match crate::plugin::host(args) {
            Ok(()) => Some(ExitCode::SUCCESS),
            Err(error) => {
                errln!("leadgate: {error}");
                Some(ExitCode::FAILURE)
            }
        },
        "plugin-part" => Some(super::plugin::part()),
        "sandboxed" => {
            let error = crate::plugin::launch(args);
            errln!("leadgate: {error}");
            Some(ExitCode::from(NOT_STARTED))
        }
        _ => None,
    }
}
