//! The `leadgate` binary: parses the command line and dispatches to one command.

fn main() -> std::process::ExitCode {
    leadgate::cli::main()
}
