//! Secrets: which texts of a configuration are one, and what is odd about one.
//!
//! Where a secret stands is told by its key's name, because a plugin's settings are not known
//! when a file is first read; a URL with a password in it is one by itself.

use super::address;
use super::advice;
use super::diagnostic::Text;
use super::lookalike;
use super::reference;

/// Parts of keys whose texts are secrets.
const NAMED: &[&str] = &[
    "secret",
    "token",
    "password",
    "passwd",
    "open_key",
    "api_key",
    "apikey",
    "private_key",
    "authorization",
    "nkey",
    "credentials",
];

/// Parts of the names of headers and parameters that carry a secret.
const CARRIERS: &[&str] = &[
    "authorization",
    "token",
    "secret",
    "password",
    "api-key",
    "api_key",
    "apikey",
    "access-key",
    "access_key",
    "x-key",
    "cookie",
    "credential",
    "signature",
    "x-auth",
];

/// Whether a key of the outbox is at `pointer`: the only secret whose name does not say so.
pub(super) fn is_outbox_key(pointer: &str) -> bool {
    pointer == "/outbox/key" || pointer.starts_with("/outbox/key/")
}

/// Whether `text` is a URL with a password written out in it.
fn has_password(text: &str) -> bool {
    // A slip in what is around it does not make a password public.
    let text = text
        .replace('：', ":")
        .replace('／', "/")
        .replace('＠', "@");
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    has_login(rest)
}

/// Whether a URL behind its scheme begins with a login with a password.
fn has_login(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let login = authority.rsplit_once('@').map(|(login, _)| login);
    let password = login.and_then(|login| login.split_once(':'));
    password.is_some_and(|(_, password)| !password.is_empty() && !password.starts_with("${"))
}

/// Whether the value at `pointer` is a secret, judged by its key.
pub(super) fn is_named(pointer: &str) -> bool {
    let mut steps = pointer
        .rsplit('/')
        .filter(|step| step.parse::<usize>().is_err());
    let key = steps.next().unwrap_or_default().to_ascii_lowercase();
    let parent = steps.next().unwrap_or_default().to_ascii_lowercase();
    if is_outbox_key(pointer) {
        return true;
    }
    // Where a token is fetched and how it is carried is no secret, nor is what is allowed.
    let about = [
        "_url", "_header", "_prefix", "_query", "_body", "_kind", "_type", "_name",
    ];
    if about.iter().any(|end| key.ends_with(end)) || key.starts_with("allow_") {
        return false;
    }
    match parent.as_str() {
        "headers" => CARRIERS.iter().any(|name| key.contains(name)),
        "query" | "params" => {
            key == "key" || key == "sig" || CARRIERS.iter().any(|name| key.contains(name))
        }
        "auth" if key == "value" => true,
        _ => NAMED.iter().any(|name| key.contains(name)),
    }
}

/// Whether a text at `pointer` is a secret written out, judged by the key's name, or by itself
/// if it is a URL.
pub(super) fn is_literal(pointer: &str, text: &str) -> bool {
    if has_password(text) {
        return true;
    }
    // What a lead fills in is no secret, nor is a switch.
    let switch = ["", "true", "false", "yes", "no", "on", "off"];
    if text.contains("{{") || switch.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return false;
    }
    let refers = text.starts_with("${") || !matches!(reference::read(text, true), Ok(None));
    (is_named(pointer) || advice::is_secret_address(text)) && !refers
}

/// Whether a text at `pointer` is not to be shown: as [`is_literal`], and also where the key is
/// one of a secret but for a letter or two.
pub(super) fn is_hidden(pointer: &str, text: &str) -> bool {
    let key = pointer
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let nearly = ["app_secret", "secret", "token", "password", "open_key"]
        .iter()
        .any(|name| key.len() > 4 && strsim::damerau_levenshtein(name, &key) <= 2);
    // An address may lack its scheme, or a part of that.
    let login = address::is_address(pointer) && {
        let text = text
            .replace('：', ":")
            .replace('／', "/")
            .replace('＠', "@");
        let scheme = text.find([':', '/']).unwrap_or(0);
        has_login(&text) || has_login(text[scheme..].trim_start_matches([':', '/']))
    };
    is_literal(pointer, text) || login || (nearly && is_literal("/secret", text))
}

/// What is odd about the value of a secret that came from elsewhere: quotes around it, or what
/// nobody sees in it. The value itself is never shown.
pub(super) fn oddity(value: &str) -> Option<(Text, Text)> {
    let first = value.chars().next()?;
    let last = value.chars().next_back()?;
    let pairs = [
        ('"', '"'),
        ('\'', '\''),
        ('“', '”'),
        ('‘', '’'),
        ('＂', '＂'),
        ('「', '」'),
        ('`', '`'),
    ];
    if value.chars().count() > 1 && pairs.contains(&(first, last)) {
        return Some((
            Text::new(
                format!("the value is in quotes, `{first}…{last}`, and they count as part of it"),
                format!("值带有引号 `{first}…{last}`，引号会被当作值的一部分"),
            ),
            Text::new(
                "remove the quotes where it is set: NAME=value",
                "请在设置该值的地方去掉引号：NAME=value",
            ),
        ));
    }
    let (_, name) = lookalike::unseen(value)?;
    let (en, zh) = name.both();
    Some((
        Text::new(format!("in the value is {en}"), format!("值中有{zh}")),
        Text::new(
            "remove it where the value is set",
            "请在设置该值的地方删除它",
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_that_are_written_out_are_known_by_their_key_or_as_a_url() {
        for (key, text, secret) in [
            ("password", "t0psecret", true),
            ("password", "env:PASSWORD", false),
            ("nkey", "SUANQDPB", true),
            ("credentials", "-----BEGIN NATS USER JWT-----", true),
            ("credentials", "file:leads.creds", false),
            ("token_url", "https://crm.example/token", false),
            ("token_url", "https://me:t0psecret@crm.example/token", true),
            ("url", "amqps://leads:t0psecret@rabbit.example/shop", true),
            ("url", "amqps://leads:t0p@secret@rabbit.example", true),
            ("url", "amqps://leads:${PASSWORD}@rabbit.example", false),
            ("url", "amqps://leads@rabbit.example", false),
            ("url", "https://crm.example/a:b@c", false),
            ("servers/0", "nats://me:t0psecret@nats.example", true),
            ("auth/token_body", "corpAccessToken", false),
            ("topic", "leads", false),
            ("headers/content-type", "application/json", false),
            ("headers/accept-language", "zh-CN", false),
            ("headers/idempotency-key", "abc", false),
            ("headers/x-shop", "flagship", false),
            ("headers/Authorization", "Bearer abc", true),
            ("headers/x-api-key", "abc", true),
            ("headers/X-Auth-Token", "abc", true),
            ("headers/cookie", "sid=abc", true),
            ("query/access_token", "abc", true),
            ("query/key", "abc", true),
            ("query/lang", "zh", false),
            ("auth/value", "token KEY:SECRET", true),
        ] {
            let at = format!("/sinks/bus/settings/{key}");
            assert_eq!(is_literal(&at, text), secret, "{key} = {text}");
        }
        for text in ["true", "false", "yes", "True"] {
            assert!(!is_literal("/admin/allow_without_token", text), "{text}");
        }
        assert!(!is_literal("/admin/allow_without_token", "maybe"));
        assert!(is_literal("/admin/token", "hunter2"));
        for text in [
            "amqps：//me:hunter2@rabbit.cn",
            "amqps:／／me:hunter2＠rabbit.cn",
            "amqps:/me:hunter2@rabbit.cn",
            "me:hunter2@rabbit.cn/v",
        ] {
            assert!(is_hidden("/sinks/bus/settings/url", text), "{text}");
        }
        assert!(!is_hidden(
            "/sinks/bus/settings/url",
            "rabbit.cn:5672/a:b@c"
        ));
        assert!(is_hidden("/sources/shop/app_sekret", "hunter2"));
        assert!(!is_hidden("/sources/shop/app_sekret", "env:SECRET"));
        assert!(!is_hidden("/sinks/bus/settings/topic", "leads"));
        assert!(!is_hidden("/sources/shop/app_key", "23456789"));
    }

    #[test]
    fn a_value_in_quotes_or_with_what_nobody_sees_is_odd_and_not_shown() {
        for value in [
            "\"hunter2\"",
            "'hunter2'",
            "“hunter2”",
            "hunter2 ",
            "\u{feff}hunter2",
            "hun\u{200b}ter2",
            "hunter2\u{a0}",
        ] {
            let (message, help) = oddity(value).expect(value);
            for text in [message.both(), help.both()] {
                assert!(
                    !text.0.contains("hunter2") && !text.1.contains("hunter2"),
                    "{text:?}"
                );
            }
        }
        for value in [
            "hunter2",
            "a b",
            "\"",
            "-----BEGIN KEY-----\nabc\n-----END KEY-----",
        ] {
            assert!(oddity(value).is_none(), "{value}");
        }
    }
}
