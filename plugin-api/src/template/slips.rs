//! Slips: what was typed for something else, by hands used to a Chinese keyboard, to another
//! language or to another tool's templates, and what to type instead.
//!
//! Looks into expressions that the engine refused, and into the text around them, which would
//! otherwise go out as it stands. Text that is not clearly meant so is left alone: JSON, CSS and
//! the like may stand in a template.

use std::ops::Range;

use super::mistake::TemplateError;
use super::scope::Scope;
use super::{labels, tokens};
use crate::event::FIELDS;

/// What the engine refused: a slip that explains it, else `error`.
pub(super) fn of_condition(text: &str, error: TemplateError) -> TemplateError {
    bare(text)
        .or_else(|| expression(text, 0..text.len(), true))
        .or_else(|| brackets(text, &(0..text.len())))
        .unwrap_or_else(|| translated(error))
}

/// `{{ store_id == 1 }}`, `{% if store_id == 1 %}` and `if store_id == 1`
fn bare(text: &str) -> Option<TemplateError> {
    let whole = text.trim();
    let start = text.len() - text.trim_start().len();
    let inner = whole
        .strip_prefix("{{")
        .or_else(|| whole.strip_prefix("{%"))
        .or_else(|| whole.strip_prefix("if ").map(|_| whole))?;
    let end = inner.find("}}").or_else(|| inner.find("%}"));
    let inner = inner[..end.unwrap_or(inner.len())].trim();
    let inner = inner.strip_prefix("if ").unwrap_or(inner).trim();
    // `if` is as long as the braces are.
    let open = 2;
    Some(wrong(
        start..start + open,
        "a condition stands alone, without braces or `if`",
        "条件直接写，不加花括号或 if",
        &whole[..open],
        inner,
    ))
}

/// The same for a template.
pub(super) fn of_template(text: &str, scope: &Scope, error: TemplateError) -> TemplateError {
    let mut at = 0;
    while let Some((start, statement)) = opening(text, at) {
        let end = closing(text, start + 2, statement);
        let inside = start + 2..end.unwrap_or(text.len());
        let decides = ["if ", "elif "].iter().any(|word| {
            text[inside.clone()]
                .trim_start_matches(['-', '+', ' '])
                .starts_with(word)
        });
        let found = braces(text, &inside, statement)
            .or_else(|| expression(text, inside.clone(), !statement || decides));
        if let Some(found) = found {
            return found;
        }
        let Some(end) = end else {
            let (open, close) = if statement {
                ("{%", "%}")
            } else {
                ("{{", "}}")
            };
            let single = if statement {
                None
            } else {
                text[inside].find('}')
            };
            let write = match single {
                Some(end) => format!("{{{{ {} }}}}", text[start + 2..start + 2 + end].trim()),
                None => close.to_owned(),
            };
            return TemplateError::at(
                &(start..start + 2),
                format!("an opening is never closed: `{open}`"),
                format!("没有对应的结尾：`{open}` 缺少 `{close}`"),
            )
            .help(format!("write `{write}`"), format!("请写 `{write}`"));
        };
        if let Some(found) = brackets(text, &inside) {
            return found;
        }
        at = end + 2;
    }
    around(text, scope).unwrap_or_else(|| translated(error))
}

/// A slip in the text around the expressions of a template.
pub(super) fn around(text: &str, scope: &Scope) -> Option<TemplateError> {
    let Some(parts) = tokens::of_template(text) else {
        return plain(text, &(0..text.len()), scope);
    };
    parts.iter().find_map(|part| match part {
        tokens::Part::Plain(range) => plain(text, range, scope),
        tokens::Part::Block(..) => None,
    })
}

fn translated(mut error: TemplateError) -> TemplateError {
    if error.chinese.message.is_empty() {
        let detail = error.message.strip_prefix("syntax error: ");
        error.chinese.message = match detail {
            Some(detail) if detail.starts_with("unexpected end of input") => {
                "语法错误：表达式没有写完".to_owned()
            }
            Some(detail) => format!("语法错误：{detail}"),
            None => error.message.clone(),
        };
    }
    if error.help.is_empty() && error.message.starts_with("syntax error") {
        error = error.help(
            "such as `store_id == 437763404 and city_name in ['杭州', '上海']`; see TEMPLATES.md",
            "例如 `store_id == 437763404 and city_name in ['杭州', '上海']`；详见 TEMPLATES.md",
        );
    }
    error
}

fn opening(text: &str, from: usize) -> Option<(usize, bool)> {
    let bytes = text.as_bytes();
    (from..bytes.len().saturating_sub(1))
        .find(|at| bytes[*at] == b'{' && matches!(bytes[at + 1], b'{' | b'%'))
        .map(|at| (at, bytes[at + 1] == b'%'))
}

/// Where the block is closed, outside of quoted texts if it can be.
fn closing(text: &str, from: usize, statement: bool) -> Option<usize> {
    let sign = if statement { "%}" } else { "}}" };
    let mut quote = None;
    for (at, letter) in text[from..].char_indices() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if matches!(letter, '\'' | '"') => quote = Some(letter),
            None if text[from + at..].starts_with(sign) => return Some(from + at),
            Some(_) | None => {}
        }
    }
    text[from..].find(sign).map(|at| from + at)
}

fn wrong(
    range: Range<usize>,
    what: &str,
    what_zh: &str,
    shown: &str,
    write: &str,
) -> TemplateError {
    TemplateError::at(
        &range,
        format!("{what}: `{shown}`"),
        format!("{what_zh}：`{shown}`"),
    )
    .help(format!("write `{write}`"), format!("请写 `{write}`"))
}

/// `{{{ name }}}` and `{{ {name} }}`
fn braces(text: &str, inside: &Range<usize>, statement: bool) -> Option<TemplateError> {
    let inner = text.get(inside.clone())?.trim();
    if statement || !inner.starts_with('{') || inner.contains(':') {
        return None;
    }
    let name = inner.trim_matches(['{', '}', ' ']);
    if name.is_empty() || !is_word(name) {
        return None;
    }
    let start = inside.start - 2;
    let end = text[inside.end..]
        .find(|letter| letter != '}')
        .map_or(text.len(), |at| inside.end + at);
    Some(wrong(
        start..end,
        "too many braces",
        "花括号太多",
        &text[start..end],
        &format!("{{{{ {} }}}}", labels::field(name).unwrap_or(name)),
    ))
}

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
fn ascii(letter: char) -> Option<String> {
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

/// The first slip in an expression. `decides` says that a `=` in it would compare.
fn expression(text: &str, range: Range<usize>, decides: bool) -> Option<TemplateError> {
    let mut at = range.start;
    let mut depth = 0_usize;
    let mut before = "";
    while at < range.end {
        let rest = text.get(at..range.end)?;
        let letter = rest.chars().next()?;
        let length = match letter {
            '\'' | '"' => match string(rest) {
                Some(length) => length,
                None => {
                    let inside = rest[1..].split(['\'', '"', '“', '”', '‘', '’']).next();
                    let write = format!("{letter}{}{letter}", inside.unwrap_or_default().trim());
                    return Some(wrong(
                        at..at + 1,
                        "this quote is never closed",
                        "引号没有成对",
                        &letter.to_string(),
                        &write,
                    ));
                }
            },
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = run(rest, |letter| {
                    letter.is_ascii_alphanumeric() || letter == '_'
                });
                let word = &rest[..length];
                if before != "."
                    && before != "|"
                    && let Some(found) = self::word(text, &range, at, word)
                {
                    return Some(found);
                }
                length
            }
            '0'..='9' => run(rest, |letter| {
                letter.is_ascii_alphanumeric() || letter == '.'
            }),
            _ if letter.is_whitespace() && letter.is_ascii() => {
                at += letter.len_utf8();
                continue;
            }
            _ => {
                if let Some(found) = quoted(text, at, rest)
                    .or_else(|| foreign(at, rest))
                    .or_else(|| sign(text, &range, at, rest, decides && depth == 0, before))
                {
                    return Some(found);
                }
                match letter {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                let two = ["==", "!=", "<=", ">=", "//", "**"];
                match two.iter().find(|sign| rest.starts_with(**sign)) {
                    Some(sign) => sign.len(),
                    None => letter.len_utf8(),
                }
            }
        };
        before = &rest[..length];
        at += length;
    }
    None
}

/// “杭州”
fn quoted(text: &str, at: usize, rest: &str) -> Option<TemplateError> {
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
fn foreign(at: usize, rest: &str) -> Option<TemplateError> {
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

/// Signs of other languages.
fn sign(
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
fn word(text: &str, range: &Range<usize>, at: usize, word: &str) -> Option<TemplateError> {
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

/// A bracket without its other one.
fn brackets(text: &str, range: &Range<usize>) -> Option<TemplateError> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let rest = text.get(at..range.end)?;
        let letter = rest.chars().next()?;
        let mut length = letter.len_utf8();
        match letter {
            '\'' | '"' => length = string(rest)?,
            '(' => open.push((at, ')')),
            '[' => open.push((at, ']')),
            '{' => open.push((at, '}')),
            ')' | ']' | '}' if open.pop().is_none_or(|(_, wanted)| wanted != letter) => {
                return Some(unpaired(at, letter));
            }
            _ => {}
        }
        at += length;
    }
    let (at, _) = open.first()?;
    let letter = text[*at..].chars().next()?;
    Some(unpaired(*at, letter))
}

fn unpaired(at: usize, letter: char) -> TemplateError {
    TemplateError::at(
        &(at..at + letter.len_utf8()),
        format!("this bracket has no other one: `{letter}`"),
        format!("括号没有成对：`{letter}`"),
    )
    .help("write both, or neither", "请补上另一半，或去掉它")
}

/// A slip in the text between expressions.
fn plain(text: &str, range: &Range<usize>, scope: &Scope) -> Option<TemplateError> {
    let mut before = None;
    for (offset, letter) in text.get(range.clone())?.char_indices() {
        let at = range.start + offset;
        let rest = &text[at..range.end];
        let found = match letter {
            '｛' | '{' => enclosed(at, rest, before, scope),
            '%' | '％' => percent(at, rest, scope),
            '$' => dollars(at, rest, scope),
            '}' => unopened(text, range, at, scope),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
        before = Some(letter);
    }
    None
}

/// The field that `word` names, where a lead is spoken of.
fn named<'a>(word: &'a str, scope: &Scope) -> Option<&'a str> {
    let word = word.trim();
    let word = word.strip_prefix("lead.").unwrap_or(word);
    scope.has_a_lead().then(|| {
        if FIELDS.iter().any(|field| field.name == word) {
            Some(word)
        } else {
            labels::field(word)
        }
    })?
}

/// `｛｛ name ｝｝` and `{name}`
fn enclosed(at: usize, rest: &str, before: Option<char>, scope: &Scope) -> Option<TemplateError> {
    let is_open = |letter: char| matches!(letter, '{' | '｛');
    let is_close = |letter: char| matches!(letter, '}' | '｝');
    let inner = rest.trim_start_matches(is_open);
    let open = &rest[..rest.len() - inner.len()];
    let end = inner.find(is_close)?;
    let content = &inner[..end];
    if end > 200 || content.contains(['"', ':', '\n']) && !open.contains('｛') {
        return None;
    }
    let behind = inner[end..].trim_start_matches(is_close);
    let whole = &rest[..rest.len() - behind.len()];
    let close = &whole[open.len() + end..];
    let full = open.contains('｛') || close.contains('｝');
    let halved: String = content
        .chars()
        .map(|letter| ascii(letter).unwrap_or_else(|| letter.to_string()))
        .collect();
    let name = named(&halved, scope);
    let doubled = open.chars().count() > 1 && close.chars().count() > 1;
    if full && (doubled || name.is_some()) {
        let halved = halved.trim();
        let write = if halved.starts_with('%') {
            format!("{{{halved}}}")
        } else {
            format!("{{{{ {} }}}}", name.unwrap_or(halved))
        };
        return Some(wrong(
            at..at + whole.len(),
            "full-width braces fill nothing in",
            "全角花括号不会被替换",
            whole,
            &write,
        ));
    }
    // `$${name}` was written on purpose.
    let name = name.filter(|_| before != Some('$') && !doubled)?;
    if open.len() != 1 || close.is_empty() {
        return None;
    }
    Some(filled(at, whole, name))
}

fn filled(at: usize, shown: &str, name: &str) -> TemplateError {
    let write = format!("{{{{ {name} }}}}");
    TemplateError::at(
        &(at..at + shown.len()),
        format!("this fills nothing in: `{shown}`"),
        format!("这样写不会被替换：`{shown}`"),
    )
    .help(
        format!("write `{write}`; for the sign itself `{{{{ '{shown}' }}}}`"),
        format!("请写 `{write}`；若确实要原样输出，请写 `{{{{ '{shown}' }}}}`"),
    )
}

/// `%name%`
fn percent(at: usize, rest: &str, scope: &Scope) -> Option<TemplateError> {
    let sign = rest.chars().next()?;
    let inner = &rest[sign.len_utf8()..];
    let end = inner.find(sign)?;
    let word = &inner[..end];
    let name = named(word, scope).filter(|name| *name == word || !word.is_ascii())?;
    Some(filled(at, &rest[..sign.len_utf8() * 2 + end], name))
}

/// `$json.phone` and `$phone`
fn dollars(at: usize, rest: &str, scope: &Scope) -> Option<TemplateError> {
    let length = 1 + run(&rest[1..], |letter| {
        letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.')
    });
    let shown = rest[..length].trim_end_matches('.');
    let word = shown[1..].trim_start_matches('.');
    let word = word.strip_prefix("json.").unwrap_or(word);
    let name = named(word, scope).filter(|name| *name == word.trim_start_matches("lead."))?;
    Some(filled(at, shown, name))
}

/// `name }}` without `{{`
fn unopened(text: &str, range: &Range<usize>, at: usize, scope: &Scope) -> Option<TemplateError> {
    if !text[at..range.end].starts_with("}}") {
        return None;
    }
    let before = &text[range.start..at];
    let start = before.rfind(['{', '}']).map_or(0, |brace| brace + 1);
    let inside = &before[start..];
    if inside.contains(['"', ':']) {
        return None;
    }
    let word = inside
        .rsplit(char::is_whitespace)
        .find(|word| !word.is_empty())?;
    let name = named(word, scope)?;
    let from = at - inside.len() + inside.rfind(word)?;
    Some(
        TemplateError::at(
            &(from..at + 2),
            format!("`}}}}` without `{{{{`: `{word}` is not filled in"),
            format!("`}}}}` 前缺少 `{{{{`：`{word}` 不会被替换"),
        )
        .help(
            format!("write `{{{{ {name} }}}}`"),
            format!("请写 `{{{{ {name} }}}}`"),
        ),
    )
}

fn is_word(text: &str) -> bool {
    text.chars()
        .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '.'))
}

/// The length of the quoted text that `rest` begins with.
fn string(rest: &str) -> Option<usize> {
    let quote = rest
        .chars()
        .next()
        .filter(|quote| matches!(quote, '\'' | '"'))?;
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        if letter == quote && !escaped {
            return Some(at + 1);
        }
        escaped = letter == '\\' && !escaped;
    }
    None
}

fn run(rest: &str, part: impl Fn(char) -> bool) -> usize {
    rest.find(|letter| !part(letter)).unwrap_or(rest.len())
}
