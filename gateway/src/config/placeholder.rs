//! Placeholders: what examples leave for the merchant to fill in, still there.
//!
//! Judged by the text alone, outside of `{{ … }}`: a name in capitals where a URL has a value, a
//! domain that is nobody's (RFC 2606), `<…>`, `your-…`, `xxx`.

use std::ops::Range;

/// Words in capitals that stand for a value in a URL or where a secret is.
const CAPITALS: &[&str] = &[
    "MYDOMAIN",
    "YOURDOMAIN",
    "DOMAIN",
    "DATABASE",
    "DBNAME",
    "TENANT",
    "KEY",
    "TOKEN",
    "SECRET",
    "USER",
    "USERNAME",
    "PASSWORD",
    "HOST",
    "HOSTNAME",
    "VHOST",
    "SITE",
    "APP",
    "TABLE",
    "NAME",
    "PORT",
    "PATH",
    "URL",
];

/// Words that are a placeholder wherever they are the whole value or part of a URL.
const ANYWHERE: &[&str] = &[
    "mydomain",
    "yourdomain",
    "yourcompany",
    "yoursite",
    "changeme",
    "change-me",
    "change_me",
    "replaceme",
    "replace-me",
    "replace_me",
    "placeholder",
    "todo",
    "fixme",
    "tbd",
];

/// How a name in capitals with `_` ends, or begins, if it stands for a value.
const ENDS: &[&str] = &[
    "_TOKEN", "_ID", "_KEY", "_SECRET", "_NAME", "_URL", "_HOST", "_HERE", "_DOMAIN",
];

/// Beginnings of what a person is asked for in Chinese.
const ASKS: &[&str] = &[
    "你的",
    "您的",
    "请填",
    "请输入",
    "填写",
    "替换",
    "在此",
    "此处",
];

/// Where the first placeholder in `text` is. `secret`: the text stands where a secret is.
pub(super) fn find(text: &str, secret: bool) -> Option<Range<usize>> {
    let pieces = outside_of_templates(text);
    let is_url = text.contains("://");
    let is_one = text.trim() == text && !text.contains(char::is_whitespace);
    let whole = (is_one || is_url) && !text.is_empty();
    for piece in pieces {
        let at = piece.start;
        let part = &text[piece];
        let shift = |range: Range<usize>| at + range.start..at + range.end;
        if let Some(found) = angles(part, part == text, secret || is_url) {
            return Some(shift(found));
        }
        if let Some(found) = domain(part) {
            return Some(shift(found));
        }
        if !whole {
            continue;
        }
        if (is_url || secret || part == text)
            && let Some(found) = dots(part, is_url)
        {
            return Some(shift(found));
        }
        if (is_url || secret)
            && let Some(ask) = ASKS.iter().find(|ask| part.contains(**ask))
        {
            let start = part.find(ask).unwrap_or(0);
            return Some(shift(start..start + ask.len()));
        }
        let is_word =
            |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
        for word in words(part, is_word) {
            let found = &part[word.clone()];
            let alone = found.len() == text.len();
            if (is_url || alone) && is_anywhere(found)
                || (is_url || (alone && secret)) && is_capitals(found)
            {
                return Some(shift(word));
            }
        }
    }
    None
}

/// The parts of a text that are no template.
fn outside_of_templates(text: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find("{{").or_else(|| text[at..].find("{%")) {
        parts.push(at..at + open);
        let Some(close) = text[at + open..]
            .find("}}")
            .or_else(|| text[at + open..].find("%}"))
        else {
            return parts;
        };
        at += open + close + 2;
    }
    parts.push(at..text.len());
    parts
}

fn words(text: &str, is_word: impl Fn(char) -> bool) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, letter) in text.char_indices().chain([(text.len(), ' ')]) {
        match (start, is_word(letter) && at < text.len()) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                words.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// `<your token>`, not the tags of HTML and not an address.
fn angles(text: &str, whole: bool, strict: bool) -> Option<Range<usize>> {
    let start = text.find('<')?;
    let end = start + text[start..].find('>')? + 1;
    let inside = &text[start + 1..end - 1];
    let plain = !inside.is_empty() && !inside.contains(['@', '<', '/', '=']);
    let alone = whole && start == 0 && end == text.len();
    (plain && (alone || strict)).then_some(start..end)
}

/// A domain that is nobody's.
fn domain(text: &str) -> Option<Range<usize>> {
    let is_host = |letter: char| letter.is_ascii_alphanumeric() || letter == '.' || letter == '-';
    words(text, is_host).into_iter().find(|word| {
        let host = text[word.clone()].to_ascii_lowercase();
        let below = |domain: &str| {
            host == domain
                || host
                    .strip_suffix(domain)
                    .is_some_and(|rest| rest.ends_with('.'))
        };
        host.ends_with(".example")
            || host.ends_with(".invalid")
            || [
                "example.com",
                "example.org",
                "example.net",
                "example.cn",
                "example.com.cn",
            ]
            .into_iter()
            .any(below)
    })
}

/// `…` where a value should be.
fn dots(text: &str, is_url: bool) -> Option<Range<usize>> {
    for dots in ["…", "..."] {
        if let Some(at) = text.find(dots)
            && (text == dots || is_url)
        {
            return Some(at..at + dots.len());
        }
    }
    None
}

fn is_anywhere(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let crosses = lower.bytes().filter(|byte| *byte == b'x').count();
    ANYWHERE.contains(&lower.as_str())
        || lower.starts_with("your-")
        || lower.starts_with("your_")
        || lower.contains("xxxx")
        || (crosses >= 3 && crosses == lower.len())
}

fn is_capitals(word: &str) -> bool {
    if word.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return false;
    }
    CAPITALS.contains(&word)
        || ENDS
            .iter()
            .any(|end| word.ends_with(end) && word.len() > end.len())
        || word.starts_with("MY_")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn found(text: &str, secret: bool) -> Option<&str> {
        find(text, secret).map(|range| &text[range])
    }

    #[test]
    fn a_tag_before_a_template_is_no_placeholder() {
        assert_eq!(found("<p>{{ name }}，{{ city_name }}</p>", false), None);
        assert_eq!(found("<b>", false), Some("<b>"));
    }

    #[test]
    fn what_was_left_to_fill_in_is_found() {
        for (text, placeholder) in [
            (
                "https://open.feishu.cn/open-apis/bitable/v1/apps/APP_TOKEN/tables/tblX",
                "APP_TOKEN",
            ),
            (
                "https://MYDOMAIN.my.salesforce.com/services/oauth2/token",
                "MYDOMAIN",
            ),
            ("https://crm.example/leads", "crm.example"),
            ("天猫客资 <leads@shop.example>", "shop.example"),
            ("smtp.example.com", "smtp.example.com"),
            ("postgres://USER:PASSWORD@HOST/DATABASE", "USER"),
            ("https://hooks.slack.com/services/…", "…"),
            (
                "https://oapi.dingtalk.com/robot/send?access_token=...",
                "...",
            ),
            ("https://api.shop.cn/<tenant>/leads", "<tenant>"),
            ("<your token>", "<your token>"),
            ("https://your-domain.cn/leads", "your-domain"),
            ("https://www.xxx.com/leads", "xxx"),
            (
                "https://oapi.dingtalk.com/robot/send?access_token=xxxxxxxx",
                "xxxxxxxx",
            ),
            ("changeme", "changeme"),
            ("YOUR_SECRET", "YOUR_SECRET"),
            ("TODO", "TODO"),
        ] {
            assert_eq!(found(text, false), Some(placeholder), "{text}");
        }
        for (text, placeholder) in [
            ("SECRET", "SECRET"),
            ("您的密钥", "您的"),
            ("…", "…"),
            ("APP_SECRET", "APP_SECRET"),
        ] {
            assert_eq!(found(text, true), Some(placeholder), "{text}");
        }
    }

    #[test]
    fn what_a_merchant_really_writes_is_not() {
        for text in [
            "",
            "https://open.feishu.cn/open-apis/bitable/v1/apps/bascnCMII2ORej2RItqpZZUNMIe/tables/tblsRc9GRRXKqhvW",
            "https://crm.shop.cn/API/V1/LEADS?source=TMALL",
            "https://crm.shop.cn/{{ record_id }}/TODAY",
            "{{ lead.example }} {{ name | default('xxx') }}",
            "<b>客户 {{ name }}</b> <i>x</i>",
            "客资 <leads@shop.cn>",
            "POST",
            "insert into leads (KEY, NAME) values (:key, :name)",
            "您的客资：{{ name }}",
            "corpAccessToken",
            "SCRAM-SHA-256",
            "leads.{{ store_id }}",
            "https://yoursister.cn/leads",
        ] {
            assert_eq!(found(text, false), None, "{text}");
        }
    }

    /// The texts between quotes in `text`, comments and all.
    fn quoted(text: &str) -> Vec<&str> {
        let mut texts: Vec<_> = text.split('"').skip(1).step_by(2).collect();
        texts.extend(text.split_whitespace().filter(|word| word.contains("://")));
        texts
    }

    #[test]
    fn every_placeholder_of_our_own_examples_and_presets_is_found() {
        let mut count = 0;
        for folder in [
            "config/sinks.d",
            "config/sinks.d/examples",
            "plugins/http/presets",
        ] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(folder);
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if !path.is_file() {
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("reads");
                for line in text.lines() {
                    // In comments of a preset's head stand sentences, not values.
                    if line.contains("github") {
                        continue;
                    }
                    for quoted in quoted(line) {
                        let value = quoted.replace("\\\"", "").replace('\\', "");
                        let capitals = value.contains("://")
                            && value
                                .split(['/', ':', '@', '.', '-', '}', '='])
                                .any(|word| {
                                    word.len() > 2
                                        && word
                                            .bytes()
                                            .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
                                })
                            && !value.contains("${");
                        let nobody = value.contains(".example");
                        if capitals || nobody {
                            count += 1;
                            assert!(find(&value, false).is_some(), "{}: {value}", path.display());
                        }
                    }
                }
            }
        }
        assert!(count > 20, "{count}");
    }
}
