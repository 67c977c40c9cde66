//! Advice: what is allowed and will hurt. Warnings only; leadgate starts all the same.

use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value;

use super::diagnostic::{Diagnostic, Place, Text};
use super::document::{Document, pointer};
use super::{literal_secret, placeholder};

/// The rate of leads for a chat in which several may share a message.
pub const CHAT_RATE: &str = "10/s";

/// Presets that write into a chat, with the rate of messages that its vendor allows one bot.
pub const CHATS: [(&str, &str); 4] = [
    ("feishu-bot", "1/s"),
    ("dingtalk-robot", "20/min"),
    ("wecom-robot", "20/min"),
    ("slack", "1/s"),
];

/// Parts of addresses by which whoever has one may write into the chat.
const CHAT_ADDRESSES: [&str; 4] = [
    "/open-apis/bot/v2/hook/",
    "/robot/send?access_token=",
    "/cgi-bin/webhook/send?key=",
    "//hooks.slack.com/",
];

/// Whether an address is as good as a password.
pub(super) fn is_secret_address(text: &str) -> bool {
    text.starts_with("http") && CHAT_ADDRESSES.iter().any(|part| text.contains(part))
}

/// Others may read a file in which a secret is written out: `secrets` are the places of its
/// texts in file number `file`.
pub(super) fn open_file(path: &Path, file: usize, secrets: &[Range<usize>]) -> Option<Diagnostic> {
    let first = secrets.first()?;
    let mode = std::fs::metadata(path).ok()?.mode();
    // The six lowest bits are the rights of group and others.
    if mode.trailing_zeros() >= 6 {
        return None;
    }
    let message = Text::new(
        format!(
            "{} has a secret in it and can be read by other users",
            path.display()
        ),
        format!("{} 含有明文密钥，且可被其他用户读取", path.display()),
    );
    let help = Text::new(
        format!(
            "chmod 600 {}, or use \"env:NAME\", \"file:PATH\" or \"cred:NAME\"",
            path.display()
        ),
        format!(
            "chmod 600 {}，或改用 \"env:NAME\"、\"file:PATH\"、\"cred:NAME\"",
            path.display()
        ),
    );
    let range = first.clone();
    Some(
        Diagnostic::warning("config::open_file", message)
            .help(help)
            .at(Some(Place {
                file,
                range,
                pointer: String::new(),
            })),
    )
}

/// Says of a file with secrets that others may read only once what is to be done: with the first
/// secret that is written out in it.
pub(super) fn join(problems: &mut Vec<Diagnostic>) {
    let mut open: Vec<_> = problems
        .extract_if(.., |one| one.code == "config::open_file")
        .collect();
    open.retain(|warning| {
        let file = warning.place.as_ref().map(|place| place.file);
        let secret = problems.iter_mut().find(|one| {
            one.code == "config::literal_secret"
                && one.place.as_ref().map(|place| place.file) == file
        });
        let Some(secret) = secret else {
            return true;
        };
        let more = Text::new("other users can read it", "且可被其他用户读取");
        secret.message = secret.message.and(&more);
        secret.help = warning.help.clone();
        false
    });
    problems.extend(open);
}

/// What examples left to fill in and nobody filled in, in sources, sinks and the token.
pub(super) fn placeholders(document: &Document, problems: &mut Vec<Diagnostic>) {
    for section in ["sources", "sinks", "admin"] {
        if let Some(value) = document.root.get(section) {
            unfilled(document, value, &pointer("", section), problems);
        }
    }
}

fn unfilled(document: &Document, value: &Value, at: &str, problems: &mut Vec<Diagnostic>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                unfilled(document, value, &pointer(at, key), problems);
            }
        }
        Value::Array(items) => {
            for (number, value) in items.iter().enumerate() {
                unfilled(document, value, &pointer(at, &number.to_string()), problems);
            }
        }
        Value::String(text) if document.is_good(at) && !at.ends_with("/when") => {
            let secret = literal_secret::is_named(at);
            let Some(range) = placeholder::find(text, secret) else {
                return;
            };
            let message = if secret {
                Text::new(
                    "this is still a placeholder, not your secret",
                    "这里还是占位内容，不是您的密钥",
                )
            } else {
                Text::new(
                    format!("`{}` is still a placeholder", &text[range.clone()]),
                    format!("`{}` 还是占位内容", &text[range.clone()]),
                )
            };
            let set = document.written(at).and_then(default_of);
            let help = match set {
                Some(name) => Text::new(
                    format!("write your own in its place, or set {name}: export {name}=…"),
                    format!("请换成您自己的值，或设置环境变量：export {name}=…"),
                ),
                None => Text::new("write your own in its place", "请换成您自己的值"),
            };
            let place = document.part_place(at, text, Some(&range));
            problems.push(
                Diagnostic::warning("config::placeholder", message)
                    .help(help)
                    .at(place),
            );
        }
        _ => {}
    }
}

/// The first variable in a text for which a default stands.
fn default_of(written: &str) -> Option<&str> {
    let (_, rest) = written.split_once("${")?;
    let (name, rest) = rest.split_once(':')?;
    rest.starts_with('-').then_some(name)
}

/// A chat takes few messages: a sink of one needs a rate, of leads if several may share a
/// message, else of messages.
pub(super) fn rate_of_chat(sink: &str, settings: &Value) -> Option<(Text, Text)> {
    let preset = settings["preset"].as_str()?;
    let (_, messages) = CHATS.iter().find(|(chat, _)| *chat == preset)?;
    let shares = settings["digest"]["every"] != "0s";
    let rate = if shares { CHAT_RATE } else { messages };
    Some((
        Text::new(
            format!(
                "`sinks.{sink}` writes into a chat, which takes few messages, without a `rate`"
            ),
            format!("`sinks.{sink}` 向群聊发消息却没有 rate：发送过快会被限流或禁言"),
        ),
        Text::new(
            format!("add rate = \"{rate}\" to [sinks.{sink}]"),
            format!("请在 [sinks.{sink}] 中加上 rate = \"{rate}\""),
        ),
    ))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::super::{Environment, load};
    use crate::lang::Lang;
    use crate::plugin::Plugins;

    const MAIN: &str = "admin.token = \"env:T\"\noutbox.key = \"env:OUTBOX_KEY\"\n[sources.shop]\nkind = \"tmall\"\npath = \"/leads\"\napp_secret = \"env:APP_SECRET\"\n";

    /// Code, line, column and help of each warning; the configuration must be good.
    fn warnings(sink: &str, mode: u32) -> Vec<(String, u64, u64, String)> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("leadgate.toml");
        std::fs::write(&file, format!("{MAIN}{sink}")).expect("writes");
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).expect("sets");
        let environment = Environment::of(|name| match name {
            "CHAT_URL" => Some("https://chat.shop.cn/hook".to_owned()),
            "OUTBOX_KEY" => Some("ff".repeat(32)),
            _ => Some("s3cr3t-value".to_owned()),
        });
        let mut plugins = Plugins::builtin().expect("built in");
        let (config, report) = load(&file, &environment, &mut plugins);
        let text = report.render(Lang::En, false);
        assert!(config.is_some(), "{text}");
        assert!(!text.contains("s3cr3t"), "{text}");
        let list = report.json(Lang::En);
        list["problems"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| {
                assert_eq!(one["severity"], "warning");
                (
                    one["code"].as_str().unwrap_or_default().to_owned(),
                    one["line"].as_u64().unwrap_or(0),
                    one["column"].as_u64().unwrap_or(0),
                    one["help"].as_str().unwrap_or_default().to_owned(),
                )
            })
            .collect()
    }

    fn chat(preset: &str, rate: &str) -> String {
        format!(
            "[sinks.chat]\nplugin = \"http\"\n{rate}\n[sinks.chat.settings]\npreset = \"{preset}\"\nurl = \"env:CHAT_URL\"\n"
        )
    }

    #[test]
    fn a_chat_without_a_rate_is_shown_at_its_preset() {
        for (preset, rate) in super::CHATS {
            let found = warnings(&chat(preset, ""), 0o644);
            let help = "add rate = \"10/s\" to [sinks.chat]".to_owned();
            assert_eq!(found, [("config::no_rate".to_owned(), 11, 10, help)]);
            let single = chat(preset, "") + "digest.every = \"0s\"\n";
            let help = format!("add rate = \"{rate}\" to [sinks.chat]");
            assert_eq!(warnings(&single, 0o644)[0].3, help);
            let with = chat(preset, &format!("rate = \"{rate}\""));
            assert_eq!(warnings(&with, 0o644), []);
        }
        let other =
            "[sinks.hook]\nplugin = \"http\"\n[sinks.hook.settings]\nurl = \"env:CHAT_URL\"\n";
        assert_eq!(warnings(other, 0o644), []);
    }

    #[test]
    fn a_file_with_a_secret_that_others_can_read_is_shown_at_the_secret() {
        let sink = "[sinks.hook]\nplugin = \"http\"\n[sinks.hook.settings]\nurl = \"https://crm.shop.cn\"\nauth = { kind = \"bearer\", token = \"s3cr3t-1\" }\n";
        for mode in [0o644, 0o640, 0o604] {
            let found = warnings(sink, mode);
            let codes: Vec<_> = found.iter().map(|one| (one.0.as_str(), one.1)).collect();
            assert_eq!(codes, [("config::literal_secret", 11)], "{mode:o}");
            assert!(found[0].3.starts_with("chmod 600 "), "{found:?}");
        }
        let found = warnings(sink, 0o600);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "config::literal_secret");
        let named = sink.replace("s3cr3t-1", "env:TOKEN");
        assert_eq!(warnings(&named, 0o644), [], "no secret in it");
    }

    #[test]
    fn the_address_of_a_chat_is_a_secret() {
        for address in [
            "https://open.feishu.cn/open-apis/bot/v2/hook/s3cr3t",
            "https://oapi.dingtalk.com/robot/send?access_token=s3cr3t",
            "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=s3cr3t",
            "https://hooks.slack.com/services/s3cr3t",
        ] {
            let sink = chat("slack", "rate = \"1/s\"").replace("env:CHAT_URL", address);
            let found = warnings(&sink, 0o600);
            assert_eq!(found.len(), 1, "{address}: {found:?}");
            assert_eq!(found[0].0, "config::literal_secret");
        }
    }
}
