//! The difference between two configurations: which keys have another value, and which of them
//! only a restart changes.

use std::collections::{BTreeMap, BTreeSet};

use leadgate_plugin::Secret;

use super::model::{Config, Sink, Source, SourceKind, Tmall};
use crate::seal::OutboxKey;

/// What is different, as dotted keys: `sinks.crm.rate`, `sources.flagship`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What a running daemon can take up.
    pub applied: Vec<String>,
    /// What only a restart changes.
    pub needs_restart: Vec<String>,
    /// Sources, sinks and tables that are as they were.
    pub unchanged: Vec<String>,
}

impl Difference {
    /// Of what runs and what was read.
    pub fn between(running: &Config, read: &Config) -> Self {
        let mut this = Self::default();
        this.server(running, read);
        this.admin(running, read);
        this.outbox(running, read);
        let (was, is) = (&running.log, &read.log);
        this.note("log.level", was.level == is.level, Takes::Reload);
        this.note("log.format", was.format == is.format, Takes::Restart);
        this.named("plugins", &running.plugins, &read.plugins, PartialEq::eq);
        // They are listed with their sinks, and not said to be unchanged by themselves.
        this.unchanged.clear();
        this.named("sources", &running.sources, &read.sources, same_source);
        this.named("tables", &running.tables, &read.tables, PartialEq::eq);
        this.sinks(running, read);
        this
    }

    /// This could not be taken up after all.
    pub fn wait_for_restart(&mut self, key: &str) {
        self.applied.retain(|one| one != key);
        self.needs_restart.push(key.to_owned());
    }

    fn note(&mut self, key: impl Into<String>, same: bool, takes: Takes) {
        if !same {
            match takes {
                Takes::Reload => self.applied.push(key.into()),
                Takes::Restart => self.needs_restart.push(key.into()),
            }
        }
    }

    fn server(&mut self, running: &Config, read: &Config) {
        let (was, is) = (&running.server, &read.server);
        let restart = [
            ("listen", was.listen == is.listen),
            ("max_body_memory", was.max_body_memory == is.max_body_memory),
            ("max_connections", was.max_connections == is.max_connections),
            ("keep_alive", was.keep_alive == is.keep_alive),
            ("header_timeout", was.header_timeout == is.header_timeout),
        ];
        for (key, same) in restart {
            self.note(format!("server.{key}"), same, Takes::Restart);
        }
        self.note(
            "server.max_body",
            was.max_body == is.max_body,
            body(running, read),
        );
        self.note(
            "server.max_connections_per_address",
            was.max_connections_per_address == is.max_connections_per_address,
            per_address(running, read),
        );
        self.note("server.tls", was.tls == is.tls, tls(running, read));
        let reload = [
            ("body_timeout", was.body_timeout == is.body_timeout),
            ("ack_deadline", was.ack_deadline == is.ack_deadline),
            ("failure_status", was.failure_status == is.failure_status),
            ("refusal_status", was.refusal_status == is.refusal_status),
            (
                "shutdown_timeout",
                was.shutdown_timeout == is.shutdown_timeout,
            ),
        ];
        for (key, same) in reload {
            self.note(format!("server.{key}"), same, Takes::Reload);
        }
    }

    fn admin(&mut self, running: &Config, read: &Config) {
        let (was, is) = (&running.admin, &read.admin);
        self.note("admin.listen", was.listen == is.listen, Takes::Restart);
        self.note("admin.socket", was.socket == is.socket, Takes::Restart);
        let takes = access(running, read);
        let same = same_secrets(was.token.as_ref(), is.token.as_ref());
        self.note("admin.token", same, takes);
        let same = was.allow_without_token == is.allow_without_token;
        self.note("admin.allow_without_token", same, takes);
    }

    fn outbox(&mut self, running: &Config, read: &Config) {
        let (was, is) = (&running.outbox, &read.outbox);
        let ids = |keys: &[OutboxKey]| keys.iter().map(OutboxKey::id).collect::<Vec<_>>();
        let restart = [
            ("path", was.path == is.path),
            ("key", ids(&was.keys) == ids(&is.keys)),
            ("queue", was.queue == is.queue),
            ("cache", was.cache == is.cache),
        ];
        for (key, same) in restart {
            self.note(format!("outbox.{key}"), same, Takes::Restart);
        }
        let reload = [
            ("retention", was.retention == is.retention),
            ("retention_dead", was.retention_dead == is.retention_dead),
            ("retention_audit", was.retention_audit == is.retention_audit),
            ("min_free", was.min_free == is.min_free),
        ];
        for (key, same) in reload {
            self.note(format!("outbox.{key}"), same, Takes::Reload);
        }
    }

    fn sinks(&mut self, running: &Config, read: &Config) {
        let names: BTreeSet<&String> = running.sinks.keys().chain(read.sinks.keys()).collect();
        for name in names {
            let key = format!("sinks.{name}");
            let (Some(was), Some(is)) = (running.sinks.get(name), read.sinks.get(name)) else {
                self.applied.push(key);
                continue;
            };
            let before = self.applied.len();
            for (field, same) in fields(was, is) {
                self.note(format!("{key}.{field}"), same, Takes::Reload);
            }
            if self.applied.len() == before {
                self.unchanged.push(key);
            }
        }
    }

    fn named<T>(
        &mut self,
        kind: &str,
        running: &BTreeMap<String, T>,
        read: &BTreeMap<String, T>,
        same: impl Fn(&T, &T) -> bool,
    ) {
        let names: BTreeSet<&String> = running.keys().chain(read.keys()).collect();
        for name in names {
            let key = format!("{kind}.{name}");
            match (running.get(name), read.get(name)) {
                (Some(was), Some(is)) if same(was, is) => self.unchanged.push(key),
                _ => self.applied.push(key),
            }
        }
    }
}

impl Config {
    /// Whether nobody may see the same of the settings of this sink in `other`.
    pub fn has_same_secrets(&self, other: &Self, sink: &str) -> bool {
        same_secrets(self.secrets_of(sink), other.secrets_of(sink))
    }

    /// This one, with what only a restart changes as it is in `running`.
    #[must_use]
    pub fn until_restart(mut self, running: &Self) -> Self {
        if body(running, &self) == Takes::Restart {
            self.server.max_body = running.server.max_body;
        }
        if tls(running, &self) == Takes::Restart {
            self.server.tls.clone_from(&running.server.tls);
        }
        if access(running, &self) == Takes::Restart {
            self.admin = running.admin.clone();
        }
        self.admin.socket.clone_from(&running.admin.socket);
        let was = &running.server;
        if per_address(running, &self) == Takes::Restart {
            self.server.max_connections_per_address = was.max_connections_per_address;
        }
        self.server.listen = was.listen;
        self.server.max_body_memory = was.max_body_memory;
        self.server.max_connections = was.max_connections;
        self.server.keep_alive = was.keep_alive;
        self.server.header_timeout = was.header_timeout;
        let was = &running.outbox;
        self.outbox.path.clone_from(&was.path);
        self.outbox.keys.clone_from(&was.keys);
        self.outbox.queue = was.queue;
        self.outbox.cache = was.cache;
        self.log.format = running.log.format;
        self
    }
}

impl Sink {
    /// Whether what is behind it is the same: only how leadgate goes about it may differ.
    pub fn same_destination(&self, other: &Self) -> bool {
        self.plugin == other.plugin && self.settings == other.settings
    }

    /// Whether nothing is different that its lane goes by.
    pub fn same_lane(&self, other: &Self) -> bool {
        let routing = ["when", "on_update", "on_dead"];
        fields(self, other)
            .iter()
            .all(|(field, same)| *same || routing.contains(field))
    }
}

/// What a value takes to be another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Reload,
    Restart,
}

/// A body must fit into the memory that there is for all of them.
fn body(running: &Config, read: &Config) -> Takes {
    let server = &running.server;
    if read.server.max_body > server.max_body_memory.max(server.max_body) {
        Takes::Restart
    } else {
        Takes::Reload
    }
}

/// The share of an address may be one of all connections.
fn per_address(running: &Config, read: &Config) -> Takes {
    if running.server.max_connections == read.server.max_connections {
        Takes::Reload
    } else {
        Takes::Restart
    }
}

/// A listener speaks TLS from its first connection on, or never; only what it shows may change.
fn tls(running: &Config, read: &Config) -> Takes {
    if running.server.tls.is_some() == read.server.tls.is_some() {
        Takes::Reload
    } else {
        Takes::Restart
    }
}

/// Who may use the API was thought of for the address where it is to be.
fn access(running: &Config, read: &Config) -> Takes {
    if running.admin.listen == read.admin.listen {
        Takes::Reload
    } else {
        Takes::Restart
    }
}

/// Each key of a sink, and whether it is the same.
fn fields(was: &Sink, is: &Sink) -> [(&'static str, bool); 12] {
    [
        ("plugin", was.plugin == is.plugin),
        ("when", was.when == is.when),
        ("concurrency", was.concurrency == is.concurrency),
        ("rate", was.rate == is.rate),
        ("timeout", was.timeout == is.timeout),
        ("retry", was.retry == is.retry),
        ("on_ambiguous", was.on_ambiguous == is.on_ambiguous),
        ("on_update", was.on_update == is.on_update),
        ("on_dead", was.on_dead == is.on_dead),
        ("breaker", was.breaker == is.breaker),
        ("max_hold", was.max_hold == is.max_hold),
        ("settings", was.settings == is.settings),
    ]
}

fn same_source(was: &Source, is: &Source) -> bool {
    let (SourceKind::Tmall(before), SourceKind::Tmall(after)) = (&was.kind, &is.kind);
    was.path == is.path && was.quarantine == is.quarantine && same_tmall(before, after)
}

fn same_tmall(was: &Tmall, is: &Tmall) -> bool {
    was.app_key == is.app_key
        && same_secrets(&was.app_secret, &is.app_secret)
        && was.timestamp_tolerance == is.timestamp_tolerance
        && was.methods == is.methods
        && same_secrets(was.open_key.as_ref(), is.open_key.as_ref())
        && was.on_invalid == is.on_invalid
        && was.on_stale == is.on_stale
}

fn same_secrets<'a>(
    was: impl IntoIterator<Item = &'a Secret>,
    is: impl IntoIterator<Item = &'a Secret>,
) -> bool {
    let is = is.into_iter().map(Secret::expose);
    was.into_iter().map(Secret::expose).eq(is)
}
