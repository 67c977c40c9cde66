//! Starting: a program with its pipes, in its sandbox.
//!
//! The host's launcher enters the sandbox and then becomes the program. Beside the end that the
//! program reads from we keep one of our own: what is left in the pipe when the program is gone
//! was provably never read by anybody.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use leadgate_plugin::child::{Child, Input, SandboxReport};
use leadgate_plugin::{Host, Level};
use serde_json::json;
use tokio::net::unix::pipe;

use crate::program::Program;

/// What starts the program.
pub(crate) struct Starter {
    pub(crate) program: Program,
    launcher: Option<PathBuf>,
    /// Whether the log has the sandbox already.
    told: AtomicBool,
}

/// A program that runs.
pub(crate) struct Running {
    pub(crate) stdin: pipe::Sender,
    pub(crate) stdout: pipe::Receiver,
    pub(crate) stderr: OwnedFd,
    pub(crate) unread: Unread,
    pub(crate) child: Child,
}

impl Starter {
    pub(crate) fn new(program: Program, host: &Host) -> Self {
        let launcher = host.launcher().map(Path::to_owned);
        if launcher.is_none() {
            host.log(
                Level::Warn,
                "programs run without a sandbox: this host cannot start them in one",
                &json!({}),
            );
        }
        Self {
            program,
            launcher,
            told: AtomicBool::new(false),
        }
    }

    /// Starts it with further arguments. Blocks for as long as that takes.
    pub(crate) fn start(&self, more: &[String]) -> io::Result<Running> {
        let mut command = self.program.command(more).input(Input::Pipe);
        if let Some(launcher) = &self.launcher {
            command = command.sandboxed(launcher, &self.program.sandbox)?;
        }
        let mut child = command.spawn()?;
        let taken = child
            .input
            .take()
            .zip(child.output.take())
            .zip(child.error.take());
        let ((stdin, stdout), stderr) =
            taken.ok_or_else(|| io::Error::other("a pipe is missing"))?;
        Ok(Running {
            unread: Unread::of(&stdin),
            stdin: pipe::Sender::from_owned_fd(stdin)?,
            stdout: pipe::Receiver::from_owned_fd(stdout)?,
            stderr,
            child,
        })
    }
}

impl Starter {
    /// Logs, once, which parts of the sandbox hold.
    pub(crate) fn tell_sandbox(&self, report: &str, host: &Host) {
        let Ok(report) = serde_json::from_str::<SandboxReport>(report) else {
            return;
        };
        if self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        let fields = json!({"sandbox": report.to_string()});
        let (level, message) = if report.is_whole() {
            (Level::Info, "programs run in a sandbox")
        } else {
            (
                Level::Warn,
                "programs run in a sandbox of which parts are not available",
            )
        };
        host.log(level, message, &fields);
    }
}

/// Our own reading end of what the program reads.
pub(crate) struct Unread(Option<File>);

impl Unread {
    fn of(stdin: &OwnedFd) -> Self {
        let path = format!("/proc/self/fd/{}", stdin.as_raw_fd());
        let mut options = File::options();
        options.read(true).custom_flags(NONBLOCK);
        Self(options.open(path).ok())
    }

    /// Takes out what nobody has read, and says how many bytes it was. Only for when the program
    /// is gone.
    pub(crate) fn take(&mut self) -> u64 {
        use std::io::Read;
        let Some(mut file) = self.0.take() else {
            return 0;
        };
        let (mut all, mut piece) = (0, [0; 4096]);
        loop {
            match file.read(&mut piece) {
                Ok(0) => return all,
                Ok(length) => all += length as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Empty.
                Err(_) => return all,
            }
        }
    }
}

/// `O_NONBLOCK`.
#[expect(clippy::cast_possible_wrap, reason = "a small flag")]
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;
