//! RabbitMQ: the real broker, and what its queues hold, asked by the official Python client.

use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::freeze::freeze;
use crate::{free_port, here, within};

/// Where Debian keeps its programs; those in /usr/sbin are for the system's own broker.
const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";
/// Longest wait for a broker to start: an Erlang machine on a busy computer.
const START: Duration = Duration::from_mins(2);

/// A running broker; it ends with this value, and so does its port mapper.
pub struct Rabbit {
    folder: TempDir,
    port: u16,
    mapper_port: u16,
    mapper: Child,
    child: Child,
}

impl Rabbit {
    /// Starts one with further lines of configuration. The user is `leads`, the password
    /// `t0psecret`.
    ///
    /// # Panics
    ///
    /// If it does not start, for instance because `tests/run` has not installed it.
    pub fn start(lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let mapper_port = free_port();
        let text = format!("default_user = leads\ndefault_pass = t0psecret\n{lines}\n");
        std::fs::write(folder.path().join("rabbitmq.conf"), text).expect("writes");
        std::fs::write(folder.path().join("plugins"), "[].\n").expect("writes");
        let mapper = Command::new("epmd")
            .args(["-address", "127.0.0.1", "-port", &mapper_port.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .expect("tests/run has installed rabbitmq-server");
        let child = environment(folder.path(), port, mapper_port, "rabbitmq-server")
            .env("RABBITMQ_DIST_PORT", free_port().to_string())
            .process_group(0)
            .spawn()
            .expect("starts");
        let broker = Self {
            folder,
            port,
            mapper_port,
            mapper,
            child,
        };
        broker.wait();
        broker
    }

    fn wait(&self) {
        let answers = || {
            self.script(&["ping"])
                .is_ok_and(|output| output.status.success())
        };
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
        assert!(
            within(START, || listens() && answers()),
            "RabbitMQ does not start; its logs are in {}",
            self.folder.path().display()
        );
    }

    /// Host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its URL with the login.
    pub fn url(&self) -> String {
        format!("amqp://leads:t0psecret@{}", self.address())
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a durable exchange, and a durable queue that is bound to it by `key`; `arguments`
    /// are the queue's.
    pub fn bind(&self, exchange: &str, queue: &str, key: &str, arguments: &Value) {
        self.ask(&["bind", exchange, queue, key, &arguments.to_string()]);
    }

    /// Takes the next message out of a queue; null if there is none.
    pub fn take(&self, queue: &str) -> Value {
        self.ask(&["take", queue])
    }

    /// How many messages a queue holds.
    pub fn count(&self, queue: &str) -> u64 {
        self.ask(&["count", queue]).as_u64().expect("a number")
    }

    /// Runs `rabbitmqctl`.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn control(&self, arguments: &[&str]) {
        let output = environment(
            self.folder.path(),
            self.port,
            self.mapper_port,
            "rabbitmqctl",
        )
        .arg("--quiet")
        .args(arguments)
        .output()
        .expect("rabbitmqctl runs");
        assert!(output.status.success(), "{output:?}");
    }

    /// Ends it at once; what durable queues hold stays.
    pub fn stop(&mut self) {
        end(&mut self.child);
    }

    /// Starts it again, on the same port and folder.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn restart(&mut self) {
        self.child = environment(
            self.folder.path(),
            self.port,
            self.mapper_port,
            "rabbitmq-server",
        )
        .env("RABBITMQ_DIST_PORT", free_port().to_string())
        .process_group(0)
        .spawn()
        .expect("starts");
        self.wait();
    }

    /// Lets it do nothing, or go on.
    ///
    /// # Panics
    ///
    /// If there is no `kill`, or it does not stand still.
    pub fn freeze(&self, frozen: bool) {
        freeze(self.child.id(), true, frozen);
    }

    fn ask(&self, arguments: &[&str]) -> Value {
        let output = self.script(arguments).expect("Python runs");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn script(&self, arguments: &[&str]) -> std::io::Result<Output> {
        Command::new(here(".counterparts/venv/bin/python"))
            .arg(here("counterparts/rabbit.py"))
            .arg(self.url())
            .args(arguments)
            .output()
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        end(&mut self.child);
        let _ = self.mapper.kill();
        let _ = self.mapper.wait();
    }
}

/// The script runs the Erlang machine as a child: both are in a group of their own.
fn end(child: &mut Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    let _ = child.wait();
}

fn environment(folder: &Path, port: u16, mapper_port: u16, program: &str) -> Command {
    let mut command = Command::new(Path::new(PROGRAMS).join(program));
    command
        .env("HOME", folder)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", mapper_port.to_string())
        .env("RABBITMQ_NODENAME", format!("leadgate{port}@localhost"))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
        .env("RABBITMQ_CONF_ENV_FILE", folder.join("none"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
        .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
        .env("RABBITMQ_LOG_BASE", folder.join("log"))
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
