//! Building: from what was written to what the gateway uses, and the checks that need
//! more than one key at once.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use leadgate_plugin::child::Sandbox;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::diagnostic::{Diagnostic, Place, Severity, Text};
use super::document::{Document, pointer};
use super::schema::dotted;
use super::{
    Admin, Catalogue, Ceiling, Config, Isolation, Log, LogFormat, Outbox, Plugin, Purpose, Server,
    Source, SourceKind, Tmall, lookalike, raw,
};
use crate::seal::OutboxKey;

pub(super) const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Builds the configuration from `root`, the document without what is wrong in it. Problems are
/// added; with errors among them the result is not to be used.
pub(super) fn build(
    root: &Value,
    document: &Document,
    purpose: Purpose<'_>,
    catalogue: &mut dyn Catalogue,
    problems: &mut Vec<Diagnostic>,
) -> Config {
    let mut build = Build {
        document,
        purpose,
        problems,
    };
    let server: raw::Server = build.read(root, "/server").unwrap_or_default();
    let server = build.server(&server);
    let admin: raw::Admin = build.read(root, "/admin").unwrap_or_default();
    let admin = build.admin(admin);
    build.listeners(&server, &admin);
    let outbox: raw::Outbox = build.read(root, "/outbox").unwrap_or_default();
    // One engine so far; the schema has refused any other name.
    let (None | Some(raw::Engine::Sled)) = outbox.engine;
    let outbox = build.outbox(outbox);
    let log: raw::Log = build.read(root, "/log").unwrap_or_default();
    let tables = build.read(root, "/tables").unwrap_or_default();
    let plugins = build.plugins(root, catalogue);
    build.shared_folder(&outbox, &plugins);
    let sources = build.sources(root);
    let sinks = build.sinks(root, &tables, catalogue);
    Config {
        server,
        admin,
        outbox,
        log: Log {
            level: log.level.unwrap_or_else(|| "info".to_owned()),
            format: log.format.unwrap_or_else(|| {
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
        tables,
        revision: None,
    }
}

pub(super) struct Build<'a> {
    pub(super) document: &'a Document,
    pub(super) purpose: Purpose<'a>,
    pub(super) problems: &'a mut Vec<Diagnostic>,
}

impl Build<'_> {
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
        self.document.value_place(at)
    }

    /// Where `part` of the text `value` at `at` is.
    pub(super) fn part(&self, at: &str, value: &str, part: Option<&Range<usize>>) -> Option<Place> {
        self.document.part_place(at, value, part)
    }

    /// The section or entry at `at`; `None` if there is none, or if what is left of it does not
    /// suffice.
    pub(super) fn read<T: DeserializeOwned>(&mut self, root: &Value, at: &str) -> Option<T> {
        let value = root.pointer(at)?;
        match serde_path_to_error::deserialize(value) {
            Ok(read) => Some(read),
            Err(error) => {
                // Whatever the schema let pass, the types read; else the schema is mistaken.
                if self
                    .problems
                    .iter()
                    .all(|one| one.severity == Severity::Warning)
                {
                    let key = error.path().to_string();
                    let at = format!("{at}/{}", key.replace('.', "/"));
                    let message = format!("`{}`: {}", dotted(&at), error.inner());
                    let place = self.value(&at);
                    self.error(
                        "config::invalid_value",
                        Text::plain(message),
                        Text::default(),
                        place,
                    );
                }
                None
            }
        }
    }

    /// Whether the key at `at` has a value that can be used.
    pub(super) fn has(&self, at: &str) -> bool {
        self.document.root.pointer(at).is_some() && self.document.is_good(at)
    }

    fn key(&self, at: &str) -> Option<Place> {
        self.document.key_place(at)
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
        if open && raw.token.is_none() && listen.ip().is_loopback() {
            self.warn(
                "config::open_api",
                Text::new(
                    "whoever can log in to this machine can read and export every lead by the operators' API",
                    "任何能登录本机的人都可以通过运维 API 查看并导出全部客资",
                ),
                Text::new(
                    "set admin.token = \"file:admin.token\", a file of mode 600, and remove allow_without_token",
                    "请设置 admin.token = \"file:admin.token\"（文件权限 600），并删除 allow_without_token",
                ),
                self.key("/admin/allow_without_token"),
            );
        }
        Admin {
            listen,
            token: raw.token,
            allow_without_token: open,
        }
    }

    /// Two listeners cannot share a port.
    fn listeners(&mut self, server: &Server, admin: &Admin) {
        let (public, operators) = (server.listen, admin.listen);
        let (mine, theirs) = (public.ip(), operators.ip());
        // `::` takes the port of IPv4 as well.
        let all =
            |one: IpAddr, other: IpAddr| one.is_unspecified() && (one.is_ipv6() || other.is_ipv4());
        let shared = mine == theirs || all(mine, theirs) || all(theirs, mine);
        if public.port() != operators.port() || public.port() == 0 || !shared {
            return;
        }
        let port = public.port();
        let other = if port == 8081 { 8080 } else { 8081 };
        let at = if self.has("/admin/listen") {
            "/admin/listen"
        } else {
            "/server/listen"
        };
        self.error(
            "config::same_port",
            Text::new(
                format!("server.listen and admin.listen are both on port {port}"),
                format!("server.listen 与 admin.listen 使用了同一端口 {port}"),
            ),
            Text::new(
                format!(
                    "give one of them another port, such as admin.listen = \"127.0.0.1:{other}\""
                ),
                format!("请改用不同的端口，例如 admin.listen = \"127.0.0.1:{other}\""),
            ),
            self.value(at),
        );
    }

    fn outbox(&mut self, raw: raw::Outbox) -> Outbox {
        if raw.key.is_none()
            && !self.has("/outbox/key")
            && self
                .document
                .root
                .get("outbox")
                .is_none_or(|outbox| outbox.get("key").is_none())
        {
            self.warn(
                "config::no_key",
                Text::new(
                    "the outbox has no key: names and phones of leads are stored unencrypted",
                    "发件箱没有密钥：客资的姓名和电话将不加密存储",
                ),
                Text::new(
                    "run `openssl rand -hex 32 > outbox.key && chmod 600 outbox.key`, then set outbox.key = \"file:outbox.key\"",
                    "请执行 `openssl rand -hex 32 > outbox.key && chmod 600 outbox.key`，再设置 outbox.key = \"file:outbox.key\"",
                ),
                self.key("/outbox"),
            );
        }
        if let Some(path) = &raw.path
            && path.exists()
            && !path.is_dir()
        {
            self.error(
                "config::outbox_path",
                Text::new(
                    format!("{} is a file: the outbox is a folder", path.display()),
                    format!("{} 是文件，而发件箱需要一个文件夹", path.display()),
                ),
                Text::new(
                    "name a folder of its own, such as path = \"data\"",
                    "请指定一个单独的文件夹，例如 path = \"data\"",
                ),
                self.value("/outbox/path"),
            );
        }
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
            if !self.document.is_good(&at) {
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
        let given = given.unwrap_or(default);
        match given.parse() {
            Ok(address) => address,
            Err(_) => {
                if self.document.is_good(at) {
                    let message = Text::new("not an address with a port", "不是“地址:端口”");
                    let typed = address_meant(given).unwrap_or_else(|| default.to_owned());
                    let help = Text::new(
                        format!(
                            "write \"{typed}\"; 0.0.0.0 is every network of this machine, 127.0.0.1 this machine alone"
                        ),
                        format!("请写 \"{typed}\"；0.0.0.0 表示本机所有网络，127.0.0.1 仅限本机"),
                    );
                    self.error("config::invalid_value", message, help, self.value(at));
                }
                SocketAddr::from(([127, 0, 0, 1], 0))
            }
        }
    }

    fn plugins(&mut self, root: &Value, catalogue: &mut dyn Catalogue) -> BTreeMap<String, Plugin> {
        let mut plugins = BTreeMap::new();
        for name in entries(root, "plugins") {
            let at = pointer("/plugins", &name);
            // A file that is not TOML is no reason to load anything.
            let raw = self.read::<raw::Plugin>(root, &at);
            let Some(raw) = raw.filter(|_| !self.document.is_broken(&at)) else {
                continue;
            };
            let built_in = catalogue.names().contains(&name);
            let plugin = plugin(raw, built_in);
            let Some(path) = &plugin.path else {
                if !built_in {
                    let (message, help) = no_path(&name);
                    self.error("config::plugin", message, help, self.key(&at));
                } else if let Err(why) = catalogue.load(&name, &plugin) {
                    self.error(
                        "config::plugin",
                        Text::plain(why),
                        Text::default(),
                        self.key(&at),
                    );
                }
                plugins.insert(name, plugin);
                continue;
            };
            if built_in {
                let message = Text::new(
                    format!("`{name}` is a built-in plugin"),
                    format!("`{name}` 是内置插件"),
                );
                let help = Text::new("give the library another name", "请给动态库换一个名字");
                self.error("config::plugin", message, help, self.key(&at));
            } else if let Err(why) = catalogue.load(&name, &plugin) {
                let place = self.value(&pointer(&at, "path"));
                self.error("config::plugin", Text::plain(why), Text::default(), place);
            } else if plugin.sha256.is_none() {
                let message = Text::new(
                    format!("plugin `{name}` has no `sha256`: whatever the file is by then is run"),
                    format!("插件 `{name}` 没有 `sha256`：届时文件是什么就运行什么"),
                );
                let file = path.display();
                let help = Text::new(
                    format!("`sha256sum {file}` gives it"),
                    format!("用 `sha256sum {file}` 得到它"),
                );
                self.warn("config::plugin_hash", message, help, self.key(&at));
            }
            plugins.insert(name, plugin);
        }
        plugins
    }

    /// The outbox's folder is the outbox's alone.
    fn shared_folder(&mut self, outbox: &Outbox, plugins: &BTreeMap<String, Plugin>) {
        let folder = &outbox.path;
        let plugin = plugins.iter().find(|(_, plugin)| {
            plugin
                .path
                .as_ref()
                .is_some_and(|path| path.starts_with(folder))
        });
        let (en, zh) = if let Some((name, _)) = plugin {
            (
                format!("the library of plugin `{name}` is in the outbox's folder"),
                format!("插件 `{name}` 的动态库在发件箱的文件夹里"),
            )
        } else if self.document.main_folder().starts_with(folder) {
            (
                "the configuration itself is in the outbox's folder".to_owned(),
                "配置文件本身在发件箱的文件夹里".to_owned(),
            )
        } else {
            return;
        };
        self.error(
            "config::outbox_path",
            Text::new(en, zh),
            Text::new(
                "give the outbox a folder of its own, such as path = \"data\"",
                "请给发件箱一个单独的文件夹，例如 path = \"data\"",
            ),
            self.value("/outbox/path"),
        );
    }

    fn sources(&mut self, root: &Value) -> BTreeMap<String, Source> {
        let names = entries(root, "sources");
        if names.is_empty() {
            self.warn(
                "config::no_sources",
                Text::new(
                    "there is no source: every push will get 404",
                    "没有配置来源：所有推送都会得到 404",
                ),
                Text::new("add [sources.NAME]", "请添加 [sources.NAME]"),
                None,
            );
        }
        let mut taken: BTreeMap<(String, Option<String>), String> = BTreeMap::new();
        let mut sources = BTreeMap::new();
        for name in names {
            let at = pointer("/sources", &name);
            let Some(raw) = self.read::<raw::Source>(root, &at) else {
                continue;
            };
            self.source_path(&raw.path, &pointer(&at, "path"));
            let address = (raw.path.clone(), raw.app_key.clone());
            if let Some(other) = taken.insert(address, name.clone()) {
                let message = Text::new(
                    format!(
                        "sources `{other}` and `{name}` cannot be told apart: same path, same app_key"
                    ),
                    format!("来源 `{other}` 与 `{name}` 无法区分：path 与 app_key 相同"),
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

    /// A path with a blank or a full-width character is one that no push ever has.
    fn source_path(&mut self, path: &str, at: &str) {
        let odd = path.char_indices().find(|(_, letter)| {
            letter.is_whitespace() || letter.is_control() || lookalike::known(*letter).is_some()
        });
        let Some((start, letter)) = odd else {
            return;
        };
        let known = lookalike::known(letter);
        let (en, zh) = known.map_or_else(
            || ("a blank".to_owned(), "空白".to_owned()),
            |known| known.name().both(),
        );
        let message = Text::new(
            format!("no push would ever have this path: {en}"),
            format!("不会有推送到达此路径：{zh}"),
        );
        let help = known.map_or_else(
            || Text::new("delete it", "请删除它"),
            super::lookalike::LookAlike::remedy,
        );
        let part = start..start + letter.len_utf8();
        let place = self.part(at, path, Some(&part));
        self.error("config::invalid_value", message, help, place);
    }

    fn tmall(&mut self, at: &str, raw: &raw::Source) -> Tmall {
        let raw::Kind::Tmall = raw.kind;
        let secrets: Vec<_> = raw
            .app_secret
            .each()
            .into_iter()
            .map(|(_, secret)| secret.clone())
            .collect();
        if secrets.is_empty() || secrets.iter().any(|secret| secret.expose().is_empty()) {
            let message = Text::new(
                "a source needs a secret: without one anybody could push",
                "来源必须有密钥，否则任何人都能推送",
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
        Tmall {
            app_key: raw.app_key.clone(),
            app_secret: secrets,
            timestamp_tolerance: tolerance,
            methods: raw.methods.clone(),
            open_key: raw.open_key.clone(),
            on_invalid: raw.on_invalid.unwrap_or_default(),
            on_stale: raw.on_stale.unwrap_or_default(),
        }
    }
}

/// Names of the entries of a section.
pub(super) fn entries(root: &Value, section: &str) -> Vec<String> {
    let entries = root.get(section).and_then(Value::as_object);
    entries.map_or_else(Vec::new, |entries| entries.keys().cloned().collect())
}

/// The address that was probably meant: `8080`, `:8080`, `localhost:8080`, `http://…`, or one
/// with full-width signs.
fn address_meant(given: &str) -> Option<String> {
    let half: String = given
        .chars()
        .filter_map(
            |letter| match (lookalike::known(letter), u32::from(letter)) {
                (Some(known), _) => known.meant.chars().next(),
                (None, code @ 0xff10..=0xff19) => char::from_u32(code - 0xfee0),
                (None, _) => Some(letter),
            },
        )
        .collect();
    let trimmed = half.trim();
    let rest = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest);
    let rest = rest.split('/').next()?.trim();
    let (host, port) = rest.rsplit_once(':').unwrap_or(match rest.parse::<u16>() {
        Ok(_) => ("127.0.0.1", rest),
        Err(_) => (rest, "8080"),
    });
    let host = match host.trim() {
        "localhost" => "127.0.0.1",
        "" | "*" => "0.0.0.0",
        host => host,
    };
    let meant = format!("{host}:{}", port.trim());
    meant
        .parse::<SocketAddr>()
        .ok()
        .map(|address| address.to_string())
}

fn paths(given: Option<Vec<raw::FilePath>>) -> Vec<PathBuf> {
    let given = given.into_iter().flatten();
    given.map(|raw::FilePath(path)| path).collect()
}

/// What a `[plugins.NAME]` says, with its defaults.
fn plugin(raw: raw::Plugin, built_in: bool) -> Plugin {
    let said = raw.sandbox.unwrap_or_default();
    let known = Sandbox::default();
    let sandbox = if said.enabled == Some(false) {
        Sandbox::open()
    } else {
        Sandbox {
            memory: said.memory.map_or(known.memory, |size| Some(size.0)),
            descriptors: said.descriptors.or(known.descriptors),
            processes: said.processes,
            read: paths(said.read),
            write: paths(said.write),
            execute: paths(said.execute),
            connect: said.connect,
            unix_sockets: said.unix_sockets.unwrap_or(known.unix_sockets),
            ..known
        }
    };
    let usual = if built_in {
        Isolation::InProcess
    } else {
        Isolation::Process
    };
    Plugin {
        path: raw.path,
        sha256: raw.sha256,
        isolation: raw.isolation.unwrap_or(usual),
        sandbox,
    }
}

/// What to say of a plugin that is neither built in nor a file.
fn no_path(name: &str) -> (Text, Text) {
    let message = Text::new(
        format!("plugins.{name}: `path` is missing, and there is no built-in plugin `{name}`"),
        format!("plugins.{name}：缺少 `path`，也没有内置插件 `{name}`"),
    );
    let help = Text::new(
        "name the library's file: path = \"libmine.so\"",
        "请写出动态库的文件：path = \"libmine.so\"",
    );
    (message, help)
}
