//! Plain text: what stands around the expressions of a template and was meant as one.

use std::ops::Range;

use super::super::labels;
use super::super::mistake::TemplateError;
use super::super::scope::Scope;
use super::keyboard::ascii;
use super::{run, wrong};
use crate::event::FIELDS;

/// The slips in the text between expressions.
pub(super) fn of(text: &str, range: &Range<usize>, scope: &Scope) -> Vec<TemplateError> {
    let mut found: Vec<TemplateError> = Vec::new();
    let mut before = None;
    // Where the last slip ended.
    let mut behind = range.start;
    let letters = text.get(range.clone()).unwrap_or_default();
    for (offset, letter) in letters.char_indices() {
        let at = range.start + offset;
        if at < behind {
            continue;
        }
        let rest = &text[at..range.end];
        let slip = match letter {
            '｛' | '{' => enclosed(at, rest, before, scope),
            '%' | '％' => percent(at, rest, scope),
            '$' => dollars(at, rest, scope),
            '}' => unopened(text, &(behind..range.end), at, scope),
            _ => None,
        };
        if let Some(slip) = slip {
            behind = slip.range.as_ref().map_or(at, |range| range.end);
            found.push(slip);
        }
        before = Some(letter);
    }
    found
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
