//! The servers under load: child processes on free ports, killed when dropped.

use std::fmt::Write;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::leads::SECRET;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Where operators ask.
    pub(crate) admin: SocketAddr,
    /// From the start of the process until `/readyz` said so.
    pub(crate) ready_after: Duration,
    child: Child,
}

/// Longest wait for a server to be ready, far beyond any bar.
const PATIENCE: Duration = Duration::from_mins(10);

/// A folder for stores and logs, on the disk that cargo builds on.
pub(crate) fn folder() -> anyhow::Result<tempfile::TempDir> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// The configuration of an http sink named `crm`.
pub(crate) fn sink(url: &str) -> String {
    format!(
        "[sinks.crm]\nplugin = \"http\"\nconcurrency = 64\ntimeout = \"10s\"\n\
         [sinks.crm.settings]\nurl = \"{url}\"\n"
    )
}

impl Server {
    /// The bare handler.
    pub(crate) fn baseline() -> anyhow::Result<Self> {
        let began = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--baseline")
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse()?;
        Ok(Self {
            address,
            admin: address,
            ready_after: began.elapsed(),
            child,
        })
    }

    /// The real binary with one source, `sinks`, and its store in `folder`.
    pub(crate) fn leadgate(folder: &Path, sinks: &str) -> anyhow::Result<Self> {
        let file = folder.join("leadgate.toml");
        let mut config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\nallow_without_token = true\n\
             [outbox]\npath = \"{}\"\n[log]\nformat = \"json\"\n\
             [sources.shop]\nkind = \"tmall\"\npath = \"/tmall/leads\"\napp_secret = [\"{SECRET}\"]\n\
             timestamp_tolerance = \"off\"\n",
            folder.join("store").display()
        );
        let _ = write!(config, "{sinks}");
        std::fs::write(&file, config)?;
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_leadgate"))
            .args(["run", "--config"])
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().context("stderr is piped")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut opened = |name: &str| -> anyhow::Result<SocketAddr> {
            loop {
                let line = lines
                    .next()
                    .context("leadgate ended before it listened")??;
                let Ok(event) = serde_json::from_str::<serde_json::Value>(&line) else {
                    continue;
                };
                if event["listener"] == name {
                    return Ok(event["address"].as_str().context("an address")?.parse()?);
                }
            }
        };
        let (admin, address) = (opened("admin")?, opened("public")?);
        std::thread::spawn(move || lines.for_each(drop));
        while !ready(admin).unwrap_or(false) {
            ensure!(began.elapsed() < PATIENCE, "leadgate is not ready");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Self {
            address,
            admin,
            ready_after: began.elapsed(),
            child,
        })
    }

    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }
}

/// A process whose memory is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Process(u32);

impl Process {
    /// Resident memory now, in MiB.
    pub(crate) fn resident(self) -> anyhow::Result<f64> {
        self.field("VmRSS:")
    }

    /// The most resident memory it ever had, in MiB.
    pub(crate) fn peak(self) -> anyhow::Result<f64> {
        self.field("VmHWM:")
    }

    fn field(self, name: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.context("a field of /proc")?.trim();
        let kilobytes: f64 = kilobytes.trim_end_matches(" kB").parse()?;
        Ok(kilobytes / 1024.0)
    }
}

fn ready(admin: SocketAddr) -> anyhow::Result<bool> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(answer == *b"HTTP/1.1 200")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
