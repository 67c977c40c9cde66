//! Tryton: a CRM as companies run it, with a database of its own in a temporary folder.
//!
//! A lead is a sale opportunity there (`sale.opportunity`) of a party (`party.party`). The
//! database has one company, whose currency is yuan. What it answers is in `e2e/tryton.rs`.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Answer, free_port, get, here, post, until};

/// A running Tryton.
pub struct Tryton {
    folder: TempDir,
    process: Child,
    address: SocketAddr,
}

impl Tryton {
    /// Who may do everything.
    pub const USER: &str = "admin";
    /// The user's password.
    pub const PASSWORD: &str = "e2e-tryton-password";
    /// The user's key for REST.
    pub const KEY: &str = "e2e-tryton-key-00000000000000000";
    /// The ids of the company and of its currency.
    pub const COMPANY: u64 = 1;
    /// See [`Self::COMPANY`].
    pub const CURRENCY: u64 = 1;

    /// Starts one on a copy of the prepared database.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start() -> Self {
        let prepared = here(".counterparts/tryton");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = prepared.join("database/tryton.sqlite");
        fs::copy(database, folder.path().join("tryton.sqlite"))
            .expect("tests/run has prepared a database");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let settings = folder.path().join("trytond.conf");
        let text = format!(
            "[web]\nlisten = {address}\n[database]\nuri = sqlite://\npath = {}\n",
            folder.path().display()
        );
        fs::write(&settings, text).expect("writes");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let process = Command::new(prepared.join("bin/trytond"))
            .arg("-c")
            .arg(settings)
            .args(["-d", "tryton"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("tests/run has installed Tryton");
        let tryton = Self {
            folder,
            process,
            address,
        };
        until("Tryton answers", || {
            get(address, "/", &[]).is_ok_and(|answer| answer.status < 500)
        });
        tryton
    }

    /// Where its one database is, `/tryton`.
    pub fn url(&self) -> String {
        format!("http://{}/tryton", self.address)
    }

    /// Sends JSON by POST, or asks by GET; `authorization` is the header's value.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub fn call(&self, path: &str, authorization: &str, body: Option<&Value>) -> Answer {
        let method = if body.is_some() { "POST" } else { "GET" };
        let body = body.map(Value::to_string).unwrap_or_default();
        let headers = [
            ("authorization", authorization),
            ("content-type", "application/json"),
        ];
        let path = format!("/tryton{path}");
        post(self.address, method, &path, &headers, body.as_bytes()).expect("Tryton answers")
    }

    /// Calls a method over JSON-RPC.
    pub fn rpc(&self, session: &str, method: &str, params: &Value) -> Answer {
        let call = json!({"id": 1, "method": method, "params": params});
        self.call("/rpc/", session, Some(&call))
    }

    /// Logs in, and gives the authorization of the session.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub fn session(&self) -> String {
        let params = json!([Self::USER, {"password": Self::PASSWORD}, "en"]);
        let answer = self.rpc("", "common.db.login", &params).json();
        let (id, token) = (&answer["result"][0], &answer["result"][1]);
        let token = token.as_str().expect("a token");
        let session = format!("{}:{id}:{token}", Self::USER);
        format!("Session {}", STANDARD.encode(session))
    }

    /// Ends all sessions, as time would.
    ///
    /// # Panics
    ///
    /// If the database cannot be changed.
    pub fn end_sessions(&self) {
        let script = "import sqlite3, sys\n\
                      with sqlite3.connect(sys.argv[1], timeout=30) as database:\n\
                      \x20   database.execute('DELETE FROM ir_session')\n";
        let status = Command::new("python3")
            .args(["-c", script])
            .arg(self.folder.path().join("tryton.sqlite"))
            .status()
            .expect("python3 runs");
        assert!(status.success(), "the sessions are ended");
    }

    /// Those records of `model` that `domain` describes, with these fields.
    ///
    /// # Panics
    ///
    /// If it refuses.
    pub fn records(&self, model: &str, domain: &Value, fields: &[&str]) -> Vec<Value> {
        let params = json!([domain, 0, null, null, fields, {}]);
        let method = format!("model.{model}.search_read");
        let answer = self.rpc(&self.session(), &method, &params).json();
        answer["result"].as_array().expect("records").clone()
    }
}

impl Drop for Tryton {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
