//! The sandbox: what a child may do, entered by the child itself before it runs what is not ours.
//!
//! Best effort, told in full: what this kernel does not have is left out and stands in the
//! [`SandboxReport`], never silently absent. Everything holds for the thread that enters and for
//! all that it starts afterwards, so it is entered before there are other threads.

mod calls;
mod files;
mod limits;
mod report;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::report::{Part, SandboxReport, State};

/// What a child may do. The default is what a plugin needs that talks to the network and to
/// nothing on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sandbox {
    /// Memory that it may take beyond what it has when it enters, in bytes; `None` is no limit.
    pub memory: Option<u64>,
    /// Descriptors that it may have open.
    pub descriptors: Option<u64>,
    /// Processes and threads that its *user* may have, those of others with the same user
    /// included; nothing holds root back.
    pub processes: Option<u64>,
    /// Whether it reaches only the files below; if not, all that its user may.
    pub files: bool,
    /// Files and folders that it may read, beside the system's libraries and what programs read
    /// to know names, time and certificates.
    pub read: Vec<PathBuf>,
    /// Files and folders that it may read, write, make and remove.
    pub write: Vec<PathBuf>,
    /// Files and folders from which it may start programs.
    pub execute: Vec<PathBuf>,
    /// TCP ports that it may connect to, and then it may listen on none; `None` is all.
    pub connect: Option<Vec<u16>>,
    /// Whether it may connect to sockets that are files, such as those of the system's services.
    pub unix_sockets: bool,
    /// Whether what has no use in a plugin is refused by the kernel: tracing, mounting, modules,
    /// namespaces, raw sockets and the like.
    pub system_calls: bool,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            memory: Some(1 << 30),
            descriptors: Some(1024),
            processes: None,
            files: true,
            read: Vec::new(),
            write: Vec::new(),
            execute: Vec::new(),
            connect: None,
            unix_sockets: false,
            system_calls: true,
        }
    }
}

/// What runs in the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inhabitant {
    /// This program, which goes on.
    ThisProgram,
    /// Another one, which takes its place.
    Another,
}

impl Sandbox {
    /// One that only keeps what is in it from gaining privileges and from signalling others.
    #[must_use]
    pub fn open() -> Self {
        Self {
            memory: None,
            descriptors: None,
            processes: None,
            files: false,
            read: Vec::new(),
            write: Vec::new(),
            execute: Vec::new(),
            connect: None,
            unix_sockets: true,
            system_calls: false,
        }
    }

    /// Enters it for good, as far as this kernel can, and says how far that is.
    pub fn enter(&self, inhabitant: Inhabitant) -> SandboxReport {
        let mut report = SandboxReport::default();
        limits::privileges(&mut report);
        limits::set(self, inhabitant, &mut report);
        inherited(&mut report);
        files::restrict(self, &mut report);
        calls::refuse(self, &mut report);
        report
    }
}

/// Whether anything was inherited that should not have been.
fn inherited(report: &mut SandboxReport) {
    match super::open_descriptors() {
        Ok(open) => {
            // What a file is called may be personal; what kind it is may not.
            let kinds = open.iter().map(|(number, what)| {
                let kind = what.split_once(":[").map_or("a file", |(kind, _)| kind);
                format!("{number} ({kind})")
            });
            let note = kinds.collect::<Vec<_>>().join(", ");
            report.on("descriptors_inherited", note);
        }
        Err(error) => report.unavailable("descriptors_inherited", error.to_string()),
    }
}
