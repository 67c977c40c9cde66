//! The `leadgate` binary: parses the command line and dispatches to one command.

/// sled allocates and frees a page with every change; see ARCHITECTURE.md, "Speed".
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    leadgate::cli::main()
}
