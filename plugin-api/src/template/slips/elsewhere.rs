//! Elsewhere: signs and words that other languages have between values.

use std::ops::Range;

use super::super::labels;
use super::super::mistake::TemplateError;
use super::{run, string, wrong};

/// Signs of other languages.
pub(super) fn sign(
    text: &str,
    range: &Range<usize>,
    at: usize,
    rest: &str,
    decides: bool,
    before: &str,
) -> Option<TemplateError> {
    let there = |shown: &str, write: &str| {
        Some(wrong(
            at..at + shown.len(),
            "a sign of another language",
            "这是其他语言的符号",
            shown,
            write,
        ))
    };
    for (shown, write) in [
        ("===", "=="),
        ("!==", "!="),
        ("<>", "!="),
        ("=~", "in"),
        ("=>", ">="),
        ("=<", "<="),
        ("&&", "and"),
        ("||", "or"),
        ("??", "or"),
        ("&", "and"),
        (";", "and"),
    ] {
        if rest.starts_with(shown) {
            return there(shown, write);
        }
    }
    if rest.starts_with('=') && !rest.starts_with("==") && decides {
        return there("=", "==");
    }
    if rest.starts_with('!') && !rest.starts_with("!=") {
        return there("!", "not ");
    }
    if rest.starts_with('$') || rest.starts_with('@') {
        let length = 1 + run(&rest[1..], |letter| {
            letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '{' | '}')
        });
        let shown = &rest[..length];
        return there(shown, dollar(shown));
    }
    if let Some(inner) = rest.strip_prefix('`') {
        let inner = inner.split('`').next().unwrap_or_default();
        return there(&rest[..rest.len().min(inner.len() + 2)], inner);
    }
    if rest.starts_with('?') {
        return Some(wrong(
            at..at + 1,
            "a sign of another language",
            "这是其他语言的符号",
            "?",
            "a if condition else b",
        ));
    }
    if rest.starts_with('\\') && before != "\\" {
        return Some(wrong(
            at..at + 1,
            "a backslash outside of a text",
            "反斜杠只能写在文本里",
            "\\",
            text.get(range.clone())
                .unwrap_or_default()
                .replace('\\', "")
                .trim(),
        ));
    }
    None
}

/// `$json.phone`, `$.phone` and `${phone}` without what is around the name.
fn dollar(shown: &str) -> &str {
    let name = shown
        .trim_start_matches(['$', '@', '{', '.'])
        .trim_end_matches(['}', '.']);
    let name = [
        "json.", "lead.", "body.", "item.", "input.", "data.", "node.",
    ]
    .iter()
    .find_map(|before| name.strip_prefix(before))
    .unwrap_or(name);
    labels::field(name).unwrap_or(if name.is_empty() { "phone" } else { name })
}

/// Words that other languages put between values.
pub(super) fn word(
    text: &str,
    range: &Range<usize>,
    at: usize,
    word: &str,
) -> Option<TemplateError> {
    let end = at + word.len();
    let left = text[range.start..at].trim_end();
    let right = text[end..range.end].trim_start();
    let name = left.rsplit([' ', '(', '{', '%']).next().unwrap_or_default();
    // Only behind a value.
    let behind = name.chars().next_back().is_some_and(|letter| {
        letter.is_alphanumeric() || matches!(letter, '_' | ')' | ']' | '\'' | '"')
    });
    let joint = matches!(
        name,
        "and" | "or" | "not" | "in" | "is" | "if" | "else" | "elif"
    );
    let value = string(right).map(|length| right[1..length - 1].trim_matches('%'));
    let text_of = value.unwrap_or("…");
    let write = match word {
        "AND" | "And" | "OR" | "Or" | "IN" | "In" | "IS" | "Is" | "IF" | "ELSE" => {
            word.to_ascii_lowercase()
        }
        "NOT" | "Not" => "not".to_owned(),
        _ if !behind || joint => return None,
        "contains" | "includes" | "like" | "LIKE" | "Like" | "CONTAINS" | "matches" | "has" => {
            format!("'{text_of}' in {name}")
        }
        "startswith" | "starts_with" | "startsWith" => {
            format!("{name} is startingwith('{text_of}')")
        }
        "endswith" | "ends_with" | "endsWith" => format!("{name} is endingwith('{text_of}')"),
        "between" | "BETWEEN" => format!("{name} >= 1 and {name} <= 3"),
        "eq" | "equals" | "EQ" | "equal" => "==".to_owned(),
        "ne" | "neq" | "NE" => "!=".to_owned(),
        "gt" | "GT" => ">".to_owned(),
        "lt" | "LT" => "<".to_owned(),
        "gte" | "ge" | "GTE" => ">=".to_owned(),
        "lte" | "le" | "LTE" => "<=".to_owned(),
        "isnull" | "ISNULL" => "is none".to_owned(),
        "then" | "THEN" => format!("a if {name} else b"),
        _ => return None,
    };
    // `is startingwith` and `| eq` are ours.
    (name != "is").then(|| {
        wrong(
            at..end,
            "a word of another language",
            "这是其他语言的写法",
            word,
            &write,
        )
    })
}
