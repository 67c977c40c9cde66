//! Commands: what is to be started, and the handle of what was.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal};
use tokio::sync::watch;

use super::{Exit, Inhabitant, Sandbox, stay_with_parent, watcher};

/// How the first line on standard error of a program in a sandbox begins.
pub const LAUNCHED: &str = "leadgate-sandbox ";

/// What a child reads from its standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// Nothing: it ends at once.
    #[default]
    Nothing,
    /// A pipe that only we write to.
    Pipe,
    /// One end of a pair of connected stream sockets, for both directions.
    Socket,
}

/// A program to start: with no arguments, no environment, in the folder `/`, reading nothing.
#[derive(Clone, Debug)]
pub struct Command {
    program: OsString,
    name: Option<OsString>,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    folder: PathBuf,
    input: Input,
}

impl Command {
    /// Of that program.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            name: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            folder: PathBuf::from("/"),
            input: Input::Nothing,
        }
    }

    /// Of the program that runs now, even if its file has been replaced since.
    pub fn of_this_program() -> Self {
        let mut command = Self::new("/proc/self/exe");
        command.name = std::env::args_os().next();
        command
    }

    /// The same, started by `launcher`, a `leadgate`, which enters `sandbox` and then becomes this
    /// program. Its first line on standard error is [`LAUNCHED`] and the [`SandboxReport`] as
    /// JSON; if it cannot start the program it says why there and exits with 127.
    ///
    /// [`SandboxReport`]: super::SandboxReport
    pub fn sandboxed(self, launcher: impl AsRef<OsStr>, sandbox: &Sandbox) -> io::Result<Self> {
        let launched = Self::new(launcher)
            .arg("sandboxed")
            .arg(std::process::id().to_string())
            .arg(serde_json::to_string(sandbox)?)
            .arg(&self.program)
            .args(&self.args);
        Ok(Self {
            program: launched.program,
            name: None,
            args: launched.args,
            ..self
        })
    }

    /// One argument more.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Arguments more.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// A variable of its environment, which has no others.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let (name, value) = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.env.insert(name, value);
        self
    }

    /// The folder it begins in.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        folder.as_ref().clone_into(&mut self.folder);
        self
    }

    /// What it reads.
    #[must_use]
    pub fn input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    /// Starts it as the leader of a process group of its own, on the thread that starts and
    /// watches all children. Waits for a moment, until it runs or is known not to.
    pub fn spawn(self) -> io::Result<Child> {
        let mut command = std::process::Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .current_dir(&self.folder)
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(name) = &self.name {
            command.arg0(name);
        }
        let mut socket = None;
        match self.input {
            Input::Nothing => command.stdin(Stdio::null()),
            Input::Pipe => command.stdin(Stdio::piped()),
            Input::Socket => {
                let (ours, theirs) = socketpair(
                    AddressFamily::UNIX,
                    SocketType::STREAM,
                    SocketFlags::CLOEXEC,
                    None,
                )?;
                socket = Some(ours);
                command.stdin(Stdio::from(theirs))
            }
        };
        let started = watcher::start(command)?;
        Ok(Child {
            input: socket.or(started.input),
            output: started.output,
            error: started.error,
            life: started.life,
        })
    }
}

/// The launcher's part of [`Command::sandboxed`]: `args` are those behind the word `sandboxed`.
/// Becomes the program, or gives the reason why not. To be called while there is one thread.
pub fn launch(mut args: impl Iterator<Item = OsString>) -> io::Error {
    let mut next = || {
        args.next()
            .ok_or_else(|| io::Error::other("an argument is missing"))
    };
    let mut launch = || -> io::Result<std::process::Command> {
        let parent = next()?.to_string_lossy().parse();
        stay_with_parent(parent.map_err(io::Error::other)?)?;
        let sandbox: Sandbox = serde_json::from_str(&next()?.to_string_lossy())?;
        let program = next()?;
        let report = sandbox.enter(Inhabitant::Another);
        eprintln!("{LAUNCHED}{}", serde_json::to_string(&report)?);
        Ok(std::process::Command::new(program))
    };
    match launch() {
        Ok(mut command) => command.args(args).exec(),
        Err(error) => error,
    }
}

/// A program that was started. Killed with all that is in its group when this is dropped.
#[derive(Debug)]
pub struct Child {
    /// Our end of what it reads, if it reads anything.
    pub input: Option<OwnedFd>,
    /// What it writes to standard output.
    pub output: Option<OwnedFd>,
    /// What it writes to standard error.
    pub error: Option<OwnedFd>,
    life: Arc<Life>,
}

impl Child {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.life.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// What kills it.
    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.life))
    }

    /// What knows when it has ended.
    pub fn ended(&self) -> Ended {
        Ended(Arc::clone(&self.life))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.life.kill();
    }
}

/// Kills a child and its group. Never hits a stranger: as long as nobody has asked how the child
/// ended its id is not given to another process, and after that this does nothing.
#[derive(Clone, Debug)]
pub struct Killer(Arc<Life>);

impl Killer {
    /// Kills them now.
    pub fn kill(&self) {
        self.0.kill();
    }
}

/// Knows when and how a child has ended.
#[derive(Clone, Debug)]
pub struct Ended(Arc<Life>);

impl Ended {
    /// How it ended, if it has.
    pub fn now(&self) -> Option<Exit> {
        *self.0.exit.borrow()
    }

    /// Waits for its end.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.0.exit.subscribe();
        let ended = exit.wait_for(Option::is_some).await;
        ended.ok().and_then(|exit| *exit).unwrap_or(Exit::Unknown)
    }

    /// Waits for its end on this thread; `None` if it has not ended within `most`.
    pub fn wait_for(&self, most: Duration) -> Option<Exit> {
        let began = Instant::now();
        let mut reaped = self.0.lock();
        loop {
            if let Some(exit) = self.now() {
                return Some(exit);
            }
            let left = most.checked_sub(began.elapsed())?;
            let woken = self.0.changed.wait_timeout(reaped, left);
            reaped = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What the watcher and the handles share.
#[derive(Debug)]
pub(super) struct Life {
    pid: Pid,
    /// Whether the child's id may belong to another process by now. Locked while it is used.
    reaped: Mutex<bool>,
    changed: Condvar,
    exit: watch::Sender<Option<Exit>>,
}

impl Life {
    pub(super) fn new(pid: Pid) -> Arc<Self> {
        Arc::new(Self {
            pid,
            reaped: Mutex::new(false),
            changed: Condvar::new(),
            exit: watch::Sender::new(None),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.reaped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill(&self) {
        let reaped = self.lock();
        if !*reaped {
            // A group that is gone already needs no killing.
            let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// Kills what is left of the group, then lets `reap` ask how the child ended.
    pub(super) fn end(&self, reap: impl FnOnce() -> Exit) {
        self.kill();
        let mut reaped = self.lock();
        let exit = reap();
        *reaped = true;
        self.exit.send_replace(Some(exit));
        self.changed.notify_all();
    }
}
