//! The child: this same program once more, alone with a plugin.
//!
//! It has no environment, a folder of its own, a group of its own and a time limit. When it ends
//! or must end, its whole group is killed before anything else; what it wrote is kept up to a
//! limit and read on behind it, so that a plugin that writes without end does not hold us up.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::told::{self, Line, Request};

/// Bytes of stdout and of stderr that are kept.
const KEPT: usize = 256 * 1024;
/// How long is waited for the rest of what a child wrote, after its end.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Ending {
    /// It did all of it.
    Done,
    /// It ended before: by a signal, or with an exit code.
    Crashed(String),
    /// It was killed because it took too long.
    TimedOut,
}

/// What is left of a child.
#[derive(Debug)]
pub(in super::super) struct Ran {
    pub(in super::super) ending: Ending,
    pub(in super::super) lines: Vec<Line>,
    pub(in super::super) stdout: Vec<u8>,
    pub(in super::super) stderr: Vec<u8>,
    pub(in super::super) took: Duration,
}

/// Runs a child for `request`, and waits at most `limit` for it.
pub(in super::super) fn run(request: &Request, limit: Duration) -> io::Result<Ran> {
    let began = Instant::now();
    let mut child = Command::new(program())
        .arg("plugin-part")
        .env_clear()
        .current_dir(&request.folder)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().map(Kept::read);
    let stderr = child.stderr.take().map(Kept::read);
    if let Some(mut stdin) = child.stdin.take() {
        // A child that does not read it ends soon, and then that is what is told.
        let _ = stdin.write_all(&serde_json::to_vec(request)?);
    }
    let timed_out = !ended_within(&child, limit);
    let status = kill(&mut child)?;
    let wrote = |kept: Option<Kept>| kept.map(Kept::take).unwrap_or_default();
    let lines = told::read(&request.told);
    let is_done = matches!(lines.last(), Some(Line::End)) && status.success();
    let ending = if timed_out {
        Ending::TimedOut
    } else if is_done {
        Ending::Done
    } else {
        Ending::Crashed(in_words(status))
    };
    Ok(Ran {
        ending,
        lines,
        stdout: wrote(stdout),
        stderr: wrote(stderr),
        took: began.elapsed(),
    })
}

/// This program's file, also if another was put in its place meanwhile.
fn program() -> &'static str {
    "/proc/self/exe"
}

/// Waits for the end of a child without taking it away: its number stays its own.
fn ended_within(child: &Child, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    let pid = pid(child);
    loop {
        match rustix::process::waitid(WaitId::Pid(pid), options) {
            Ok(Some(_)) | Err(_) => return true,
            Ok(None) => {}
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Kills the child and all that it started in its group, and takes its end.
fn kill(child: &mut Child) -> io::Result<ExitStatus> {
    // The child was not taken away yet, so the number of its group is nobody else's.
    let _ = rustix::process::kill_process_group(pid(child), Signal::KILL);
    child.wait()
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// What a child wrote into a pipe.
struct Kept {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
}

impl Kept {
    fn read(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut piece = vec![0; 16 * 1024];
            while let Ok(length) = pipe.read(&mut piece) {
                if length == 0 {
                    break;
                }
                let mut into = into.lock().unwrap_or_else(PoisonError::into_inner);
                let left = KEPT.saturating_sub(into.len()).min(length);
                into.extend_from_slice(&piece[..left]);
            }
        });
        Self { bytes, reader }
    }

    /// All of it, unless somebody who left the group holds the pipe open.
    fn take(self) -> Vec<u8> {
        let deadline = Instant::now() + AFTERWARDS;
        while !self.reader.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut bytes)
    }
}

fn in_words(status: ExitStatus) -> String {
    let mut words = String::new();
    // Writing into a text does not fail.
    let _ = match (status.signal(), status.code()) {
        (Some(signal), _) => match name(signal) {
            Some(name) => write!(words, "{name}"),
            None => write!(words, "signal {signal}"),
        },
        (None, code) => write!(words, "exit {}", code.unwrap_or_default()),
    };
    words
}

fn name(signal: i32) -> Option<&'static str> {
    let signal = Signal::from_named_raw(signal)?;
    let names = [
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::ILL, "SIGILL"),
        (Signal::KILL, "SIGKILL"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::SYS, "SIGSYS"),
        (Signal::TERM, "SIGTERM"),
        (Signal::TRAP, "SIGTRAP"),
    ];
    let found = names.iter().find(|(one, _)| *one == signal);
    found.map(|(_, name)| *name)
}
