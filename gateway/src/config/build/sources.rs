//! Sources: who may push, and on which path.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::diagnostic::Text;
use super::super::document::pointer;
use super::super::{Ceiling, Source, SourceKind, Tmall, lookalike, raw};
use super::{Build, SECOND, entries};

impl Build<'_> {
    pub(super) fn sources(&mut self, root: &Value) -> BTreeMap<String, Source> {
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
    pub(super) fn source_path(&mut self, path: &str, at: &str) {
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
            lookalike::LookAlike::remedy,
        );
        let part = start..start + letter.len_utf8();
        let place = self.part(at, path, Some(&part));
        self.error("config::invalid_value", message, help, place);
    }

    pub(super) fn tmall(&mut self, at: &str, raw: &raw::Source) -> Tmall {
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
