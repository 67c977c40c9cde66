//! The servers under load: child processes on free ports, killed when dropped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::load::SECRET;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    _folder: Option<tempfile::TempDir>,
}

impl Server {
    /// The bare handler.
    pub(crate) fn baseline() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--baseline")
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self {
            address: line.trim().parse()?,
            child,
            _folder: None,
        })
    }

    /// The real binary with one source, one outbox and no sink.
    pub(crate) fn leadgate() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(concat!(env!("CARGO_TARGET_TMPDIR")))?;
        let file = folder.path().join("leadgate.toml");
        let store = folder.path().join("outbox");
        std::fs::write(
            &file,
            format!(
                "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\nallow_without_token = true\n\
                 [outbox]\npath = \"{}\"\n[log]\nformat = \"json\"\n\
                 [sources.shop]\nkind = \"tmall\"\npath = \"/tmall/leads\"\napp_secret = [\"{SECRET}\"]\n",
                store.display()
            ),
        )?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_leadgate"))
            .args(["run", "--config"])
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let mut lines = BufReader::new(stderr).lines();
        let address = loop {
            let line = lines
                .next()
                .context("leadgate ended before it listened")??;
            let Ok(event) = serde_json::from_str::<serde_json::Value>(&line) else {
                continue;
            };
            if event["listener"] == "public" {
                break event["address"].as_str().context("an address")?.parse()?;
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            address,
            child,
            _folder: Some(folder),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
