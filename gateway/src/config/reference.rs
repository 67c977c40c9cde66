//! References: texts that name where a value is (`env:NAME`, `file:PATH`, `cred:NAME`), and
//! texts that nearly do, so that a slip of the keyboard does not become a secret.

use super::diagnostic::Text;
use super::lookalike;

/// What a text refers to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    /// An environment variable.
    Env(&'a str),
    /// A file.
    File(&'a str),
    /// A credential of systemd.
    Cred(&'a str),
}

/// A text that nearly is a reference: what is wrong with it, and what to type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slip {
    pub(super) message: Text,
    pub(super) help: Text,
}

/// Reads `text`. With `secret` the text stands where only a secret can, so that whatever
/// looks like a reference is meant as one.
pub(super) fn read(text: &str, secret: bool) -> Result<Option<Reference<'_>>, Slip> {
    if let Some((kind, name)) = text.split_once(':') {
        match kind {
            "env" if is_name(name) => return Ok(Some(Reference::Env(name))),
            "cred" if is_credential(name) => return Ok(Some(Reference::Cred(name))),
            // A path may have blanks in it, not around it.
            "file" if !name.is_empty() && name.trim() == name && !is_quoted(name) => {
                return Ok(Some(Reference::File(name)));
            }
            _ => {}
        }
    }
    if let Some(slip) = prefixed(text, secret).or_else(|| foreign(text)) {
        return Err(slip);
    }
    Ok(None)
}

/// Whether a text that is no reference begins like one, for places that take none.
pub(super) fn looks_like_one(text: &str) -> bool {
    matches!(read(text, false), Ok(Some(_)) | Err(_)) && split(text).is_some()
}

/// `env`, what stands between it and the name, and the name, as far as they can be made out.
fn split(text: &str) -> Option<(&'static str, &str, &str)> {
    let trimmed = text.trim_start_matches(|letter: char| {
        letter.is_whitespace()
            || lookalike::known(letter).is_some_and(lookalike::LookAlike::is_invisible)
    });
    let begins = |kind: &str| {
        trimmed
            .get(..kind.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(kind))
    };
    let kind = ["env", "file", "cred"]
        .into_iter()
        .find(|kind| begins(kind))?;
    let rest = &trimmed[kind.len()..];
    let is_between = |letter: char| {
        matches!(letter, ':' | ';' | '=' | '.' | '/')
            || letter.is_whitespace()
            || lookalike::known(letter).is_some_and(|known| {
                known.is_invisible() || matches!(known.meant, ":" | ";" | "=" | ".")
            })
    };
    let end = rest
        .find(|letter| !is_between(letter))
        .unwrap_or(rest.len());
    let (between, name) = rest.split_at(end);
    // `file:///etc/x` and `file:/x` are caught before; `.` and `/` alone are names of files.
    let separates = between.chars().any(|letter| {
        matches!(letter, ':' | ';' | '=')
            || lookalike::known(letter).is_some_and(|known| matches!(known.meant, ":" | ";" | "="))
    });
    separates.then_some((kind, between, name))
}

fn prefixed(text: &str, secret: bool) -> Option<Slip> {
    let (kind, between, name) = split(text)?;
    let bare = bare_name(name);
    // Prose that begins with "file: …" is no slip where any text may stand.
    if !secret && (bare.is_empty() || bare.contains(char::is_whitespace) || text.contains("{{")) {
        return None;
    }
    if !secret && kind == "env" && !is_name(bare) && !bare.is_ascii() {
        return None;
    }
    let odd = between.chars().find_map(lookalike::known).or_else(|| {
        text.chars()
            .find_map(|letter| lookalike::known(letter).filter(|known| known.is_invisible()))
    });
    let message = if let Some(odd) = odd.filter(|odd| !odd.is_invisible()) {
        odd.name()
    } else if let Some(odd) = odd {
        let (en, zh) = odd.name().both();
        Text::new(format!("in this text is {en}"), format!("文本中有{zh}"))
    } else if name.is_empty() {
        Text::new(
            format!("`{kind}:` names nothing"),
            format!("`{kind}:` 后面没有名称"),
        )
    } else {
        Text::new(
            format!("this nearly is `{kind}:NAME`, and would be taken as the value itself"),
            format!("这里差一点就是 `{kind}:NAME`，现在会被当作值本身"),
        )
    };
    let example = match kind {
        "env" if is_name(bare) => format!("\"env:{bare}\""),
        "cred" if is_credential(bare) => format!("\"cred:{bare}\""),
        "file" if !bare.is_empty() => format!("\"file:{bare}\""),
        "env" => "\"env:NAME\"".to_owned(),
        "cred" => "\"cred:NAME\"".to_owned(),
        _ => "\"file:PATH\"".to_owned(),
    };
    let why = match kind {
        "env" if !is_name(bare) && !bare.is_empty() => (
            "; a variable's name has English letters, digits and `_` only",
            "；变量名只能用英文字母、数字和 `_`",
        ),
        _ => ("", ""),
    };
    Some(Slip {
        message,
        help: Text::new(
            format!("write {example}{}", why.0),
            format!("请写 {example}{}", why.1),
        ),
    })
}

/// A variable as other programs name one: `$NAME`, `%NAME%`, `{NAME}`.
fn foreign(text: &str) -> Option<Slip> {
    let trimmed = text.trim();
    let name = [
        ("${env:", "}"),
        ("$env:", ""),
        ("$(", ")"),
        ("$", ""),
        ("＄", ""),
        ("%", "%"),
        ("{{", "}}"),
        ("｛｛", "｝｝"),
        ("{", "}"),
        ("＄{", "}"),
        ("＄｛", "｝"),
        ("$｛", "｝"),
    ]
    .into_iter()
    .find_map(|(begin, end)| {
        let name = trimmed.strip_prefix(begin)?.strip_suffix(end)?.trim();
        is_upper_name(name).then_some(name)
    })?;
    Some(Slip {
        message: Text::new(
            "this names a variable as other programs do, and would be taken as the value itself",
            "这是其他程序的变量写法，现在会被当作值本身",
        ),
        help: Text::new(
            format!("write \"env:{name}\""),
            format!("请写 \"env:{name}\""),
        ),
    })
}

/// A name without what people put around one.
fn bare_name(name: &str) -> &str {
    let around = |letter: char| {
        letter.is_whitespace()
            || matches!(
                letter,
                '"' | '\'' | '$' | '%' | '{' | '}' | '<' | '>' | '(' | ')'
            )
            || lookalike::known(letter).is_some()
    };
    name.trim_matches(around)
}

fn is_quoted(text: &str) -> bool {
    text.starts_with(['"', '\'']) && text.ends_with(['"', '\''])
}

fn is_credential(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name.trim() == name && !is_quoted(name)
}

/// A name as variables that people set by hand have one.
fn is_upper_name(text: &str) -> bool {
    text.len() > 2 && is_name(text) && !text.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Whether a shell could set a variable of this name.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !text.as_bytes()[0].is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_it_is_written() {
        assert_eq!(read("env:A_1", true), Ok(Some(Reference::Env("A_1"))));
        assert_eq!(
            read("file:my keys/a.pem", true),
            Ok(Some(Reference::File("my keys/a.pem")))
        );
        assert_eq!(
            read("cred:outbox-key", true),
            Ok(Some(Reference::Cred("outbox-key")))
        );
        for text in [
            "",
            "hunter2",
            "https://crm.shop.cn/leads",
            "whsec_abc",
            "a:b",
            "${NAME}",
            "filed: 1",
            "environment",
            "credit",
        ] {
            assert_eq!(read(text, true), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_nearly_is_one_is_told_what_to_type() {
        for (text, help) in [
            ("env：TMALL_APP_SECRET", "write \"env:TMALL_APP_SECRET\""),
            ("ENV:TMALL_APP_SECRET", "write \"env:TMALL_APP_SECRET\""),
            ("Env:A_B", "write \"env:A_B\""),
            ("env: TMALL_APP_SECRET", "write \"env:TMALL_APP_SECRET\""),
            ("env:TMALL_APP_SECRET ", "write \"env:TMALL_APP_SECRET\""),
            (" env:TMALL_APP_SECRET", "write \"env:TMALL_APP_SECRET\""),
            ("env :TMALL_APP_SECRET", "write \"env:TMALL_APP_SECRET\""),
            ("env;TMALL_APP_SECRET", "write \"env:TMALL_APP_SECRET\""),
            ("env=TMALL_APP_SECRET", "write \"env:TMALL_APP_SECRET\""),
            ("env:$TMALL_APP_SECRET", "write \"env:TMALL_APP_SECRET\""),
            ("env:${TMALL_APP_SECRET}", "write \"env:TMALL_APP_SECRET\""),
            ("env:\"TMALL_APP_SECRET\"", "write \"env:TMALL_APP_SECRET\""),
            (
                "\u{200b}env:TMALL_APP_SECRET",
                "write \"env:TMALL_APP_SECRET\"",
            ),
            ("$TMALL_APP_SECRET", "write \"env:TMALL_APP_SECRET\""),
            ("%TMALL_APP_SECRET%", "write \"env:TMALL_APP_SECRET\""),
            ("$env:TMALL_APP_SECRET", "write \"env:TMALL_APP_SECRET\""),
            ("{TMALL_APP_SECRET}", "write \"env:TMALL_APP_SECRET\""),
            ("file：app.key", "write \"file:app.key\""),
            ("FILE:app.key", "write \"file:app.key\""),
            ("file: app.key", "write \"file:app.key\""),
            ("Cred:app", "write \"cred:app\""),
            ("cred：app", "write \"cred:app\""),
            ("cred:", "write \"cred:NAME\""),
            ("file:", "write \"file:PATH\""),
        ] {
            let slip = read(text, true).expect_err(text);
            assert_eq!(slip.help.both().0, help, "{text}");
        }
        let slip = read("env：A_B", true).expect_err("a slip");
        assert_eq!(slip.message.both().0, "`：` is a full-width colon (U+FF1A)");
        assert!(read("env:my-secret", true).is_err());
    }

    #[test]
    fn where_any_text_may_stand_only_clear_slips_are_refused() {
        for text in [
            "File: the lead's own",
            "file: {{ name }}",
            "env: 生产",
            "{{ name }}",
            "$json.phone",
            "%F",
            "$$",
        ] {
            assert_eq!(read(text, false), Ok(None), "{text}");
        }
        for text in [
            "env：CRM_URL",
            "ENV:CRM_URL",
            "env: CRM_URL",
            "$CRM_URL",
            "file：url.txt",
        ] {
            assert!(read(text, false).is_err(), "{text}");
        }
    }
}
