//! The configuration as it is written: the types that make the schema and read the values.

use std::collections::BTreeMap;
use std::path::PathBuf;

use leadgate_plugin::{ByteSize, HumanDuration, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::rate::RateText;
use super::{Isolation, LogFormat, OnAmbiguous, OnUpdate, QuarantinePolicy};

/// leadgate.toml, with sinks.d/*.toml and tables.d/*.toml beside it.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "leadgate configuration")]
#[expect(
    dead_code,
    reason = "it makes the schema; values are read section by section"
)]
pub(super) struct Root {
    /// The public listener, where pushes arrive.
    #[serde(default)]
    pub(super) server: Server,
    /// The operators' listener: API, metrics, health.
    #[serde(default)]
    pub(super) admin: Admin,
    /// The durable store of leads and deliveries.
    #[serde(default)]
    pub(super) outbox: Outbox,
    /// Logging.
    #[serde(default)]
    pub(super) log: Log,
    /// Who may push, by name.
    #[serde(default)]
    pub(super) sources: BTreeMap<String, Source>,
    /// Where leads go, by name.
    #[serde(default)]
    pub(super) sinks: BTreeMap<String, Sink>,
    /// Plugin libraries of your own, by name.
    #[serde(default)]
    pub(super) plugins: BTreeMap<String, Plugin>,
    /// Lookup tables: code = "label". A table named like a lead field labels that field.
    #[serde(default)]
    pub(super) tables: BTreeMap<String, BTreeMap<String, String>>,
}

/// The public listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// Address and port. Default 127.0.0.1:8080, for a reverse proxy on this machine.
    pub(super) listen: Option<String>,
    /// TLS, for who has no proxy in front. Plain HTTP if absent.
    pub(super) tls: Option<Tls>,
    /// Largest body taken. Default 256KiB.
    pub(super) max_body: Option<ByteSize>,
    /// Memory for all bodies that are being read or answered; beyond it the failure answer at once. Default 64MiB.
    pub(super) max_body_memory: Option<ByteSize>,
    /// Connections open at once. Default 1024.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) max_connections: Option<usize>,
    /// Connections from one address, loopback aside; 0 for no bound, as behind a proxy on another machine. Default a quarter of max_connections.
    pub(super) max_connections_per_address: Option<usize>,
    /// How long a connection may be idle between two requests; longer than a proxy in front keeps it. Default 75s.
    pub(super) keep_alive: Option<HumanDuration>,
    /// Longest wait for the headers of a request. Default 5s.
    pub(super) header_timeout: Option<HumanDuration>,
    /// Longest wait for the body of a request. Default 5s.
    pub(super) body_timeout: Option<HumanDuration>,
    /// Longest wait for the disk before the failure answer. Default 2s.
    pub(super) ack_deadline: Option<HumanDuration>,
    /// HTTP status of the failure answer. Default 500.
    #[schemars(range(min = 200, max = 599))]
    pub(super) failure_status: Option<u16>,
    /// HTTP status of the answer to a bad signature. Default 200, which Alibaba's console expects.
    #[schemars(range(min = 200, max = 599))]
    pub(super) refusal_status: Option<u16>,
    /// Longest wait for attempts in flight at a stop. Default 30s.
    pub(super) shutdown_timeout: Option<HumanDuration>,
}

/// What TLS shows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    /// PEM file with the server's certificate first, then those that vouch for it, such as fullchain.pem.
    #[schemars(extend("format" = "path"))]
    pub(super) cert: PathBuf,
    /// PEM file with its private key, for leadgate's user alone.
    #[schemars(extend("format" = "path"))]
    pub(super) key: PathBuf,
}

/// The operators' listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    /// Address and port. Default 127.0.0.1:8081.
    pub(super) listen: Option<String>,
    /// Bearer token of the API.
    pub(super) token: Option<Secret>,
    /// Socket by which commands on this machine reach the daemon without a token, as root or as the user that runs it. Default admin.sock in outbox.path.
    #[schemars(extend("format" = "path"))]
    pub(super) socket: Option<PathBuf>,
    /// Opens the API without a token; on loopback only. Default false.
    pub(super) allow_without_token: Option<bool>,
}

/// The durable store.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Outbox {
    /// The storage engine.
    pub(super) engine: Option<Engine>,
    /// Folder of the store. Default /var/lib/leadgate.
    #[schemars(extend("format" = "path"))]
    pub(super) path: Option<PathBuf>,
    /// The key that encrypts what is stored; to rotate it a list, the new one first.
    pub(super) key: Option<OneOrMany>,
    /// Pushes that may wait for the disk before more are answered with the failure. Default 4096.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) queue: Option<usize>,
    /// Memory for cached pages. Default 16MiB.
    pub(super) cache: Option<ByteSize>,
    /// How long a lead is kept after its last delivery has ended; at least 1h. A push that comes again later is a new lead. Default 90d.
    pub(super) retention: Option<HumanDuration>,
    /// How long a lead with a dead letter, or a push in quarantine, is kept; at least 1h. Default 180d.
    pub(super) retention_dead: Option<HumanDuration>,
    /// How long an entry of the audit log is kept; at least 1d. Default 730d.
    pub(super) retention_audit: Option<HumanDuration>,
    /// Room that must stay free on the disk: with less, pushes get the failure answer. Default 256MiB.
    pub(super) min_free: Option<ByteSize>,
}

/// Storage engines.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Engine {
    /// Embedded.
    Sled,
}

/// Logging.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    /// error, warn, info, debug or trace, or a filter such as `leadgate=debug`. Default info.
    pub(super) level: Option<String>,
    /// Default: human on a terminal, json elsewhere.
    pub(super) format: Option<LogFormat>,
}

/// A source of pushes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    /// The kind of sender.
    pub(super) kind: Kind,
    /// Path on the public listener, such as /tmall/leads.
    #[schemars(regex(pattern = "^/[^?#]*$"))]
    pub(super) path: String,
    /// How much may wait in quarantine; beyond it the failure answer.
    #[serde(default)]
    pub(super) quarantine: Ceiling,
    /// Take only pushes to (or from) this application; any if absent.
    pub(super) app_key: Option<String>,
    /// The application's secret; several while rotating.
    pub(super) app_secret: OneOrMany,
    /// How far a push's timestamp may be from now, such as "10m"; "off" switches the check off. Default 10m.
    #[schemars(regex(pattern = "^(off|[0-9]+(ms|s|m|h|d|w))$"), extend("x-quantity" = "duration"))]
    pub(super) timestamp_tolerance: Option<String>,
    /// API names (`method`) to expect; any if empty.
    #[serde(default)]
    pub(super) methods: Vec<String>,
    /// What `open_key` in the lead must be.
    pub(super) open_key: Option<Secret>,
    /// What becomes of authentic pushes that cannot be read. Default quarantine.
    pub(super) on_invalid: Option<QuarantinePolicy>,
    /// What becomes of authentic pushes whose timestamp is off. Default quarantine.
    pub(super) on_stale: Option<QuarantinePolicy>,
}

/// How much of a source may wait in quarantine.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ceiling {
    /// Pushes. Default 10000.
    #[schemars(range(min = 1))]
    pub(super) max_entries: Option<u64>,
    /// Their bodies and queries together. Default 64MiB.
    pub(super) max_bytes: Option<ByteSize>,
}

/// Kinds of sender.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// Tmall's lead push.
    Tmall,
}

/// One text or a list of texts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(Secret),
    Many(Vec<Secret>),
}

impl OneOrMany {
    /// All of them, each with the rest of its pointer.
    pub(super) fn each(&self) -> Vec<(String, &Secret)> {
        match self {
            Self::One(secret) => vec![(String::new(), secret)],
            Self::Many(secrets) => {
                let numbered = secrets.iter().enumerate();
                numbered
                    .map(|(number, secret)| (format!("/{number}"), secret))
                    .collect()
            }
        }
    }
}

/// A destination.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sink {
    /// A built-in plugin (http, file) or one of [plugins].
    pub(super) plugin: String,
    /// Which leads it wants: a condition over the lead. All if absent.
    pub(super) when: Option<String>,
    /// Attempts in flight at once. Default 4.
    #[schemars(range(min = 1, max = 1024))]
    pub(super) concurrency: Option<usize>,
    /// Attempts begun at most, such as "20/s", "18/min" or "500/h". No limit if absent.
    pub(super) rate: Option<RateText>,
    /// Longest attempt. Default 10s.
    pub(super) timeout: Option<HumanDuration>,
    /// When to try again, and when to stop.
    #[serde(default)]
    pub(super) retry: Retry,
    /// What an attempt without an answer means. Default retry.
    pub(super) on_ambiguous: Option<OnAmbiguous>,
    /// What a newer revision of a lead does to an older one that still waits for this sink. Default supersede.
    pub(super) on_update: Option<OnUpdate>,
    /// Name of the sink that gets what becomes a dead letter here, whatever that sink's own condition says. None if absent.
    pub(super) on_dead: Option<String>,
    /// When the sink is left alone because it fails lead after lead.
    #[serde(default)]
    pub(super) breaker: Breaker,
    /// Longest wait that the destination may ask for (Retry-After); what it asks beyond is cut to this. Default 1h.
    pub(super) max_hold: Option<HumanDuration>,
    /// The plugin's own settings.
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "it makes the schema; the plugin's schema reads the value"
    )]
    pub(super) settings: serde_json::Map<String, serde_json::Value>,
}

/// When to try again, and when to stop.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    /// Ceiling of the first wait; it doubles each time. Default 5s.
    pub(super) first: Option<HumanDuration>,
    /// Ceiling of any wait. Default 1h.
    pub(super) max: Option<HumanDuration>,
    /// Attempts before a delivery becomes a dead letter. Default 15.
    #[schemars(range(min = 1))]
    pub(super) max_attempts: Option<u32>,
    /// Age at which a delivery becomes a dead letter. Default 3d.
    pub(super) max_age: Option<HumanDuration>,
}

/// When a sink is left alone because it fails lead after lead.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Breaker {
    /// Different leads that failed since the last answer, after which no more are tried; 0 switches the breaker off. Default 5.
    pub(super) failures: Option<u32>,
    /// Wait before one attempt probes the sink; it doubles with each probe that fails. Default 2s.
    pub(super) wait: Option<HumanDuration>,
    /// Ceiling of that wait. Default 1m.
    pub(super) max: Option<HumanDuration>,
}

/// A plugin library, or where a built-in plugin runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Plugin {
    /// The library's file; none for a built-in plugin.
    #[schemars(extend("format" = "path"))]
    pub(super) path: Option<PathBuf>,
    /// SHA-256 of the file, in hex: any other file is refused.
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub(super) sha256: Option<String>,
    /// Where its code runs: "process" (each sink in a supervised process of its own; default for libraries) or "in-process" (in leadgate itself, which then ends when it crashes; default for built-in plugins).
    pub(super) isolation: Option<Isolation>,
    /// What its processes may do; only with isolation "process".
    pub(super) sandbox: Option<Sandbox>,
}

/// What the processes of a plugin may do, as far as the kernel can hold them to it.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sandbox {
    /// Whether there is any; false leaves only that no privileges are gained. Default true.
    pub(super) enabled: Option<bool>,
    /// Memory of each process, beyond what an empty one has. Default 1GiB.
    pub(super) memory: Option<ByteSize>,
    /// Open files and connections of each process. Default 1024.
    #[schemars(range(min = 64))]
    pub(super) descriptors: Option<u64>,
    /// Processes and threads that leadgate's user may have in all. Default: no limit.
    #[schemars(range(min = 16))]
    pub(super) processes: Option<u64>,
    /// Files and folders it may read, beside the system's libraries and certificates.
    pub(super) read: Option<Vec<FilePath>>,
    /// Files and folders it may read and write.
    pub(super) write: Option<Vec<FilePath>>,
    /// Files and folders from which it may start programs.
    pub(super) execute: Option<Vec<FilePath>>,
    /// TCP ports it may connect to. Default: all.
    pub(super) connect: Option<Vec<u16>>,
    /// Whether it may connect to sockets that are files, such as a local database's. Default false.
    pub(super) unix_sockets: Option<bool>,
}

/// A file or folder, seen from the configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("format" = "path"))]
pub(super) struct FilePath(pub(super) PathBuf);
