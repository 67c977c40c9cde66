//! The configuration's types, as `leadgate.toml` names them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use leadgate_plugin::Secret;

use crate::seal::OutboxKey;

/// Everything that was configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[admin]`
    pub admin: Admin,
    /// `[outbox]`
    pub outbox: Outbox,
    /// `[log]`
    pub log: Log,
    /// `[sources.NAME]`
    pub sources: BTreeMap<String, Source>,
    /// `[sinks.NAME]`
    pub sinks: BTreeMap<String, Sink>,
    /// What nobody may see of the settings of a sink, by its name.
    pub sink_secrets: BTreeMap<String, Vec<Secret>>,
    /// How the sinks stand in the files, by name; empty if not all of them were read.
    pub written: BTreeMap<String, super::Written>,
    /// `[plugins.NAME]`
    pub plugins: BTreeMap<String, Plugin>,
    /// `[tables.NAME]`: code → label; `default` and `label` are entries like the others.
    pub tables: crate::lead::Tables,
    /// What the files were that it was read from; `None` if they could not be read for that.
    pub revision: Option<super::Revision>,
}

/// The local socket, in the outbox's folder unless the configuration says otherwise.
pub(super) const SOCKET: &str = "admin.sock";

impl Config {
    /// Where commands on this machine reach the daemon.
    pub fn socket(&self) -> PathBuf {
        let said = self.admin.socket.clone();
        said.unwrap_or_else(|| self.outbox.path.join(SOCKET))
    }

    /// What nobody may see of the settings of this sink.
    pub fn secrets_of(&self, sink: &str) -> &[Secret] {
        self.sink_secrets.get(sink).map_or(&[], Vec::as_slice)
    }
}

/// The public listener.
#[derive(Clone, Debug)]
pub struct Server {
    /// Address and port; default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// What TLS shows; plain HTTP if absent.
    pub tls: Option<super::Certificate>,
    /// Largest body taken, in bytes; default 256 KiB.
    pub max_body: usize,
    /// Bytes of all bodies being read or answered at once; default 64 MiB.
    pub max_body_memory: usize,
    /// Connections open at once; default 1024.
    pub max_connections: usize,
    /// Connections from one address that is not loopback; no bound if absent. Default a
    /// quarter of `max_connections`.
    pub max_connections_per_address: Option<usize>,
    /// How long a connection may be idle between two requests; default 75 s.
    pub keep_alive: Duration,
    /// From the first byte of a request to the end of its headers; default 5 s.
    pub header_timeout: Duration,
    /// From the end of the headers to the end of the body; default 5 s.
    pub body_timeout: Duration,
    /// Longest wait for the outbox before the failure answer; default 2 s.
    pub ack_deadline: Duration,
    /// HTTP status of the failure answer; default 500.
    pub failure_status: u16,
    /// HTTP status of the refusal (bad signature); default 200, as Alibaba's console expects.
    pub refusal_status: u16,
    /// Longest wait for work in flight at a stop; default 30 s.
    pub shutdown_timeout: Duration,
}

/// The operators' listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Address and port; default `127.0.0.1:8081`. Loopback only unless a token is set.
    pub listen: SocketAddr,
    /// Bearer token of the API.
    pub token: Option<Secret>,
    /// Socket of the same for this machine; [`Config::socket`] says where it is without.
    pub socket: Option<PathBuf>,
    /// Set to `true` to allow the API without a token on loopback.
    pub allow_without_token: bool,
}

/// The durable store.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// Folder of the store.
    pub path: PathBuf,
    /// The first encrypts what is stored, the others only read; empty stores it as it is.
    pub keys: Vec<OutboxKey>,
    /// Accepts waiting for the committer before pushes are answered with the failure; default 4096.
    pub queue: usize,
    /// Memory sled may use to cache pages, in bytes; default 16 MiB.
    pub cache: usize,
    /// Leads whose deliveries are all done leave after this; default 90 d.
    pub retention: Duration,
    /// Leads with a dead letter, and pushes in quarantine, leave after this; default 180 d.
    pub retention_dead: Duration,
    /// Entries of the audit log leave after this; default 730 d.
    pub retention_audit: Duration,
    /// Bytes that must stay free on the disk: below, pushes get the failure answer; default
    /// 256 MiB.
    pub min_free: u64,
}

/// Logging.
#[derive(Clone, Debug)]
pub struct Log {
    /// Filter, e.g. `info` or `leadgate=debug`; default `info`.
    pub level: String,
    /// `human` or `json`; default `human` on a terminal, `json` elsewhere.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person.
    Human,
    /// One JSON object a line.
    Json,
}

/// A source of pushes.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path on the public listener, e.g. `/tmall/leads`.
    pub path: String,
    /// How much of it may wait in quarantine.
    pub quarantine: Ceiling,
    /// What kind of sender, with its own settings.
    pub kind: SourceKind,
}

/// `quarantine = { max_entries, max_bytes }`: beyond either, a push that would be kept aside
/// gets the failure answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// Pushes; default 10,000.
    pub max_entries: u64,
    /// Bytes of their bodies and queries; default 64 MiB.
    pub max_bytes: u64,
}

impl Default for Ceiling {
    fn default() -> Self {
        Self {
            max_entries: 10_000,
            max_bytes: 64 << 20,
        }
    }
}

/// The kinds of source.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// Tmall's lead push.
    Tmall(Tmall),
}

/// `kind = "tmall"`.
#[derive(Clone, Debug)]
pub struct Tmall {
    /// Taken only for this `target_appkey` (or `app_key`); any if absent.
    pub app_key: Option<String>,
    /// Secrets that are valid now; several while rotating.
    pub app_secret: Vec<Secret>,
    /// How far `timestamp` may be from now, either way; `None` (`"off"`) switches the check
    /// off. Default 10 min.
    pub timestamp_tolerance: Option<Duration>,
    /// Values of `method` that are expected; empty takes any.
    pub methods: Vec<String>,
    /// What `open_key` in the lead must be, if set.
    pub open_key: Option<Secret>,
    /// What becomes of authentic pushes that cannot be read.
    pub on_invalid: QuarantinePolicy,
    /// What becomes of authentic pushes whose timestamp is out of tolerance.
    pub on_stale: QuarantinePolicy,
}

/// What becomes of an authentic push that cannot be taken as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QuarantinePolicy {
    /// Kept for a person, and acknowledged.
    #[default]
    Quarantine,
    /// Answered like a bad signature, and forgotten.
    Reject,
}

/// A destination.
#[derive(Clone, Debug)]
pub struct Sink {
    /// Name of a built-in plugin or of a `[plugins.NAME]`.
    pub plugin: String,
    /// Condition over the lead; every lead if absent.
    pub when: Option<String>,
    /// Attempts in flight at once; default 4.
    pub concurrency: usize,
    /// Attempts started per second at most; unlimited if absent.
    pub rate: Option<Rate>,
    /// Longest attempt; default 10 s.
    pub timeout: Duration,
    /// When to try again, and when to stop.
    pub retry: Retry,
    /// What an attempt without an answer means.
    pub on_ambiguous: OnAmbiguous,
    /// What a newer revision does to an older one that waits.
    pub on_update: OnUpdate,
    /// The sink that gets what became a dead letter here.
    pub on_dead: Option<String>,
    /// When the sink is left alone for a while.
    pub breaker: Breaker,
    /// Longest wait that the destination may ask for; default 1 h.
    pub max_hold: Duration,
    /// The plugin's own settings, secrets resolved.
    pub settings: serde_json::Value,
}

/// `"20/s"`, `"18/min"`, `"500/h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Attempts …
    pub count: u32,
    /// … in this time.
    pub per: Duration,
}

/// `retry = { first, max, max_attempts, max_age }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Ceiling of the first wait; default 5 s.
    pub first: Duration,
    /// Ceiling of any wait; default 1 h.
    pub max: Duration,
    /// Attempts before a delivery becomes a dead letter; default 15.
    pub max_attempts: u32,
    /// Age at which a delivery becomes a dead letter; default 3 d.
    pub max_age: Duration,
}

/// `breaker = { failures, wait, max }`: a destination that fails lead after lead is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Leads that failed since the last answer that open it; 0 switches it off; default 5.
    pub failures: u32,
    /// From opening to the first probe; doubles with each probe that fails; default 2 s.
    pub wait: Duration,
    /// Ceiling of that wait; default 1 min.
    pub max: Duration,
}

/// What an attempt without an answer means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnAmbiguous {
    /// Try again; the destination may get it twice.
    #[default]
    Retry,
    /// Keep it for a person as a dead letter.
    Hold,
}

/// What a newer revision of a lead does to an older one that still waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUpdate {
    /// It takes the older one's place.
    #[default]
    Supersede,
    /// Every revision is delivered, in order.
    Each,
    /// Only the first revision that the sink wants is delivered.
    Ignore,
}

/// A library of the merchant's own, or where a built-in plugin runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Path of the library; none for a built-in plugin.
    pub path: Option<PathBuf>,
    /// Expected SHA-256 of the file, in hex.
    pub sha256: Option<String>,
    /// Where its code runs.
    pub isolation: Isolation,
    /// What its processes may do.
    pub sandbox: leadgate_plugin::child::Sandbox,
}

/// Where a plugin's code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Each sink in a supervised process of its own.
    Process,
    /// In leadgate itself.
    InProcess,
}

impl Isolation {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::InProcess => "in-process",
        }
    }
}
