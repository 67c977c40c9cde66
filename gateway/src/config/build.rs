//! Building: from what was written to what the gateway uses, and the checks that need
//! more than one key at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use super::diagnostic::{Diagnostic, Place, Text};
use super::document::{Document, pointer};
use super::{
    Admin, Catalogue, Ceiling, Config, Log, LogFormat, OnOdd, Outbox, Plugin, Purpose, Server,
    Source, SourceKind, Tmall, raw,
};
use crate::seal::OutboxKey;

pub(super) const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// What building needs to see.
pub(super) struct Ground<'a> {
    pub(super) document: &'a Document,
    /// Pointers about which everything was said.
    pub(super) skip: &'a BTreeSet<String>,
    /// Where in the settings of sinks something secret stands.
    pub(super) secret: &'a BTreeSet<String>,
    pub(super) purpose: Purpose<'a>,
}

/// Builds the configuration. Problems are added; with errors among them the result is not
/// to be used.
pub(super) fn build(
    root: raw::Root,
    ground: &Ground<'_>,
    catalogue: &mut dyn Catalogue,
    problems: &mut Vec<Diagnostic>,
) -> Config {
    // One engine so far; the schema has refused any other name.
    let (None | Some(raw::Engine::Sled)) = root.outbox.engine;
    let mut build = Build { ground, problems };
    let server = build.server(&root.server);
    let admin = build.admin(root.admin);
    let outbox = build.outbox(root.outbox);
    let plugins = build.plugins(root.plugins, catalogue);
    let sources = build.sources(root.sources);
    let sinks = build.sinks(root.sinks, &root.tables, catalogue);
    Config {
        server,
        admin,
        outbox,
        log: Log {
            level: root.log.level.unwrap_or_else(|| "info".to_owned()),
            format: root.log.format.unwrap_or_else(|| {
                if std::io::stderr().is_terminal() {
                    LogFormat::Human
                } else {
                    LogFormat::Json
                }
            }),
        },
        sources,
        sinks,
        sink_secrets: BTreeMap::new(),
        plugins,
        tables: root.tables,
    }
}

pub(super) struct Build<'a, 'g> {
    pub(super) ground: &'a Ground<'g>,
    pub(super) problems: &'a mut Vec<Diagnostic>,
}

impl Build<'_, '_> {
    pub(super) fn error(
        &mut self,
        code: &'static str,
        message: Text,
        help: Text,
        place: Option<Place>,
    ) {
        self.problems
            .push(Diagnostic::error(code, message).help(help).at(place));
    }

    pub(super) fn warn(
        &mut self,
        code: &'static str,
        message: Text,
        help: Text,
        place: Option<Place>,
    ) {
        self.problems
            .push(Diagnostic::warning(code, message).help(help).at(place));
    }

    pub(super) fn value(&self, at: &str) -> Option<Place> {
        self.ground.document.value_place(at)
    }

    /// Where `part` of the text `value` at `at` is.
    pub(super) fn part(&self, at: &str, value: &str, part: Option<&Range<usize>>) -> Option<Place> {
        self.ground.document.part_place(at, value, part)
    }

    fn key(&self, at: &str) -> Option<Place> {
        self.ground.document.key_place(at)
    }

    fn server(&mut self, raw: &raw::Server) -> Server {
        let or = |given: Option<leadgate_plugin::HumanDuration>, seconds| {
            given.map_or(SECOND * seconds, |given| given.0)
        };
        // The web server's clock for headers ticks every half second.
        if raw.header_timeout.is_some_and(|given| given.0 < SECOND) {
            let message = Text::new(
                "less than 1s would cut off honest senders",
                "小于 1s 会误断正常的请求",
            );
            let place = self.value("/server/header_timeout");
            self.error(
                "config::invalid_value",
                message,
                Text::plain("\"5s\""),
                place,
            );
        }
        let max_connections = raw.max_connections.unwrap_or(1024);
        Server {
            listen: self.address(raw.listen.as_deref(), "127.0.0.1:8080", "/server/listen"),
            max_body: usize::try_from(raw.max_body.map_or(256 << 10, |size| size.0))
                .unwrap_or(usize::MAX),
            max_body_memory: usize::try_from(raw.max_body_memory.map_or(64 << 20, |size| size.0))
                .unwrap_or(usize::MAX),
            max_connections,
            max_connections_per_address: match raw.max_connections_per_address {
                None => Some(max_connections.div_ceil(4)),
                Some(0) => None,
                bound => bound,
            },
            keep_alive: or(raw.keep_alive, 75),
            header_timeout: or(raw.header_timeout, 5),
            body_timeout: or(raw.body_timeout, 5),
            ack_deadline: or(raw.ack_deadline, 2),
            failure_status: raw.failure_status.unwrap_or(500),
            refusal_status: raw.refusal_status.unwrap_or(200),
            shutdown_timeout: or(raw.shutdown_timeout, 30),
        }
    }

    fn admin(&mut self, raw: raw::Admin) -> Admin {
        let listen = self.address(raw.listen.as_deref(), "127.0.0.1:8081", "/admin/listen");
        let open = raw.allow_without_token.unwrap_or(false);
        if !listen.ip().is_loopback() && raw.token.is_none() {
            self.error(
                "config::open_admin",
                Text::new(
                    "the operators' API would be open to the network without a token",
                    "运维 API 将无令牌暴露到网络",
                ),
                Text::new(
                    "listen on 127.0.0.1, or set admin.token = \"env:LEADGATE_ADMIN_TOKEN\"",
                    "请监听 127.0.0.1，或设置 admin.token = \"env:LEADGATE_ADMIN_TOKEN\"",
                ),
                self.value("/admin/listen"),
            );
        }
        Admin {
            listen,
            token: raw.token,
            allow_without_token: open,
        }
    }

    fn outbox(&mut self, raw: raw::Outbox) -> Outbox {
        Outbox {
            path: raw.path.unwrap_or_else(|| "/var/lib/leadgate".into()),
            keys: raw
                .key
                .map_or_else(Vec::new, |written| self.outbox_keys(&written)),
            queue: raw.queue.unwrap_or(4096),
            cache: usize::try_from(raw.cache.map_or(16 << 20, |size| size.0)).unwrap_or(usize::MAX),
            retention: self.retention(raw.retention, DAY * 90, "/outbox/retention"),
            retention_dead: self.retention(raw.retention_dead, DAY * 180, "/outbox/retention_dead"),
            min_free: raw.min_free.map_or(256 << 20, |size| size.0),
        }
    }

    fn outbox_keys(&mut self, written: &raw::OneOrMany) -> Vec<OutboxKey> {
        let at = "/outbox/key";
        let written = written.each();
        if written.is_empty() {
            let message = Text::new("a list without a key", "密钥列表为空");
            let help = Text::new(
                "leave `key` out to store leads unencrypted",
                "如不加密存储，请删除 `key`",
            );
            self.error("config::outbox_key", message, help, self.value(at));
        }
        let mut keys = Vec::new();
        for (step, secret) in written {
            let at = format!("{at}{step}");
            if self.ground.skip.contains(&at) {
                continue;
            }
            match OutboxKey::parse(secret.expose()) {
                Ok(key) => keys.push(key),
                Err(_) => {
                    let message = Text::new(
                        "what is there is not a key for the outbox",
                        "其内容不是发件箱密钥",
                    );
                    let help = Text::new(
                        "a key is 64 hexadecimal digits, or 32 bytes in base64: openssl rand -hex 32",
                        "密钥为 64 位十六进制数字，或 32 字节的 base64：openssl rand -hex 32",
                    );
                    self.error("config::outbox_key", message, help, self.value(&at));
                }
            }
        }
        keys
    }

    fn retention(
        &mut self,
        given: Option<leadgate_plugin::HumanDuration>,
        default: Duration,
        at: &str,
    ) -> Duration {
        let retention = given.map_or(default, |given| given.0);
        if retention < HOUR {
            let message = Text::new(
                "less than 1h would remove leads before anybody could look at them",
                "小于 1h 会在有人查看之前就删除客资",
            );
            let help = Text::plain(format!("\"{}\"", leadgate_plugin::HumanDuration(default)));
            self.error("config::invalid_value", message, help, self.value(at));
        }
        retention
    }

    fn address(&mut self, given: Option<&str>, default: &str, at: &str) -> SocketAddr {
        match given.unwrap_or(default).parse() {
            Ok(address) => address,
            Err(_) => {
                if !self.ground.skip.contains(at) {
                    let message = Text::new("not an address with a port", "不是“地址:端口”");
                    let help = Text::plain(format!("\"{default}\", \"[::1]:8080\""));
                    self.error("config::invalid_value", message, help, self.value(at));
                }
                SocketAddr::from(([127, 0, 0, 1], 0))
            }
        }
    }

    fn plugins(
        &mut self,
        raw: BTreeMap<String, raw::Plugin>,
        catalogue: &mut dyn Catalogue,
    ) -> BTreeMap<String, Plugin> {
        let mut plugins = BTreeMap::new();
        for (name, raw) in raw {
            let at = pointer("/plugins", &name);
            let plugin = Plugin {
                path: raw.path,
                sha256: raw.sha256,
            };
            if catalogue.names().contains(&name) {
                let message = Text::new(
                    format!("`{name}` is a built-in plugin"),
                    format!("`{name}` 是内置插件"),
                );
                let help = Text::new("give the library another name", "请给动态库换一个名字");
                self.error("config::plugin", message, help, self.key(&at));
            } else if let Err(why) = catalogue.load(&name, &plugin) {
                let place = self.value(&pointer(&at, "path"));
                self.error("config::plugin", Text::plain(why), Text::default(), place);
            }
            plugins.insert(name, plugin);
        }
        plugins
    }

    fn sources(&mut self, raw: BTreeMap<String, raw::Source>) -> BTreeMap<String, Source> {
        if raw.is_empty() {
            self.warn(
                "config::no_sources",
                Text::new(
                    "there is no source: every push will get 404",
                    "没有配置 source：所有推送都会得到 404",
                ),
                Text::new("add [sources.NAME]", "请添加 [sources.NAME]"),
                None,
            );
        }
        let mut taken: BTreeMap<(String, Option<String>), String> = BTreeMap::new();
        let mut sources = BTreeMap::new();
        for (name, raw) in raw {
            let at = pointer("/sources", &name);
            let address = (raw.path.clone(), raw.app_key.clone());
            if let Some(other) = taken.insert(address, name.clone()) {
                let message = Text::new(
                    format!(
                        "sources `{other}` and `{name}` cannot be told apart: same path, same app_key"
                    ),
                    format!("source `{other}` 与 `{name}` 无法区分：path 与 app_key 相同"),
                );
                let help = Text::new(
                    "give each its own app_key or path",
                    "请使用不同的 app_key 或 path",
                );
                self.error(
                    "config::same_source",
                    message,
                    help,
                    self.value(&pointer(&at, "path")),
                );
            }
            let kind = self.tmall(&at, &raw);
            let default = Ceiling::default();
            let ceiling = &raw.quarantine;
            let quarantine = Ceiling {
                max_entries: ceiling.max_entries.unwrap_or(default.max_entries),
                max_bytes: ceiling.max_bytes.map_or(default.max_bytes, |size| size.0),
            };
            sources.insert(
                name,
                Source {
                    path: raw.path,
                    quarantine,
                    kind: SourceKind::Tmall(kind),
                },
            );
        }
        sources
    }

    fn tmall(&mut self, at: &str, raw: &raw::Source) -> Tmall {
        let raw::Kind::Tmall = raw.kind;
        let secrets = match &raw.app_secret {
            raw::OneOrMany::One(secret) => vec![secret.clone()],
            raw::OneOrMany::Many(secrets) => secrets.clone(),
        };
        if secrets.is_empty() || secrets.iter().any(|secret| secret.expose().is_empty()) {
            let message = Text::new(
                "a source needs a secret: without one anybody could push",
                "source 必须有密钥，否则任何人都能推送",
            );
            let help = Text::new(
                "app_secret = [\"env:TMALL_APP_SECRET\"]",
                "app_secret = [\"env:TMALL_APP_SECRET\"]",
            );
            self.error(
                "config::no_secret",
                message,
                help,
                self.value(&pointer(at, "app_secret")),
            );
        }
        let tolerance = match raw.timestamp_tolerance.as_deref() {
            None => Some(SECOND * 600),
            Some("off") => {
                let message = Text::new(
                    "the timestamp of pushes is not checked",
                    "不检查推送的时间戳",
                );
                let help = Text::new("leave it out for 10m", "删除该项即为 10m");
                self.warn(
                    "config::tolerance_off",
                    message,
                    help,
                    self.value(&pointer(at, "timestamp_tolerance")),
                );
                None
            }
            // The schema has checked the pattern; what is out of range falls back to the default.
            Some(text) => Some(
                text.parse()
                    .map_or(SECOND * 600, |duration: leadgate_plugin::HumanDuration| {
                        duration.0
                    }),
            ),
        };
        let odd = |given: Option<raw::OnOdd>| match given {
            None | Some(raw::OnOdd::Quarantine) => OnOdd::Quarantine,
            Some(raw::OnOdd::Reject) => OnOdd::Reject,
        };
        Tmall {
            app_key: raw.app_key.clone(),
            app_secret: secrets,
            timestamp_tolerance: tolerance,
            methods: raw.methods.clone(),
            open_key: raw.open_key.clone(),
            on_invalid: odd(raw.on_invalid),
            on_stale: odd(raw.on_stale),
        }
    }
}
