//! Keyboard: what a Chinese keyboard or a clipboard leaves in an expression, and its ASCII.

use super::super::labels;
use super::super::mistake::TemplateError;
use super::{run, wrong};

/// Signs of a Chinese keyboard that are no full-width form of an ASCII sign.
const SIGNS: [(char, &str); 20] = [
    ('\u{3000}', " "),
    ('\u{a0}', " "),
    ('\u{200b}', " "),
    ('\u{feff}', " "),
    ('。', "."),
    ('、', ","),
    ('【', "["),
    ('】', "]"),
    ('〔', "["),
    ('〕', "]"),
    ('《', "<"),
    ('》', ">"),
    ('〈', "<"),
    ('〉', ">"),
    ('—', "-"),
    ('–', "-"),
    ('×', "*"),
    ('÷', "/"),
    ('≠', "!="),
    ('·', "."),
];

/// Signs that quote elsewhere, each with the one that closes it.
const QUOTES: [(char, char); 8] = [
    ('“', '”'),
    ('”', '”'),
    ('‘', '’'),
    ('’', '’'),
    ('「', '」'),
    ('『', '』'),
    ('＂', '＂'),
    ('＇', '＇'),
];

/// What a letter of a Chinese keyboard is in ASCII.
pub(super) fn ascii(letter: char) -> Option<String> {
    if let '！'..='～' = letter {
        return char::from_u32(u32::from(letter) - 0xfee0).map(String::from);
    }
    let sign = SIGNS.iter().find(|(sign, _)| *sign == letter);
    match (sign, letter) {
        (Some((_, write)), _) => Some((*write).to_owned()),
        (None, '≤') => Some("<=".to_owned()),
        (None, '≥') => Some(">=".to_owned()),
        (None, '￥') => Some("$".to_owned()),
        (None, _) => None,
    }
}

/// “杭州”
pub(super) fn quoted(text: &str, at: usize, rest: &str) -> Option<TemplateError> {
    let letter = rest.chars().next()?;
    let (_, close) = QUOTES.iter().find(|(open, _)| *open == letter)?;
    let inner = &rest[letter.len_utf8()..];
    let end = inner.find([*close, '\'', '"']);
    let (shown, length) = match end {
        Some(end) => {
            let closing = inner[end..].chars().next().map_or(0, char::len_utf8);
            (&inner[..end], letter.len_utf8() + end + closing)
        }
        None => ("…", letter.len_utf8()),
    };
    Some(wrong(
        at..at + length,
        "a Chinese quotation mark; quotes are ' or \"",
        "中文引号，应使用英文引号 ' 或 \"",
        &text[at..at + length],
        &format!("'{shown}'"),
    ))
}

/// Full-width signs and words, and Chinese ones.
pub(super) fn foreign(at: usize, rest: &str) -> Option<TemplateError> {
    let letter = rest.chars().next()?;
    if ascii(letter).is_some() {
        let shown: String = rest
            .chars()
            .take_while(|letter| ascii(*letter).is_some())
            .collect();
        let write: String = shown.chars().filter_map(ascii).collect();
        let range = at..at + shown.len();
        if write.trim().is_empty() {
            return Some(
                TemplateError::at(
                    &range,
                    "a full-width or invisible space stands here",
                    "这里有全角空格或不可见字符",
                )
                .help("write an ordinary space", "请改为普通空格"),
            );
        }
        return Some(wrong(
            range,
            "a full-width sign",
            "全角字符",
            &shown,
            &write,
        ));
    }
    if !letter.is_alphabetic() || letter.is_ascii() {
        return None;
    }
    let length = run(rest, |letter| letter.is_alphanumeric() || letter == '_');
    let word = &rest[..length];
    let range = at..at + length;
    Some(match labels::field(word) {
        Some(field) => TemplateError::at(
            &range,
            format!("unknown field `{word}`"),
            format!("没有字段 `{word}`"),
        )
        .help(
            format!("did you mean `{field}`?"),
            format!("是不是 `{field}`？"),
        ),
        None => wrong(
            range,
            "a text without quotes",
            "文本没有加引号",
            word,
            &format!("'{word}'"),
        ),
    })
}
