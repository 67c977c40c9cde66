//! The outbox: where it is, what seals it, and how long what is in it is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::diagnostic::Text;
use super::super::{Outbox, Plugin, raw};
use super::{Build, DAY, HOUR};
use crate::seal::OutboxKey;

impl Build<'_> {
    pub(super) fn outbox(&mut self, raw: raw::Outbox) -> Outbox {
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
            retention_audit: self.retention_audit(raw.retention_audit),
            min_free: raw.min_free.map_or(256 << 20, |size| size.0),
        }
    }

    pub(super) fn outbox_keys(&mut self, written: &raw::OneOrMany) -> Vec<OutboxKey> {
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

    pub(super) fn retention(
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

    fn retention_audit(&mut self, given: Option<leadgate_plugin::HumanDuration>) -> Duration {
        let retention = given.map_or(DAY * 730, |given| given.0);
        if retention < DAY {
            let message = Text::new(
                "less than 1d would remove the audit log before anybody could look into it",
                "小于 1d 会在有人查看之前就删除审计日志",
            );
            let help = Text::plain("\"730d\"");
            let at = self.value("/outbox/retention_audit");
            self.error("config::invalid_value", message, help, at);
        }
        retention
    }

    /// The outbox's folder is the outbox's alone.
    pub(super) fn shared_folder(&mut self, outbox: &Outbox, plugins: &BTreeMap<String, Plugin>) {
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
}
