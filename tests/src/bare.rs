//! The bare daemon: its process and its stderr are the test's own business.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::setup::{SECRET, Setup};
use crate::shop::Shop;
use crate::{free_port, get, until};

/// Becomes a program with standard input as its first passed socket.
const KEPT: &str = r#"exec 3<&0 </dev/null; LISTEN_PID=$$; export LISTEN_PID; exec "$@""#;

/// A folder with a configuration, and the addresses in it.
pub struct Bare {
    folder: TempDir,
    setup: Setup,
    public: SocketAddr,
    admin: SocketAddr,
}

impl Bare {
    /// Writes the configuration.
    ///
    /// # Panics
    ///
    /// If there is no temporary folder.
    pub fn new(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let loopback = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (public, admin) = (loopback(), loopback());
        setup.write(folder.path(), public, admin);
        Self {
            folder,
            setup: setup.clone(),
            public,
            admin,
        }
    }

    /// Starts the daemon; does not wait.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn run(&self, stderr: Stdio) -> Child {
        self.setup
            .command(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("starts")
    }

    /// Starts the daemon as a service manager does that keeps its socket; does not wait.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn run_on(&self, socket: OwnedFd, name: &str, stderr: Stdio) -> Child {
        let daemon = self.setup.command(self.folder.path());
        let mut shell = Command::new("sh");
        // The process that is the daemon is the shell first: it knows its own id.
        shell
            .args(["-c", KEPT, "sh"])
            .arg(daemon.get_program())
            .args(daemon.get_args());
        for (variable, value) in daemon.get_envs() {
            if let Some(value) = value {
                shell.env(variable, value);
            }
        }
        shell
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", name)
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("starts")
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    ///
    /// If it ends instead.
    pub fn wait_ready(&self, child: &mut Child) {
        until("the daemon is ready", || {
            let ended = child.try_wait().expect("waits");
            assert!(ended.is_none(), "the daemon ended with {ended:?}");
            get(self.admin, "/readyz", &[]).is_ok_and(|answer| answer.status == 200)
        });
    }

    /// Its folder, with `leadgate.toml` and `store/`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its public address.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// Where the admin listener is.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A shop that pushes to it.
    pub fn shop(&self) -> Shop {
        Shop::new(self.public, "/tmall/leads", SECRET)
    }

    /// Sends a signal, such as `TERM`.
    ///
    /// # Panics
    ///
    /// If `kill` does not run.
    pub fn signal(&self, child: &Child, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success(), "SIG{name} is sent");
    }

    /// SIGTERM, then waits; gives the exit code.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub fn terminate(&self, mut child: Child) -> Option<i32> {
        self.signal(&child, "TERM");
        self.ended(&mut child)
    }

    /// Waits for the end; gives the exit code.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub fn ended(&self, child: &mut Child) -> Option<i32> {
        let mut code = None;
        until("the daemon has ended", || {
            child.try_wait().expect("waits").is_some_and(|status| {
                if status.code().is_none() {
                    eprintln!("the daemon ended with {status}");
                }
                code = status.code();
                true
            })
        });
        code
    }
}
