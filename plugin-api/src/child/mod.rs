//! Children: programs that are started, watched, listened to and ended with all they started.
//!
//! For whoever runs code of another hand in a process of its own: the host for libraries, the
//! `exec` plugin for programs. A [`Child`] leads a process group of its own, inherits nothing
//! but its three standard streams, and is killed with its group when it ends, when its handle
//! is dropped and when the thread that starts all of them ends, which is when this process does.
//! What it may do is said by a [`Sandbox`] that it enters itself. Linux only.

mod backoff;
mod command;
mod exit;
mod lines;
mod output;
mod sandbox;
mod watcher;

use std::io;
use std::os::unix::process::parent_id;

use rustix::process::Signal;

pub use self::backoff::Backoff;
pub use self::command::{Child, Command, Ended, Input, Killer, LAUNCHED, launch};
pub use self::exit::Exit;
pub use self::lines::{Limits, Line, Lines};
pub use self::output::{Stream, follow};
pub use self::sandbox::{Inhabitant, Part, Sandbox, SandboxReport, State};

/// Has the kernel kill this process when the thread that started it ends. To be called first
/// thing in the child; `parent` is the id of the process that started it. Errs if that one is
/// gone already: then nobody would ever end this process.
pub fn stay_with_parent(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if parent_id() != parent {
        return Err(io::Error::other(
            "the process that started this one has ended",
        ));
    }
    Ok(())
}

/// The open descriptors of this process beyond standard input, output and error: each with what
/// it is. What a child inherited by somebody's mistake shows here.
pub fn open_descriptors() -> io::Result<Vec<(u32, String)>> {
    let mut open = Vec::new();
    let listing = std::fs::read_dir("/proc/self/fd")?;
    for entry in listing {
        let entry = entry?;
        let number = entry.file_name().to_string_lossy().parse();
        let (Ok(number), Ok(target)) = (number, std::fs::read_link(entry.path())) else {
            continue;
        };
        // The one that this list is read from is not there any more.
        let target = target.to_string_lossy().into_owned();
        if number > 2 && target != format!("/proc/{}/fd", std::process::id()) {
            open.push((number, target));
        }
    }
    open.sort_unstable();
    Ok(open)
}

#[cfg(test)]
mod tests;
