//! The daemon: the real binary in a folder of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::output_with;
use crate::setup::{SECRET, Setup};
use crate::shop::Shop;
use crate::{Answer, get, post, until};

/// A daemon that ended instead of becoming ready.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// Its log.
    pub log: String,
}

/// A running daemon.
pub struct Daemon {
    folder: TempDir,
    setup: Setup,
    child: Child,
    /// Takes its log until it has ended.
    reader: JoinHandle<()>,
    public: SocketAddr,
    admin: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    /// Starts one and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn start(setup: Setup) -> Self {
        Self::start_on(setup, |_| {})
    }

    /// Starts one on a folder that has its configuration and that `prepare` may first put a
    /// `store` into.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start_on(setup: Setup, prepare: impl FnOnce(&Path)) -> Self {
        match Self::try_start_on(setup, prepare) {
            Ok(daemon) => daemon,
            Err(ended) => panic!("the daemon ended with {}:\n{}", ended.status, ended.log),
        }
    }

    /// The same for a daemon that may end instead of becoming ready.
    ///
    /// # Panics
    ///
    /// If it does neither.
    pub fn try_start_on(setup: Setup, prepare: impl FnOnce(&Path)) -> Result<Self, Ended> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (public, admin) = (loopback(free_port()), loopback(free_port()));
        let log = Arc::default();
        setup.write(folder.path(), public, admin);
        prepare(folder.path());
        let (child, reader) = spawn(folder.path(), &setup, &log);
        let mut daemon = Self {
            folder,
            setup,
            child,
            reader,
            public,
            admin,
            log,
        };
        match daemon.ended_before_ready() {
            None => Ok(daemon),
            Some(status) => Err(Ended {
                status,
                log: daemon.log(),
            }),
        }
    }

    /// Starts one that listens and is not ready.
    ///
    /// # Panics
    ///
    /// If it does not listen.
    pub fn start_full(setup: Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (public, admin) = (loopback(free_port()), loopback(free_port()));
        let log = Arc::default();
        setup.write(folder.path(), public, admin);
        let (child, reader) = spawn(folder.path(), &setup, &log);
        until("it listens", || {
            get(admin, "/livez", &[]).is_ok() && TcpStream::connect(public).is_ok()
        });
        Self {
            folder,
            setup,
            child,
            reader,
            public,
            admin,
            log,
        }
    }

    fn wait_ready(&mut self) {
        if let Some(status) = self.ended_before_ready() {
            panic!("the daemon ended with {status}:\n{}", self.log());
        }
    }

    /// Waits until it is ready or has ended.
    fn ended_before_ready(&mut self) -> Option<ExitStatus> {
        let (public, admin) = (self.public, self.admin);
        let child = &mut self.child;
        let mut ended = None;
        until("the daemon listens or ends", || {
            ended = child.try_wait().expect("waits");
            ended.is_some()
                || (get(admin, "/readyz", &[]).is_ok_and(|answer| answer.status == 200)
                    && TcpStream::connect(public).is_ok())
        });
        if ended.is_some() {
            until("its log is read", || self.reader.is_finished());
        }
        ended
    }

    /// Its public address.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// Its folder, with `leadgate.toml` and `store/`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A shop that pushes to it.
    pub fn shop(&self) -> Shop {
        Shop::new(self.public, "/tmall/leads", SECRET)
    }

    /// Runs a command on its configuration, whether it runs or not: exit code, stdout, stderr.
    ///
    /// # Panics
    ///
    /// If the command does not run.
    pub fn command(&self, args: &[&str]) -> (i32, String, String) {
        self.command_with(args, "")
    }

    /// The same with something on stdin.
    ///
    /// # Panics
    ///
    /// If the command does not run.
    pub fn command_with(&self, args: &[&str], stdin: &str) -> (i32, String, String) {
        let config = self.folder().join("leadgate.toml");
        let config = ["--config", config.to_str().expect("text")];
        let output = output_with(&[args, &config].concat(), &[], stdin);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code().unwrap_or(-1),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// Asks the admin listener, with the token; again if a busy machine breaks a connection off.
    ///
    /// # Panics
    ///
    /// If it does not answer three times.
    pub fn admin(&self, path: &str) -> Answer {
        let token = [("authorization", "Bearer e2e-admin-token")];
        let ask = || get(self.admin, path, &token);
        ask()
            .or_else(|_| ask())
            .or_else(|_| ask())
            .unwrap_or_else(|error| {
                panic!(
                    "the admin listener does not answer: {error}\n{}",
                    self.log()
                )
            })
    }

    /// Posts to the admin listener's API, with the token.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [
            ("authorization", "Bearer e2e-admin-token"),
            ("content-type", "application/json"),
        ];
        let path = format!("/api/v1{path}");
        let body = body.to_string();
        post(self.admin, "POST", &path, &headers, body.as_bytes()).unwrap_or_else(|error| {
            panic!(
                "the admin listener does not answer: {error}\n{}",
                self.log()
            )
        })
    }

    /// Where the admin listener is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// `/api/v1/stats`.
    pub fn stats(&self) -> Value {
        self.admin("/api/v1/stats").json()
    }

    /// `/metrics`.
    pub fn metrics(&self) -> String {
        self.admin("/metrics").body
    }

    /// A number of `/api/v1/stats`, by JSON pointer.
    pub fn stat(&self, pointer: &str) -> u64 {
        self.stats()
            .pointer(pointer)
            .and_then(Value::as_u64)
            .unwrap_or(0)
    }

    /// The last attempt of the only delivery of `sink`, with the delivery's id.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn last_attempt(&self, sink: &str) -> Value {
        let list = self
            .admin(&format!("/api/v1/deliveries?sink={sink}"))
            .json();
        let id = list["items"][0]["id"].as_str().expect("a delivery");
        let delivery = self.admin(&format!("/api/v1/deliveries/{id}")).json();
        let attempts = delivery["history"].as_array().expect("attempts");
        let mut last = attempts.last().expect("an attempt").clone();
        last["id"] = id.into();
        last
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }

    /// The events of its log so far.
    ///
    /// # Panics
    ///
    /// If a line is not JSON.
    pub fn events(&self) -> Vec<Value> {
        let log = self.log();
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .collect()
    }

    /// What it, or what it started, wrote to stdout so far.
    ///
    /// # Panics
    ///
    /// If that cannot be read.
    pub fn stdout(&self) -> String {
        let bytes = std::fs::read(self.folder().join("stdout")).expect("its stdout");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// kill -9.
    ///
    /// # Panics
    ///
    /// If it cannot be killed.
    pub fn kill(&mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("ends");
    }

    /// Starts it again on the same ports and store.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn restart(&mut self) {
        (self.child, self.reader) = spawn(self.folder.path(), &self.setup, &self.log);
        self.wait_ready();
    }

    /// Starts it again, does not wait until it is ready but for `moment`, and kills it then.
    ///
    /// # Panics
    ///
    /// If the moment does not come.
    pub fn restart_and_kill(&mut self, what: &str, moment: impl FnMut() -> bool) {
        (self.child, self.reader) = spawn(self.folder.path(), &self.setup, &self.log);
        until(what, moment);
        self.kill();
    }

    /// Starts it again; gives how it ended if it did instead of becoming ready.
    pub fn try_restart(&mut self) -> Option<ExitStatus> {
        (self.child, self.reader) = spawn(self.folder.path(), &self.setup, &self.log);
        self.ended_before_ready()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Panics
    ///
    /// If that cannot be told.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("waits").is_none()
    }

    /// `/readyz`'s status.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn readiness(&self) -> u16 {
        get(self.admin, "/readyz", &[])
            .expect("the admin listener answers")
            .status
    }

    /// Starts it again, no longer under another command.
    pub fn restart_plain(&mut self) {
        self.setup.under.clear();
        self.restart();
    }

    /// SIGTERM, then waits; gives the exit code.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill runs");
        let mut code = None;
        until("the daemon has stopped", || {
            self.child.try_wait().expect("waits").is_some_and(|status| {
                code = status.code();
                true
            })
        });
        code
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Ports below those that the kernel gives to connections and to servers that take any.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port that nobody uses now, and that nobody in this process is given again soon.
///
/// # Panics
///
/// If there is none.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    // Test processes that run side by side begin in different places.
    let first = std::process::id().wrapping_mul(1009);
    (0..count)
        .map(|_| {
            let given = GIVEN.fetch_add(1, Ordering::Relaxed);
            let place = first.wrapping_add(given) % count;
            PORTS.start + u16::try_from(place).expect("below the count of ports")
        })
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

fn spawn(folder: &Path, setup: &Setup, log: &Arc<Mutex<Vec<String>>>) -> (Child, JoinHandle<()>) {
    let stdout = File::options()
        .create(true)
        .append(true)
        .open(folder.join("stdout"))
        .expect("a file for its stdout");
    let mut child = setup
        .command(folder)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let stderr = child.stderr.take().expect("stderr is piped");
    let log = Arc::clone(log);
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    });
    (child, reader)
}
