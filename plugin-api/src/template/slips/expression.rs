//! Expressions: the slips in one, each once, and brackets without their other one.

use std::ops::Range;

use super::super::labels;
use super::super::mistake::TemplateError;
use super::{elsewhere, keyboard, run, string, wrong};

/// The slips in an expression, in its order. `decides` says that a `=` in it would compare.
/// What touches the slip before it is part of that one.
pub(super) fn of(text: &str, range: Range<usize>, decides: bool) -> Vec<TemplateError> {
    let mut reader = Reader {
        text,
        range,
        decides,
        depth: 0,
        before: "",
    };
    let mut found = Vec::new();
    let mut at = reader.range.start;
    let mut last = None;
    while let Some(seen) = reader.next(at) {
        at = match seen {
            Seen::Good(end) => end,
            Seen::Slip(slip) => {
                let place = slip.range.clone().unwrap_or(at..at);
                let end = place.end.max(at + 1);
                if last != Some(place.start) {
                    found.push(slip);
                }
                last = Some(end);
                end
            }
            // Where the text ends is anybody's guess, so all behind it is.
            Seen::Open(slip) => {
                found.extend((last != Some(at)).then_some(slip));
                break;
            }
        };
    }
    found
}

/// What stands at a place.
enum Seen {
    /// Nothing wrong, up to here.
    Good(usize),
    Slip(TemplateError),
    /// A quote that is never closed.
    Open(TemplateError),
}

struct Reader<'a> {
    text: &'a str,
    range: Range<usize>,
    decides: bool,
    /// Of brackets.
    depth: usize,
    /// What stood before, spaces aside.
    before: &'a str,
}

impl Reader<'_> {
    /// `None` at the end.
    fn next(&mut self, at: usize) -> Option<Seen> {
        let rest = self.text.get(at..self.range.end)?;
        let letter = rest.chars().next()?;
        let length = match letter {
            '\'' | '"' => match string(rest) {
                Some(length) => length,
                None => return Some(Seen::Open(open(at, letter, rest))),
            },
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = run(rest, |letter| {
                    letter.is_ascii_alphanumeric() || letter == '_'
                });
                if self.before != "."
                    && self.before != "|"
                    && let Some(slip) = elsewhere::word(self.text, &self.range, at, &rest[..length])
                {
                    self.before = &rest[..length];
                    return Some(Seen::Slip(slip));
                }
                length
            }
            '0'..='9' => run(rest, |letter| {
                letter.is_ascii_alphanumeric() || letter == '.'
            }),
            _ if letter.is_whitespace() && letter.is_ascii() => {
                return Some(Seen::Good(at + letter.len_utf8()));
            }
            _ => {
                let decides = self.decides && self.depth == 0;
                if let Some(slip) = keyboard::quoted(self.text, at, rest)
                    .or_else(|| keyboard::foreign(at, rest))
                    .or_else(|| {
                        elsewhere::sign(self.text, &self.range, at, rest, decides, self.before)
                    })
                {
                    self.before = &rest[..letter.len_utf8()];
                    return Some(Seen::Slip(slip));
                }
                match letter {
                    '(' | '[' | '{' => self.depth += 1,
                    ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                let two = ["==", "!=", "<=", ">=", "//", "**"];
                match two.iter().find(|sign| rest.starts_with(**sign)) {
                    Some(sign) => sign.len(),
                    None => letter.len_utf8(),
                }
            }
        };
        self.before = &rest[..length];
        Some(Seen::Good(at + length))
    }
}

fn open(at: usize, letter: char, rest: &str) -> TemplateError {
    let inside = rest[1..].split(['\'', '"', '“', '”', '‘', '’']).next();
    let write = format!("{letter}{}{letter}", inside.unwrap_or_default().trim());
    wrong(
        at..at + 1,
        "this quote is never closed",
        "引号没有成对",
        &letter.to_string(),
        &write,
    )
}

/// `{{{ name }}}` and `{{ {name} }}`
pub(super) fn braces(text: &str, inside: &Range<usize>, statement: bool) -> Option<TemplateError> {
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

/// A bracket without its other one.
pub(super) fn brackets(text: &str, range: &Range<usize>) -> Option<TemplateError> {
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

fn is_word(text: &str) -> bool {
    text.chars()
        .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '.'))
}
