//! Slips: what was typed for something else, by hands used to a Chinese keyboard, to another
//! language or to another tool's templates, and what to type instead.
//!
//! Looks into expressions that the engine refused, and into the text around them, which would
//! otherwise go out as it stands. Text that is not clearly meant so is left alone: JSON, CSS and
//! the like may stand in a template.

mod elsewhere;
mod expression;
mod keyboard;
mod plain;

use std::ops::Range;

use super::mistake::{TemplateError, each_once};
use super::scope::Scope;
use super::tokens;

/// What the engine refused: the slips that explain it, else `error`.
pub(super) fn of_condition(text: &str, error: TemplateError) -> Vec<TemplateError> {
    if let Some(slip) = bare(text) {
        return vec![slip];
    }
    let whole = 0..text.len();
    let found = expression::of(text, whole.clone(), true);
    if !found.is_empty() {
        return each_once(found);
    }
    vec![expression::brackets(text, &whole).unwrap_or_else(|| translated(error))]
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

/// The same for a template, with the slips in the text around its expressions.
pub(super) fn of_template(text: &str, scope: &Scope, error: TemplateError) -> Vec<TemplateError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((start, statement)) = opening(text, at) {
        let end = closing(text, start + 2, statement);
        let inside = start + 2..end.unwrap_or(text.len());
        let decides = ["if ", "elif "].iter().any(|word| {
            text[inside.clone()]
                .trim_start_matches(['-', '+', ' '])
                .starts_with(word)
        });
        let here = found.len();
        match expression::braces(text, &inside, statement) {
            Some(slip) => found.push(slip),
            None => found.extend(expression::of(text, inside.clone(), !statement || decides)),
        }
        let is_clean = found.len() == here;
        let Some(end) = end else {
            found.extend(is_clean.then(|| unclosed(text, start, statement)));
            break;
        };
        if is_clean {
            found.extend(expression::brackets(text, &inside));
        }
        at = end + 2;
    }
    found.extend(around(text, scope));
    if found.is_empty() {
        found.push(translated(error));
    }
    each_once(found)
}

/// `{{ name` and `{{ name }`
fn unclosed(text: &str, start: usize, statement: bool) -> TemplateError {
    let (open, close) = if statement {
        ("{%", "%}")
    } else {
        ("{{", "}}")
    };
    let inside = &text[start + 2..];
    let single = if statement { None } else { inside.find('}') };
    let write = match single {
        Some(end) => format!("{{{{ {} }}}}", inside[..end].trim()),
        None => close.to_owned(),
    };
    TemplateError::at(
        &(start..start + 2),
        format!("an opening is never closed: `{open}`"),
        format!("没有对应的结尾：`{open}` 缺少 `{close}`"),
    )
    .help(format!("write `{write}`"), format!("请写 `{write}`"))
}

/// The slips in the text around the expressions of a template.
pub(super) fn around(text: &str, scope: &Scope) -> Vec<TemplateError> {
    let parts = match tokens::of_template(text) {
        Some(parts) => parts
            .iter()
            .filter_map(|part| match part {
                tokens::Part::Plain(range) => Some(range.clone()),
                tokens::Part::Block(..) => None,
            })
            .collect(),
        None => between(text),
    };
    let slips = parts.iter().map(|range| plain::of(text, range, scope));
    slips.flatten().collect()
}

/// The same parts of a text whose expressions cannot be followed.
fn between(text: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some((start, statement)) = opening(text, at) {
        parts.push(at..start);
        match closing(text, start + 2, statement) {
            Some(end) => at = end + 2,
            None => return parts,
        }
    }
    parts.push(at..text.len());
    parts
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
