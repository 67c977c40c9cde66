//! Addresses: slips in the URLs and hosts of a sink's settings that a plugin would only call
//! «not a URL».
//!
//! Knows an address by its key or by how it begins. What is said never quotes it: a URL may hold
//! a password.

use std::ops::Range;

use serde_json::Value;

use super::diagnostic::Text;
use super::document::pointer;
use super::lookalike;

/// Schemes that leadgate's plugins know; all are followed by `://`.
const SCHEMES: &[&str] = &[
    "http",
    "https",
    "nats",
    "tls",
    "amqp",
    "amqps",
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
];

/// A slip in the address at `pointer`.
pub(super) struct Slip {
    /// Below the settings.
    pub(super) pointer: String,
    /// Where in the text, in bytes.
    pub(super) range: Range<usize>,
    pub(super) message: Text,
    pub(super) help: Text,
}

/// The first slip of each address in the settings of a sink of `plugin`.
pub(super) fn slips(plugin: &str, settings: &Value) -> Vec<Slip> {
    let mut slips = Vec::new();
    walk(plugin, settings, "", &mut slips);
    slips
}

fn walk(plugin: &str, value: &Value, at: &str, slips: &mut Vec<Slip>) {
    match value {
        Value::String(text) => {
            let missing = scheme_of(plugin, at);
            if let Some((range, message, help)) = slip(text, is_address(at), missing) {
                slips.push(Slip {
                    pointer: at.to_owned(),
                    range,
                    message,
                    help,
                });
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                walk(plugin, item, &pointer(at, &number.to_string()), slips);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                // What is sent is the merchant's; where it goes is not in it.
                if !matches!(key.as_str(), "body" | "headers" | "query" | "fields") {
                    walk(plugin, item, &pointer(at, key), slips);
                }
            }
        }
        _ => {}
    }
}

/// The key at `at`, without the numbers of a list.
fn key(at: &str) -> &str {
    at.rsplit('/')
        .find(|step| step.parse::<usize>().is_err())
        .unwrap_or_default()
}

/// Whether an address is at `at`, judged by its key.
pub(super) fn is_address(at: &str) -> bool {
    let key = key(at);
    matches!(key, "url" | "host" | "servers" | "proxy" | "brokers") || key.ends_with("_url")
}

/// What to write in front of an address without a scheme, where it must have one.
fn scheme_of(plugin: &str, at: &str) -> Option<&'static str> {
    let key = key(at);
    match plugin {
        "http" if key == "url" || key.ends_with("_url") => Some("https://"),
        "amqp" if key == "url" => Some("amqps://"),
        "sql" if key == "url" => Some("postgres://"),
        _ => None,
    }
}

type Found = (Range<usize>, Text, Text);

fn slip(text: &str, is_address: bool, missing: Option<&str>) -> Option<Found> {
    // What a lead fills in is looked at by the plugin.
    let text = &text[..text.find(['{', '\n']).unwrap_or(text.len())];
    let scheme = text
        .find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '+' | '.' | '-'))
        .unwrap_or(text.len());
    let behind = &text[scheme..];
    if let Some(rest) = behind.strip_prefix("://") {
        // Only the host: a login and a path may have any character.
        let at = text.len() - rest.len();
        let authority = &rest[..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())];
        let host = authority.rfind('@').map_or(0, |at| at + 1);
        return is_address
            .then(|| look_alike(text, at + host..at + authority.len()))
            .flatten();
    }
    let known = SCHEMES
        .iter()
        .any(|known| text[..scheme].eq_ignore_ascii_case(known));
    let separator = behind
        .find(|letter: char| !matches!(plain(letter), ':' | '/'))
        .unwrap_or(behind.len());
    if known && separator > 0 {
        let range = scheme..scheme + separator;
        if let Some(found) = look_alike(text, range.clone()) {
            return Some(found);
        }
        let name = &text[..scheme];
        let message = Text::new(
            "`://` must be behind the beginning of a URL",
            "网址开头之后必须是 `://`",
        );
        let help = Text::new(
            format!("write `{name}://`"),
            format!("请写 `{name}://`（一个冒号，两个斜杠）"),
        );
        return is_address.then_some((range, message, help));
    }
    if !is_address {
        return None;
    }
    let end = text.find(['/', '?', '#', '\\']).unwrap_or(text.len());
    if let Some(found) = look_alike(text, 0..end) {
        return Some(found);
    }
    let missing = missing.filter(|_| !text.trim().is_empty() && !text.starts_with("//"))?;
    let message = Text::new(
        format!("a URL begins with a scheme, such as `{missing}`"),
        format!("网址须以 `{missing}` 之类的协议开头"),
    );
    let help = Text::new(
        format!("write {missing} in front of it"),
        format!("请在前面加上 {missing}"),
    );
    Some((0..text.len(), message, help))
}

/// The letter that was meant.
fn plain(letter: char) -> char {
    lookalike::known(letter)
        .and_then(|known| known.meant.chars().next())
        .unwrap_or(letter)
}

/// The first visible character within `range` that stands for another.
fn look_alike(text: &str, range: Range<usize>) -> Option<Found> {
    let start = range.start;
    let (at, known) = text[range].char_indices().find_map(|(at, letter)| {
        let known = lookalike::known(letter).filter(|known| !known.is_invisible())?;
        Some((start + at, known))
    })?;
    let range = at..at + known.found.len_utf8();
    Some((range, known.name(), known.remedy()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Key, and the part of its text that is pointed at.
    fn found(plugin: &str, key: &str, text: &str) -> Option<String> {
        let slips = slips(plugin, &json!({ key: text }));
        let one = slips.first()?;
        assert_eq!(one.pointer, format!("/{key}"));
        let said = format!("{:?} {:?}", one.message, one.help);
        assert!(!said.contains("hunter2"), "{said}");
        Some(text[one.range.clone()].to_owned())
    }

    #[test]
    fn a_character_of_a_chinese_keyboard_is_pointed_at_in_every_address() {
        for (plugin, key, text, part) in [
            ("http", "url", "https：//crm.shop.cn/leads", "："),
            ("http", "url", "https:／／crm.shop.cn/leads", "／"),
            ("http", "url", "https:/／crm.shop.cn/leads", "／"),
            ("http", "url", "https：／／crm.shop.cn", "："),
            ("http", "url", "https://crm。shop.cn/leads", "。"),
            ("http", "url", "https://crm．shop.cn", "．"),
            ("http", "url", "https://crm.shop.cn／leads", "／"),
            ("http", "url", "https://crm.shop.cn：8443/leads", "："),
            ("http", "url", "https://crm.shop.cn？a=1", "？"),
            ("http", "url", "crm。shop.cn/leads", "。"),
            ("http", "proxy", "http：//127.0.0.1:3128", "："),
            ("http", "proxy", "127.0.0.1：3128", "："),
            ("sql", "url", "postgres：//u:hunter2@db/shop", "："),
            ("sql", "url", "postgres://u:hunter2＠db/shop", "＠"),
            ("amqp", "url", "amqps://u:hunter2@rabbit。cn/v", "。"),
            ("nats", "servers", "tls：//nats.shop.cn:4222", "："),
            ("email", "host", "smtp。exmail.qq.com", "。"),
            ("own", "endpoint", "https：//crm.shop.cn", "："),
        ] {
            assert_eq!(found(plugin, key, text).as_deref(), Some(part), "{text}");
        }
        let nested = json!({"auth": {"token_url": "https：//x.cn"}, "servers": ["a", "b：1"]});
        let all: Vec<_> = slips("http", &nested)
            .into_iter()
            .map(|one| one.pointer)
            .collect();
        assert_eq!(all, ["/auth/token_url", "/servers/1"]);
    }

    #[test]
    fn a_scheme_that_is_not_whole_is_said() {
        for (text, part) in [
            ("https:/crm.shop.cn/leads", ":/"),
            ("https:crm.shop.cn/leads", ":"),
            ("https//crm.shop.cn/leads", "//"),
            ("crm.shop.cn/leads", "crm.shop.cn/leads"),
            ("localhost:8080/leads", "localhost:8080/leads"),
        ] {
            assert_eq!(found("http", "url", text).as_deref(), Some(part), "{text}");
        }
    }

    #[test]
    fn a_good_address_and_what_is_none_are_left_alone() {
        for (plugin, key, text) in [
            ("http", "url", "https://crm.shop.cn/客资（新）：{{ id }}／x"),
            ("http", "url", "https://客户.cn/leads"),
            ("http", "url", "HTTPS://crm.shop.cn"),
            ("http", "url", ""),
            ("http", "url", "{{ url }}"),
            ("http", "proxy", "127.0.0.1:3128"),
            ("http", "body", "https：//crm.shop.cn"),
            ("email", "subject", "新客资：{{ name }}"),
            ("email", "text", "详见：https：//crm.shop.cn"),
            ("email", "host", "smtp.exmail.qq.com"),
            ("nats", "servers", "localhost:4222"),
            ("sql", "url", "postgres://u:密码：x@db/shop"),
            ("kafka", "brokers", "kafka.shop.cn:9092"),
            ("own", "url", "tcp:crm:1"),
        ] {
            assert_eq!(found(plugin, key, text), None, "{text}");
        }
    }
}
